/*
 * A used cell for another address space. A user program may have forged its last exit and run on: its runner must be
 * seen to sleep in the gate before the cell serves another program, which could otherwise be entered with registers of
 * the first one's choice.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "monitor/engine/trap/arena.h"
#include "monitor/engine/trap/handover.h"

/* An honest runner sleeps after a few turns of the host's scheduler. */
#define LOOKS_MAX 50

/*
 * Where the runner sleeps is the kernel's word: proc(5), /proc/PID/task/TID/syscall. What it does when it is woken
 * depends on nothing but these and what the monitor writes (HANDOVER in gate_macros.S).
 */
static bool sleeps_in_handler(const struct cell *cell, const char *path)
{
	unsigned long nr, word, op, sp, pc;
	char line[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (fd >= 0)
		close(fd);
	line[length > 0 ? length : 0] = 0;
	int fields = sscanf(line, "%lu %lx %lx %*x %*x %*x %*x %lx %lx", &nr, &word, &op, &sp, &pc);
	return fields == 5 && nr == SYS_futex && op == FUTEX_WAIT &&
	       word == GATE_TURN + cell->slot * sizeof(uint32_t) && sp == cell->frame_gate &&
	       pc == gate_address(gate_handler_asleep);
}

static int wait_asleep(struct cell *cell)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", cell->pid, cell->runner);
	/* Its own word, which it might have changed to be awake for ever. */
	cell->xchg->turn = cell->slot * sizeof(uint32_t);
	handover_rest(cell);
	for (unsigned looks = 0; looks < LOOKS_MAX; looks++) {
		if (sleeps_in_handler(cell, path))
			return 0;
		sched_yield();
	}
	return -EPERM;
}

/* Frames that a kick left in the gate: they may have registers of the last program's. */
static void clear_below_frame(struct cell *cell)
{
	const size_t below = cell->frame_gate - GATE_STACK, pages = below & ~(size_t)(GATE_PAGE - 1);

	fallocate(cell->owner->arena_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  arena_own(cell->slot) + (GATE_STACK - GATE_XCHG), (off_t)pages);
	memset(cell->stack + pages, 0, below - pages);
	cell->kicked = false;
}

int cell_renew(struct cell *cell)
{
	int error = 0;
	if (!cell->kernel && !cell->owner->traced)
		error = wait_asleep(cell);
	if (!error && !cell->empty)
		error = cell_empty(cell);
	if (error || cell->kernel)
		return error;
	atomic_store(&cell->xchg->runner_waits, 1);
	cell_init_exchange(cell);
	cell->in_signal = true; /* the last exit may have been forged as a hypercall */
	memset(cell->fpu, 0, GATE_PAGE);
	if (cell->kicked)
		clear_below_frame(cell);
	memcpy(cell->frame, cell->boot_frame, GATE_END - cell->frame_gate);
	cell->fresh = true;
	return 0;
}
