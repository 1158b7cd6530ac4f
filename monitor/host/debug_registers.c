/*
 * Debug registers, tried in a child that stores to a word that is watched.
 */
#include "monitor/host/debug_registers.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypercalls/x86.h"

static volatile int word;

static void child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ptrace(PTRACE_TRACEME, 0, 0, 0))
		_exit(1);
	raise(SIGSTOP);
	word = 1;
	_exit(0);
}

/* True if the child has stopped, false if it has ended. */
static bool stops(pid_t pid)
{
	pid_t who;
	int status;

	do
		who = waitpid(pid, &status, 0);
	while (who < 0 && errno == EINTR);
	return who == pid && WIFSTOPPED(status);
}

static void *debug_register(unsigned n)
{
	return (void *)(offsetof(struct user, u_debugreg) + n * sizeof(((struct user *)0)->u_debugreg[0]));
}

/* Four bytes, when they are written (SDM 3B 17.2.4). */
static bool watch_word(pid_t pid)
{
	const unsigned long control = X86_DR7_L(0) | (X86_DR7_RW_WRITE | (sizeof(word) - 1) << 2)
							     << X86_DR7_FIELD_SHIFT(0);

	return !ptrace(PTRACE_POKEUSER, pid, debug_register(0), &word) &&
	       !ptrace(PTRACE_POKEUSER, pid, debug_register(7), (void *)control);
}

static bool try(void)
{
	bool fires, stopped;
	pid_t pid = fork();

	if (!pid)
		child();
	if (pid < 0 || !stops(pid))
		return false;
	stopped = !watch_word(pid) || ptrace(PTRACE_CONT, pid, 0, 0);
	fires = !stopped && stops(pid);
	if (stopped || fires) {
		kill(pid, SIGKILL);
		stops(pid);
	}
	return fires;
}

bool debug_registers_fire(void)
{
	static enum { UNKNOWN, NO, YES } answer;

	if (answer == UNKNOWN)
		answer = try() ? YES : NO;
	return answer == YES;
}
