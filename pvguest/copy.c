/*
 * User memory by way of the page tables.
 */
#include "pvguest/internal.h"

static uint64_t *entry_for(const struct pvg_user_memory *memory, uint64_t gva, bool write, unsigned *level)
{
	uint64_t *table = pvg_gpa_to_ptr(memory->space->root);

	for (*level = X86_PT_LEVELS;; (*level)--) {
		unsigned shift = X86_PAGE_SHIFT + 9 * (*level - 1);
		uint64_t *entry = &table[gva >> shift & (X86_PT_ENTRIES - 1)];

		if (!(*entry & X86_PTE_P) || !(*entry & X86_PTE_U) || (write && !(*entry & X86_PTE_W)))
			return NULL;
		if (*level == 1 || (*level < X86_PT_LEVELS && *entry & X86_PTE_PS))
			return entry;
		table = pvg_gpa_to_ptr(*entry & X86_PTE_ADDR);
	}
}

void *pvg_user_ptr(const struct pvg_user_memory *memory, uint64_t gva, bool write)
{
	uint64_t *entry, offset;
	unsigned level;

	if (gva >= memory->end)
		return NULL;
	entry = entry_for(memory, gva, write, &level);
	if (!entry && memory->resolve && memory->resolve(memory->arg, gva, write))
		entry = entry_for(memory, gva, write, &level);
	if (!entry)
		return NULL;
	offset = R3_BIT(X86_PAGE_SHIFT + 9 * (level - 1)) - 1;
	return pvg_gpa_to_ptr((*entry & X86_PTE_ADDR & ~offset) + (gva & offset));
}

/* How much of [gva, gva + len) lies in the page of gva. */
static size_t within_page(uint64_t gva, size_t len)
{
	size_t room = X86_PAGE_SIZE - (gva & X86_PAGE_MASK);

	return len < room ? len : room;
}

size_t pvg_copy_from_user(const struct pvg_user_memory *memory, void *to, uint64_t gva, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t part = within_page(gva + done, len - done);
		const void *from = pvg_user_ptr(memory, gva + done, false);

		if (!from)
			break;
		memcpy((char *)to + done, from, part);
		done += part;
	}
	return done;
}

/* from == NULL: zeroes */
static size_t fill_user(const struct pvg_user_memory *memory, uint64_t gva, const void *from, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t part = within_page(gva + done, len - done);
		void *to = pvg_user_ptr(memory, gva + done, true);

		if (!to)
			break;
		if (from)
			memcpy(to, (const char *)from + done, part);
		else
			memset(to, 0, part);
		done += part;
	}
	return done;
}

size_t pvg_copy_to_user(const struct pvg_user_memory *memory, uint64_t gva, const void *from, size_t len)
{
	return fill_user(memory, gva, from, len);
}

size_t pvg_zero_user(const struct pvg_user_memory *memory, uint64_t gva, size_t len)
{
	return fill_user(memory, gva, NULL, len);
}

int64_t pvg_string_from_user(const struct pvg_user_memory *memory, char *to, uint64_t gva, size_t size)
{
	for (size_t done = 0; done < size;) {
		size_t part = within_page(gva + done, size - done);
		const char *from = pvg_user_ptr(memory, gva + done, false);

		if (!from)
			return -R3_EFAULT;
		for (size_t i = 0; i < part; i++, done++) {
			to[done] = from[i];
			if (!to[done])
				return (int64_t)done;
		}
	}
	return (int64_t)size;
}
