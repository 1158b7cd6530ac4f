/*
 * What a cell's tasks may ask of the host. Everything else traps: in a runner as SIGSYS, which is a guest SYSCALL; in a
 * mapper, which never makes another call, it is death.
 */
#include "monitor/engine/trap/filter.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/futex.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h> /* MAP_* */

#include "monitor/engine/confine/filter.h"
#include "monitor/host/refusal.h"

static int filter_attributes(scmp_filter_ctx ctx)
{
	/* INT 0x80, SYSENTER and x32 numbers are other architectures to the host: they too must become a trap. */
	return seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP);
}

/*
 * One futex operation of the gate. Not the others: they could move the monitor to another queue, or write elsewhere.
 */
static int filter_futex(scmp_filter_ctx ctx, unsigned op, struct scmp_arg_cmp address)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(futex), 3, address, SCMP_A1(SCMP_CMP_EQ, op, 0),
				SCMP_A5(SCMP_CMP_EQ, GATE_COOKIE, 0));
}

/*
 * Runner: the calls of the gate. The cookie in the sixth argument keeps a guest program's own futex, sched_yield
 * and rt_sigreturn apart from the gate's.
 */
static int filter_runner(scmp_filter_ctx ctx, uint32_t bases)
{
	const struct scmp_arg_cmp cookie = SCMP_A5(SCMP_CMP_EQ, GATE_COOKIE, 0);
	int error = filter_attributes(ctx);
	if (!error)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(rt_sigreturn), 1, cookie);
	if (!error)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(sched_yield), 1, cookie);
	for (unsigned code = ARCH_SET_GS; code <= ARCH_SET_FS && !error && bases != GATE_BASES_INSNS; code++)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(arch_prctl), 2, SCMP_A0(SCMP_CMP_EQ, code, 0),
					 cookie);
	/* To wake the monitor, and to sleep and wake by turns. Not on the order page: the mapper sleeps there. */
	if (!error)
		error = filter_futex(ctx, FUTEX_WAKE,
				     SCMP_A0(SCMP_CMP_EQ, GATE_XCHG + offsetof(struct gate_xchg, state), 0));
	for (unsigned op = FUTEX_WAIT; op <= FUTEX_WAKE && !error; op++)
		error = filter_futex(ctx, op, SCMP_A0(SCMP_CMP_MASKED_EQ, ~(uint64_t)(GATE_TURN_SIZE - 1), GATE_TURN));
	/* A kernel cell's wait for the user cell that it entered. Where there is no window there is nothing to wait on.
	 */
	for (unsigned op = FUTEX_WAIT; op <= FUTEX_WAKE && !error; op++)
		error = filter_futex(ctx, op,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, ~(uint64_t)(GATE_PEERS_SIZE - 1), GATE_PEERS));
	return error;
}

/* Mapper: shared fixed mappings of guest RAM, their removal and protection; waiting for orders; the answer. */
static int filter_mapper(scmp_filter_ctx ctx, int ram_fd)
{
	int error = filter_attributes(ctx);
	if (!error)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
					 SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_TYPE | MAP_FIXED, MAP_SHARED | MAP_FIXED),
					 SCMP_A4(SCMP_CMP_EQ, (unsigned)ram_fd, 0));
	if (!error)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(munmap), 0);
	if (!error)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 0);
	if (!error)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(futex), 1,
					 SCMP_A0(SCMP_CMP_EQ, GATE_ORDER + offsetof(struct gate_order, sequence), 0));
	if (!error)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A2(SCMP_CMP_EQ, 1, 0));
	return error;
}

int filter_build(struct gate_data *data, int ram_fd, uint32_t bases)
{
	struct confine_programs programs = {
		.code = data->code,
		.address = GATE_DATA + offsetof(struct gate_data, code),
		.room = sizeof(data->code) / sizeof(data->code[0]),
	};
	scmp_filter_ctx runner = seccomp_init(SCMP_ACT_TRAP);
	scmp_filter_ctx mapper = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int error = runner && mapper ? 0 : -ENOMEM;
	if (!error)
		error = filter_runner(runner, bases);
	if (!error)
		error = filter_mapper(mapper, ram_fd);
	if (!error)
		error = confine_filter_export(runner, &programs, &data->runner);
	if (!error)
		error = confine_filter_export(mapper, &programs, &data->mapper);
	if (runner)
		seccomp_release(runner);
	if (mapper)
		seccomp_release(mapper);
	if (error)
		fprintf(stderr, "ring3: cannot build the seccomp filters: %s; %s\n", strerror(-error),
			refusal_remedy(error));
	return error;
}
