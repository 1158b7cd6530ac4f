/*
 * The confined task: making it, handing over to it, ending it.
 */
#include "monitor/engine/interpret/native_task.h"

#include <errno.h>
#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "monitor/engine/confine/filter.h"
#include "monitor/engine/confine/process.h"
#include "monitor/host/clock.h"
#include "monitor/host/cpuid.h"
#include "monitor/host/events.h"
#include "monitor/host/refusal.h"

/* By native_filter_make.c. */
#include "native_filter.inc"

#define FILE_SIZE (TASK_END - TASK_TEXT)

/*
 * Both sides spin if there is a CPU for each: a copy takes less time than going to sleep, and the next is seldom far.
 * On one CPU they pass it to each other.
 */
#define SPINS_APART	4000
#define YIELDS_TOGETHER 20

/*
 * While it sleeps the monitor looks up this often. This long it goes on waiting while it is to end, and while anything
 * else wants it: a task that is honest may wait for a CPU that long on a busy host.
 */
#define LOOK_NS	    10000000
#define QUIT_NS	    20000000
#define PATIENCE_NS 500000000

/* ------------------------------------------------------------------------------------------------ in the child */

static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};

/* What the child is told. */
struct newborn {
	int fd;
	uint32_t fpu_size;
};

static void child_main(const void *arg)
{
	const struct newborn *newborn = arg;
	uint64_t mask = ~0ull;
	for (unsigned n = 0; n < sizeof(faults) / sizeof(faults[0]); n++) {
		confine_handle(faults[n], task_address(native_stub_handler), SA_NODEFER, 0);
		mask &= ~(1ull << (faults[n] - 1));
	}
	confine_block(mask);
	confine_map(TASK_TEXT, TASK_TEXT_SIZE, PROT_READ | PROT_EXEC, newborn->fd, 0);
	confine_map(TASK_DATA, TASK_DATA_SIZE, PROT_READ, newborn->fd, TASK_DATA - TASK_TEXT);
	confine_map(TASK_CODE, TASK_CODE_SIZE, PROT_READ | PROT_EXEC, newborn->fd, TASK_CODE - TASK_TEXT);
	confine_map(TASK_XCHG, TASK_XCHG_SIZE, PROT_READ | PROT_WRITE, newborn->fd, TASK_XCHG - TASK_TEXT);
	confine_close_all_but(NULL, 0);
	confine_reset_fpu(newborn->fpu_size);
	((void (*)(void))task_address(native_stub_boot))();
}

/* ------------------------------------------------------------------------------------------------ in the monitor */

static void *map(const struct task *task, uint64_t address, size_t size)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, task->fd, (off_t)(address - TASK_TEXT));
	if (pages == MAP_FAILED)
		return NULL;
	madvise(pages, size, MADV_DONTFORK);
	return pages;
}

static void fill_filter(struct task_data *data)
{
	struct confine_programs programs = {
		.code = data->code,
		.address = TASK_DATA + offsetof(struct task_data, code),
		.room = sizeof(data->code) / sizeof(data->code[0]),
	};
	data->filter = CONFINE_FILTER_ADD(&programs, native_filter);
}

/* The stub and its filter, which no task can write. */
static int fill_text(const struct task *task)
{
	uint8_t *text = map(task, TASK_TEXT, TASK_TEXT_SIZE + TASK_DATA_SIZE);
	if (!text)
		return -errno;
	memcpy(text, native_stub, (size_t)(native_stub_end - native_stub));
	fill_filter((void *)(text + TASK_TEXT_SIZE));
	munmap(text, TASK_TEXT_SIZE + TASK_DATA_SIZE);
	return 0;
}

int task_init(struct task *task)
{
	cpu_set_t cpus;
	bool apart = !sched_getaffinity(0, sizeof(cpus), &cpus) && CPU_COUNT(&cpus) > 1;
	*task = (struct task){.spins = apart ? SPINS_APART : 0, .yields = apart ? 0 : YIELDS_TOGETHER};
	task->fd = memfd_create("ring3 native code", MFD_CLOEXEC);
	if (task->fd < 0 || ftruncate(task->fd, FILE_SIZE))
		return -errno;
	task->code = map(task, TASK_CODE, TASK_CODE_SIZE);
	task->xchg = map(task, TASK_XCHG, TASK_XCHG_SIZE);
	return task->code && task->xchg ? 0 : -errno;
}

