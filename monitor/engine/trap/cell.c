/*
 * Making, pooling and ending cells.
 */
#include "monitor/engine/trap/cell.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/engine/trap/filter.h"
#include "monitor/engine/trap/handover.h"
#include "monitor/engine/trap/placement.h"

/* The arena begins with what all cells share, at the offsets it has in the gate. */
#define ARENA_SHARED (GATE_ORDER - GATE_TEXT)
#define ARENA_DATA   (GATE_DATA - GATE_TEXT)
#define ARENA_TURN   (GATE_TURN - GATE_TEXT)

_Static_assert(CELLS_MAX * sizeof(uint32_t) <= GATE_TURN_SIZE, "each cell has a turn");

/* The sigaction the kernel takes: the C library's wrapper would put its own restorer in the host's text. */
struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

static const int cell_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, GATE_KICK_SIGNAL};

static off_t arena_offset(unsigned slot)
{
	return ARENA_SHARED + (off_t)slot * GATE_CELL_SIZE;
}

/* ------------------------------------------------------------------------------------------------ in the child */

static void child_map(uint64_t address, size_t size, int prot, int fd, off_t offset)
{
	if (mmap((void *)address, size, prot, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED)
		_exit(errno);
}

static void child_signals(void)
{
	struct kernel_sigaction action = {
		.handler = gate_address(gate_handler),
		.flags = SA_SIGINFO | SA_ONSTACK | 0x04000000 /* SA_RESTORER, which x86-64 insists on */,
		.restorer = gate_address(gate_handler),
		.mask = ~0ull,
	};
	for (unsigned i = 0; i < sizeof(cell_signals) / sizeof(cell_signals[0]); i++)
		if (syscall(SYS_rt_sigaction, cell_signals[i], &action, NULL, sizeof(action.mask)))
			_exit(errno);
	/* All but the synchronous ones stay blocked: the mapper has no stack to take a signal on. */
	uint64_t mask = ~0ull;
	for (unsigned i = 0; i < sizeof(cell_signals) / sizeof(cell_signals[0]) - 1; i++)
		mask &= ~(1ull << (cell_signals[i] - 1));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}

/* Descriptors a cell keeps: guest RAM for the mapper, and its end of the reply pipe. */
static void child_close_all_but(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;
	if (low > 0)
		syscall(SYS_close_range, 0, low - 1, 0);
	if (high > low + 1)
		syscall(SYS_close_range, low + 1, high - 1, 0);
	syscall(SYS_close_range, high + 1, ~0u, 0);
}

/* The C library's restartable-sequence area vanishes with the host's pages; the kernel would fault writing to it. */
static void child_leave_rseq(void)
{
	if (!__rseq_size)
		return;
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
	if (syscall(SYS_rseq, area, sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG))
		_exit(errno);
}

/*
 * Runs in the forked child until the gate takes over. Only system calls: the heap and locks of the parent are in
 * whatever state they were in.
 */
static _Noreturn void child_main(struct cells *cells, unsigned slot, int reply, pid_t parent)
{
	/* Two steps, since the parent may die between fork and prctl. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ESRCH);
	setsid(); /* the terminal's signals are for the monitor */
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(errno);
	child_leave_rseq();
	child_signals();

	off_t own = arena_offset(slot);
	child_map(GATE_TEXT, GATE_TEXT_SIZE, PROT_READ | PROT_EXEC, cells->arena_fd, 0);
	child_map(GATE_DATA, GATE_DATA_SIZE, PROT_READ, cells->arena_fd, ARENA_DATA);
	child_map(GATE_TURN, GATE_TURN_SIZE, PROT_READ, cells->arena_fd, ARENA_TURN);
	child_map(GATE_ORDER, GATE_ORDER_SIZE, PROT_READ, cells->arena_fd, own);
	child_map(GATE_XCHG, GATE_END - GATE_XCHG, PROT_READ | PROT_WRITE, cells->arena_fd, own + GATE_ORDER_SIZE);
	child_close_all_but(cells->ram_fd, reply);
	((void (*)(void))gate_address(gate_boot))();
	__builtin_unreachable();
}

/* ------------------------------------------------------------------------------------------------ in the monitor */

static int cell_map_pages(struct cell *cell)
{
	struct cells *cells = cell->owner;
	uint8_t *pages = mmap(NULL, GATE_CELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, cells->arena_fd,
			      arena_offset(cell->slot));
	if (pages == MAP_FAILED)
		return -errno;
	madvise(pages, GATE_CELL_SIZE, MADV_DONTFORK);
	cell->order = (void *)pages;
	cell->xchg = (void *)(pages + (GATE_XCHG - GATE_ORDER));
	cell->fpu = pages + (GATE_FPU - GATE_ORDER);
	cell->stack = pages + (GATE_STACK - GATE_ORDER);
	memset(cell->order, 0, sizeof(*cell->order));
	memset(cell->xchg, 0, sizeof(*cell->xchg));
	for (unsigned i = 0; i < 256; i++)
		cell->order->errnos[i] = i;
	cell->turn = &cells->turns[cell->slot];
	cell->xchg->turn = cell->slot * sizeof(uint32_t);
	cell->xchg->wake = GATE_WAKE_NONE;
	cell->xchg->xsave = 1;
	cell->xchg->xcr0 = cells->xcr0;
	cell->xchg->altstack = (stack_t){.ss_sp = (void *)GATE_STACK, .ss_size = GATE_STACK_SIZE};
	return 0;
}

static int cell_fork(struct cell *cell)
{
	struct cells *cells = cell->owner;
	int pipe_fds[2];
	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	cell->order->reply_fd = pipe_fds[1];
	pid_t parent = getpid();
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old); /* no handler of the monitor may run in the child */
	cell->pid = fork();
	if (cell->pid == 0)
		child_main(cells, cell->slot, pipe_fds[1], parent);
	int error = cell->pid < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(pipe_fds[1]);
	if (error)
		close(pipe_fds[0]);
	else
		cell->reply_fd = pipe_fds[0];
	return error;
}

