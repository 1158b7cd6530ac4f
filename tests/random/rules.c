/*
 * What random bytes may be part of a sequence: instructions that give the same each time, and that read and write only
 * where the sequence's areas are. What is sensitive is known from the list that `ring3 classify` tries.
 */
#include <string.h>

#include "monitor/emulate/emulate.h"
#include "monitor/emulate/group.h"
#include "tests/random/generate.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The first word of a classified instruction's name is its mnemonic. */
static const char *const classified[] = {
#define INSN_OF(of, id, name, code, kind, shows, why) name,
#include "monitor/cli/classify/classify.def"
#undef INSN_OF
};

/* One that `classify` lists. Of those that share a mnemonic with innocuous ones the emulation knows which. */
static bool is_sensitive(const struct emu_insn *insn)
{
	const char *mnemonic = ZydisMnemonicGetString(insn->info.mnemonic);
	size_t len = strlen(mnemonic);
	if (emu_is_sensitive(insn))
		return true;
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_POP:
	case ZYDIS_MNEMONIC_CALL:
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_RET:
		return false;
	default:
		break;
	}
	for (unsigned n = 0; n < COUNT(classified); n++)
		if (!strncasecmp(classified[n], mnemonic, len) && (classified[n][len] == ' ' || !classified[n][len]))
			return true;
	return false;
}

/* One that shows of the kernel's state what is the same on all engines, where the kernel's code is not the host's. */
static bool is_shown_alike(const struct emu_insn *insn)
{
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_SGDT:
	case ZYDIS_MNEMONIC_SIDT:
	case ZYDIS_MNEMONIC_SLDT:
	case ZYDIS_MNEMONIC_STR:
	case ZYDIS_MNEMONIC_SMSW:
	case ZYDIS_MNEMONIC_LAR:
	case ZYDIS_MNEMONIC_LSL:
	case ZYDIS_MNEMONIC_VERR:
	case ZYDIS_MNEMONIC_VERW:
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_CLTS:
		return true;
	case ZYDIS_MNEMONIC_MOV:
		return insn->operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       (ZydisRegisterGetClass(insn->operands[1].reg.value) == ZYDIS_REGCLASS_SEGMENT ||
			insn->operands[1].reg.value == ZYDIS_REGISTER_CR0 ||
			insn->operands[1].reg.value == ZYDIS_REGISTER_CR4 ||
			insn->operands[1].reg.value == ZYDIS_REGISTER_CR8);
	default:
		return false;
	}
}

/* What the host has turned on for itself decides. */
static bool is_host_matter(const struct emu_insn *insn)
{
	return insn->info.meta.isa_set == ZYDIS_ISA_SET_RTM || insn->info.meta.isa_ext == ZYDIS_ISA_EXT_SVM ||
	       insn->info.meta.isa_ext == ZYDIS_ISA_EXT_SNP || insn->info.meta.category == ZYDIS_CATEGORY_VTX;
}

/* Interrupts by instruction that the host answers itself, or lets pass, where it executes guest code. */
static bool is_hosts_interrupt(const struct emu_insn *insn)
{
#ifdef HOST_INT_FROM
	return insn->info.mnemonic == ZYDIS_MNEMONIC_INT && insn->operands[0].imm.value.u >= HOST_INT_FROM &&
	       insn->operands[0].imm.value.u <= HOST_INT_TO;
#else
	(void)insn;
	return false;
#endif
}

/* What gives something else each time, waits, or tells where it lies. */
static bool is_unsteady(const struct emu_insn *insn)
{
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_RDPRU:
	case ZYDIS_MNEMONIC_RDSSPD:
	case ZYDIS_MNEMONIC_RDSSPQ:
	case ZYDIS_MNEMONIC_RDGSBASE:
	case ZYDIS_MNEMONIC_RDFSBASE:
	case ZYDIS_MNEMONIC_WRGSBASE:
	case ZYDIS_MNEMONIC_WRFSBASE:
	case ZYDIS_MNEMONIC_WRPKRU:
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFQ:
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_CLZERO:
	case ZYDIS_MNEMONIC_MOVDIR64B: /* some hosts hide it and execute it */
	case ZYDIS_MNEMONIC_INVPCID:
	case ZYDIS_MNEMONIC_PTWRITE:
	case ZYDIS_MNEMONIC_MONITORX:
	case ZYDIS_MNEMONIC_MWAITX:
	/* These write the pointers and selectors of the x87, which differ. */
	case ZYDIS_MNEMONIC_FNSAVE:
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
		return true;
	default:
		break;
	}
	switch (insn->info.meta.category) {
	case ZYDIS_CATEGORY_RDRAND:
	case ZYDIS_CATEGORY_RDSEED:
	case ZYDIS_CATEGORY_XSAVE:
	case ZYDIS_CATEGORY_XSAVEOPT:
	case ZYDIS_CATEGORY_WAITPKG:
	case ZYDIS_CATEGORY_UINTR:
	case ZYDIS_CATEGORY_SGX:
	case ZYDIS_CATEGORY_PADLOCK:
	case ZYDIS_CATEGORY_ENQCMD:
	case ZYDIS_CATEGORY_AMX_TILE:
		return true;
	default:
		return is_host_matter(insn);
	}
}

