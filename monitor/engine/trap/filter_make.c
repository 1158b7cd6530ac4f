/*
 * Makes the filters of a cell's two tasks at build time: what they may ask of the host. Everything else traps: in a
 * runner as SIGSYS, which is a guest SYSCALL; in a mapper, which never makes another call, it is death.
 */
#include <asm/prctl.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h> /* MAP_* */

#include "monitor/engine/trap/filter.h"
#include "monitor/host/walls/print.h"

static void allow(scmp_filter_ctx filter, int call, unsigned count, const struct scmp_arg_cmp *conditions)
{
	print_check(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, count, conditions), "seccomp_rule_add");
}

#define ALLOW(filter, name, ...)                                                                                       \
	do {                                                                                                           \
		const struct scmp_arg_cmp conditions[] = {__VA_ARGS__};                                                \
		allow(filter, SCMP_SYS(name), sizeof(conditions) / sizeof(conditions[0]), conditions);                 \
	} while (0)

/* The cookie in the sixth argument keeps a guest program's own calls apart from the gate's. */
#define COOKIE SCMP_A5(SCMP_CMP_EQ, GATE_COOKIE, 0)

/*
 * One futex operation of the gate. Not the others: they could move the monitor to another queue, or write elsewhere.
 */
#define ALLOW_FUTEX(filter, op, address) ALLOW(filter, futex, address, SCMP_A1(SCMP_CMP_EQ, op, 0), COOKIE)

/*
 * What is admitted whatever its arguments no filter is run for, the monitor's neither. So the yields, which each exit
 * has, are without the cookie where user dispatch tells a guest program's own already.
 */
static void make_runner(const char *name, bool bases_by_calls, bool dispatched)
{
	scmp_filter_ctx filter = print_begin(SCMP_ACT_TRAP);

	ALLOW(filter, rt_sigreturn, COOKIE);
	if (dispatched)
		allow(filter, SCMP_SYS(sched_yield), 0, NULL);
	else
		ALLOW(filter, sched_yield, COOKIE);
	for (unsigned code = ARCH_SET_GS; code <= ARCH_SET_FS && bases_by_calls; code++)
		ALLOW(filter, arch_prctl, SCMP_A0(SCMP_CMP_EQ, code, 0), COOKIE);
	/* To wake the monitor, and to sleep and wake by turns. Not on the order page: the mapper sleeps there. */
	ALLOW_FUTEX(filter, FUTEX_WAKE, SCMP_A0(SCMP_CMP_EQ, GATE_XCHG + offsetof(struct gate_xchg, state), 0));
	for (unsigned op = FUTEX_WAIT; op <= FUTEX_WAKE; op++)
		ALLOW_FUTEX(filter, op, SCMP_A0(SCMP_CMP_MASKED_EQ, ~(uint64_t)(GATE_TURN_SIZE - 1), GATE_TURN));
	/* A kernel cell's wait for the user cell that it entered. Where there is no window there is nothing to wait on.
	 */
	for (unsigned op = FUTEX_WAIT; op <= FUTEX_WAKE; op++)
		ALLOW_FUTEX(filter, op, SCMP_A0(SCMP_CMP_MASKED_EQ, ~(uint64_t)(GATE_PEERS_SIZE - 1), GATE_PEERS));
	print_end(filter, name);
}

/* An anonymous mapping is one of no descriptor, whichever is named. */
#define OF_A_FILE SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS, MAP_SHARED | MAP_FIXED)

/* Shared fixed mappings of guest RAM, their removal and protection; waiting for orders; the answer. */
static void make_mapper(const char *name, bool sites)
{
	scmp_filter_ctx filter = print_begin(SCMP_ACT_KILL_PROCESS);

	ALLOW(filter, mmap, OF_A_FILE, SCMP_A4(SCMP_CMP_EQ, FILTER_RAM_FD, 0));
	/* Copies of pages are executed, and nothing else. */
	if (sites)
		ALLOW(filter, mmap, SCMP_A2(SCMP_CMP_EQ, PROT_EXEC, 0), OF_A_FILE,
		      SCMP_A4(SCMP_CMP_EQ, FILTER_SITES_FD, 0));
	allow(filter, SCMP_SYS(munmap), 0, NULL);
	allow(filter, SCMP_SYS(mprotect), 0, NULL);
	ALLOW(filter, futex, SCMP_A0(SCMP_CMP_EQ, GATE_ORDER + offsetof(struct gate_order, sequence), 0));
	ALLOW(filter, futex, SCMP_A0(SCMP_CMP_MASKED_EQ, ~(uint64_t)(GATE_ANSWERS_SIZE - 1), GATE_ANSWERS),
	      SCMP_A1(SCMP_CMP_EQ, FUTEX_WAKE, 0));
	ALLOW(filter, pwrite64, SCMP_A0(SCMP_CMP_EQ, FILTER_ANSWERS_FD, 0), SCMP_A2(SCMP_CMP_EQ, 1, 0));
	print_end(filter, name);
}

int main(void)
{
	make_runner("runner_by_insns", false, true);
	make_runner("runner_by_calls", true, true);
	make_runner("runner_alone_by_insns", false, false);
	make_runner("runner_alone_by_calls", true, false);
	make_mapper("mapper_of_ram", false);
	make_mapper("mapper_of_sites", true);
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
