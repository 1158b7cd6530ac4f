/*
 * The paravirtual interface between a ring3 guest and its monitor; the only header both sides share besides x86.h.
 * Freestanding C11 and, above the struct part, assembly. All integers are little-endian; every guest pointer is a
 * guest-virtual address (gva) unless it is named gpa. Reserved fields are zero.
 *
 * A call: load the number into RAX, arguments into RDI RSI RDX R10 R8 R9, and CALL the first byte of the hypercall
 * page that the guest named in its ELF note. The result comes back in RAX, negative R3_E* for errors. RAX, RCX, R11
 * and the arithmetic flags are clobbered, all else is kept. Kernel mode only.
 */
#ifndef R3_ABI_H
#define R3_ABI_H

#define R3_ABI_VERSION 1

/* The ELF note: name R3_NOTE_NAME, type R3_NOTE_ABI, descriptor struct r3_note. */
#define R3_NOTE_NAME "ring3"
#define R3_NOTE_ABI  1

#define R3_HYPERCALL_PAGE_SIZE 4096

/* Features */
#define R3_FEATURE_VIF	      1	  /* virtual interrupt flag and upcalls in the shared-info page */
#define R3_FEATURE_CLOCK      2	  /* clock in the shared-info page */
#define R3_FEATURE_EVTCHN     4	  /* local event channels */
#define R3_FEATURE_MMU_UPDATE 8	  /* mmu_update and mmu_flush */
#define R3_FEATURE_MULTICALL  16  /* multicall */
#define R3_FEATURE_FPU	      32  /* fpu_switch, get_segment_base, R3_CALLBACK_DIRECT */
#define R3_FEATURE_SITES      64  /* R3_CALLBACK_SITES */
#define R3_FEATURE_SWITCH     128 /* user_switch */

/* Errors: Linux's numbers, returned negated */
#define R3_EPERM  1
#define R3_EBADF  9
#define R3_EAGAIN 11
#define R3_EFAULT 14
#define R3_EBUSY  16
#define R3_EINVAL 22
#define R3_ENOSPC 28
#define R3_EPIPE  32
#define R3_ENOSYS 38

/* Limits */
#define R3_CONSOLE_MAX	  65536
#define R3_EXIT_MAX	  119
#define R3_STATUS_PANIC	  101 /* exit status of a guest that panicked */
#define R3_PANIC_MAX	  200 /* bytes of text that panic shows */
#define R3_MULTICALL_MAX  512
#define R3_MMU_UPDATE_MAX 4096
#define R3_EVTCHN_PORTS	  64
#define R3_MAX_VCPUS	  16

/* set_callback */
#define R3_CALLBACK_EVENT 0 /* value: vector that events are delivered through, 32 to 255; 0 for none */
/*
 * value: entry point for SYSCALL from user mode, 0 for as the MSRs say. It is entered on the stack that stack_switch
 * set, with the frame that IRETQ takes (rip, cs, rflags, rsp, ss) on it; RCX and R11 are clobbered as by SYSCALL, all
 * other registers are the user's; IF, TF, DF, NT and AC are clear.
 */
#define R3_CALLBACK_SYSCALL 1
/*
 * value: 1 if the kernel leaves FPU, FS and GS base to user mode and handles them by fpu_switch, set_segment_base,
 * get_segment_base and user_switch alone. Then SYSCALL and iret may pass between user and kernel mode without the
 * monitor, and user_switch from one program to another.
 */
#define R3_CALLBACK_DIRECT 2
/* value: top of the stack that #DF arrives on, from the kernel as well; 0 for the stack that any trap would find. */
#define R3_CALLBACK_DOUBLE_FAULT 3
/*
 * value: 1 if the monitor may make SYSCALLs of user mode cheaper that come from one place again and again. Programs run
 * a copy of such a page then; what they and the kernel read of it, whichever way, stays as it was.
 */
#define R3_CALLBACK_SITES 4

/* set_segment_base */
#define R3_SEGBASE_FS	     0
#define R3_SEGBASE_GS	     1
#define R3_SEGBASE_KERNEL_GS 2

/* evtchn_bind_virq */
#define R3_VIRQ_TIMER	0
#define R3_VIRQ_CONSOLE 1
#define R3_VIRQ_COUNT	2

/* mmu_flush */
#define R3_FLUSH_PAGES 0 /* `pages` pages from gva, of the current root */
#define R3_FLUSH_ROOT  1 /* all of the current root's translations except global ones */
#define R3_FLUSH_ALL   2 /* everything, of every root; gva and pages ignored */

/* struct r3_trap_entry.flags */
#define R3_TRAP_DPL  3 /* lowest privilege that may raise it with INT n */
#define R3_TRAP_MASK 4 /* arrive with virtual interrupts masked, as through an interrupt gate */