static void end(struct task *task)
{
	if (task->pid <= 0)
		return;
	kill(task->pid, SIGKILL);
	confine_reap(task->pid);
	task->pid = 0;
}

void task_exit(struct task *task)
{
	end(task);
	if (task->code)
		munmap(task->code, TASK_CODE_SIZE);
	if (task->xchg)
		munmap(task->xchg, TASK_XCHG_SIZE);
	if (task->fd > 0)
		close(task->fd);
	*task = (struct task){0};
}

/* --------------------------------------------------------------------------------------------------- handing over */

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void sleep_on(struct task_xchg *xchg)
{
	const struct timespec limit = {.tv_nsec = LOOK_NS};
	atomic_exchange(&xchg->monitor_waits, 1);
	if (atomic_load(&xchg->state) == TASK_RUN)
		syscall(SYS_futex, &xchg->state, FUTEX_WAIT, TASK_RUN, &limit, NULL, 0);
	atomic_store(&xchg->monitor_waits, 0);
}

/* The task stands or runs as it likes: what ends this wait is the word, its death, or the monitor's own business. */
static enum task_result await(struct task *task, const atomic_bool *attention)
{
	_Atomic uint32_t *state = &task->xchg->state;
	unsigned spins = task->spins, yields = task->yields;
	uint64_t wanted = 0;
	while (atomic_load_explicit(state, memory_order_acquire) == TASK_RUN) {
		if (spins) {
			spins--;
			_mm_pause();
			continue;
		}
		if (yields) {
			yields--;
			sched_yield();
			continue;
		}
		if (confine_is_dead(task->pid, &task->error)) {
			task->pid = 0;
			return TASK_LOST;
		}
		if (atomic_load(attention) && !wanted)
			wanted = clock_ns();
		if (wanted && clock_ns() - wanted > (events_quit_signal() ? QUIT_NS : PATIENCE_NS)) {
			end(task);
			return TASK_BUSY;
		}
		sleep_on(task->xchg);
	}
	return TASK_BACK;
}

static enum task_result refuse(struct task *task, int error)
{
	if (!task->refused)
		fprintf(stderr, "ring3: cannot make a process for guest instructions: %s; %s\n", strerror(-error),
			refusal_remedy(error));
	task->refused = true;
	return TASK_REFUSED;
}

static enum task_result start(struct task *task, const atomic_bool *attention)
{
	struct task_xchg *xchg = task->xchg;
	int error = task->filled ? 0 : fill_text(task);
	if (error)
		return refuse(task, error);
	task->filled = true;
	atomic_store(&xchg->state, TASK_RUN); /* until it says that it has booted */
	atomic_store(&xchg->task_waits, 0);
	xchg->spins = task->spins;
	xchg->yields = task->yields;
	xchg->altstack.ss_sp = (void *)(TASK_XCHG + TASK_SIGNAL_STACK);
	xchg->altstack.ss_size = sizeof(xchg->signal_stack);
	xchg->altstack.ss_flags = 0;
	const struct newborn newborn = {.fd = task->fd, .fpu_size = host_xsave_size()};
	pid_t pid = confine_fork(child_main, &newborn);
	if (pid < 0)
		return refuse(task, pid);
	task->pid = pid;
	enum task_result result = await(task, attention);
	/* It ends itself where the host refuses what it needs. */
	return result == TASK_LOST ? refuse(task, task->error) : result;
}

enum task_result task_run(struct task *task, const atomic_bool *attention)
{
	struct task_xchg *xchg = task->xchg;
	enum task_result result = task->pid ? TASK_BACK : start(task, attention);
	if (result != TASK_BACK)
		return result;
	xchg->faulted = 0;
	/* A full barrier, for the same reason as in the stub. */
	atomic_exchange(&xchg->state, TASK_RUN);
	if (atomic_load(&xchg->task_waits))
		futex_wake(&xchg->state);
	return await(task, attention);
}
