/*
 * A short-lived process for work on what the guest brought along.
 */
#include "monitor/debug/crash/jail.h"

#include <errno.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/host/walls/walls.h"
#include "monitor/vm/guest_mem.h"

#define OUTPUT_MAX  (256u << 10)
#define MEMORY_MORE (512ul << 20) /* bytes of address space beyond what the monitor has */
#define CPU_SECONDS 3
#define SLICE_MS    20

/* ------------------------------------------------------------------------------------------------------- the child */

static bool limit(int resource, rlim_t value)
{
	struct rlimit now;

	if (getrlimit(resource, &now))
		return false;
	if (now.rlim_max < value)
		value = now.rlim_max;
	return !setrlimit(resource, &(struct rlimit){value, value});
}

static rlim_t address_space(void)
{
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "re");

	if (statm) {
		if (fscanf(statm, "%lu", &pages) != 1)
			pages = 0;
		fclose(statm);
	}
	return pages ? pages * (rlim_t)sysconf(_SC_PAGESIZE) + MEMORY_MORE : RLIM_INFINITY;
}

/* Memory, the files that are open, and output to one of them. Nothing that has not been opened before. */
static bool filter(int out_fd)
{
	static const int plain[] = {
		SCMP_SYS(read),		SCMP_SYS(pread64), SCMP_SYS(lseek),	  SCMP_SYS(fstat),
		SCMP_SYS(newfstatat),	SCMP_SYS(munmap),  SCMP_SYS(mremap),	  SCMP_SYS(brk),
		SCMP_SYS(madvise),	SCMP_SYS(futex),   SCMP_SYS(sched_yield), SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(getpid),  SCMP_SYS(gettid),	  SCMP_SYS(clock_gettime),
		SCMP_SYS(sigaltstack),	SCMP_SYS(exit),	   SCMP_SYS(exit_group),
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int error = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]) && !error; i++)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, plain[i], 0);
	if (!error)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
					 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)out_fd, 0));
	if (!error)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
					 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
					 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = seccomp_load(ctx);
	seccomp_release(ctx);
	return !error;
}

/* RAM does not pass a fork. */
static bool map_ram(const struct guest_mem *mem)
{
	return mmap(mem->base, mem->size, PROT_READ, MAP_SHARED | MAP_FIXED, mem->fd, 0) == mem->base;
}

static void child(const struct guest_mem *mem, void (*work)(void *arg, FILE *out), void *arg, int out_fd)
{
	static const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGXCPU};
	FILE *out = fdopen(out_fd, "w");

	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		signal(deadly[i], SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	walls_forgive();
	if (!out || !map_ram(mem) || !limit(RLIMIT_CORE, 0) || !limit(RLIMIT_CPU, CPU_SECONDS) ||
	    !limit(RLIMIT_AS, address_space()) || !filter(out_fd))
		_exit(EXIT_FAILURE);
	work(arg, out);
	_exit(fflush(out) ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ------------------------------------------------------------------------------------------------------ the parent */

static void copy_printable(const char *text, ssize_t len, FILE *to)
{
	for (ssize_t i = 0; i < len; i++)
		fputc((text[i] >= ' ' && text[i] <= '~') || text[i] == '\n' ? text[i] : '?', to);
}

/* How long the child is waited for: until a time, and while no more signals ask for the monitor's end. */
struct wait {
	uint64_t end;
	unsigned quits;
};

static bool wait_readable(int fd, const struct wait *wait)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	while (poll(&poller, 1, SLICE_MS) <= 0)
		if (clock_ns() >= wait->end || events_quits() != wait->quits)
			return false;
	return true;
}

/* True when the child has closed its end; false if it says too much, or takes too long. */
static bool listen_to(int in_fd, FILE *to, const struct wait *wait)
{
	char text[4096];

	for (size_t taken = 0; taken < OUTPUT_MAX && wait_readable(in_fd, wait);) {
		ssize_t n = read(in_fd, text, sizeof(text));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return true;
		copy_printable(text, n, to);
		taken += (size_t)n;
	}
	return false;
}

static bool ended_well(pid_t pid)
{
	int status;
	pid_t who;

	do
		who = waitpid(pid, &status, 0);
	while (who < 0 && errno == EINTR);
	return who == pid && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* Hears the child and sees it end, by itself or not. */
static bool attend(pid_t pid, int in_fd, const struct wait *wait, FILE *to)
{
	int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool by_itself = pid_fd >= 0 && listen_to(in_fd, to, wait) && wait_readable(pid_fd, wait);

	if (!by_itself)
		kill(pid, SIGKILL);
	if (pid_fd >= 0)
		close(pid_fd);
	return ended_well(pid);
}

bool jail_run(const struct guest_mem *mem, void (*work)(void *arg, FILE *out), void *arg, uint64_t patience_ns,
	      FILE *to)
{
	const struct wait wait = {.end = clock_ns() + patience_ns, .quits = events_quits()};
	bool well;
	int ends[2];

	if (pipe(ends))
		return false;
	fflush(to);
	pid_t pid = fork();
	if (!pid) {
		close(ends[0]);
		child(mem, work, arg, ends[1]);
	}
	close(ends[1]);
	well = pid > 0 && attend(pid, ends[0], &wait, to);
	close(ends[0]);
	return well;
}
