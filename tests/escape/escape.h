/*
 * What the hostile guests share: the gate's addresses, raw host system calls, user mode, and a little luck.
 */
#ifndef TESTS_ESCAPE_ESCAPE_H
#define TESTS_ESCAPE_ESCAPE_H

#define __ASSEMBLER__ /* numbers only: the structures need the host's headers */
#include "monitor/engine/trap/gate.h"
#undef __ASSEMBLER__
#include "gate_offsets.h"

#include <pvguest/pvguest.h>

/* Linux's numbers on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl). */
enum host_call {
	HOST_WRITE = 1,
	HOST_MMAP = 9,
	HOST_MPROTECT = 10,
	HOST_MUNMAP = 11,
	HOST_SIGRETURN = 15,
	HOST_PWRITE = 18,
	HOST_YIELD = 24,
	HOST_GETPID = 39,
	HOST_FUTEX = 202,
	HOST_EXIT_GROUP = 231,
};

/* What the guest's own SYSCALL entry answers: no host call returns it. */
#define ANSWER 0x5ca1ab1e0ddba115

#define VEC_BACK 0x40 /* INT by which user code ends */

/* escape.c: SYSCALL as an attacker makes it, and what the guest's entry saw. */
uint64_t raw_syscall(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);
extern volatile uint64_t syscalls_seen, syscall_last;

/*
 * The offset in the gate's text of the first SYSCALL at or after `from`. The host may take no calls but those from
 * there (syscall user dispatch), and an attacker can jump there.
 */
uint64_t gate_syscall(uint64_t from);
/* rt_sigreturn of the frame, of which the first word is the ucontext. */
_Noreturn void gate_sigreturn(const void *frame);

/* Far returns to the segment that Linux has for 32-bit programs fault: some hosts were built without. */
bool host_lacks_32(void);

/* Makes all RAM accessible to user mode; installs the SYSCALL entry. */
void user_init(void);
/* Where user mode finds what the kernel has there, code or data. */
uint64_t user_view(const void *kernel);
/* Runs function(arg) in user mode. True if it ended by itself, false if it trapped as *caught says. */
bool user_run(void (*function)(uint64_t arg), uint64_t arg, struct pvg_caught *caught);
/* Where traps find the kernel's stack while user mode runs. */
uint64_t user_stack_of_traps(void);
/* For a timer's handler: a program that does not end by itself faults after a few of them. */
void user_tick(void);

/* An exception of user mode's, or VEC_BACK. */
bool user_can_leave_by(uint64_t vector);

/* xorshift64*: the same numbers on every run, for a seed. */
uint64_t luck(void);
void luck_seed(uint64_t seed);

/* An option of the command line. */
uint64_t number(const char *name, uint64_t otherwise);

/* How far up the cell of a kernel of the upper half shows memory. */
#define UPPER_BASE (R3_BIT(47) - R3_BIT(21))

static inline volatile uint32_t *xchg32(unsigned offset)
{
	return (volatile uint32_t *)(GATE_XCHG + offset);
}

static inline volatile uint64_t *xchg64(unsigned offset)
{
	return (volatile uint64_t *)(GATE_XCHG + offset);
}

/* Says it on the console at once: the harness waits for this. */
static inline void say(const char *text)
{
	pvg_puts(text);
	pvg_puts("\n");
	pvg_console_flush();
}

/* The attacks; each is named in the table of escape.c. */
/* clang-format off */
#define ATTACKS(X) \
	X(syscalls) X(syscalls_user) X(syscalls_cookie) X(syscalls_unfiltered) X(int80) X(int80_user) \
	X(compat32) X(vsyscall) X(sysenter) X(unmap) X(order) X(gate_write) X(gate_read) X(jumps_user) X(icebp_user) \
	X(jump) X(words_user) X(words) X(fill) X(handover) X(sleep_gate) X(sleep_gate_user) X(spin_gate) \
	X(rewrite_state) X(silent) X(park) X(bases_user) X(fpu_user) X(rogue_pool) X(rest) X(remains) X(keys) X(stays) \
	X(sigreturn) X(sigreturn_blocked_fault) X(sigreturn_blocked_loop) X(sigreturn_blocked_sleep) \
	X(sigreturn_blocked_user) X(sigreturn_altstack) X(sigreturn_noaltstack) X(sigreturn_cs32) \
	X(sigreturn_fpstate) X(sigreturn_rip) X(sigreturn_ss) X(pointers) X(multicall) X(hypercall_page) \
	X(exit) X(storm) X(loop_cli) X(loop_user) X(halt_cli) X(idle) X(noise) X(open_shut) X(leak) X(trap_flag) X(sysret) X(alignment) X(window) X(forge) X(death) X(page_garbage) X(page_self) \
	X(page_hole) X(page_upper) X(page_mmio) X(page_roots) X(page_cr3) X(page_touch) X(step) \
	X(step_hypercall) X(far_cs) X(iret_cs) X(rip) X(rsp) X(rsp_gate) X(recursion) X(bases_high) X(smc) \
	X(maskmov) X(fpu_image) X(fpu_image_user) X(double_fetch) X(unknown_user) X(x87_pointers) X(written_in_part) \
	X(cache_jump) X(cache_write) X(cache_state) X(cache_remap) X(cache_global) X(cache_across) X(slots) X(roots) X(halves) X(folded) X(folded_words) X(stale) X(seeded_words) X(seeded_claims) X(seeded_races) X(switch) X(switch_user) X(switch_root)
/* clang-format on */

#define DECLARE(name) void attack_##name(void);
ATTACKS(DECLARE)
#undef DECLARE

#endif
