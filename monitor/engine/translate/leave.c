/*
 * From a kernel cell that stopped with RIP in the code cache to the guest's state, and what is then done for it.
 */
#include <string.h>

#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/vm.h"

/* What follows a sensitive instruction is often sensitive too, and saves an exit each. */
#define CLUSTER_MAX 64
/* What needs what is lent to user mode comes in rows: so many instructions the interpreter goes on then. */
#define LENT_PATIENCE 200
/* Likewise between what a kernel does to switch processes: XSAVE, MOV CR3, WRMSR, XRSTOR. So many of these. */
#define SWITCH_PATIENCE 40
#define SWITCH_MAX	8

/* LAHF and SETO AL. */
static void take_status(struct vcpu *vcpu)
{
	const uint64_t in_ah = X86_RFLAGS_SF | X86_RFLAGS_ZF | X86_RFLAGS_AF | X86_RFLAGS_PF | X86_RFLAGS_CF;
	uint64_t status = vcpu->gpr[RAX];
	vcpu->rflags &= ~(in_ah | X86_RFLAGS_OF);
	vcpu->rflags |= (status >> 8 & in_ah) | (status & 1 ? X86_RFLAGS_OF : 0);
}

static void take_image(struct vcpu *vcpu, uint64_t image)
{
	const uint64_t loads = BT_POPF_FREE & ~X86_RFLAGS_IF;
	vcpu->rflags = (vcpu->rflags & ~loads) | (image & loads) | X86_RFLAGS_FIXED;
	vcpu_set_if(vcpu, image & X86_RFLAGS_IF);
}

static void take_both(struct vcpu *vcpu, const volatile struct bt_state *state)
{
	vcpu->gpr[RAX] = state->rax;
	vcpu->gpr[RCX] = state->rcx;
}

static void undo(struct translate *t, struct vcpu *vcpu, const struct bt_locus *locus)
{
	const volatile struct bt_state *state = t->state;
	uint64_t value;
	vcpu->rip = locus->rip;
	if (t->form == FORM_NARROW) {
		bool enabled = vcpu_if(vcpu);
		bt_undo_narrow(locus, vcpu->gpr, &vcpu->rip, &enabled);
		vcpu_set_if(vcpu, enabled);
		return;
	}
	vcpu->gpr[RSP] += (uint64_t)(int64_t)locus->rsp;
	if (locus->moved_di)
		vcpu->gpr[RDI] -= state->moved_di;
	if (locus->moved_si)
		vcpu->gpr[RSI] -= state->moved_si;
	switch (locus->undo) {
	case BT_EXACT:
		break;
	case BT_SCRATCH:
		vcpu->gpr[locus->reg] = state->scratch;
		break;
	case BT_PAIR:
		vcpu->gpr[locus->reg] = state->scratch;
		vcpu->gpr[locus->reg2] = state->scratch2;
		break;
	case BT_STACK:
		vcpu->gpr[RSP] = vcpu->gpr[locus->reg] + UPPER_BASE;
		vcpu->gpr[locus->reg] = state->scratch;
		break;
	case BT_AUX:
		vcpu->gpr[RCX] = (uint32_t)state->tsc_aux;
		break;
	case BT_COUNTER:
		vcpu->gpr[RCX] = state->rcx;
		break;
	case BT_BOTH:
		take_both(vcpu, state);
		break;
	case BT_FOUR:
	case BT_LENT:
		take_both(vcpu, state);
		vcpu->gpr[RDX] = state->scratch;
		vcpu->gpr[RBX] = state->scratch2;
		break;
	case BT_SWAPPED:
		state_take_kernel_gs(t, vcpu, vcpu->gpr[RAX]);
		take_both(vcpu, state);
		break;
	case BT_GIVEN:
		value = vcpu->gpr[RCX];
		take_status(vcpu);
		take_both(vcpu, state);
		vcpu->gpr[locus->reg] = value;
		break;
	case BT_DELIVERS:
	case BT_DELIVERED:
	case BT_STATUS:
		take_status(vcpu);
		take_both(vcpu, state);
		if (locus->undo == BT_DELIVERS)
			vcpu->gpr[RSP] = state->scratch;
		if (locus->undo == BT_DELIVERED)
			vcpu->rip = state->target;
		break;
	case BT_RETURNS:
		take_both(vcpu, state);
		take_image(vcpu, state->stack[0]);
		vcpu->gpr[RSP] = state->scratch;
		vcpu->rip = state->target;
		break;
	case BT_POPPED:
		vcpu_set_if(vcpu, vcpu->gpr[RCX] & X86_RFLAGS_IF);
		vcpu->gpr[RCX] = state->rcx;
		break;
	case BT_UNDERWAY:
		vcpu->gpr[RCX] = state->rcx;
		vcpu->rip = state->target;
		break;
	default:
		break;
	}
}

