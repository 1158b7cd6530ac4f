/*
 * Between user mode of 32 bits and its kernel without the monitor: what may be gone through in the cache, and what the
 * vCPU is afterwards. What a gate or a load does is taken from where the monitor has just done it; what it depends on
 * in memory is compared there, what it depends on in registers here.
 */
#include <string.h>

#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/judge.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

#define NO_VECTOR (UINT8_MAX + 1)

/* RFLAGS that a handler of a gate is entered without, SDM 3A 6.12.1. */
#define TAKEN (X86_RFLAGS_TF | X86_RFLAGS_NT | X86_RFLAGS_RF | X86_RFLAGS_VM)
/* Those with which the ways are not gone: what PUSHF would have to show, and IRET to look at. */
#define ODD (X86_RFLAGS_IOPL | X86_RFLAGS_NT | X86_RFLAGS_AC)

#define GATE_DPL_USER 3

_Static_assert(sizeof(((struct bt_state *)0)->may) == BT_CROSSES * sizeof(uint64_t), "a word for each way");
_Static_assert(sizeof(((struct bt_place *)0)->cross) == BT_CROSSES * sizeof(uint64_t), "a word for each way");

static uint64_t in_state(size_t offset)
{
	return GATE_CACHE_STATE + offset;
}

static bool same_table(const struct vcpu_table *a, const struct vcpu_table *b)
{
	return a->base == b->base && a->limit == b->limit;
}

static bool same_segment(const struct vcpu_segment *a, const struct vcpu_segment *b)
{
	return a->selector == b->selector && a->present == b->present && a->base == b->base && a->limit == b->limit &&
	       a->descriptor == b->descriptor;
}

static bool still_holds(const struct cross_known *known, const struct vcpu *vcpu)
{
	return same_table(&known->gdtr, &vcpu->gdtr) && same_table(&known->idtr, &vcpu->idtr) &&
	       same_segment(&known->tr, &vcpu->tr) && same_segment(&known->ldtr, &vcpu->ldtr);
}

static void forget(struct translate *t, const struct vcpu *vcpu)
{
	struct bt_state *state = t->state;
	t->crossing.gdtr = vcpu->gdtr;
	t->crossing.idtr = vcpu->idtr;
	t->crossing.tr = vcpu->tr;
	t->crossing.ldtr = vcpu->ldtr;
	t->crossing.described = false;
	t->crossing.next = 0;
	for (unsigned n = 0; n < BT_CROSS_SEGMENTS; n++)
		state->cross_selector[n] = NO_SELECTOR;
	for (unsigned n = 0; n < BT_GATES; n++)
		state->gates[n].vector = NO_VECTOR;
	for (unsigned n = 0; n <= BT_KNOWN; n++)
		state->known[n] = (struct bt_known){.selector = NO_SELECTOR, .flat = NO_SELECTOR};
	for (unsigned n = 0; n <= UINT8_MAX; n++)
		state->known_at[n] = offsetof(struct bt_state, known);
}

/* Where the kernel's window shows the descriptor, and what it is. False: it is none of the GDT's. */
static bool describe(const struct vcpu *vcpu, const struct vcpu_segment *segment, struct bt_described *described)
{
	uint32_t at = segment->selector & X86_SEL_INDEX;
	if (seg_is_null(segment->selector) || (segment->selector & X86_SEL_TI) ||
	    at + X86_DESC_SIZE - 1 > vcpu->gdtr.limit)
		return false;
	*described = (struct bt_described){BT_WINDOW_BASE + (uint32_t)(vcpu->gdtr.base + at), segment->descriptor};
	return true;
}

/* -------------------------------------------------------------------------------------------------------- segments */

static bool is_privileged(const struct vcpu_segment *segment)
{
	const uint64_t conforming = X86_DESC_CODE | X86_DESC_CONFORMING;
	return segment->present && seg_dpl(segment->descriptor) < 3 && (segment->descriptor & conforming) != conforming;
}