/* It locks the bus where its operand crosses a cache line. */
static bool is_locked(const struct emu_insn *insn)
{
	const ZydisDecodedOperand *op = &insn->operands[0];
	return op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       ((insn->info.attributes & ZYDIS_ATTRIB_HAS_LOCK) || insn->info.mnemonic == ZYDIS_MNEMONIC_XCHG);
}

/* By a constant other than one, of which the manuals leave OF open. */
static bool is_rotate_of_many(const struct emu_insn *insn)
{
	bool moves =
		insn->info.meta.category == ZYDIS_CATEGORY_ROTATE || insn->info.meta.category == ZYDIS_CATEGORY_SHIFT;
	return moves && insn->operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

/* What the manuals leave open, and the interpreter does as AMD's processors do. */
static bool is_makers_choice(const struct emu_insn *insn)
{
	if (generate_host_is_amd())
		return false;
	switch (insn->info.meta.category) {
	case ZYDIS_CATEGORY_AVX2GATHER:
	case ZYDIS_CATEGORY_GATHER:
	case ZYDIS_CATEGORY_SCATTER:
		return true;
	default:
		return is_rotate_of_many(insn);
	}
}

/* The registers that the areas are found by. */
static bool is_anchor(ZydisRegister reg)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	return whole == ZYDIS_REGISTER_RSP || whole == ZYDIS_REGISTER_R12 || whole == ZYDIS_REGISTER_R14 ||
	       whole == ZYDIS_REGISTER_R15;
}

/* Segments have bases where the guest has seen to it that these leave the areas in reach. */
static bool memory_allowed(const ZydisDecodedOperandMem *mem, bool segments)
{
	if (mem->type == ZYDIS_MEMOP_TYPE_AGEN)
		return true;
	if (mem->type != ZYDIS_MEMOP_TYPE_MEM)
		return false;
	bool based = mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_NONE || is_anchor(mem->base);
	return based && mem->base != ZYDIS_REGISTER_R14 &&
	       (segments || (mem->segment != ZYDIS_REGISTER_FS && mem->segment != ZYDIS_REGISTER_GS)) &&
	       (mem->index == ZYDIS_REGISTER_NONE || mem->index == ZYDIS_REGISTER_R14);
}

static bool is_bit_string(const struct emu_insn *insn)
{
	return insn->info.meta.category == ZYDIS_CATEGORY_BITBYTE &&
	       insn->operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       insn->operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
}

bool rules_allow(const struct emu_insn *insn, enum generate_where where)
{
	/* In user mode what always traps is good to try: it must be refused. */
	bool refused = (where == GENERATE_USER || where == GENERATE_NO_FPU) && emu_is_sensitive(insn) &&
		       emu_always_traps(insn);
	bool shown = (where == GENERATE_KERNEL || where == GENERATE_UPPER) && is_shown_alike(insn);
	if (insn->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || is_makers_choice(insn) || is_bit_string(insn) ||
	    (is_locked(insn) && generate_host_resents_locks()) || is_hosts_interrupt(insn))
		return false;
	if (!shown && (is_unsteady(insn) || (is_sensitive(insn) && !refused)))
		return false;
	for (unsigned n = 0; n < insn->info.operand_count; n++) {
		const ZydisDecodedOperand *op = &insn->operands[n];
		bool written = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && written && is_anchor(op->reg.value))
			return false;
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && !memory_allowed(&op->mem, where == GENERATE_UPPER))
			return false;
	}
	return true;
}
