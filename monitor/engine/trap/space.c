/*
 * Spaces and their cells: what the shadow page tables ask for as orders to a mapper, and what becomes of a space whose
 * cell cannot carry them out.
 */
#include "monitor/engine/trap/space.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "monitor/boot/image.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/host/refusal.h"
#include "monitor/vm/vm.h"

/* A page that the host refuses to map this often in a row will not be mapped. */
#define REFUSALS_MAX 3

/* Runs of up to this many pages are populated when mapped: cheaper than the host's own fault for each. */
#define POPULATE_MAX (32 * X86_PAGE_SIZE)

static void *space_frame(void *ctx, uint64_t gpa)
{
	struct vm *vm = ctx;
	return gm_ptr(&vm->mem, gpa, X86_PAGE_SIZE);
}

static int host_prot(unsigned prot)
{
	return PROT_READ | (prot & SPT_WRITE ? PROT_WRITE : 0) | (prot & SPT_EXEC ? PROT_EXEC : 0);
}

static int space_map(void *ctx, struct spt_space *space, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	struct vm *vm = ctx;
	/* Of low memory kernels read what boot has put there, which needs no page made. */
	bool populates = len <= POPULATE_MAX && gpa >= IMAGE_START;
	int flags = MAP_SHARED | MAP_FIXED | (populates ? MAP_POPULATE : 0);
	struct gate_op op = {SYS_mmap, {gva, len, host_prot(prot), flags, vm->mem.fd, gpa}};
	int error = sites_give_way(*spt_space_owner(space), gva, len, true);
	return error ? error : cell_queue(*spt_space_owner(space), &op);
}

static int unmap(struct spt_space *space, uint64_t from, uint64_t to)
{
	struct gate_op op = {SYS_munmap, {from, to - from}};
	if (from >= to)
		return 0;
	int error = sites_give_way(*spt_space_owner(space), from, to - from, true);
	return error ? error : cell_queue(*spt_space_owner(space), &op);
}

/* A range may reach over the gate, since nothing of the guest's is there. */
static int space_unmap(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len)
{
	const uint64_t end = gva + len;
	int error = unmap(space, gva, end < GATE_HOLE_START ? end : GATE_HOLE_START);
	return error ? error : unmap(space, gva > GATE_HOLE_END ? gva : GATE_HOLE_END, end);
}

static int space_protect(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len, unsigned prot)
{
	struct gate_op op = {SYS_mprotect, {gva, len, host_prot(prot)}};
	int error = sites_give_way(*spt_space_owner(space), gva, len, false);
	return error ? error : cell_queue(*spt_space_owner(space), &op);
}

static int space_settle(void *ctx, struct spt_space *space)
{
	struct cell *cell = *spt_space_owner(space);
	return cell ? cell_flush(cell) : 0;
}

const struct spt_ops space_ops = {space_frame, space_map, space_unmap, space_protect, space_settle};

/* The cell goes to the pool, and the host gets the page tables back. One that cannot be emptied is not used again. */
static void drop_cell(struct cell *cell)
{
	cell_release(cell);
	cell_empty(cell);
}

/* And with it all that lives there. */
static void drop_around(struct spt_space *space)
{
	struct cell *cell = *spt_space_owner(space);
	if (cell)
		drop_cell(cell);
	else
		spt_space_discard(space);
}

void space_drop_kernels(struct vm *vm)
{
	for (struct cell *cell = trap_of(vm)->cells.all; cell; cell = cell->next)
		if (cell->kernel && cell->space)
			drop_cell(cell);
}

void space_leave(struct vm *vm, struct spt_space *space)
{
	struct cell *cell = *spt_space_owner(space);
	int error = spt_space_empty(space);
	if (error && error != -ESRCH)
		space_lost(vm, space, error);
	else if (cell)
		cell_disown(cell, space);
}

void space_drop(struct vm *vm, struct spt_space *space)
{
	struct cell *cell = *spt_space_owner(space);
	if (cell && trap_of(vm)->upper && cell->space != space)
		space_leave(vm, space);
	else
		drop_around(space);
}

/*
 * Most often the cell ran out of the host's map areas: the space is filled anew, with what is in use now. A cell that
 * died keeps its space: what its death means is found when it is to run next (trap_take_exit), for until then nobody
 * misses it.
 */
void space_lost(struct vm *vm, struct spt_space *space, int error)
{
	struct trap *trap = trap_of(vm);
	if (error == -ESRCH) {
		cell_end(*spt_space_owner(space));
		return;
	}
	drop_around(space);
	if (++trap->refusals == REFUSALS_MAX)
		vm_refused(vm, "guest memory cannot be mapped: %s; %s", strerror(-error), refusal_remedy(error));
}

bool space_shown(const struct cell *cell, const struct vcpu *vcpu, uint64_t cr3, enum spt_mode mode)
{
	const struct spt_space *space = cell->space;
	return space && mode != SPT_UPPER && spt_space_mode(space) == mode &&
	       spt_space_root(space) == (cr3 & X86_PTE_ADDR) && spt_space_paging(space) == SPT_4_LEVEL &&
	       vcpu_paging_mode(vcpu) == SPT_4_LEVEL;
}

bool space_flush(struct vm *vm, struct cell *cell)
{
	struct trap *trap = trap_of(vm);
	if (!cell->queued)
		return true;
	int error = cell_flush(cell);
	if (error)
		space_lost(vm, cell->space, error);
	else
		trap->refusals = 0;
	return !error;
}

void space_settle_all(struct vm *vm)
{
	struct cells *cells = &trap_of(vm)->cells;
	/* Nothing of a guest that is to end reads what others are given. */
	while (cells->owing && !vm_is_over(vm)) {
		struct cell *cell = cells->owing;
		int error = cell_flush(cell);
		if (error && cell->space)
			space_lost(vm, cell->space, error);
	}
}

void space_prefill(struct vcpu *vcpu, struct cell *cell)
{
	const uint64_t wanted[] = {vcpu->rip, vcpu->gpr[RSP]};
	struct spt_cpu cpu = vcpu_paging(vcpu);
	for (unsigned n = 0; n < sizeof(wanted) / sizeof(wanted[0]) && cell->space; n++) {
		int error = spt_prefill(cell->space, &cpu, wanted[n]);
		if (error)
			space_lost(vcpu->vm, cell->space, error);
	}
}
