/*
 * A cell's last exit, forged: what the host's kernel would have left on the gate's stack, written by hand.
 */
#ifndef TESTS_ESCAPE_FORGE_H
#define TESTS_ESCAPE_FORGE_H

#include <stddef.h>

#include "escape.h"

/* struct rt_sigframe of x86-64 Linux, from RSP in the handler on. */
struct host_frame {
	uint64_t return_address;
	uint64_t flags, link, ss_sp, ss_flags, ss_size;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint64_t csgsfs, error, trapno, oldmask, cr2;
	uint64_t fpstate, reserved[8];
	uint64_t sigmask;
	int32_t signo, si_errno, code, pad;
	uint64_t si_addr;
	uint32_t si_nr, si_arch;
};

#define HOST_SIGILL  4
#define HOST_SIGTRAP 5
#define HOST_SIGBUS  7
#define HOST_SIGFPE  8
#define HOST_SIGSEGV 11
#define HOST_SIGURG  23
#define HOST_SIGSYS  31
#define HOST_ARCH_64 0xc000003e
#define HOST_CS_SS   (0x33ull | 0x2bull << 48)

/* Where the cell's frame lies: valid once there was an exit. */
static inline struct host_frame *forge_frame(void)
{
	return (struct host_frame *)*xchg64(XCHG_FRAME);
}

/* Does in user mode what the gate does after a signal, with the frame as it stands; never comes back here. */
_Noreturn void forge_exit(void);
/* Says that it handed over, and runs on beside the monitor. */
void forge_handover(uint32_t kind);

#define FORGING_TICKS 50000000 /* of the time stamp counter: tens of ms */
/* For as long as user code may run beside the monitor: long enough to be seen, and then it comes back by itself. */
static inline bool while_forging(uint64_t start)
{
	return pvg_rdtsc() - start < FORGING_TICKS;
}

/*
 * One claim of a user cell: an honest one of some kind, but for what `change` does to it. What the guest's kernel is
 * shown of it; all zeroes if nothing. forge_begin comes before.
 */
enum forge_kind { FORGE_SYSCALL, FORGE_EXCEPTION, FORGE_NOTHING, FORGE_KINDS };
struct forge_shown {
	struct pvg_frame frame;
	uint64_t cr2; /* of a #PF */
};
void forge_begin(void);
const struct forge_shown *forge_claim(enum forge_kind kind, void (*change)(struct host_frame *claim));

#endif