/* Takes the first exit, which comes before any guest code: what it shows is the kernel's word. */
static int cell_learn_frame(struct cell *cell)
{
	if (!handover_wait_boot(cell))
		return -ECHILD;
	cell->runner = cell->xchg->runner_tid;
	cell->frame_gate = cell->xchg->frame;
	if (cell->frame_gate < GATE_STACK || cell->frame_gate + sizeof(struct cell_frame) > GATE_END)
		return -EPROTO;
	cell->frame = (void *)(cell->stack + (cell->frame_gate - GATE_STACK));
	uint64_t fpstate = cell->frame->uc.fpstate;
	if (fpstate < GATE_STACK || fpstate >= GATE_END)
		return -EPROTO;
	cell->fpstate = cell->stack + (fpstate - GATE_STACK);
	cell->csgsfs = cell->frame->uc.gregs[REG_CSGSFS];
	cell->uc_flags = cell->frame->uc.flags;
	cell->in_signal = true;
	cell->fresh = true;
	return 0;
}

void cell_place(struct cell *cell)
{
	cell->xchg->spins = cell->owner->placement->runner_spins;
	cell->xchg->yields = cell->owner->placement->runner_yields;
	placement_pin(cell->owner->placement, cell->runner, false);
	placement_pin(cell->owner->placement, cell->pid, true);
}

static struct cell *cell_create(struct cells *cells)
{
	struct cell *cell = calloc(1, sizeof(*cell));
	if (!cell)
		return NULL;
	cell->owner = cells;
	cell->reply_fd = -1;
	while (cells->used[cell->slot])
		cell->slot++;
	int error = cell_map_pages(cell);
	if (!error)
		error = cell_fork(cell);
	if (!error) {
		cells->used[cell->slot] = true;
		cells->made++;
		cells->count++;
		cell->next = cells->all;
		cells->all = cell;
		error = cell_learn_frame(cell);
		if (!error) {
			cell_place(cell);
			return cell;
		}
		cell_destroy(cell);
	} else {
		if (cell->order)
			munmap(cell->order, GATE_CELL_SIZE);
		free(cell);
	}
	fprintf(stderr, "ring3: cannot make a process for guest code: %s; see 'ring3 doctor'\n", strerror(-error));
	return NULL;
}

static void cell_reap(pid_t task)
{
	int status;
	while (waitpid(task, &status, __WALL) < 0 ? errno == EINTR : WIFSTOPPED(status))
		;
}

