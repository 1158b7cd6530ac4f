/*
 * Page faults: what is missing is made, what is shared is copied, and what is forbidden becomes a signal.
 */
#include "examples/tinix/core.h"

#define AROUND_PAGES 16 /* of a file are mapped by one fault */
#define AHEAD_PAGES  32 /* of anonymous memory at most, where addresses are touched one after the other */
#define AHEAD_PAGES  32 /* of anonymous memory at most, where addresses are touched one after the other */

static bool permits(const struct vma *vma, unsigned wanted)
{
	if (wanted == PROT_READ) /* the processor has no right to write or execute without that to read */
		return vma->prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
	return (vma->prot & wanted) == wanted;
}

/* A stack reaches down to an address just below it, as far as its limit allows. */
static bool grow_stack(struct mm *mm, struct vma *vma, uint64_t address)
{
	struct list *previous = vma->link.prev;
	uint64_t floor = vma->end - min_u64(current->limits[RLIMIT_STACK].rlim_cur, vma->end - USER_START);

	if (previous != &mm->vmas)
		floor = max_u64(floor, list_entry(previous, struct vma, link)->end + PAGE_SIZE);
	if (!vma->stack || address < floor)
		return false;
	vma->start = page_down(address);
	return true;
}

static void set_entry(struct mm *mm, uint64_t *entry, const void *page, uint64_t bits)
{
	pvg_entry_store(&mm->space, entry, pvg_ptr_to_gpa(page) | bits);
	mm->resident++;
}

/* The first write since fork, or to a private page of a file. */
static enum fault_result copy_on_write(struct mm *mm, const struct vma *vma, uint64_t address, uint64_t *entry)
{
	void *old = pvg_gpa_to_ptr(*entry & X86_PTE_ADDR), *page = old;

	if (!(*entry & PTE_KEEP) && page_refs(old) > 1) {
		page = page_new();
		if (!page)
			return FAULT_NO_MEMORY;
		memcpy(page, old, PAGE_SIZE);
	}
	pvg_entry_store(&mm->space, entry, pvg_ptr_to_gpa(page) | table_bits(vma->prot) | (*entry & PTE_KEEP));
	pvg_entry_sync();
	pvg_entry_flush(address, 1);
	if (page != old)
		page_put(old);
	return FAULT_OK;
}

static uint64_t file_index(const struct vma *vma, uint64_t address)
{
	return (vma->offset + (address - vma->start)) / PAGE_SIZE;
}

/* Maps what is missing of the file's pages around address, in the same table. */
static void map_around(struct mm *mm, const struct vma *vma, uint64_t address, uint64_t *entry, uint64_t bits)
{
	uint64_t window = AROUND_PAGES * PAGE_SIZE, start = max_u64(address & ~(window - 1), vma->start);
	uint64_t end = min_u64((address & ~(window - 1)) + window, vma->end);

	entry -= (address - start) / PAGE_SIZE;
	for (; start < end; start += PAGE_SIZE, entry++) {
		void *page = *entry & X86_PTE_P ? NULL : inode_page(vma->inode, file_index(vma, start));

		if (page)
			set_entry(mm, entry, page, bits);
	}
}

static enum fault_result map_file(struct mm *mm, const struct vma *vma, uint64_t address, uint64_t *entry, bool write)
{
	uint64_t index = file_index(vma, address), bits = table_bits(vma->prot);
	void *page, *copy;

	if (index >= page_up(inode_size(vma->inode)) / PAGE_SIZE)
		return FAULT_BEYOND_FILE;
	page = inode_page(vma->inode, index);
	if (!page)
		return FAULT_NO_MEMORY;
	if (vma->shared) {
		set_entry(mm, entry, page, bits | PTE_KEEP);
	} else if (write) {
		copy = page_new();
		if (copy) {
			memcpy(copy, page, PAGE_SIZE);
			set_entry(mm, entry, copy, bits);
		}
		page_put(page);
		if (!copy)
			return FAULT_NO_MEMORY;
	} else {
		set_entry(mm, entry, page, bits & ~X86_PTE_W);
		map_around(mm, vma, address, entry, bits & ~X86_PTE_W);
	}
	return FAULT_OK;
}

/* How many pages to make at once: ever more while faults follow each other upwards. */
static unsigned pages_ahead(struct mm *mm, const struct vma *vma, uint64_t address, const uint64_t *entry)
{
	uint64_t room = X86_PT_ENTRIES - (address >> X86_PAGE_SHIFT) % X86_PT_ENTRIES;
	unsigned count = 1;

	mm->ahead = address == mm->next_fault ? (unsigned)min_u64(2 * mm->ahead, AHEAD_PAGES) : 1;
	room = min_u64(room, (vma->end - address) / PAGE_SIZE);
	while (count < mm->ahead && count < room && !(entry[count] & X86_PTE_P))
		count++;
	return count;
}

