#include "monitor/engine/trap/birth.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "monitor/engine/confine/process.h"
#include "monitor/engine/trap/arena.h"
#include "monitor/engine/trap/cell.h"
#include "monitor/host/clock.h"
#include "monitor/host/cpuid.h"

/* A guest that has needed so many cells needs more. One with less does not pay for a nursery. */
#define NURSERY_AFTER 4
/* What list_common() and list_own() list at most. */
#define COMMON_OPS 3
#define OWN_OPS	   8
/* How often to look whether a nursery that does not answer is dead. */
#define LOOK_NS 20000000

static const int cell_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, GATE_KICK_SIGNAL};

static struct gate_op map_op(uint64_t address, uint64_t size, int prot, int fd, uint64_t offset)
{
	return (struct gate_op){SYS_mmap,
				{address, size, (uint64_t)prot, MAP_SHARED | MAP_FIXED, (uint64_t)fd, offset}};
}

/* What all cells have alike; their children have it from the nursery. */
static unsigned list_common(const struct cells *cells, struct gate_op *ops)
{
	unsigned n = 0;

	ops[n++] = map_op(GATE_TEXT, GATE_TEXT_SIZE, PROT_READ | PROT_EXEC, cells->arena_fd, 0);
	ops[n++] = map_op(GATE_DATA, GATE_DATA_SIZE, PROT_READ, cells->arena_fd, ARENA_DATA);
	ops[n++] = map_op(GATE_ANSWERS, GATE_ANSWERS_SIZE, PROT_READ, cells->answers_fd, 0);
	return n;
}

/* The gate's pages that are a cell's own, or show in its mode alone. */
static unsigned list_own(const struct cell *cell, struct gate_op *ops)
{
	const struct cells *cells = cell->owner;
	const int arena = cells->arena_fd, cache = cells->cache_fd, rw = PROT_READ | PROT_WRITE;
	const uint64_t slots = GATE_CACHE_SLOTS - GATE_CACHE, slots_size = GATE_CACHE_TABLES - GATE_CACHE_SLOTS,
		       tables = GATE_CACHE_TABLES - GATE_CACHE, code = GATE_CACHE_CODE - GATE_CACHE;
	unsigned n = 0;

	ops[n++] = map_op(GATE_TURN, GATE_TURN_SIZE, cell->kernel ? rw : PROT_READ, arena, ARENA_TURN);
	ops[n++] = map_op(GATE_ORDER, GATE_ORDER_SIZE, PROT_READ, arena, (uint64_t)arena_order(cell->slot));
	ops[n++] = map_op(GATE_XCHG, GATE_OWN_SIZE, rw, arena, (uint64_t)arena_own(cell->slot));
	if (!cell->kernel)
		return n;
	ops[n++] = map_op(GATE_PEERS, GATE_CELLS_MAX * GATE_OWN_SIZE, rw, arena, ARENA_PEERS);
	if (cache < 0)
		return n;
	ops[n++] = map_op(GATE_CACHE_STATE, GATE_PAGE, rw, cache, 0);
	ops[n++] = map_op(GATE_CACHE_SLOTS, slots_size, rw, cache, slots);
	ops[n++] = map_op(GATE_CACHE_TABLES, code - tables, PROT_READ, cache, tables);
	ops[n++] = map_op(GATE_CACHE_CODE, GATE_CACHE_SIZE - code, PROT_READ | PROT_EXEC, cache, code);
	return n;
}

static unsigned list_nursery(const struct cells *cells, struct gate_op *ops)
{
	unsigned n = list_common(cells, ops);

	ops[n++] = map_op(NURSERY_TEXT, GATE_PAGE, PROT_READ | PROT_EXEC, cells->arena_fd, ARENA_NURSERY);
	ops[n++] = map_op(NURSERY_ORDER, GATE_PAGE, PROT_READ | PROT_WRITE, cells->arena_fd, ARENA_NURSERY + GATE_PAGE);
	return n;
}

/* ------------------------------------------------------------------------------------------------ in the child */

/* An order of the nursery's has a setpgid before them, and two descriptors closed after. */
_Static_assert(OWN_OPS + 3 <= NURSERY_OPS, "a cell's pages fit an order");

/* What a child is to become: its pages, the descriptors that it keeps, and where it goes on. */
struct newborn {
	struct gate_op maps[COMMON_OPS + OWN_OPS];
	unsigned count;
	int keep[5];
	uint32_t fpu_size;
	bool tsc_traps;
	uint64_t enter;
};

/* The gate leaves a handler without the call that would undo what it blocks. A kick blocks the next: one frame more is
 * all that it takes. */
static void child_signals(void)
{
	for (unsigned i = 0; i < sizeof(cell_signals) / sizeof(cell_signals[0]); i++)
		confine_handle(cell_signals[i], gate_address(gate_handler),
			       cell_signals[i] == GATE_KICK_SIGNAL ? 0 : SA_NODEFER, 0);
	/* All but the synchronous ones stay blocked: the mapper has no stack to take a signal on. */
	uint64_t mask = ~0ull;
	for (unsigned i = 0; i < sizeof(cell_signals) / sizeof(cell_signals[0]) - 1; i++)
		mask &= ~(1ull << (cell_signals[i] - 1));
	confine_block(mask);
}

