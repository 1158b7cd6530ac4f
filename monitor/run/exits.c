/*
 * Exit by exit: the dispatcher of the monitor.
 */
#include "monitor/run/exits.h"

#include <string.h>

#include "hypercalls/host/hc.h"
#include "monitor/boot/image.h"
#include "monitor/emulate/emulate.h"
#include "monitor/engine/interpret/interpret.h"
#include "monitor/run/inject.h"
#include "monitor/run/run.h"
#include "monitor/trace/trace.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"

/* After one trap, at most this many adjacent sensitive instructions are done without going back. */
#define CLUSTER_MAX 64

/* Instructions that cost less than an exit: after an access to a device, and to memory, of which it is a page. */
#define PATIENCE_DEVICE 100
#define PATIENCE_BEYOND 4000

static void note_instruction(struct vcpu *vcpu, enum stats_exit kind, uint64_t detail, const struct emu_insn *insn)
{
	stats_exit_note(&vcpu->vm->stats, vcpu->id, kind, vcpu->rip, vcpu->cpl, detail);
	if (vcpu->vm->trace_kinds)
		trace_exit_reason(vcpu, kind, detail, insn ? insn->bytes : NULL, insn ? insn->info.length : 0);
}

static void note(struct vcpu *vcpu, enum stats_exit kind, uint64_t detail)
{
	note_instruction(vcpu, kind, detail, NULL);
}

static enum emu_result execute(struct vcpu *vcpu, const struct emu_insn *insn, enum stats_way way)
{
	enum emu_result result = emu_execute(vcpu, insn);
	stats_sensitive(&vcpu->vm->stats, emu_id(insn), way, result != EMU_DONE);
	return result;
}

/* RIP is after INT 3, which has two codings; a prefix is not told from what comes before. */
static uint8_t breakpoint_length(struct vcpu *vcpu)
{
	static const uint8_t int_3[] = {0xcd, X86_VEC_BP};
	uint8_t bytes[sizeof(int_3)];
	bool is_long = gm_peek(vcpu, vcpu->rip - sizeof(bytes), bytes, sizeof(bytes)) == sizeof(bytes) &&
		       !memcmp(bytes, int_3, sizeof(int_3));
	return is_long ? sizeof(int_3) : 1;
}

static void exit_deliver(struct vcpu *vcpu, const struct vm_exit *exit)
{
	note(vcpu, STAT_exception, exit->vector);
	switch (exit->vector) {
	case X86_VEC_BP:
		vcpu_raise_soft(vcpu, X86_VEC_BP, breakpoint_length(vcpu));
		break;
	case X86_VEC_OF:
		vcpu_raise_soft(vcpu, X86_VEC_OF, 2);
		break;
	case X86_VEC_DB:
		vcpu_raise(vcpu, X86_VEC_DB);
		break;
	case X86_VEC_XM:
		/* The host's CR4.OSXMMEXCPT is on; without the guest's it is an undefined opcode (SDM 3A 2.5). */
		vcpu_raise(vcpu, vcpu->cr4 & X86_CR4_OSXMMEXCPT ? X86_VEC_XM : X86_VEC_UD);
		break;
	case X86_VEC_TS:
	case X86_VEC_NP:
	case X86_VEC_SS:
	case X86_VEC_GP:
	case X86_VEC_AC:
		vcpu_raise_error(vcpu, exit->vector, exit->error);
		break;
	default:
		vcpu_raise(vcpu, exit->vector);
	}
}

/*
 * Looking on after an exit: what follows is often sensitive too, and each trap saved is worth many decodes. Stops where
 * the next instruction is not the next to run: an event is queued, or an interrupt may come in, however short the
 * guest lets it.
 */
static void exit_cluster(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct emu_insn insn;
	for (unsigned i = 0; i < CLUSTER_MAX; i++) {
		if (vcpu->event_pending || vcpu->halted || vm->ended || atomic_load(&vm->attention))
			return;
		if (inject_window_open(vcpu) && vm_interrupt_waits(vcpu))
			return;
		if (!emu_look_on(vcpu, &insn))
			return;
		note_instruction(vcpu, STAT_clustered, insn.info.mnemonic, &insn);
		if (execute(vcpu, &insn, STAT_WAY_clustered) != EMU_DONE)
			return;
	}
}

/* The host was asked to have it fault: host_cpuid_keep. */
static void exit_cpuid(struct vcpu *vcpu, const struct emu_insn *insn)
{
	note_instruction(vcpu, STAT_privileged, insn->info.mnemonic, insn);
	vcpu_cpuid(vcpu);
	vcpu->rip += insn->info.length;
	vcpu->interrupt_shadow = false;
	vcpu->rflags &= ~X86_RFLAGS_RF;
	if (vcpu->rflags & X86_RFLAGS_TF)
		vcpu_raise(vcpu, X86_VEC_DB);
}

