/*
 * The child.
 */
#include "tests/unit/translate_child.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/engine/trap/bases.h"
#include "monitor/engine/trap/gate.h"

pid_t test_child(void)
{
	pid_t child = fork();
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	return child > 0 && waitpid(child, NULL, 0) == child ? child : -1;
}

void test_child_end(pid_t child)
{
	if (child <= 0)
		return;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

bool test_child_keeps_bases(void)
{
	return bases_mode() == GATE_BASES_INSNS;
}
