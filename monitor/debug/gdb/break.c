/*
 * Breakpoints and watchpoints. Software ones are INT3 in guest RAM, found by guest-physical address, since the guest
 * may reach the same byte in several ways; hardware ones are the processor's debug registers, or what an engine has in
 * their place.
 */
#include <errno.h>
#include <string.h>

#include "monitor/debug/gdb/internal.h"

#define OPCODE_INT3 0xcc

/* --------------------------------------------------------------------------------------------------------- software */

static int find_exact(const struct gdb *gdb, uint64_t gva)
{
	for (unsigned i = 0; i < gdb->break_count; i++)
		if (gdb->breaks[i].gva == gva)
			return (int)i;
	return -1;
}

int break_find(struct gdb *gdb, uint64_t gva)
{
	uint64_t gpa;
	int at = find_exact(gdb, gva);

	if (at >= 0 || !gm_probe(gdb_vcpu(gdb), gva, &gpa))
		return at;
	for (unsigned i = 0; i < gdb->break_count; i++)
		if (gdb->breaks[i].gpa == gpa)
			return (int)i;
	return -1;
}

static int insert_software(struct gdb *gdb, uint64_t gva)
{
	uint64_t gpa;

	if (find_exact(gdb, gva) >= 0)
		return 0;
	if (gdb->break_count == GDB_BREAKS)
		return -ENOSPC;
	if (!gm_probe(gdb_vcpu(gdb), gva, &gpa) || !gm_is_ram(&gdb->vm->mem, gpa, 1))
		return -EFAULT;
	gdb->breaks[gdb->break_count++] = (struct gdb_break){.gva = gva, .gpa = gpa};
	return 0;
}

static int remove_software(struct gdb *gdb, uint64_t gva)
{
	int at = find_exact(gdb, gva);

	if (at >= 0)
		gdb->breaks[at] = gdb->breaks[--gdb->break_count];
	return 0;
}

void break_place(struct gdb *gdb, int except)
{
	const uint8_t int3 = OPCODE_INT3;

	for (unsigned i = 0; i < gdb->break_count; i++) {
		struct gdb_break *b = &gdb->breaks[i];
		if (except >= 0 && b->gpa == gdb->breaks[except].gpa)
			continue;
		gm_read(&gdb->vm->mem, b->gpa, &b->original, 1);
		b->placed = gm_write(&gdb->vm->mem, b->gpa, &int3, 1);
	}
}

/* In reverse: of two at one place the first holds the guest's byte. What the guest stored meanwhile stays. */
void break_lift(struct gdb *gdb)
{
	for (unsigned i = gdb->break_count; i-- > 0;) {
		struct gdb_break *b = &gdb->breaks[i];
		uint8_t now;
		if (!b->placed)
			continue;
		b->placed = false;
		if (gm_read(&gdb->vm->mem, b->gpa, &now, 1) && now == OPCODE_INT3)
			gm_write(&gdb->vm->mem, b->gpa, &b->original, 1);
	}
}

/* --------------------------------------------------------------------------------------------------------- hardware */

/* SDM 3B 17.2.4: the condition and the length field of DR7. */
static unsigned condition(enum gdb_kind kind)
{
	switch (kind) {
	case WATCH_WRITE:
		return X86_DR7_RW_WRITE;
	case WATCH_READ: /* the processor has no reads alone */
	case WATCH_ACCESS:
		return X86_DR7_RW_ACCESS;
	default:
		return X86_DR7_RW_EXECUTE;
	}
}

static unsigned length(const struct gdb_watch *watch)
{
	return watch->kind == BREAK_HARDWARE ? 0 : watch->len == 8 ? 2 : watch->len - 1;
}

static int apply(struct gdb *gdb)
{
	struct engine_watch wanted = {0};

	for (unsigned i = 0; i < ENGINE_WATCHES; i++) {
		const struct gdb_watch *watch = &gdb->watches[i];
		uint64_t field = condition(watch->kind) | length(watch) << 2;
		if (!watch->used)
			continue;
		wanted.address[i] = watch->gva;
		wanted.control |= X86_DR7_L(i) | field << X86_DR7_FIELD_SHIFT(i);
	}
	return gdb->vm->engine_ops->watch(gdb->vm, &wanted);
}

static bool watchable(enum gdb_kind kind, uint64_t gva, unsigned len)
{
	if (kind == BREAK_HARDWARE)
		return true;
	return (len == 1 || len == 2 || len == 4 || len == 8) && gva % len == 0;
}

static struct gdb_watch *find_watch(struct gdb *gdb, enum gdb_kind kind, uint64_t gva, unsigned len)
{
	for (unsigned i = 0; i < ENGINE_WATCHES; i++) {
		struct gdb_watch *watch = &gdb->watches[i];
		if (watch->used && watch->kind == kind && watch->gva == gva && watch->len == len)
			return watch;
	}
	return NULL;
}

static int insert_hardware(struct gdb *gdb, enum gdb_kind kind, uint64_t gva, unsigned len)
{
	if (!gdb->vm->engine_ops->watch)
		return -ENOTSUP;
	if (!watchable(kind, gva, len))
		return -EINVAL;
	if (find_watch(gdb, kind, gva, len))
		return 0;
	for (unsigned i = 0; i < ENGINE_WATCHES; i++) {
		if (gdb->watches[i].used)
			continue;
		gdb->watches[i] = (struct gdb_watch){.used = true, .kind = kind, .gva = gva, .len = len};
		int error = apply(gdb);
		if (error)
			gdb->watches[i].used = false;
		return error;
	}
	return -ENOSPC;
}

static int remove_hardware(struct gdb *gdb, enum gdb_kind kind, uint64_t gva, unsigned len)
{
	struct gdb_watch *watch = find_watch(gdb, kind, gva, len);

	if (!watch)
		return 0;
	watch->used = false;
	return apply(gdb);
}

const struct gdb_watch *break_hit(struct gdb *gdb)
{
	unsigned hits = gdb->vm->engine_ops->watch_hits ? gdb->vm->engine_ops->watch_hits(gdb_vcpu(gdb)) : 0;

	for (unsigned i = 0; i < ENGINE_WATCHES; i++)
		if (hits & 1u << i && gdb->watches[i].used)
			return &gdb->watches[i];
	return NULL;
}

/* -------------------------------------------------------------------------------------------------------- both */

/* Without a debug register INT3 does for execution. */
int break_insert(struct gdb *gdb, enum gdb_kind kind, uint64_t gva, unsigned len)
{
	int error = kind == BREAK_SOFTWARE ? -ENOTSUP : insert_hardware(gdb, kind, gva, len);

	if (error && (kind == BREAK_SOFTWARE || kind == BREAK_HARDWARE))
		return insert_software(gdb, gva);
	return error;
}

int break_remove(struct gdb *gdb, enum gdb_kind kind, uint64_t gva, unsigned len)
{
	if (kind == BREAK_SOFTWARE || (kind == BREAK_HARDWARE && !find_watch(gdb, kind, gva, len)))
		return remove_software(gdb, gva);
	return remove_hardware(gdb, kind, gva, len);
}

void break_remove_all(struct gdb *gdb)
{
	bool any = false;

	break_lift(gdb);
	gdb->break_count = 0;
	for (unsigned i = 0; i < ENGINE_WATCHES; i++) {
		any |= gdb->watches[i].used;
		gdb->watches[i].used = false;
	}
	if (any)
		apply(gdb);
}