static enum fault_result map_anonymous(struct mm *mm, const struct vma *vma, uint64_t address, uint64_t *entry)
{
	unsigned count = pages_ahead(mm, vma, address, entry);
	char *pages = pages_new(count);

	if (!pages) {
		count = 1;
		pages = pages_new(count);
	}
	if (!pages)
		return FAULT_NO_MEMORY;
	for (unsigned i = 0; i < count; i++)
		set_entry(mm, entry + i, pages + i * PAGE_SIZE, table_bits(vma->prot));
	mm->next_fault = address + count * PAGE_SIZE;
	return FAULT_OK;
}

enum fault_result mm_fault(struct mm *mm, uint64_t address, unsigned wanted)
{
	struct vma *vma = address < USER_END ? vma_find(mm, address) : NULL;
	enum fault_result result;
	uint64_t *entry;

	address = page_down(address);
	if (!vma || (address < vma->start && !grow_stack(mm, vma, address)))
		return FAULT_UNMAPPED;
	if (!permits(vma, wanted))
		return FAULT_FORBIDDEN;
	entry = table_entry(mm, address);
	if (!entry)
		return FAULT_NO_MEMORY;
	if (*entry & X86_PTE_P)
		return wanted == PROT_WRITE && !(*entry & X86_PTE_W) ? copy_on_write(mm, vma, address, entry)
								     : FAULT_OK;
	result = vma->inode ? map_file(mm, vma, address, entry, wanted == PROT_WRITE)
			    : map_anonymous(mm, vma, address, entry);
	pvg_entry_sync();
	return result;
}

static void page_fault(struct pvg_frame *frame, void *arg)
{
	uint64_t address = pvg_fault_address();
	unsigned wanted = frame->error & X86_PF_W ? PROT_WRITE : frame->error & X86_PF_I ? PROT_EXEC : PROT_READ;

	if (!(frame->cs & X86_SEL_RPL))
		pvg_panic_frame(frame, "page fault in the kernel");
	account(true);
	current->usage.minor_faults++;
	switch (mm_fault(current->mm, address, wanted)) {
	case FAULT_OK:
		break;
	case FAULT_UNMAPPED:
		signal_force(SIGSEGV, SEGV_MAPERR, address);
		break;
	case FAULT_FORBIDDEN:
		signal_force(SIGSEGV, SEGV_ACCERR, address);
		break;
	case FAULT_BEYOND_FILE:
		signal_force(SIGBUS, BUS_ADRERR, address);
		break;
	case FAULT_NO_MEMORY:
		log("out of memory: killing %s (pid %d)\n", current->name, current->pid);
		signal_force(SIGKILL, SI_KERNEL, address);
		break;
	}
}

/* Exceptions that become signals as they are. */
static const struct {
	uint8_t vector, signal;
	int code;
} exceptions[] = {
	{X86_VEC_DE, SIGFPE, FPE_INTDIV}, {X86_VEC_DB, SIGTRAP, TRAP_TRACE}, {X86_VEC_BP, SIGTRAP, SI_KERNEL},
	{X86_VEC_OF, SIGSEGV, SI_KERNEL}, {X86_VEC_BR, SIGSEGV, SI_KERNEL},  {X86_VEC_UD, SIGILL, ILL_ILLOPN},
	{X86_VEC_NM, SIGSEGV, SI_KERNEL}, {X86_VEC_NP, SIGBUS, SI_KERNEL},   {X86_VEC_SS, SIGBUS, SI_KERNEL},
	{X86_VEC_GP, SIGSEGV, SI_KERNEL}, {X86_VEC_MF, SIGFPE, FPE_FLTINV},  {X86_VEC_AC, SIGBUS, BUS_ADRALN},
	{X86_VEC_XM, SIGFPE, FPE_FLTINV},
};

static void exception(struct pvg_frame *frame, void *arg)
{
	if (!(frame->cs & X86_SEL_RPL))
		pvg_panic_frame(frame, "%s in the kernel", pvg_vector_name((unsigned)frame->vector));
	account(true);
	for (unsigned i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
		if (exceptions[i].vector == frame->vector)
			signal_force(exceptions[i].signal, exceptions[i].code, frame->rip);
}

void fault_init(void)
{
	pvg_trap_register(X86_VEC_PF, page_fault, NULL);
	for (unsigned i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
		pvg_trap_register(exceptions[i].vector, exception, NULL);
}
