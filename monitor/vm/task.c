/*
 * Hardware task switches, in the steps of SDM 3A 7.3, for task-state segments of 32 and of 16 bits (7.2.1, 7.6).
 */
#include "monitor/vm/task.h"

#include <string.h>

#include "monitor/vm/segment.h"
#include "monitor/vm/stack.h"
#include "monitor/vm/vm.h"

#define TSS_LINK 0

/* Where a TSS has what; the general and segment registers in the order of their numbers. */
struct layout {
	unsigned width;				   /* of a register, bytes */
	uint16_t size;				   /* of the part that the processor knows */
	uint16_t stacks;			   /* SP and SS of privilege 0, then 1 and 2 */
	uint16_t cr3;				   /* 0: none */
	uint16_t ip, flags, gpr, sregs, ldt, trap; /* trap 0: none */
	unsigned sreg_count;
};

static const struct layout layout_32 = {
	.width = 4,
	.size = X86_TSS_SIZE,
	.stacks = 4,
	.cr3 = 28,
	.ip = 32,
	.flags = 36,
	.gpr = 40,
	.sregs = 72,
	.ldt = 96,
	.trap = 100,
	.sreg_count = SREG_COUNT,
};
static const struct layout layout_16 = {
	.width = 2,
	.size = 44,
	.stacks = 2,
	.ip = 14,
	.flags = 16,
	.gpr = 18,
	.sregs = 34,
	.ldt = 42,
	.sreg_count = SREG_FS,
};

#define TSS_GPRS  8
#define TSS_TRAP  R3_BIT(0)
#define BUSY_BIT  R3_BIT(X86_DESC_TYPE_SHIFT + 1)
#define IS_32_BIT R3_BIT(X86_DESC_TYPE_SHIFT + 3)

static const struct layout *layout_of(uint64_t descriptor)
{
	return descriptor & IS_32_BIT ? &layout_32 : &layout_16;
}

static uint32_t field(const struct layout *l, const uint8_t *tss, unsigned at)
{
	uint32_t value = 0;
	memcpy(&value, tss + at, l->width);
	return value;
}

static void set_field(const struct layout *l, uint8_t *tss, unsigned at, uint64_t value)
{
	memcpy(tss + at, &value, l->width);
}

/* Selectors stand every `width` bytes. */
static uint16_t selector_at(const uint8_t *tss, unsigned at)
{
	uint16_t selector;
	memcpy(&selector, tss + at, sizeof(selector));
	return selector;
}

bool task_stack(struct vcpu *vcpu, unsigned cpl, uint32_t ext, uint16_t *ss, uint64_t *sp, struct gm_fault *fault)
{
	const struct layout *l = layout_of(vcpu->tr.descriptor);
	uint32_t at = l->stacks + cpl * 2 * l->width;
	uint8_t raw[2 * 4];
	if (!vcpu->tr.present || at + 2 * l->width - 1 > vcpu->tr.limit)
		return seg_fail(fault, X86_VEC_TS, seg_error(vcpu->tr.selector) | ext);
	if (!gm_read_gva(vcpu, (uint32_t)(vcpu->tr.base + at), raw, 2 * l->width, GM_SYSTEM, fault))
		return false;
	*sp = field(l, raw, 0);
	*ss = selector_at(raw, l->width);
	return true;
}

bool task_stack_64(struct vcpu *vcpu, unsigned offset, uint32_t ext, uint64_t *rsp, struct gm_fault *fault)
{
	if (!vcpu->tr.present || offset + sizeof(*rsp) - 1 > vcpu->tr.limit)
		return seg_fail(fault, X86_VEC_TS, seg_error(vcpu->tr.selector) | ext);
	return gm_read_gva(vcpu, vcpu->tr.base + offset, rsp, sizeof(*rsp), GM_SYSTEM, fault);
}

/* ---------------------------------------------------------------------------------------------------- the old task */

static bool save(struct vcpu *vcpu, const struct task_switch *to, struct gm_fault *fault)
{
	const struct layout *l = layout_of(vcpu->tr.descriptor);
	uint64_t flags = vcpu_rflags(vcpu);
	uint8_t tss[X86_TSS_SIZE];
	unsigned end = l->sregs + l->sreg_count * l->width;
	if (to->cause == TASK_RETURN)
		flags &= ~X86_RFLAGS_NT;
	set_field(l, tss, l->ip, to->rip);
	set_field(l, tss, l->flags, flags);
	for (unsigned n = 0; n < TSS_GPRS; n++)
		set_field(l, tss, l->gpr + n * l->width, vcpu->gpr[n]);
	for (unsigned n = 0; n < l->sreg_count; n++)
		set_field(l, tss, l->sregs + n * l->width, vcpu->sreg[n].selector);
	return gm_write_gva(vcpu, (uint32_t)(vcpu->tr.base + l->ip), tss + l->ip, end - l->ip, GM_SYSTEM, fault);
}