void cell_destroy(struct cell *cell)
{
	struct cells *cells = cell->owner;
	for (struct cell **link = &cells->all; *link; link = &(*link)->next)
		if (*link == cell) {
			*link = cell->next;
			break;
		}
	cells->count--;
	cells->used[cell->slot] = false;
	if (!cell->dead) {
		kill(cell->pid, SIGKILL);
		/* A traced thread is reaped by its own number first, or its group never ends. */
		if (cells->traced && cell->runner)
			cell_reap(cell->runner);
		cell_reap(cell->pid);
	}
	close(cell->reply_fd);
	munmap(cell->order, GATE_CELL_SIZE);
	fallocate(cells->arena_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, arena_offset(cell->slot),
		  GATE_CELL_SIZE);
	free(cell);
}

bool cell_is_dead(struct cell *cell)
{
	int status;
	if (!cell->dead && cell->owner->traced && waitpid(cell->runner, &status, WNOHANG | __WALL) == cell->runner)
		cell->runner = WIFSTOPPED(status) ? cell->runner : 0;
	if (!cell->dead && waitpid(cell->pid, &status, WNOHANG | __WALL) == cell->pid)
		cell->dead = WIFEXITED(status) || WIFSIGNALED(status);
	return cell->dead;
}

static struct cell *cell_evict(struct cells *cells, const struct cell *keep)
{
	struct cell *oldest = NULL;
	for (struct cell *cell = cells->all; cell; cell = cell->next)
		if (cell != keep && cell->space && (!oldest || cell->used < oldest->used))
			oldest = cell;
	if (!oldest)
		return NULL;
	spt_space_discard(oldest->space);
	oldest->space = NULL;
	oldest->queued = 0;
	return oldest;
}

struct cell *cell_take(struct cells *cells, struct spt_space *space, const struct cell *keep)
{
	struct cell *cell = cells->all;
	while (cell && (cell->space || cell->dead))
		cell = cell->next;
	bool used = cell;
	if (!cell && cells->count < cells->limit)
		cell = cell_create(cells);
	if (!cell) {
		cell = cell_evict(cells, keep);
		used = cell;
	}
	if (cell && used && cell_empty(cell)) {
		cell_destroy(cell);
		cell = cell_create(cells);
	}
	if (cell)
		cell->space = space;
	return cell;
}

/* XGETBV of register 0, SDM 1 13.3: the state components that the host enabled. */
static uint64_t host_xcr0(void)
{
	uint32_t low, high;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

int cells_init(struct cells *cells, const struct placement *placement, int ram_fd, bool traced)
{
	*cells = (struct cells){.arena_fd = -1, .placement = placement, .ram_fd = ram_fd, .traced = traced};
	struct rlimit files;
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
		cells->limit = files.rlim_cur < CELLS_MAX + 64 ? files.rlim_cur / 2 : CELLS_MAX;
	}
	/* Keeps the gate's addresses free in this process, since a child is born with a copy of it. */
	if (mmap((void *)GATE_TEXT, GATE_END - GATE_TEXT, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) {
		fprintf(stderr, "ring3: the addresses of the gate are taken by chance: run it again\n");
		return -EADDRINUSE;
	}
	cells->xcr0 = host_xcr0();
	cells->arena_fd = memfd_create("ring3 gate", MFD_CLOEXEC);
	if (cells->arena_fd < 0 || ftruncate(cells->arena_fd, arena_offset(CELLS_MAX))) {
		int error = -errno;
		fprintf(stderr, "ring3: no shared memory for the gate: %s; see 'ring3 doctor'\n", strerror(errno));
		return error;
	}
	uint8_t *shared = mmap(NULL, ARENA_SHARED, PROT_READ | PROT_WRITE, MAP_SHARED, cells->arena_fd, 0);
	if (shared == MAP_FAILED)
		return -errno;
	madvise(shared, ARENA_SHARED, MADV_DONTFORK);
	memcpy(shared, gate_text, gate_text_end - gate_text);
	cells->shared = shared;
	cells->turns = (void *)(shared + ARENA_TURN);
	return filter_build((void *)(shared + ARENA_DATA), ram_fd);
}

void cells_exit(struct cells *cells)
{
	while (cells->all)
		cell_destroy(cells->all);
	if (cells->shared)
		munmap(cells->shared, ARENA_SHARED);
	if (cells->arena_fd > 0)
		close(cells->arena_fd);
	munmap((void *)GATE_TEXT, GATE_END - GATE_TEXT);
	*cells = (struct cells){.arena_fd = -1};
}
