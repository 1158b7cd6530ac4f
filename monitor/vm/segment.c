/*
 * Segment descriptors: how a selector becomes a segment register, with the checks in the manual's order.
 */
#include "monitor/vm/segment.h"

#include "monitor/vm/vm.h"

#define DESC_LIMIT_LOW	R3_U64(0xffff)
#define DESC_LIMIT_HIGH R3_U64(0x000f000000000000)

/* Data, writable, 16 bits: what the processor believes of each segment after reset, CS too. */
#define SEG_8086       (X86_DESC_P | X86_DESC_S | X86_DESC_RW | X86_DESC_ACCESSED)
#define SEG_8086_LIMIT UINT16_MAX

struct vcpu_segment seg_make(uint16_t selector, uint64_t d)
{
	uint32_t limit = (d & DESC_LIMIT_LOW) | (d & DESC_LIMIT_HIGH) >> 32;
	uint64_t base = (d >> 16 & 0xffffff) | (d >> 56) << 24;
	if (d & X86_DESC_G)
		limit = limit << X86_PAGE_SHIFT | X86_PAGE_MASK;
	return (struct vcpu_segment){
		.selector = selector, .present = true, .limit = limit, .base = base, .descriptor = d};
}

struct vcpu_segment seg_make_8086(uint16_t selector, bool user)
{
	return (struct vcpu_segment){
		.selector = selector,
		.present = true,
		.limit = SEG_8086_LIMIT,
		.base = (uint64_t)selector << 4,
		.descriptor = SEG_8086 | (user ? R3_U64(3) << X86_DESC_DPL_SHIFT : 0),
	};
}

static bool within_limit(const struct vcpu_segment *s, uint32_t offset, unsigned len)
{
	uint64_t last = (uint64_t)offset + len - 1;

	if (seg_is_code(s->descriptor) || !(s->descriptor & X86_DESC_EXPAND_DOWN))
		return last <= s->limit;
	return offset > s->limit && last <= (s->descriptor & X86_DESC_DB ? UINT32_MAX : UINT16_MAX);
}

bool seg_linear(const struct vcpu_segment *s, uint32_t offset, unsigned len, bool write, uint32_t *linear)
{
	bool code = seg_is_code(s->descriptor), rw = s->descriptor & X86_DESC_RW;

	/* RW is "writable" of data, "readable" of code. */
	if (!s->present || (write ? code || !rw : code && !rw) || !within_limit(s, offset, len))
		return false;
	*linear = (uint32_t)s->base + offset;
	return true;
}

/* ------------------------------------------------------------------------------------------ descriptors in memory */

/* Where in linear memory the selector's descriptor of `size` bytes lies. */
static bool locate(struct vcpu *vcpu, uint16_t selector, unsigned size, uint64_t *gva, struct gm_fault *fault)
{
	uint32_t offset = selector & X86_SEL_INDEX;
	uint64_t base = vcpu->gdtr.base;
	uint32_t limit = vcpu->gdtr.limit;
	if (selector & X86_SEL_TI) {
		if (!vcpu->ldtr.present)
			return seg_fail(fault, X86_VEC_GP, seg_error(selector));
		base = vcpu->ldtr.base;
		limit = vcpu->ldtr.limit;
	}
	if (offset + size - 1 > limit)
		return seg_fail(fault, X86_VEC_GP, seg_error(selector));
	*gva = vcpu_is_long(vcpu) ? base + offset : (uint32_t)(base + offset);
	return true;
}

bool seg_read(struct vcpu *vcpu, uint16_t selector, uint64_t *descriptor, struct gm_fault *fault)
{
	uint64_t gva;
	return locate(vcpu, selector, X86_DESC_SIZE, &gva, fault) &&
	       gm_read_gva(vcpu, gva, descriptor, sizeof(*descriptor), GM_SYSTEM, fault);
}

bool seg_read_gate(struct vcpu *vcpu, uint16_t selector, uint64_t descriptor[2], struct gm_fault *fault)
{
	unsigned size = vcpu_is_long(vcpu) ? X86_GATE_SIZE : X86_DESC_SIZE;
	uint64_t gva;
	descriptor[1] = 0;
	return locate(vcpu, selector, size, &gva, fault) && gm_read_gva(vcpu, gva, descriptor, size, GM_SYSTEM, fault);
}

bool seg_read_system(struct vcpu *vcpu, uint16_t selector, uint64_t descriptor[2], struct gm_fault *fault)
{
	if (selector & X86_SEL_TI)
		return seg_fail(fault, X86_VEC_GP, seg_error(selector));
	return seg_read_gate(vcpu, selector, descriptor, fault);
}

