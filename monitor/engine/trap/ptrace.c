/*
 * Transport by ptrace: the same cells, but each exit is a stop of the traced runner, and registers travel by ptrace
 * calls. Slower and simpler; works where signals are filtered. System calls stop by PTRACE_SYSEMU before they reach any
 * filter, so nothing the guest calls is ever executed; a hypercall is a system call made from the hypercall page.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "monitor/boot/image.h"
#include "monitor/engine/trap/bases.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/host/cpuid.h"
#include "monitor/vm/vm.h"

#define STOP_SYSCALL (SIGTRAP | 0x80)

/* Waits for the stop that a ptrace call just asked for, whatever signals the monitor gets meanwhile. */
static bool wait_stop(pid_t task)
{
	int status;
	pid_t who;
	do
		who = waitpid(task, &status, __WALL);
	while (who < 0 && errno == EINTR);
	return who == task && WIFSTOPPED(status);
}

static int ptrace_attach(struct cell *cell)
{
	const unsigned long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;
	uint64_t nothing_blocked = 0;
	cell->fpu_held = malloc(host_state_size());
	if (!cell->fpu_held)
		return -ENOMEM;
	if (ptrace(PTRACE_SEIZE, cell->runner, 0, options) || ptrace(PTRACE_INTERRUPT, cell->runner, 0, 0) ||
	    !wait_stop(cell->runner) ||
	    ptrace(PTRACE_SETSIGMASK, cell->runner, sizeof(nothing_blocked), &nothing_blocked)) {
		int error = -errno;
		fprintf(stderr, "ring3: cannot trace a child: %s; use --transport=signal, see 'ring3 doctor'\n",
			strerror(errno));
		return error;
	}
	/* The registers of the moment, for those that the vCPU does not set. */
	return ptrace(PTRACE_GETREGS, cell->runner, 0, &cell->regs) ? -errno : 0;
}

static void ptrace_resume(struct trap *trap, struct cell *cell, const struct vcpu *vcpu)
{
	struct user_regs_struct *regs = &cell->regs;
	const uint64_t *gpr = vcpu->gpr;
	regs->rax = gpr[RAX], regs->rcx = gpr[RCX], regs->rdx = gpr[RDX], regs->rbx = gpr[RBX];
	regs->rsp = gpr[RSP], regs->rbp = gpr[RBP], regs->rsi = gpr[RSI], regs->rdi = gpr[RDI];
	regs->r8 = gpr[R8], regs->r9 = gpr[R9], regs->r10 = gpr[R10], regs->r11 = gpr[R11];
	regs->r12 = gpr[R12], regs->r13 = gpr[R13], regs->r14 = gpr[R14], regs->r15 = gpr[R15];
	regs->rip = vcpu->rip;
	regs->eflags = transport_real_rflags(vcpu);
	regs->fs_base = bases_loadable(vcpu->sreg[SREG_FS].base);
	regs->gs_base = bases_loadable(vcpu->sreg[SREG_GS].base);
	/* Far returns to the host's segments need no privilege: every entry is to 64-bit code again. */
	regs->cs = cell->csgsfs & 0xffff;
	regs->ss = cell->csgsfs >> 48;
	regs->orig_rax = -1; /* no system call to restart */
	cell->fpu_held_known = false;
	if (ptrace(PTRACE_SETREGS, cell->runner, 0, regs) || ptrace(PTRACE_SYSEMU, cell->runner, 0, 0))
		kill(cell->pid, SIGKILL);
}

static enum transport_wait ptrace_wait(struct trap *trap, struct cell *cell, unsigned kicks)
{
	int status;
	if (waitpid(cell->runner, &status, __WALL) != cell->runner)
		return TRANSPORT_NUDGED;
	if (!WIFSTOPPED(status)) {
		cell->runner = 0; /* reaped: the number is nobody's now, or another's */
		return TRANSPORT_NUDGED;
	}
	cell->stop = WSTOPSIG(status);
	return TRANSPORT_EXITED;
}