void cross_learn_load(struct translate *t, const struct vcpu *vcpu, unsigned sreg)
{
	struct cross_known *known = &t->crossing;
	const struct vcpu_segment *segment = &vcpu->sreg[sreg];
	struct bt_known *entry = &t->state->known[known->next % BT_KNOWN + 1];
	struct bt_described descriptor = {in_state(offsetof(struct bt_state, nothing)), 0};
	bool null = seg_is_null(segment->selector) && !segment->present;
	if (!still_holds(known, vcpu) || (!null && !describe(vcpu, segment, &descriptor)))
		return;
	t->state->nothing = 0;
	known->loadable[known->next++ % BT_KNOWN] = *segment;
	*entry = (struct bt_known){
		.selector = segment->selector,
		.flat = seg_is_all(segment) && seg_is_writable_data(segment) ? segment->selector : NO_SELECTOR,
		.descriptor = descriptor,
		.base = {BT_WINDOW_BASE + form_segment_base(segment),
			 (t->one_cell ? BT_WINDOW_USER : BT_WINDOW_BASE) + form_segment_base(segment)},
		.privileged = is_privileged(segment),
	};
	t->state->known_at[segment->selector & UINT8_MAX] = (uint16_t)((uint8_t *)entry - (uint8_t *)t->state);
}

/* What the state says was loaded last, if it is one that can be. */
static void take_loaded(struct translate *t, struct vcpu *vcpu, unsigned sreg)
{
	const volatile struct bt_state *state = t->state;
	uint64_t at = state->loaded[sreg] - in_state(offsetof(struct bt_state, known)),
		 n = at / sizeof(struct bt_known);
	if (at % sizeof(struct bt_known) == 0 && n > 0 && n <= BT_KNOWN && n <= t->crossing.next)
		vcpu->sreg[sreg] = t->crossing.loadable[n - 1];
}

/* ----------------------------------------------------------------------------------------------------------- gates */

void cross_note_call(struct translate *t, const struct vcpu *vcpu, bool fast, uint8_t vector)
{
	t->crossing.called = t->one_cell;
	t->crossing.fast = fast;
	t->crossing.vector = vector;
	t->crossing.cs = vcpu->sreg[SREG_CS];
	t->crossing.ss = vcpu->sreg[SREG_SS];
}

/* One that user mode may use, which leads to where the vCPU is. */
static bool is_such_gate(const struct vcpu *vcpu, uint64_t gate)
{
	unsigned type = seg_type(gate);
	uint32_t offset = (gate & UINT16_MAX) | (uint32_t)(gate >> 48) << 16;
	return (gate & X86_DESC_P) && seg_dpl(gate) == GATE_DPL_USER &&
	       (type == X86_GATE_INTERRUPT || type == X86_GATE_TRAP) && offset == vcpu->rip &&
	       (uint16_t)(gate >> 16) == vcpu->sreg[SREG_CS].selector;
}

/* The segments from which and to which the gate led, flat ones of their levels. */
static bool are_such_segments(const struct cross_known *known, const struct vcpu *vcpu)
{
	const struct vcpu_segment *cs = &vcpu->sreg[SREG_CS], *ss = &vcpu->sreg[SREG_SS];
	return seg_are_flat(vcpu) && seg_is_readable_code(cs) && seg_is_readable_code(&known->cs) &&
	       !seg_dpl(cs->descriptor) && !(cs->descriptor & X86_DESC_CONFORMING) && !(ss->selector & X86_SEL_RPL) &&
	       seg_is_all(&known->cs) && seg_is_all(&known->ss) && seg_dpl(known->cs.descriptor) == 3 &&
	       (known->cs.descriptor & X86_DESC_DB) && seg_is_writable_data(&known->ss) &&
	       seg_dpl(known->ss.descriptor) == 3;
}

/* False: they are others than those of the gates that are known, or not to be described. */
static bool set_segments(struct translate *t, const struct vcpu *vcpu)
{
	struct cross_known *known = &t->crossing;
	const struct vcpu_segment now[BT_CROSS_SEGMENTS] = {vcpu->sreg[SREG_CS], vcpu->sreg[SREG_SS], known->cs,
							    known->ss};
	for (unsigned n = 0; n < BT_CROSS_SEGMENTS; n++) {
		if (known->described && !same_segment(&now[n], &known->segment[n]))
			return false;
		if (!describe(vcpu, &now[n], &t->state->cross_segment[n]))
			return false;
		t->state->cross_selector[n] = now[n].selector;
		known->segment[n] = now[n];
	}
	return true;
}