/* #GP or #UD where the processor refused an instruction: perhaps only because the guest kernel runs in ring 3. */
static void exit_refused(struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct emu_insn insn;
	if (emu_decode(vcpu, &insn) != EMU_DONE) {
		/* An opcode that the processor does not have is told before more of the instruction is fetched. */
		bool next_page = vcpu->event.vector == X86_VEC_PF && (vcpu->event.cr2 ^ vcpu->rip) >> X86_PAGE_SHIFT;
		if (exit->vector == X86_VEC_UD && next_page)
			exit_deliver(vcpu, exit);
		return;
	}
	if (insn.info.mnemonic == ZYDIS_MNEMONIC_CPUID) {
		exit_cpuid(vcpu, &insn);
		return;
	}
	if (!emu_is_sensitive(&insn)) {
		exit_deliver(vcpu, exit);
		return;
	}
	note_instruction(vcpu, STAT_privileged, insn.info.mnemonic, &insn);
	enum emu_result result = execute(vcpu, &insn, STAT_WAY_trapped);
	if (result == EMU_NOT_OURS)
		exit_deliver(vcpu, exit);
	else if (result == EMU_DONE && vcpu->cpl == 0 && !vcpu->debug.attached)
		exit_cluster(vcpu);
}

/* Code runs directly here, nobody looks on, and nothing needs single steps. */
static bool may_visit(const struct vcpu *vcpu)
{
	const struct vm *vm = vcpu->vm;
	bool watched = vcpu->debug.attached || vcpu->debug.pause || vcpu->debug.step ||
		       (vm->observers.moments & 1u << OBSERVE_interpreted);
	return vm->engine_ops == &engine_trap && !vm->trace_kinds && !watched && !vcpu->window_wanted &&
	       !(vcpu->rflags & (X86_RFLAGS_TF | X86_RFLAGS_AC)) && !vcpu->event_pending;
}

/*
 * The guest's tables permit the access, and the host cannot map it: the instruction is executed in software. Where
 * there is one such access there are others, and each is a signal: so are some instructions behind it.
 */
static void exit_unmappable(struct vcpu *vcpu, uint64_t gva, unsigned patience)
{
	struct vm_exit exit;
	if (gva >= GATE_HOLE_START && gva < GATE_HOLE_END) {
		vm_kill(vcpu->vm,
			"guest maps %#lx, in the monitor's hole (%#lx to %#lx); keep out of it, or take --engine "
			"hybrid, "
			"which interprets what is there",
			gva, (uint64_t)GATE_HOLE_START, (uint64_t)GATE_HOLE_END);
		return;
	}
	note(vcpu, STAT_unmappable, gva);
	interpret_one(vcpu, &exit);
	if (exit.reason == EXIT_KICK && may_visit(vcpu) && !interpret_visit(vcpu, &exit, patience))
		return;
	if (exit.reason != EXIT_KICK)
		exit_handle(vcpu, &exit);
}

/*
 * The guest's handler has changed tables after a fault of user mode. If the access is permitted now, filling it here
 * saves the fault that would come back for it.
 */
static void exit_refill(struct vcpu *vcpu)
{
	struct spt *spt = vcpu->vm->spt;
	uint64_t root = vcpu_user_root(vcpu);
	if (root != vcpu->refill.root)
		vcpu->refill.wanted = false;
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_translation at;
	struct spt_outcome outcome;
	paging.cr3 = root;
	struct spt_space *space = spt_space_find(spt, &paging, SPT_USER);
	if (!space || !vcpu->refill.wanted || !spt_translate(spt, &paging, vcpu->refill.gva, vcpu->refill.access, &at))
		return;
	vcpu->refill.wanted = false;
	if (spt_fault(space, &paging, vcpu->refill.gva, vcpu->refill.access, &outcome) == SPT_HOST_REFUSED)
		vcpu->vm->engine_ops->space_lost(vcpu->vm, space, outcome.host_error);
}

/* The tables of a Solo5 unikernel are the monitor's, and no handler of its own has a say about the rights in them. */
static bool exit_breaks_rights(struct vcpu *vcpu, uint64_t gva, uint32_t error)
{
	bool breaks = vcpu->vm->kind == MACHINE_SOLO5 && (error & X86_PF_P) && gva >= IMAGE_START;
	if (breaks)
		vm_kill(vcpu->vm, "host/guest translation fault: %s %#lx, which its segment does not permit",
			error & X86_PF_I   ? "execution of"
			: error & X86_PF_W ? "store to"
					   : "load from",
			gva);
	return breaks;
}