static bool locate(struct translate *t, const struct bt_block *block, uint32_t host, struct bt_locus *locus)
{
	struct bt_place place;
	struct bt_source source = {block->gva,	   block->bytes,      block->guest_len,
				   block->flavour, .model = t->model, .hypercall = block->hypercall};
	memcpy(source.site_mask, block->site_mask, sizeof(source.site_mask));
	cache_place(t, block->host, block->flavour, &place);
	return bt_locate(&source, &place, host - block->host, locus);
}

/*
 * A jump is done whose target is not canonical: the fault is the jump's, with nothing changed (SDM 2A CALL, JMP, RET).
 */
static void undo_jump(struct translate *t, struct vcpu *vcpu)
{
	const volatile struct bt_state *state = t->state;
	uint32_t host = (uint32_t)state->source - (uint32_t)GATE_CACHE_CODE;
	const struct bt_piece *piece = cache_piece(t, host);
	struct bt_locus locus;
	if (piece && piece->block && piece->kind == BT_BODY && locate(t, piece->block, host, &locus)) {
		vcpu->rip = locus.rip;
		vcpu->gpr[RSP] += (uint64_t)(int64_t)locus.rsp;
	}
}

/* In the sequence between an indirect jump and its target. */
static enum leave leave_underway(struct translate *t, struct vcpu *vcpu)
{
	undo(t, vcpu, &(struct bt_locus){.undo = t->form == FORM_NARROW ? BT_JUMPED : BT_UNDERWAY});
	if (vcpu_canonical(vcpu->rip))
		return LEAVE_MISS;
	undo_jump(t, vcpu);
	return LEAVE_INSN;
}

/* The last stub that begins at the offset or before. */
static struct bt_link *link_at(struct bt_block *block, uint32_t host)
{
	struct bt_link *found = NULL;
	for (unsigned n = 0; n < block->link_count; n++)
		if (block->link[n].stub <= host && (!found || block->link[n].stub > found->stub))
			found = &block->link[n];
	return found;
}

static enum leave leave_stub(struct vcpu *vcpu, struct bt_block *block, uint32_t host, struct bt_link **link)
{
	*link = link_at(block, host);
	if (!*link)
		return LEAVE_FORGED;
	vcpu->rip = (*link)->target;
	return (*link)->kind == BT_INSN ? LEAVE_INSN : LEAVE_LINK;
}