/* SYSENTER and SYSEXIT load those, whatever the tables hold. */
static bool are_sysenters(const struct vcpu_segment *segment, const struct vcpu *vcpu)
{
	const uint16_t cs = seg_error((uint16_t)vcpu->sysenter_cs);
	const struct vcpu_segment loaded[BT_CROSS_SEGMENTS] = {
		[BT_KERNEL_CS] = seg_make(cs, SEG_FLAT_CODE_32(0)),
		[BT_KERNEL_SS] = seg_make(cs + 8, SEG_FLAT_DATA(0)),
		[BT_USER_CS] = seg_make((cs + 16) | X86_SEL_RPL, SEG_FLAT_CODE_32(3)),
		[BT_USER_SS] = seg_make((cs + 24) | X86_SEL_RPL, SEG_FLAT_DATA(3)),
	};
	bool same = vcpu->vm->cpu.has[CPU_sep] && cs;
	for (unsigned n = 0; n < BT_CROSS_SEGMENTS; n++)
		same = same && same_segment(&segment[n], &loaded[n]);
	return same;
}

static void learn_gate(struct translate *t, struct vcpu *vcpu)
{
	struct cross_known *known = &t->crossing;
	struct gm_fault fault;
	uint64_t gate;
	unsigned offset = known->vector * X86_DESC_SIZE;
	bool tss = seg_type(vcpu->tr.descriptor) == X86_SYSTYPE_TSS_BUSY &&
		   vcpu->tr.limit > X86_TSS_SS0 + sizeof(uint16_t);
	if (!tss || offset + X86_DESC_SIZE - 1 > vcpu->idtr.limit ||
	    !gm_read_gva(vcpu, vcpu->idtr.base + offset, &gate, sizeof(gate), GM_SYSTEM, &fault) ||
	    !is_such_gate(vcpu, gate) || !are_such_segments(known, vcpu) || !set_segments(t, vcpu))
		return;
	bool masks = seg_type(gate) == X86_GATE_INTERRUPT;
	t->state->tss_at = BT_WINDOW_BASE + (uint32_t)vcpu->tr.base;
	t->state->gates[known->vector % BT_GATES] = (struct bt_gate){
		.vector = known->vector,
		.gate = {BT_WINDOW_BASE + (uint32_t)(vcpu->idtr.base + offset), gate},
		.target = vcpu->rip,
		.kept = ~(uint64_t)(TAKEN | (masks ? X86_RFLAGS_IF : 0)),
	};
	known->described = true;
}

void cross_learn_call(struct translate *t, struct vcpu *vcpu)
{
	if (!t->crossing.called)
		return;
	t->crossing.called = false;
	if (vcpu->cpl != 0 || vcpu_is_long(vcpu) || !form_is_narrow(vcpu) || !still_holds(&t->crossing, vcpu))
		return;
	if (!t->crossing.fast)
		learn_gate(t, vcpu);
	else if (are_such_segments(&t->crossing, vcpu) && set_segments(t, vcpu))
		t->crossing.described = true;
}

/* ----------------------------------------------------------------------------------------------------- the state */

/* The ways do what the processor does where nothing asks for more. */
static bool may_cross(const struct translate *t, const struct vcpu *vcpu)
{
	const struct vcpu_segment *segment = t->crossing.segment;
	bool users = same_segment(&vcpu->sreg[SREG_CS], &segment[BT_USER_CS]) &&
		     same_segment(&vcpu->sreg[SREG_SS], &segment[BT_USER_SS]);
	return t->crossing.described && !vcpu_is_long(vcpu) && (t->mode & BT_IF) && !(vcpu->rflags & ODD) &&
	       !(vcpu->cr4 & X86_CR4_TSD) && vcpu->nmi == NMI_OPEN && (vcpu->cpl == 0 || users);
}