static void exit_page_fault(struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct vm *vm = vcpu->vm;
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_outcome outcome;
	uint32_t access = exit->error & (X86_PF_W | X86_PF_I);
	if (vcpu->cpl == 3)
		access |= X86_PF_U;
	enum spt_mode mode = vcpu->cpl == 3 ? SPT_USER : spt_kernel_mode(vm->spt, &paging, exit->gva);
	struct spt_space *space = spt_space_get(vm->spt, &paging, mode);
	if (!space) {
		vm_refused(vm, "no memory left for shadow page tables: end other programs first");
		return;
	}
	switch (spt_fault(space, &paging, exit->gva, access, &outcome)) {
	case SPT_FILLED:
		note(vcpu, STAT_shadow_fill, exit->gva);
		if (trace_wants(vm, TRACE_shadow))
			trace_shadow_fill(vcpu, exit->gva, access);
		break;
	case SPT_GUEST_FAULT:
		note(vcpu, STAT_page_fault, exit->gva);
		if (exit_breaks_rights(vcpu, exit->gva, outcome.error))
			return;
		vcpu_raise_page_fault(vcpu, exit->gva, outcome.error);
		vcpu->refill.wanted = vcpu->cpl == 3;
		vcpu->refill.gva = exit->gva;
		vcpu->refill.root = vcpu_root(vcpu);
		vcpu->refill.access = access;
		break;
	case SPT_NOT_RAM:
		exit_unmappable(vcpu, exit->gva, PATIENCE_DEVICE);
		break;
	case SPT_UNREACHABLE:
		exit_unmappable(vcpu, exit->gva, PATIENCE_BEYOND);
		break;
	case SPT_HOST_REFUSED:
		vm->engine_ops->space_lost(vm, space, outcome.host_error);
		break;
	}
}

/*
 * The host checks alignment wherever AC is set. What it minds and the guest's processor does not is executed in
 * software in user mode; a kernel is entered again without the flag (transport_real_rflags).
 */
static void exit_misaligned(struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct vm_exit then;
	if (vcpu_checks_alignment(vcpu)) {
		exit_deliver(vcpu, exit);
		return;
	}
	note(vcpu, STAT_exception, exit->vector);
	if (vcpu->cpl != 3)
		return;
	interpret_one(vcpu, &then);
	if (then.reason != EXIT_KICK)
		exit_handle(vcpu, &then);
}

/* A trap, RIP is behind it: what lies there is another instruction. Not every host leaves RIP so. */
static void exit_icebp(struct vcpu *vcpu, const struct vm_exit *exit)
{
	static const uint8_t int1 = 0xf1;
	uint8_t before;
	if (gm_peek(vcpu, vcpu->rip - 1, &before, 1) == 1 && before == int1)
		vcpu_raise_icebp(vcpu, 1);
	else
		exit_refused(vcpu, exit);
}

static void exit_exception(struct vcpu *vcpu, const struct vm_exit *exit)
{
	switch (exit->vector) {
	case X86_VEC_PF:
		exit_page_fault(vcpu, exit);
		break;
	case X86_VEC_GP:
	case X86_VEC_UD:
		exit_refused(vcpu, exit);
		break;
	case X86_VEC_AC:
		exit_misaligned(vcpu, exit);
		break;
	case X86_VEC_DB:
		/* TF as it is now does not tell: POPF may have changed it. */
		if (exit->error)
			exit_deliver(vcpu, exit);
		else
			exit_icebp(vcpu, exit);
		break;
	default:
		exit_deliver(vcpu, exit);
	}
}

void exit_hypercall(struct vcpu *vcpu)
{
	hc_dispatch(vcpu);
	if (vcpu->refill.wanted && !vcpu->call.unfinished)
		exit_refill(vcpu);
}

void exit_handle(struct vcpu *vcpu, const struct vm_exit *exit)
{
	switch (exit->reason) {
	case EXIT_KICK:
		note(vcpu, STAT_kick, 0);
		break;
	case EXIT_HYPERCALL:
		note(vcpu, STAT_hypercall, vcpu->gpr[RAX]);
		exit_hypercall(vcpu);
		break;
	case EXIT_EXCEPTION:
		exit_exception(vcpu, exit);
		break;
	case EXIT_SYSCALL:
		note(vcpu, STAT_syscall, vcpu->gpr[RAX]);
		emu_syscall(vcpu);
		break;
	case EXIT_INT80:
		note(vcpu, STAT_soft_int, 0x80);
		vcpu_raise_soft(vcpu, 0x80, 2);
		break;
	case EXIT_EMULATED:
	case EXIT_DEAD:
		break;
	}
	/* Back in user mode, by IRET or SYSRET. */
	if (vcpu->refill.wanted && vcpu->cpl == 3 && !vcpu->event_pending) {
		exit_refill(vcpu);
		vcpu->refill.wanted = false;
	}
}