/* Runs in the forked child until the gate, or the nursery's text, takes over. */
static void child_main(const void *arg)
{
	const struct newborn *newborn = arg;

	child_signals();
	if (newborn->tsc_traps && prctl(PR_SET_TSC, PR_TSC_SIGSEGV))
		_exit(errno);
	for (unsigned i = 0; i < newborn->count; i++) {
		const uint64_t *args = newborn->maps[i].args;

		confine_map(args[0], args[1], (int)args[2], (int)args[4], (off_t)args[5]);
	}
	confine_close_all_but(newborn->keep, sizeof(newborn->keep) / sizeof(newborn->keep[0]));
	confine_reset_fpu(newborn->fpu_size);
	((void (*)(void))newborn->enter)();
	__builtin_unreachable();
}

/* ------------------------------------------------------------------------------------------------ in the monitor */

/* A cell keeps three descriptors: guest RAM, the answers, and the copies of pages (sites.h). */
static pid_t fork_cell(const struct cell *cell)
{
	const struct cells *cells = cell->owner;
	struct newborn newborn = {
		.keep = {cells->ram_fd, cells->answers_fd, cells->sites.fd, -1, -1},
		.fpu_size = host_xsave_size(),
		.tsc_traps = clock_frozen(),
		.enter = gate_address(gate_boot),
	};

	newborn.count = list_common(cells, newborn.maps);
	newborn.count += list_own(cell, newborn.maps + newborn.count);
	return confine_fork(child_main, &newborn);
}

/* The nursery keeps what its children map, too. */
static pid_t fork_nursery(const struct cells *cells)
{
	struct newborn newborn = {
		.keep = {cells->ram_fd, cells->answers_fd, cells->arena_fd, cells->cache_fd, cells->sites.fd},
		.fpu_size = host_xsave_size(),
		.tsc_traps = clock_frozen(),
		.enter = NURSERY_TEXT,
	};

	newborn.count = list_nursery(cells, newborn.maps);
	return confine_fork(child_main, &newborn);
}

static uint8_t *nursery_pages(const struct cells *cells)
{
	uint8_t *pages = mmap(NULL, NURSERY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, cells->arena_fd, ARENA_NURSERY);
	return pages == MAP_FAILED ? NULL : pages;
}

static bool nursery_up(struct cells *cells)
{
	struct nursery *nursery = &cells->nursery;
	uint8_t *pages = nursery->order ? (uint8_t *)nursery->order - GATE_PAGE : nursery_pages(cells);

	if (!pages)
		return false;
	memcpy(pages, nursery_text, (size_t)(nursery_text_end - nursery_text));
	nursery->order = (void *)(pages + GATE_PAGE);
	memset(nursery->order, 0, sizeof(*nursery->order));
	pid_t pid = fork_nursery(cells);
	nursery->pid = pid > 0 ? pid : 0;
	return pid > 0;
}

/* True once it has answered; false if it died first. */
static bool nursery_answers(struct nursery *nursery)
{
	const struct timespec look_again = {.tv_nsec = LOOK_NS};
	struct nursery_order *order = nursery->order;
	uint32_t done;
	int error;

	while ((done = atomic_load(&order->done)) != atomic_load(&order->asked)) {
		long slept = syscall(SYS_futex, &order->done, FUTEX_WAIT, done, &look_again, NULL, 0);
		if (slept && errno != EAGAIN && confine_is_dead(nursery->pid, &error)) {
			nursery->pid = 0;
			return false;
		}
	}
	return true;
}

/* A nursery that dies may still have made the child: the kernel has said so then. */
static int nursery_birth(struct cell *cell)
{
	struct cells *cells = cell->owner;
	struct nursery_order *order = cells->nursery.order;

	order->pid = 0;
	order->error = 0;
	order->parent = (uint32_t)getpid();
	order->boot = gate_address(gate_boot);
	order->ops[0] = (struct gate_op){SYS_setpgid, {0, 0}};
	order->count = 1 + list_own(cell, order->ops + 1);
	order->ops[order->count++] = (struct gate_op){SYS_close, {(uint64_t)cells->arena_fd}};
	if (cells->cache_fd >= 0)
		order->ops[order->count++] = (struct gate_op){SYS_close, {(uint64_t)cells->cache_fd}};
	atomic_fetch_add(&order->asked, 1);
	syscall(SYS_futex, &order->asked, FUTEX_WAKE, 1, NULL, NULL, 0);
	bool answered = nursery_answers(&cells->nursery);
	cell->pid = (pid_t)order->pid;
	if (cell->pid)
		return 0;
	return answered ? order->error : -ECHILD;
}

int birth(struct cell *cell)
{
	struct cells *cells = cell->owner;
	bool of_nursery = cells->nursery.pid || (cells->made >= NURSERY_AFTER && nursery_up(cells));
	int error = of_nursery ? nursery_birth(cell) : -ECHILD;

	if (error != -ECHILD)
		return error;
	cell->pid = fork_cell(cell);
	return cell->pid < 0 ? cell->pid : 0;
}

void birth_exit(struct cells *cells)
{
	struct nursery *nursery = &cells->nursery;

	if (nursery->pid) {
		kill(nursery->pid, SIGKILL);
		confine_reap(nursery->pid);
	}
	if (nursery->order)
		munmap((uint8_t *)nursery->order - GATE_PAGE, NURSERY_SIZE);
	*nursery = (struct nursery){0};
}
