/*
 * What both transports share: which exit a host signal stands for, and the RFLAGS that guest code really runs with.
 */
#include "monitor/engine/trap/transport.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>

#include "monitor/engine/trap/judge.h"
#include "monitor/vm/vm.h"

/* Where Linux emulates its fixed-address system calls; a SIGSYS from there was a CALL into the upper half. */
#define VSYSCALL_START 0xffffffffff600000ull
#define VSYSCALL_END   0xffffffffff601000ull

/* The host checks alignment for whoever has AC set: in the guest, no kernel is. */
static uint64_t withheld(const struct vcpu *vcpu)
{
	return vcpu->cpl == 3 ? 0 : X86_RFLAGS_AC;
}

uint64_t transport_real_rflags(const struct vcpu *vcpu)
{
	return (vcpu->rflags & JUDGE_RFLAGS & ~withheld(vcpu)) | X86_RFLAGS_FIXED | X86_RFLAGS_IF;
}

void transport_take_rflags(struct vcpu *vcpu, uint64_t real)
{
	uint64_t kept = X86_RFLAGS_IF | X86_RFLAGS_IOPL | X86_RFLAGS_NT | withheld(vcpu);
	vcpu->rflags = (real & JUDGE_RFLAGS) | (vcpu->rflags & kept) | X86_RFLAGS_FIXED;
}

/* The page that a vsyscall lies in does not exist for the guest: undo the host's emulated return, fault the fetch. */
static void classify_vsyscall(uint64_t address, struct vcpu *vcpu, struct vm_exit *exit)
{
	vcpu->gpr[RSP] -= 8;
	vcpu->rip = address;
	exit->reason = EXIT_EXCEPTION;
	exit->vector = X86_VEC_PF;
	exit->error = X86_PF_I | X86_PF_U;
	exit->gva = address;
}

static void classify_syscall(const siginfo_t *info, struct vcpu *vcpu, struct vm_exit *exit)
{
	uint64_t address = (uint64_t)info->si_call_addr;
	if (address >= VSYSCALL_START && address < VSYSCALL_END)
		classify_vsyscall(address, vcpu, exit);
	else
		exit->reason = info->si_arch == AUDIT_ARCH_X86_64 ? EXIT_SYSCALL : EXIT_INT80;
}

/* Which of DR6's bits the host saw set (arch/x86/kernel/traps.c, get_si_code). ICEBP sets none. */
static uint32_t debug_status(int code)
{
	switch (code) {
	case TRAP_TRACE:
		return X86_DR6_BS;
	case TRAP_HWBKPT:
		return X86_DR6_HITS;
	default:
		return 0;
	}
}

void transport_classify(const siginfo_t *info, uint64_t trapno, uint64_t error, uint64_t cr2, struct vcpu *vcpu,
			struct vm_exit *exit)
{
	*exit = (struct vm_exit){.reason = EXIT_DEAD};
	switch (info->si_signo) {
	case SIGSYS:
		classify_syscall(info, vcpu, exit);
		return;
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGTRAP:
		break;
	default:
		exit->reason = EXIT_KICK;
		return;
	}
	if (info->si_code <= 0) { /* sent by a process, not raised by the processor */
		exit->reason = EXIT_KICK;
		return;
	}
	/* No memory for the page, says the frame: the host knows. If it has, the access is made again. */
	if (info->si_signo == SIGBUS && trapno == X86_VEC_PF && !gm_back(vcpu, cr2)) {
		vm_refused(vcpu->vm, "no memory left for guest RAM: run with a smaller -m");
		return;
	}
	if (trapno > X86_VEC_CP)
		return;
	exit->reason = EXIT_EXCEPTION;
	exit->vector = trapno;
	exit->error = trapno == X86_VEC_DB ? debug_status(info->si_code) : error;
	if (trapno == X86_VEC_PF) {
		exit->error &= X86_PF_P | X86_PF_W | X86_PF_U | X86_PF_RSVD | X86_PF_I;
		exit->gva = cr2;
	}
}