static bool set_busy(struct vcpu *vcpu, uint16_t selector, bool busy, struct gm_fault *fault)
{
	uint64_t d;
	return seg_read(vcpu, selector, &d, fault) &&
	       seg_write(vcpu, selector, busy ? d | BUSY_BIT : d & ~BUSY_BIT, fault);
}

/* ---------------------------------------------------------------------------------------------------- the new task */

/* Its TSS's descriptor, checked; what stays to be done is written by nobody yet. */
static bool find(struct vcpu *vcpu, const struct task_switch *to, uint64_t *descriptor, struct gm_fault *fault)
{
	bool returns = to->cause == TASK_RETURN;
	uint32_t error = seg_error(to->selector) | to->ext;
	uint8_t wrong = returns ? X86_VEC_TS : X86_VEC_GP;
	uint64_t d;
	if (seg_is_null(to->selector) || (to->selector & X86_SEL_TI))
		return seg_fail(fault, wrong, error);
	if (!seg_read(vcpu, to->selector, &d, fault))
		return fault->vector == X86_VEC_PF ? false : seg_fail(fault, wrong, error);
	unsigned type = seg_type(d), wanted = returns ? X86_SYSTYPE_TSS_BUSY : X86_SYSTYPE_TSS_AVAIL;
	if (type != wanted && type != (wanted & ~X86_SYSTYPE_32))
		return seg_fail(fault, wrong, error);
	if (!(d & X86_DESC_P))
		return seg_fail(fault, X86_VEC_NP, error);
	if (seg_make(to->selector, d).limit < layout_of(d)->size - 1u)
		return seg_fail(fault, X86_VEC_TS, error);
	*descriptor = d;
	return true;
}

static bool load_ldt(struct vcpu *vcpu, uint16_t selector, uint32_t ext, struct gm_fault *fault)
{
	uint32_t error = seg_error(selector) | ext;
	uint64_t d[2];
	vcpu->ldtr = (struct vcpu_segment){.selector = selector};
	if (seg_is_null(selector))
		return true;
	if (!seg_read_system(vcpu, selector, d, fault))
		return fault->vector == X86_VEC_PF ? false : seg_fail(fault, X86_VEC_TS, error);
	if (seg_type(d[0]) != X86_SYSTYPE_LDT || !(d[0] & X86_DESC_P))
		return seg_fail(fault, X86_VEC_TS, error);
	vcpu->ldtr = seg_make(selector, d[0]);
	return true;
}

/* A data segment's faults are #TS here, but for one that is not present. */
static bool load_data(struct vcpu *vcpu, enum vcpu_sreg sreg, uint32_t ext, struct gm_fault *fault)
{
	uint16_t selector = vcpu->sreg[sreg].selector;
	if (seg_load_data(vcpu, sreg, selector, fault))
		return true;
	if (fault->vector == X86_VEC_GP)
		fault->vector = X86_VEC_TS;
	if (fault->vector != X86_VEC_PF)
		fault->error |= ext;
	return false;
}

static bool load_code(struct vcpu *vcpu, uint32_t ext, struct gm_fault *fault)
{
	uint16_t selector = vcpu->sreg[SREG_CS].selector;
	uint32_t error = seg_error(selector) | ext;
	unsigned rpl = selector & X86_SEL_RPL;
	uint64_t d;
	if (seg_is_null(selector))
		return seg_fail(fault, X86_VEC_TS, error);
	if (!seg_read(vcpu, selector, &d, fault))
		return fault->vector == X86_VEC_PF ? false : seg_fail(fault, X86_VEC_TS, error);
	bool privilege = d & X86_DESC_CONFORMING ? seg_dpl(d) <= rpl : seg_dpl(d) == rpl;
	if (!seg_is_code(d) || !privilege)
		return seg_fail(fault, X86_VEC_TS, error);
	if (!(d & X86_DESC_P))
		return seg_fail(fault, X86_VEC_NP, error);
	vcpu->sreg[SREG_CS] = seg_make(selector, d);
	return true;
}