bool seg_write(struct vcpu *vcpu, uint16_t selector, uint64_t descriptor, struct gm_fault *fault)
{
	uint64_t gva;
	return locate(vcpu, selector, X86_DESC_SIZE, &gva, fault) &&
	       gm_write_gva(vcpu, gva, &descriptor, sizeof(descriptor), GM_SYSTEM, fault);
}

/* The processor marks a descriptor it loads as accessed. */
static bool mark_accessed(struct vcpu *vcpu, uint16_t selector, uint64_t *descriptor, struct gm_fault *fault)
{
	if (*descriptor & X86_DESC_ACCESSED)
		return true;
	*descriptor |= X86_DESC_ACCESSED;
	return seg_write(vcpu, selector, *descriptor, fault);
}

/* ------------------------------------------------------------------------------------------------ data and stack */

void seg_load_8086(struct vcpu *vcpu, enum vcpu_sreg sreg, uint16_t selector)
{
	struct vcpu_segment *s = &vcpu->sreg[sreg], loaded = seg_make_8086(selector, vcpu_is_v86(vcpu));
	if (!vcpu_is_protected(vcpu) && s->present) {
		loaded.limit = s->limit;
		loaded.descriptor |= s->descriptor & X86_DESC_DB;
	}
	*s = loaded;
}

bool seg_load_data(struct vcpu *vcpu, enum vcpu_sreg sreg, uint16_t selector, struct gm_fault *fault)
{
	uint64_t d;
	if (vcpu_is_8086(vcpu)) {
		seg_load_8086(vcpu, sreg, selector);
		return true;
	}
	if (seg_is_null(selector)) {
		vcpu->sreg[sreg] = (struct vcpu_segment){.selector = selector};
		return true;
	}
	if (!seg_read(vcpu, selector, &d, fault))
		return false;
	bool readable = (d & X86_DESC_S) && (!(d & X86_DESC_CODE) || (d & X86_DESC_RW));
	bool conforming = seg_is_code(d) && (d & X86_DESC_CONFORMING);
	unsigned rpl = selector & X86_SEL_RPL;
	if (!readable || (!conforming && (rpl > seg_dpl(d) || vcpu->cpl > seg_dpl(d))))
		return seg_fail(fault, X86_VEC_GP, seg_error(selector));
	if (!(d & X86_DESC_P))
		return seg_fail(fault, X86_VEC_NP, seg_error(selector));
	if (!mark_accessed(vcpu, selector, &d, fault))
		return false;
	vcpu->sreg[sreg] = seg_make(selector, d);
	return true;
}

bool seg_check_stack(struct vcpu *vcpu, uint16_t selector, const struct seg_stack_use *use,
		     struct vcpu_segment *segment, struct gm_fault *fault)
{
	uint32_t error = seg_error(selector) | use->ext;
	uint64_t d;
	if (seg_is_null(selector)) {
		if (use->cpl == 3 || use->bits != 64)
			return seg_fail(fault, use->vector, use->ext);
		*segment = (struct vcpu_segment){.selector = selector};
		return true;
	}
	if (!seg_read(vcpu, selector, &d, fault))
		return fault->vector == X86_VEC_PF ? false : seg_fail(fault, use->vector, error);
	bool writable = (d & X86_DESC_S) && !(d & X86_DESC_CODE) && (d & X86_DESC_RW);
	if (!writable || (selector & X86_SEL_RPL) != use->cpl || seg_dpl(d) != use->cpl)
		return seg_fail(fault, use->vector, error);
	if (!(d & X86_DESC_P))
		return seg_fail(fault, X86_VEC_SS, error);
	if (!mark_accessed(vcpu, selector, &d, fault))
		return false;
	*segment = seg_make(selector, d);
	return true;
}

/* ----------------------------------------------------------------------------------------------------------- code */

unsigned seg_code_bits(const struct vcpu *vcpu, const struct vcpu_segment *segment)
{
	if (vcpu_is_long(vcpu) && (segment->descriptor & X86_DESC_L))
		return 64;
	return segment->descriptor & X86_DESC_DB ? 32 : 16;
}

bool seg_check_offset(const struct vcpu *vcpu, const struct vcpu_segment *cs, uint64_t offset, uint32_t ext,
		      struct gm_fault *fault)
{
	bool good = seg_code_bits(vcpu, cs) == 64 ? vcpu_canonical(offset) : offset <= cs->limit;
	return good || seg_fail(fault, X86_VEC_GP, ext);
}

