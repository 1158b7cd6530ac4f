/*
 * What faults teach. An instruction of a kernel of the upper half met user memory: from then on the memory has an
 * address in the cell, and the instruction's translation looks for it there. A division comes to #DE again and again:
 * its translation looks before it divides, and delivers the exception itself. 32-bit code reads its local APIC's ID:
 * the translation knows it. 64-bit code stores to the APIC's EOI: the translation may note that. All is forgotten with
 * the code.
 */
#include "monitor/engine/translate/translate.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"

/* A division that comes to #DE so often does so for a living. */
#define DIVISIONS_MAX 3

static ZyanU64 *value_of(ZydisRegisterContext *context, unsigned reg)
{
	return &context->values[ZYDIS_REGISTER_RAX + (int)reg];
}

/* The operand's address if it lies in the lower half. */
static bool user_address(const struct vcpu *vcpu, const struct emu_insn *insn, unsigned n, uint64_t *gva)
{
	ZydisRegisterContext context = {0};
	const ZydisDecodedOperand *op = &insn->operands[n];
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.type != ZYDIS_MEMOP_TYPE_MEM)
		return false;
	for (unsigned reg = 0; reg < GPR_COUNT; reg++)
		*value_of(&context, reg) = vcpu->gpr[reg];
	return ZYAN_SUCCESS(ZydisCalcAbsoluteAddressEx(&insn->info, op, vcpu->rip, &context, gva)) &&
	       *gva < GVA_LOWER_END;
}

/* The code for it, of all blocks that have it, is made anew when it is wanted next. */
static void mark(struct translate *t, struct vcpu *vcpu, enum bt_site site)
{
	unsigned offset = vcpu->rip & X86_PAGE_MASK;
	struct bt_block *block = t->resume.block;
	if (!block || block->dead || (vcpu->rip & ~X86_PAGE_MASK) != block->page->gva)
		return;
	struct bt_page *page = block->page;
	if (!page->sites)
		page->sites = cache_alloc(t, X86_PAGE_SIZE);
	if (!page->sites || page->sites[offset] & 1u << site)
		return;
	page->sites[offset] |= (uint8_t)(1u << site);
	t->vm->stats.cache.adapted++;
	for (block = page->blocks; block; block = block->next)
		if (!block->dead && vcpu->rip - block->gva < block->guest_len)
			block_kill(t, block);
	t->resume.block = NULL;
}

void learn(struct translate *t, struct vcpu *vcpu)
{
	struct emu_insn insn;
	uint64_t gva;
	bool user = false;
	if (!emu_peek(vcpu, &insn))
		return;
	for (unsigned n = 0; n < insn.info.operand_count; n++)
		user |= user_address(vcpu, &insn, n, &gva) && form_take_user(t, gva);
	if (user)
		mark(t, vcpu, BT_SITE_USER);
}

/* The address leads to the local APIC's register. */
static bool is_register(struct vcpu *vcpu, uint64_t gva, unsigned offset)
{
	uint64_t gpa;
	return gm_probe(vcpu, gva, &gpa) && gpa == vcpu_apic_gpa(vcpu, offset);
}

void learn_device(struct translate *t, struct vcpu *vcpu, const struct vm_exit *exit)
{
	bool narrow = t->form == FORM_NARROW, store = exit->error & X86_PF_W;
	if (store == narrow || (exit->error & X86_PF_I) ||
	    !is_register(vcpu, exit->gva, narrow ? X86_APIC_ID : X86_APIC_EOI))
		return;
	*(narrow ? &t->constant : &t->end_at) = exit->gva;
	mark(t, vcpu, BT_SITE_DEVICE);
}

void learn_fill(struct translate *t, struct vcpu *vcpu)
{
	uint32_t value;
	t->state->constant_at = BT_NO_ADDRESS;
	if (!t->constant || vcpu->vm->trace_kinds || state_is_told(vcpu->vm) ||
	    !apic_is_reached(vcpu, t->constant, X86_APIC_ID, false))
		return;
	gm_read_device(vcpu, vcpu_apic_gpa(vcpu, X86_APIC_ID), &value, sizeof(value));
	t->state->constant = value;
	t->state->constant_at = t->constant;
}

void learn_division(struct translate *t, struct vcpu *vcpu)
{
	struct bt_division *d = &t->division[vcpu->rip % BT_DIVISIONS];
	struct emu_insn insn;
	d->count = d->rip == vcpu->rip ? d->count + 1 : 1;
	d->rip = vcpu->rip;
	if (d->count < DIVISIONS_MAX || !emu_peek(vcpu, &insn))
		return;
	t->divides = true;
	mark(t, vcpu, BT_SITE_DIVIDES);
}