enum leave leave_cache(struct translate *t, struct vcpu *vcpu, struct bt_link **link, bool *follows_sti)
{
	uint64_t host = vcpu->rip - GATE_CACHE_CODE;
	const struct bt_piece *piece = host < t->used ? cache_piece(t, (uint32_t)host) : NULL;
	struct bt_locus locus;
	t->resume.block = NULL;
	t->doubtful = false;
	if (!piece)
		return LEAVE_FORGED;
	struct bt_block *block = piece->block;
	if (piece->kind == BT_THUNK)
		return leave_underway(t, vcpu);
	if (piece->kind == BT_CROSSING)
		return cross_leave(vcpu, cache_stage(t, piece, (uint32_t)host), follows_sti);
	if (piece->kind == BT_ENTRY) {
		entry_take(vcpu);
		return LEAVE_STOPPED;
	}
	if (host - block->host >= block->stubs)
		return leave_stub(vcpu, block, (uint32_t)host, link);
	if (!locate(t, block, (uint32_t)host, &locus))
		return LEAVE_FORGED;
	if (locus.undo == BT_UNDERWAY || locus.undo == BT_JUMPED)
		return leave_underway(t, vcpu);
	undo(t, vcpu, &locus);
	t->doubtful = locus.undo == BT_DELIVERS || locus.undo == BT_LENT;
	*follows_sti = locus.shadow;
	if (locus.resume != BT_NOWHERE) {
		t->resume.block = block;
		t->resume.host = block->host + locus.resume;
		t->resume.rip = vcpu->rip;
	}
	return LEAVE_STOPPED;
}

/* Where the guest is in code that has been forgotten since: nowhere. */
static uint64_t guest_rip(struct translate *t, uint64_t host)
{
	uint64_t at = host - GATE_CACHE_CODE;
	const struct bt_piece *piece = at < t->used ? cache_piece(t, (uint32_t)at) : NULL;
	struct bt_locus locus;
	bool found = piece && piece->block && piece->kind == BT_BODY && locate(t, piece->block, (uint32_t)at, &locus);
	return found ? locus.rip : 0;
}

void leave_show_fpu(struct trap *trap, void *image)
{
	uint64_t rip;
	memcpy(&rip, (uint8_t *)image + X86_FPU_FIP, sizeof(rip));
	if (rip < GATE_CACHE || rip >= GATE_CACHE_END)
		return;
	rip = guest_rip(trap->translate, rip);
	memcpy((uint8_t *)image + X86_FPU_FIP, &rip, sizeof(rip));
}

/* ----------------------------------------------------------------------------------------------------- executing */

/* An interrupt may come in before the next instruction: the run loop knows. */
static bool lets_in(struct vcpu *vcpu, const struct emu_insn *last)
{
	return vcpu->nmi == NMI_RELEASED || (vcpu_if(vcpu) && (vcpu->interrupt_waits || emu_reaches_devices(last)));
}

/* What follows `insn`, which has been executed. */
static void look_on(struct vcpu *vcpu, struct emu_insn insn)
{
	struct vm *vm = vcpu->vm;
	for (unsigned n = 0; n < CLUSTER_MAX; n++) {
		if (vcpu->event_pending || vcpu->halted || vm->ended || atomic_load(&vm->attention) ||
		    (!vcpu->interrupt_shadow && lets_in(vcpu, &insn)) || !emu_look_on(vcpu, &insn))
			return;
		enum emu_result result = emu_execute(vcpu, &insn);
		stats_sensitive(&vm->stats, emu_id(&insn), STAT_WAY_clustered, result != EMU_DONE);
		if (result != EMU_DONE)
			return;
	}
}

/* What of 32-bit code would rather be done in the cache. */
static void teach(struct translate *t, struct vcpu *vcpu, const struct emu_insn *insn, bool done)
{
	const ZydisDecodedOperand *to = &insn->operands[0];
	if (t->form != FORM_NARROW)
		return;
	if (!done && vcpu->cpl == 3 && insn->info.mnemonic == ZYDIS_MNEMONIC_INT)
		cross_note_call(t, vcpu, false, (uint8_t)to->imm.value.u);
	if (!done && vcpu->cpl == 3 && insn->info.mnemonic == ZYDIS_MNEMONIC_SYSENTER)
		cross_note_call(t, vcpu, true, 0);
	if (done && vcpu->cpl == 0 && to->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    ZydisRegisterGetClass(to->reg.value) == ZYDIS_REGCLASS_SEGMENT &&
	    (insn->info.mnemonic == ZYDIS_MNEMONIC_MOV || insn->info.mnemonic == ZYDIS_MNEMONIC_POP))
		cross_learn_load(t, vcpu, (unsigned)ZydisRegisterGetId(to->reg.value));
}

