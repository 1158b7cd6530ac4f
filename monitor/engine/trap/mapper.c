/*
 * Orders to a cell's mapper: queued by the shadow page tables' effects, carried out before the cell next runs.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "monitor/engine/trap/cell.h"
#include "monitor/engine/trap/placement.h"

/* A cell that died answers nobody. */
#define LOOK_NS 20000000
/* The mapper runs where the monitor does: most often it has answered when the monitor is back from a yield. */
#define YIELDS 2

/*
 * The answer comes through a descriptor that only the mapper can write (the runner's filter has no such call), to a
 * page that the cell sees read-only: so it cannot be forged.
 */
static int mapper_answer(struct cell *cell)
{
	const struct timespec limit = {.tv_nsec = LOOK_NS};
	uint32_t answer;
	for (unsigned yields = cell->owner->placement->crowded ? 0 : YIELDS;
	     yields && atomic_load(cell->answer) == GATE_ANSWER_NONE; yields--)
		sched_yield();
	atomic_store(&cell->order->waited, 1);
	while ((answer = atomic_load(cell->answer)) == GATE_ANSWER_NONE) {
		long slept = syscall(SYS_futex, cell->answer, FUTEX_WAIT, GATE_ANSWER_NONE, &limit, NULL, 0);
		if (slept && errno != EAGAIN && cell_is_dead(cell))
			return -ESRCH;
	}
	return -(int)answer;
}

void cell_owe(struct cell *cell)
{
	struct cells *cells = cell->owner;
	if (cell->owes || cell->kernel || cells->traced)
		return;
	cell->owes = true;
	cell->owing = cells->owing;
	cells->owing = cell;
}

void cell_owes_nothing(struct cell *cell)
{
	struct cell **link = &cell->owner->owing;
	while (*link && *link != cell)
		link = &(*link)->owing;
	if (*link)
		*link = cell->owing;
	cell->owes = false;
}

int cell_flush(struct cell *cell)
{
	if (cell->owes)
		cell_owes_nothing(cell);
	if (!cell->queued)
		return 0;
	if (cell->dead)
		return -ESRCH;
	struct gate_order *order = cell->order;
	order->count = cell->queued;
	cell->queued = 0;
	order->waited = 0;
	atomic_store(cell->answer, GATE_ANSWER_NONE);
	atomic_fetch_add(&order->sequence, 1);
	syscall(SYS_futex, &order->sequence, FUTEX_WAKE, 1, NULL, NULL, 0);
	return mapper_answer(cell);
}

/* What is unmapped page by page, upwards, is unmapped at once. */
static bool joins_last(const struct cell *cell, const struct gate_op *op)
{
	if (!cell->queued || op->nr != SYS_munmap)
		return false;
	const struct gate_op *last = &cell->order->ops[cell->queued - 1];
	return last->nr == SYS_munmap && last->args[0] + last->args[1] == op->args[0];
}

/* What is mapped over need not be unmapped first: a mapping of a fixed place replaces what was there. */
static bool replaces_last(const struct cell *cell, const struct gate_op *op)
{
	if (!cell->queued || op->nr != SYS_mmap)
		return false;
	const struct gate_op *last = &cell->order->ops[cell->queued - 1];
	return last->nr == SYS_munmap && last->args[0] >= op->args[0] &&
	       last->args[0] + last->args[1] <= op->args[0] + op->args[1];
}

int cell_queue(struct cell *cell, const struct gate_op *op)
{
	cell->empty = false;
	if (op->nr != SYS_mmap)
		cell_owe(cell);
	if (joins_last(cell, op)) {
		cell->order->ops[cell->queued - 1].args[1] += op->args[1];
		return 0;
	}
	if (replaces_last(cell, op))
		cell->queued--;
	if (cell->queued == GATE_ORDER_OPS) {
		int error = cell_flush(cell);
		if (error)
			return error;
	}
	cell->order->ops[cell->queued++] = *op;
	return 0;
}

int cell_empty(struct cell *cell)
{
	struct gate_op low = {SYS_munmap, {0, GATE_TEXT}},
		       high = {SYS_munmap, {LAYOUT_GATE_END, LAYOUT_TASK_END - LAYOUT_GATE_END}};
	cell->queued = 0;
	sites_forget(cell);
	int error = cell_queue(cell, &low);
	if (!error)
		error = cell_queue(cell, &high);
	if (!error)
		error = cell_flush(cell);
	cell->empty = !error;
	return error;
}