/* The selectors are in place, their segments not: any fault from here on is the new task's. */
static bool load_segments(struct vcpu *vcpu, uint16_t ldt, uint32_t ext, struct gm_fault *fault)
{
	static const enum vcpu_sreg data[] = {SREG_ES, SREG_DS, SREG_FS, SREG_GS};
	unsigned cpl = vcpu->sreg[SREG_CS].selector & X86_SEL_RPL;
	struct seg_stack_use use = {.cpl = cpl, .bits = 32, .vector = X86_VEC_TS, .ext = ext};
	if (!load_ldt(vcpu, ldt, ext, fault))
		return false;
	if (vcpu_is_v86(vcpu)) {
		for (unsigned n = 0; n < SREG_COUNT; n++)
			seg_load_8086(vcpu, (enum vcpu_sreg)n, vcpu->sreg[n].selector);
		vcpu->cpl = 3;
		return true;
	}
	vcpu->cpl = cpl;
	if (!load_code(vcpu, ext, fault) ||
	    !seg_check_stack(vcpu, vcpu->sreg[SREG_SS].selector, &use, &vcpu->sreg[SREG_SS], fault))
		return false;
	for (unsigned i = 0; i < sizeof(data) / sizeof(data[0]); i++)
		if (!load_data(vcpu, data[i], ext, fault))
			return false;
	return seg_check_offset(vcpu, &vcpu->sreg[SREG_CS], vcpu->rip, ext, fault);
}

static void load_registers(struct vcpu *vcpu, const struct layout *l, const uint8_t *tss, bool nested)
{
	uint64_t flags = field(l, tss, l->flags) | (nested ? X86_RFLAGS_NT : 0);
	vcpu->rip = field(l, tss, l->ip);
	vcpu_set_rflags(vcpu, flags);
	vcpu->rflags = (vcpu->rflags & ~X86_RFLAGS_VM) | (l->width == 4 ? flags & X86_RFLAGS_VM : 0);
	for (unsigned n = 0; n < TSS_GPRS; n++)
		vcpu->gpr[n] = field(l, tss, l->gpr + n * l->width) | (l->width == 2 ? 0xffff0000 : 0);
	for (unsigned n = 0; n < SREG_COUNT; n++) {
		uint16_t selector = n < l->sreg_count ? selector_at(tss, l->sregs + n * l->width) : 0;
		vcpu->sreg[n] = (struct vcpu_segment){.selector = selector};
	}
}

static bool push_error(struct vcpu *vcpu, const struct layout *l, uint32_t error, struct gm_fault *fault)
{
	struct stack stack = stack_of(vcpu);
	uint64_t word = error;
	if (!stack_push(vcpu, &stack, l->width, &word, 1, fault))
		return false;
	vcpu->gpr[RSP] = stack.sp;
	return true;
}

/* Debug registers' local bits go with the task; its own trap flag comes before its first instruction. */
static void finish(struct vcpu *vcpu, const struct layout *l, const uint8_t *tss)
{
	vcpu->dr[7] &= ~(X86_DR7_L(0) | X86_DR7_L(1) | X86_DR7_L(2) | X86_DR7_L(3) | X86_DR7_LE);
	if (l->trap && (field(l, tss, l->trap) & TSS_TRAP)) {
		vcpu_raise_error(vcpu, X86_VEC_DB, 0);
		vcpu->event.kind = EVENT_TRAP;
		vcpu->dr[6] |= X86_DR6_BT;
	}
}

bool task_switch(struct vcpu *vcpu, const struct task_switch *to, bool *switched, struct gm_fault *fault)
{
	bool nests = to->cause == TASK_CALL || to->cause == TASK_EVENT, returns = to->cause == TASK_RETURN;
	uint16_t old = vcpu->tr.selector;
	uint8_t tss[X86_TSS_SIZE];
	uint64_t d;

	*switched = false;
	if (!find(vcpu, to, &d, fault))
		return false;
	const struct layout *l = layout_of(d);
	struct vcpu_segment tr = seg_make(to->selector, d | BUSY_BIT);
	if (!gm_read_gva(vcpu, tr.base, tss, l->size, GM_SYSTEM, fault) || !save(vcpu, to, fault))
		return false;
	if ((!nests && !set_busy(vcpu, old, false, fault)) || (!returns && !set_busy(vcpu, to->selector, true, fault)))
		return false;
	if (nests && !gm_write_gva(vcpu, tr.base + TSS_LINK, &old, sizeof(old), GM_SYSTEM, fault))
		return false;

	*switched = true;
	vcpu->tr = tr;
	vcpu->cr0 |= X86_CR0_TS;
	/* Without PDPTEs that can be loaded the old tables stay, and the new task does not get far. */
	if (l->cr3 && (vcpu->cr0 & X86_CR0_PG))
		vcpu_load_cr3(vcpu, field(l, tss, l->cr3));
	load_registers(vcpu, l, tss, nests);
	if (!load_segments(vcpu, selector_at(tss, l->ldt), to->ext, fault))
		return false;
	if (to->has_error && !push_error(vcpu, l, to->error, fault))
		return false;
	finish(vcpu, l, tss);
	return true;
}