/* L and D both set no machine has; without L it is compatibility mode. */
static bool has_mode(const struct vcpu *vcpu, uint64_t d)
{
	if (!vcpu_is_long(vcpu))
		return true;
	return d & X86_DESC_L ? !(d & X86_DESC_DB) : vcpu->vm->cpu.legacy_modes;
}

/* What jumps and returns check alike, once privilege is settled. */
static bool finish_code(struct vcpu *vcpu, uint16_t selector, uint64_t d, unsigned cpl, struct vcpu_segment *segment,
			struct gm_fault *fault)
{
	if (!(d & X86_DESC_P))
		return seg_fail(fault, X86_VEC_NP, seg_error(selector));
	if (!has_mode(vcpu, d))
		return seg_fail(fault, X86_VEC_GP, seg_error(selector));
	if (!mark_accessed(vcpu, selector, &d, fault))
		return false;
	*segment = seg_make(seg_error(selector) | cpl, d);
	return true;
}

bool seg_check_jump(struct vcpu *vcpu, uint16_t selector, uint64_t d, struct vcpu_segment *segment,
		    struct gm_fault *fault)
{
	bool allowed = d & X86_DESC_CONFORMING ? seg_dpl(d) <= vcpu->cpl
					       : seg_dpl(d) == vcpu->cpl && (selector & X86_SEL_RPL) <= vcpu->cpl;
	if (!seg_is_code(d) || !allowed)
		return seg_fail(fault, X86_VEC_GP, seg_error(selector));
	return finish_code(vcpu, selector, d, vcpu->cpl, segment, fault);
}

bool seg_check_gate_target(struct vcpu *vcpu, uint16_t selector, bool call, uint32_t ext, struct vcpu_segment *segment,
			   struct gm_fault *fault)
{
	uint32_t error = seg_error(selector) | ext;
	uint64_t d;
	if (seg_is_null(selector))
		return seg_fail(fault, X86_VEC_GP, ext);
	if (!seg_read(vcpu, selector, &d, fault)) {
		if (fault->vector != X86_VEC_PF)
			fault->error |= ext;
		return false;
	}
	bool raises = !(d & X86_DESC_CONFORMING) && call,
	     allowed = raises || (d & X86_DESC_CONFORMING) ? seg_dpl(d) <= vcpu->cpl : seg_dpl(d) == vcpu->cpl;
	if (!seg_is_code(d) || !allowed)
		return seg_fail(fault, X86_VEC_GP, error);
	if (!(d & X86_DESC_P))
		return seg_fail(fault, X86_VEC_NP, error);
	/* Gates of long mode lead to 64-bit code alone. */
	if (vcpu_is_long(vcpu) && (!(d & X86_DESC_L) || (d & X86_DESC_DB)))
		return seg_fail(fault, X86_VEC_GP, error);
	if (!mark_accessed(vcpu, selector, &d, fault))
		return false;
	*segment = seg_make((uint16_t)(seg_error(selector) | (raises ? seg_dpl(d) : vcpu->cpl)), d);
	return true;
}

bool seg_check_return(struct vcpu *vcpu, uint16_t selector, struct vcpu_segment *segment, struct gm_fault *fault)
{
	uint64_t d;
	unsigned rpl = selector & X86_SEL_RPL;
	if (seg_is_null(selector))
		return seg_fail(fault, X86_VEC_GP, 0);
	if (!seg_read(vcpu, selector, &d, fault))
		return false;
	bool allowed = d & X86_DESC_CONFORMING ? seg_dpl(d) <= rpl : seg_dpl(d) == rpl;
	if (!seg_is_code(d) || rpl < vcpu->cpl || !allowed)
		return seg_fail(fault, X86_VEC_GP, seg_error(selector));
	return finish_code(vcpu, selector, d, rpl, segment, fault);
}

void seg_drop_privileged(struct vcpu *vcpu, unsigned cpl)
{
	static const enum vcpu_sreg data[] = {SREG_ES, SREG_DS, SREG_FS, SREG_GS};
	for (unsigned i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		struct vcpu_segment *s = &vcpu->sreg[data[i]];
		bool conforming = seg_is_code(s->descriptor) && (s->descriptor & X86_DESC_CONFORMING);
		if (!s->present || conforming || seg_dpl(s->descriptor) >= cpl)
			continue;
		s->selector = 0;
		s->present = false;
	}
}
