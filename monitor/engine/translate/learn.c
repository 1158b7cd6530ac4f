/*
 * What faults teach: an instruction of a kernel of the upper half met user memory. From then on the memory has an
 * address in the cell, and the instruction's translation looks for it there.
 */
#include "monitor/engine/translate/translate.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"

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

/* The code for it is made anew when it is wanted next. */
static void mark(struct translate *t, struct vcpu *vcpu, struct bt_block *block)
{
	unsigned offset = vcpu->rip & X86_PAGE_MASK;
	struct bt_page *page = block->page;
	if ((vcpu->rip & ~X86_PAGE_MASK) != page->gva)
		return;
	if (!page->user)
		page->user = cache_alloc(t, X86_PAGE_SIZE / 8);
	if (!page->user || page->user[offset / 8] & 1u << offset % 8)
		return;
	page->user[offset / 8] |= (uint8_t)(1u << offset % 8);
	block_kill(t, block);
	t->resume.block = NULL;
}

void learn(struct translate *t, struct vcpu *vcpu)
{
	struct bt_block *block = t->resume.block;
	struct emu_insn insn;
	uint64_t gva;
	bool user = false;
	if (!emu_peek(vcpu, &insn))
		return;
	for (unsigned n = 0; n < insn.info.operand_count; n++)
		user |= user_address(vcpu, &insn, n, &gva) && form_take_user(t, gva);
	if (user && block && !block->dead)
		mark(t, vcpu, block);
}