static void take_registers(struct vcpu *vcpu, const struct user_regs_struct *regs)
{
	uint64_t *gpr = vcpu->gpr;
	gpr[RAX] = regs->rax, gpr[RCX] = regs->rcx, gpr[RDX] = regs->rdx, gpr[RBX] = regs->rbx;
	gpr[RSP] = regs->rsp, gpr[RBP] = regs->rbp, gpr[RSI] = regs->rsi, gpr[RDI] = regs->rdi;
	gpr[R8] = regs->r8, gpr[R9] = regs->r9, gpr[R10] = regs->r10, gpr[R11] = regs->r11;
	gpr[R12] = regs->r12, gpr[R13] = regs->r13, gpr[R14] = regs->r14, gpr[R15] = regs->r15;
	vcpu->rip = regs->rip;
	if (regs->fs_base != bases_loadable(vcpu->sreg[SREG_FS].base))
		vcpu->sreg[SREG_FS].base = regs->fs_base;
	if (regs->gs_base != bases_loadable(vcpu->sreg[SREG_GS].base))
		vcpu->sreg[SREG_GS].base = regs->gs_base;
	transport_take_rflags(vcpu, regs->eflags);
}

/* The guest's tables may map the hypercall page anywhere. */
static bool is_hypercall_page(struct vcpu *vcpu, uint64_t gva)
{
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_translation translation;
	uint64_t page = image_hypercall_page(vcpu->vm);
	return page && spt_translate(vcpu->vm->spt, &paging, gva, X86_PF_I, &translation) && translation.gpa == page;
}

/*
 * A stop does not tell vector and error code, but the signal frame does: a step with the signal has the kernel build
 * the frame and stop before the handler's first instruction. The guest's own registers are put back by the next resume,
 * its FPU state at once: the kernel gives a handler a fresh one.
 */
static bool fault_detail(struct cell *cell, int signo, uint64_t *vector, uint64_t *error)
{
	uint64_t nothing_blocked = 0;
	uint8_t fpu[ENGINE_FPU_MAX];
	struct iovec io = {fpu, sizeof(fpu)}; /* the first call makes it as long as the state is */
	if (ptrace(PTRACE_GETREGSET, cell->runner, NT_X86_XSTATE, &io) ||
	    ptrace(PTRACE_SINGLESTEP, cell->runner, 0, signo) || !wait_stop(cell->runner) ||
	    ptrace(PTRACE_SETSIGMASK, cell->runner, sizeof(nothing_blocked), &nothing_blocked) ||
	    ptrace(PTRACE_SETREGSET, cell->runner, NT_X86_XSTATE, &io))
		return false;
	*vector = cell->frame->uc.gregs[REG_TRAPNO];
	*error = cell->frame->uc.gregs[REG_ERR];
	return true;
}

/* The processor left RIP behind INT 4: a SIGSEGV that may be #OF. */
static bool after_int4(struct vcpu *vcpu)
{
	uint8_t insn[2];
	return gm_peek(vcpu, vcpu->rip - sizeof(insn), insn, sizeof(insn)) == sizeof(insn) && insn[0] == 0xcd &&
	       insn[1] == X86_VEC_OF;
}

/*
 * The vector behind a signal, as Linux maps them (arch/x86/kernel/traps.c), where the signal alone tells: the plain #GP
 * of a privileged instruction is worth saving the second stop.
 */
static bool fetch_vector(struct cell *cell, struct vcpu *vcpu, const siginfo_t *info, uint64_t *vector, uint64_t *error)
{
	*error = 0;
	switch (info->si_signo) {
	case SIGSEGV:
		*vector = X86_VEC_GP;
		if (info->si_code == SI_KERNEL && !after_int4(vcpu))
			return true;
		break;
	case SIGTRAP:
		*vector = info->si_code == SI_KERNEL ? X86_VEC_BP : X86_VEC_DB;
		return true;
	case SIGILL:
		*vector = X86_VEC_UD;
		return true;
	}
	return fault_detail(cell, info->si_signo, vector, error);
}

static bool is_fault(const siginfo_t *info)
{
	return info->si_code > 0 && (info->si_signo == SIGSEGV || info->si_signo == SIGBUS ||
				     info->si_signo == SIGILL || info->si_signo == SIGFPE || info->si_signo == SIGTRAP);
}