static void execute_sensitive(struct translate *t, struct vcpu *vcpu, const struct emu_insn *insn, struct vm_exit *exit)
{
	struct vm *vm = vcpu->vm;
	OBSERVE(vm, interpreted, vcpu, insn->bytes, insn->info.length);
	teach(t, vcpu, insn, false);
	enum emu_result result = emu_execute(vcpu, insn);
	stats_sensitive(&vm->stats, emu_id(insn), STAT_WAY_interpreted, result != EMU_DONE);
	if (result == EMU_DONE)
		teach(t, vcpu, insn, true);
	if (result == EMU_NOT_OURS) {
		interpret_one(vcpu, exit);
		return;
	}
	*exit = (struct vm_exit){.reason = EXIT_EMULATED};
	bool told = state_is_told(vm) || vcpu->debug.attached || vcpu->debug.pause;
	if (result == EMU_DONE && vcpu->cpl == 0 && !told)
		look_on(vcpu, *insn);
}

/* The kernel goes on where it was, and nothing may come in before. */
static bool goes_on(struct vcpu *vcpu, const struct vm_exit *exit)
{
	return exit->reason == EXIT_EMULATED && vcpu->cpl == 0 && vcpu_code_bits(vcpu) == 64 && !vcpu_if(vcpu) &&
	       vcpu->nmi != NMI_RELEASED && !vcpu->event_pending && !vcpu->halted && !vcpu->vm->ended &&
	       !atomic_load(&vcpu->vm->attention);
}

/* XSAVE or XRSTOR: what a kernel switches processes by comes in a row, and each would be an exit. */
static void go_through_switch(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	if (state_is_told(t->vm) || vcpu->debug.attached || vcpu->debug.pause) {
		interpret_one(vcpu, exit);
		return;
	}
	for (unsigned n = 0; n < SWITCH_MAX && (!n || goes_on(vcpu, exit)); n++)
		interpret_on(vcpu, exit, SWITCH_PATIENCE);
}

/* The interpreter has its own ways with these. */
static bool is_interpreters(const struct emu_insn *insn)
{
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_RDTSCP:
	case ZYDIS_MNEMONIC_INT:
		return true;
	default:
		return !emu_is_sensitive(insn);
	}
}

void leave_execute(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	struct emu_insn insn;
	if (emu_decode(vcpu, &insn) != EMU_DONE) {
		*exit = (struct vm_exit){.reason = EXIT_EMULATED};
	} else if (emu_is_sensitive(&insn) && vcpu->debug.pause && !vcpu->debug.step) {
		vcpu->debug.paused = true;
		*exit = (struct vm_exit){.reason = EXIT_KICK};
	} else if (is_interpreters(&insn)) {
		bool lent = trap_of(t->vm)->direct.lends && (bt_uses_fpu(&insn) || bt_uses_base(&insn));
		t->lent.left += lent;
		t->uses_fpu |= bt_uses_fpu(&insn) && !trap_of(t->vm)->direct.lends;
		if (!emu_is_sensitive(&insn))
			stats_sensitive(&vcpu->vm->stats, emu_id(&insn), STAT_WAY_interpreted, false);
		teach(t, vcpu, &insn, false);
		uint32_t leaf = (uint32_t)vcpu->gpr[RAX], subleaf = (uint32_t)vcpu->gpr[RCX];
		uint64_t behind = vcpu->rip + insn.info.length;
		if (insn.info.meta.category == ZYDIS_CATEGORY_XSAVE)
			go_through_switch(t, vcpu, exit);
		else if (lent)
			interpret_on(vcpu, exit, LENT_PATIENCE);
		else
			interpret_one(vcpu, exit);
		/* Or a kick came before it. */
		if (insn.info.mnemonic == ZYDIS_MNEMONIC_CPUID && vcpu->rip == behind)
			state_note_identity(t, vcpu, leaf, subleaf);
	} else {
		execute_sensitive(t, vcpu, &insn, exit);
	}
}