void cross_fill(struct translate *t, const struct vcpu *vcpu)
{
	struct bt_state *state = t->state;
	if (!still_holds(&t->crossing, vcpu))
		forget(t, vcpu);
	bool may = may_cross(t, vcpu);
	state->level = vcpu->cpl;
	state->may[BT_CROSS_IN] = may;
	/* After a page fault the monitor fills the page on the way. */
	state->may[BT_CROSS_OUT] = may && !vcpu->refill.wanted;
	bool fast = may && are_sysenters(t->crossing.segment, vcpu);
	state->may[BT_CROSS_ENTER] = fast;
	state->may[BT_CROSS_EXIT] = fast && !vcpu->refill.wanted;
	state->sysenter_esp = (uint32_t)vcpu->sysenter_esp;
	state->sysenter_eip = (uint32_t)vcpu->sysenter_eip;
	state->fs_base[0] = BT_WINDOW_BASE + form_segment_base(&vcpu->sreg[SREG_FS]);
	state->fs_base[1] = (t->one_cell ? BT_WINDOW_USER : BT_WINDOW_BASE) + form_segment_base(&vcpu->sreg[SREG_GS]);
	for (unsigned n = 0; n < SREG_COUNT; n++) {
		state->privileged[n] = is_privileged(&vcpu->sreg[n]);
		state->loaded[n] = 0;
	}
	t->crossing.crossings = state->crossings;
}

void cross_take(struct translate *t, struct vcpu *vcpu)
{
	const volatile struct bt_state *state = t->state;
	uint64_t crossings = state->crossings;
	unsigned level = state->level == 3 ? 3 : 0;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		if (n != SREG_CS && n != SREG_SS)
			take_loaded(t, vcpu, n);
	if (!t->crossing.described || (crossings == t->crossing.crossings && level == vcpu->cpl))
		return;
	const struct vcpu_segment *segment = &t->crossing.segment[level ? BT_USER_CS : BT_KERNEL_CS];
	/* There and back is one entry to user mode. */
	trap_of(t->vm)->direct.total += (crossings - t->crossing.crossings) / 2;
	t->vm->stats.vcpu[vcpu->id].exits[STAT_direct] = trap_of(t->vm)->direct.total;
	vcpu->cpl = (uint8_t)level;
	vcpu->sreg[SREG_CS] = segment[0];
	vcpu->sreg[SREG_SS] = segment[1];
	vcpu->interrupt_shadow = false;
}

/* -------------------------------------------------------------------------------------------------------- leaving */

static void set_flags(struct vcpu *vcpu, uint64_t image)
{
	vcpu->rflags = (vcpu->rflags & ~(uint64_t)JUDGE_RFLAGS) | (image & JUDGE_RFLAGS) | X86_RFLAGS_FIXED;
	vcpu_set_if(vcpu, image & X86_RFLAGS_IF);
}

static enum leave leave_fast(struct vcpu *vcpu, enum bt_stage stage, bool *follows_sti)
{
	uint64_t *gpr = vcpu->gpr;
	vcpu->rip = (uint32_t)gpr[stage == BT_THROUGH ? R8 : R15];
	switch (stage) {
	case BT_THROUGH:
		gpr[RSP] = gpr[R13];
		vcpu_set_if(vcpu, gpr[R12] & X86_RFLAGS_IF);
		return LEAVE_STOPPED;
	case BT_ASIDE:
		gpr[RCX] = gpr[R10];
		*follows_sti = gpr[R14];
		return LEAVE_CROSSING;
	default:
		return LEAVE_INSN;
	}
}

enum leave cross_leave(struct vcpu *vcpu, enum bt_stage stage, bool *follows_sti)
{
	bool behind = stage == BT_BEHIND;
	if (stage >= BT_ASIDE)
		return leave_fast(vcpu, stage, follows_sti);
	if (stage >= BT_DECIDE)
		set_flags(vcpu, vcpu->gpr[behind ? R12 : R10]);
	if (stage != BT_BEFORE)
		vcpu->gpr[RSP] = vcpu->gpr[behind ? R13 : R11];
	vcpu->rip = (uint32_t)vcpu->gpr[behind ? R8 : R15];
	return stage == BT_REFUSE ? LEAVE_INSN : behind ? LEAVE_STOPPED : LEAVE_CROSSING;
}

void cross_show(struct translate *t, struct vcpu *vcpu, const struct vm_exit *exit)
{
	uint64_t gva;
	if (exit->vector != X86_VEC_PF || !form_guest(t, exit->gva, &gva))
		return;
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_space *space = spt_space_find(t->vm->spt, &paging, SPT_KERNEL);
	struct spt_outcome outcome;
	if (space && spt_fault(space, &paging, gva, exit->error & X86_PF_W, &outcome) == SPT_HOST_REFUSED)
		t->vm->engine_ops->space_lost(t->vm, space, outcome.host_error);
}
