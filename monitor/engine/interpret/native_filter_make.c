/*
 * Makes the confined task's filter at build time. Its whole right: to wait for the hand-over's word, to wake who waits
 * for it, and to let others run.
 */
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>

#include "monitor/engine/interpret/native_task.h"
#include "monitor/host/walls/print.h"

int main(void)
{
	const struct scmp_arg_cmp word = SCMP_A0(SCMP_CMP_EQ, TASK_XCHG + TASK_STATE, 0);
	scmp_filter_ctx filter = print_begin(SCMP_ACT_KILL_PROCESS);

	for (unsigned op = FUTEX_WAIT; op <= FUTEX_WAKE; op++)
		print_check(
			seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(futex), 2, word, SCMP_A1(SCMP_CMP_EQ, op, 0)),
			"futex");
	print_check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sched_yield), 0), "sched_yield");
	print_end(filter, "native_filter");
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
