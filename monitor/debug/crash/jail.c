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
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/host/clock.h"
#include "monitor/vm/guest_mem.h"

#define OUTPUT_MAX  (256u << 10)
#define MEMORY_MORE (512ul << 20) /* bytes of address space beyond what the monitor has */
#define CPU_SECONDS 3
#define PATIENCE_NS (20 * CLOCK_NS_PER_SEC)

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

/* Until the child closes its end, has said too much, or takes too long. */
static void listen_to(int in_fd, FILE *to)
{
	uint64_t end = clock_ns() + PATIENCE_NS;
	char text[4096];
	size_t taken = 0;

	while (taken < OUTPUT_MAX) {
		struct pollfd poller = {.fd = in_fd, .events = POLLIN};
		uint64_t now = clock_ns();
		if (now >= end)
			return;
		int ready = poll(&poller, 1, (int)((end - now) / 1000000) + 1);
		if (ready < 0 && errno == EINTR)
			continue;
		ssize_t n = ready > 0 ? read(in_fd, text, sizeof(text)) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		copy_printable(text, n, to);
		taken += (size_t)n;
	}
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

bool jail_run(const struct guest_mem *mem, void (*work)(void *arg, FILE *out), void *arg, FILE *to)
{
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
	if (pid > 0)
		listen_to(ends[0], to);
	close(ends[0]);
	/* One that still writes finds nobody reading; one that computes has its limit. */
	return pid > 0 && ended_well(pid);
}