#ifdef __ASSEMBLER__

#define R3_CALL(nr, name, args, doc) .set R3_HC_##name, nr;
#include "hypercalls/calls.def"
#undef R3_CALL

#else

#include <stdint.h>

enum r3_hypercall {
#define R3_CALL(nr, name, args, doc) R3_HC_##name = nr,
#include "hypercalls/calls.def"
#undef R3_CALL
};

struct r3_note {
	uint32_t abi_version; /* R3_ABI_VERSION the guest was built for */
	uint32_t reserved;
	uint64_t hypercall_page_gpa; /* page-aligned; the monitor fills it before entry; 0: the guest makes no
					hypercalls */
};

/*
 * One per vCPU in the shared-info page. The monitor changes `pending` and `vif` only while the vCPU is stopped, so
 * the guest needs no barrier: store vif = 1, then look at pending, then call `block` or any hypercall if it is set.
 */
struct r3_vcpu_info {
	uint8_t vif;	 /* guest writes, monitor reads, and clears on delivery: 1 = interrupts enabled */
	uint8_t pending; /* monitor writes, guest reads: an interrupt waits for vif; a hypercall delivers it */
	uint8_t reserved0[6];
	uint64_t cr2; /* monitor writes: faulting gva of the latest page fault delivered through the trap table */
	uint64_t reserved[6];
};

/*
 * What user_switch changes. Of `from` it reads where FPU state goes, and writes the bases. Bases are canonical, rsp0
 * lies in the lower half, both fpu are as fpu_switch takes them, and none is 0.
 */
struct r3_user_context {
	uint64_t root; /* as for set_user_root */
	uint64_t rsp0; /* as for stack_switch */
	uint64_t fs_base, gs_base;
	uint64_t fpu; /* gva of FPU state */
};

/*
 * Time: ns = clock.system_ns + (((rdtsc() - clock.tsc) << shift) * mul >> 32), with `<< shift` a right shift by -shift
 * if it is negative. Odd version: an update is under way; read again if version changed meanwhile. (pvclock's layout
 * and rule: Linux Documentation/virt/kvm/x86/msr.rst.)
 */
struct r3_clock {
	uint32_t version;
	uint32_t reserved0;
	uint64_t tsc;
	uint64_t system_ns; /* since the guest started */
	uint32_t mul;
	int8_t shift;
	uint8_t reserved1[3];
	uint64_t wall_ns; /* ns since 1970 when system_ns was 0 */
	uint64_t reserved2;
};

/*
 * The page is the guest's to zero before it registers it; the monitor then writes clock, vif and pending. Events:
 * after every exit the monitor looks at evtchn_pending & ~evtchn_mask, and delivers the event vector once vif allows
 * for ports there that the guest was not told of yet. One delivery tells of all ports pending then, so the handler
 * clears and serves bits until none is left. A port is new again once the guest has cleared it. Unmasking a port is no
 * exit: a guest that finds its bit pending makes any hypercall (abi_version is the shortest) to have the monitor look.
 */
struct r3_shared_info {
	struct r3_clock clock;	 /* monitor writes, guest reads */
	uint64_t evtchn_pending; /* both write: monitor sets bits, guest clears them (LOCK BTR) */
	uint64_t evtchn_mask;	 /* guest writes, monitor reads: 1 = port causes no event */
	struct r3_vcpu_info vcpu[R3_MAX_VCPUS];
};

struct r3_trap_entry {
	uint8_t vector;
	uint8_t flags; /* R3_TRAP_* */
	uint16_t selector;
	uint32_t reserved;
	uint64_t address; /* gva of the handler; 0 removes the entry */
};

/* What `iret` consumes; the last five words are what the hardware's IRETQ takes. */
struct r3_iret_frame {
	uint64_t rax, rcx, r11;
	uint64_t rip, cs, rflags, rsp, ss;
};

struct r3_mmu_update {
	uint64_t entry_gpa; /* 8-byte aligned address of the page-table entry */
	uint64_t value;
};

struct r3_multicall_entry {
	uint64_t nr;	  /* IN */
	int64_t result;	  /* OUT */
	uint64_t args[6]; /* IN */
};

#ifndef __cplusplus /* has another word for it */
_Static_assert(sizeof(struct r3_note) == 16, "note layout is ABI");
_Static_assert(sizeof(struct r3_vcpu_info) == 64, "one cache line each, ABI");
_Static_assert(sizeof(struct r3_clock) == 48, "clock layout is ABI");
_Static_assert(sizeof(struct r3_shared_info) <= 4096, "shared info is one page");
_Static_assert(sizeof(struct r3_iret_frame) == 64, "iret frame layout is ABI");
_Static_assert(sizeof(struct r3_multicall_entry) == 64, "multicall layout is ABI");
#endif

#endif
#endif