/* At a system call stop RAX shows -ENOSYS; the guest's is in orig_rax. */
static void fetch_syscall(struct cell *cell, struct vcpu *vcpu, struct vm_exit *exit)
{
	uint8_t insn[2];
	struct gm_fault fault;
	vcpu->gpr[RAX] = cell->regs.orig_rax;
	exit->reason = EXIT_SYSCALL;
	if (vcpu->cpl == 0 && is_hypercall_page(vcpu, vcpu->rip - sizeof(insn))) {
		/* The stub's RET is done here, so that RIP is the return address as in every transport. */
		if (!gm_read_gva(vcpu, vcpu->gpr[RSP], &vcpu->rip, sizeof(vcpu->rip), GM_SYSTEM, &fault)) {
			vm_kill(vcpu->vm, "hypercall without a stack");
			exit->reason = EXIT_DEAD;
			return;
		}
		vcpu->gpr[RSP] += 8;
		exit->reason = EXIT_HYPERCALL;
	} else if (gm_peek(vcpu, vcpu->rip - sizeof(insn), insn, sizeof(insn)) == sizeof(insn) && insn[0] == 0xcd &&
		   insn[1] == 0x80) {
		exit->reason = EXIT_INT80;
	}
}

static struct cell *ptrace_fetch(struct trap *trap, struct cell *cell, struct vcpu *vcpu, struct vm_exit *exit)
{
	*exit = (struct vm_exit){.reason = EXIT_DEAD};
	siginfo_t info = {0};
	if (ptrace(PTRACE_GETREGS, cell->runner, 0, &cell->regs))
		return cell;
	take_registers(vcpu, &cell->regs);
	if (cell->stop == STOP_SYSCALL) {
		fetch_syscall(cell, vcpu, exit);
		return cell;
	}
	if (ptrace(PTRACE_GETSIGINFO, cell->runner, 0, &info)) {
		exit->reason = EXIT_KICK; /* a stop without a signal: PTRACE_INTERRUPT, group stop */
		return cell;
	}
	uint64_t vector = 0, error = 0;
	if (is_fault(&info) && !fetch_vector(cell, vcpu, &info, &vector, &error))
		return cell;
	transport_classify(&info, vector, error, (uint64_t)info.si_addr, vcpu, exit);
	return cell;
}

/*
 * Whether all that guests do not have is as setting an image leaves it: programs can change the rights of protection
 * keys, which no image has.
 */
static bool nothing_else(const uint8_t *whole, uint64_t components)
{
	uint64_t present;
	uint32_t pkru = 0;
	memcpy(&present, whole + X86_FPU_HEADER, sizeof(present));
	if (present & X86_XCR0_PKRU)
		memcpy(&pkru, whole + host_pkru_place(), sizeof(pkru));
	return !(present & ~(components | X86_XCR0_PKRU)) && !pkru;
}

static bool ptrace_fpu_get(struct cell *cell, void *image, unsigned size)
{
	uint8_t whole[ENGINE_FPU_MAX];
	const unsigned keys_end = host_pkru_place() + sizeof(uint64_t);
	struct iovec io = {whole, size > keys_end ? size : keys_end};
	memset(whole, 0, io.iov_len);
	if (ptrace(PTRACE_GETREGSET, cell->runner, NT_X86_XSTATE, &io))
		return false;
	memcpy(image, whole, size);
	cell->fpu_held_known = size == host_state_size() && nothing_else(whole, cell->owner->xcr0);
	if (cell->fpu_held_known) {
		memcpy(cell->fpu_held, image, size);
		vcpu_fpu_sanitize(cell->fpu_held, size, cell->owner->xcr0);
	}
	return true;
}

/* The host copies all that is switched on, guests' or not, by way of memory mapped for that: most images are there
 * already, since few kernels use the FPU. */
static void ptrace_fpu_set(struct cell *cell, const void *image, unsigned size)
{
	uint8_t whole[ENGINE_FPU_MAX];
	struct iovec io = {whole, host_xsave_size()};
	if (cell->fpu_held_known && size == host_state_size() && !memcmp(cell->fpu_held, image, size))
		return;
	memcpy(whole, image, size);
	memset(whole + size, 0, io.iov_len - size);
	cell->fpu_held_known = false; /* it may be refused */
	ptrace(PTRACE_SETREGSET, cell->runner, NT_X86_XSTATE, &io);
}

static void ptrace_nudge(struct cell *cell)
{
	transport_kick(cell);
}

const struct transport transport_ptrace = {
	.name = "ptrace",
	.summary = "exits are ptrace stops: slower, simpler, where signals are filtered",
	.traced = true,
	.attach = ptrace_attach,
	.resume = ptrace_resume,
	.wait = ptrace_wait,
	.fetch = ptrace_fetch,
	.fpu_get = ptrace_fpu_get,
	.fpu_set = ptrace_fpu_set,
	.nudge = ptrace_nudge,
	.stub = gate_ptrace_stub,
	.stub_end = gate_ptrace_stub_end,
};
