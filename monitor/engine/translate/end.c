/*
 * Stores of 64-bit code that were seen to reach the local APIC's EOI. Where that ends an interrupt, and nothing else,
 * it is told to the monitor later; whatever else is stored is stored to memory.
 */
#include "monitor/engine/translate/internal.h"
#include "monitor/vm/vcpu.h"

static void load_address(struct compiler *c)
{
	compiler_operand_lea(c, RCX, &c->insn.operands[0]);
}

static bool is_register_store(const struct compiler *c)
{
	const struct emu_insn *insn = &c->insn;
	const ZydisDecodedOperand *to = &insn->operands[0];
	return insn->info.mnemonic == ZYDIS_MNEMONIC_MOV && insn->info.operand_width == 32 &&
	       to->type == ZYDIS_OPERAND_TYPE_MEMORY && to->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
	       insn->info.raw.modrm.offset && insn->info.address_width == 64 && !compiler_is_rip_relative(insn) &&
	       !upper_is_relocated(insn) && !bt_uses_base(insn) && insn->info.length < X86_INSN_MAX &&
	       insn->operands[1].reg.value != ZYDIS_REGISTER_ESP;
}

bool compile_end(struct compiler *c)
{
	const unsigned flavour = c->source->flavour;
	struct virtual v;
	if (!(flavour & BT_READ) || !(flavour & BT_IF) || c->user || !is_register_store(c))
		return false;
	virtual_begin(c, &v, load_address);
	virtual_compare(c, &v, SLOT(end.at));
	emit_compare_zero(&c->e, SLOT(end.by_store));
	virtual_unless(c, &v, OPCODE_JZ);
	emit_store_imm(&c->e, c->e.place->state + SLOT(end.by_store), 0);
	virtual_end(c, c->next);
	unsigned ended = emit_skip(&c->e);
	for (unsigned n = 0; n < v.count; n++)
		emit_skip_end(&c->e, v.check[n]);
	compiler_mark(c, (struct bt_locus){.rip = c->rip, .undo = BT_STATUS});
	virtual_end(c, c->rip);
	compiler_copy(c);
	compiler_mark_exact(c, c->next);
	emit_skip_end(&c->e, ended);
	return true;
}
