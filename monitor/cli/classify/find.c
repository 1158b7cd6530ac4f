/*
 * From an instruction to its line in classify.def.
 */
#include "monitor/cli/classify/classify.h"

#include <string.h>
#include <strings.h>

/* Instructions that stand in the list under another one's name. */
static const struct {
	ZydisMnemonic mnemonic;
	const char *name;
} alike[] = {
	{ZYDIS_MNEMONIC_PUSHFD, "PUSHF"},      {ZYDIS_MNEMONIC_PUSHFQ, "PUSHF"},      {ZYDIS_MNEMONIC_POPFD, "POPF"},
	{ZYDIS_MNEMONIC_POPFQ, "POPF"},	       {ZYDIS_MNEMONIC_IRETQ, "IRET"},	      {ZYDIS_MNEMONIC_IRETD, "IRET"},
	{ZYDIS_MNEMONIC_INSB, "IN"},	       {ZYDIS_MNEMONIC_INSW, "IN"},	      {ZYDIS_MNEMONIC_INSD, "IN"},
	{ZYDIS_MNEMONIC_OUTSB, "OUT"},	       {ZYDIS_MNEMONIC_OUTSW, "OUT"},	      {ZYDIS_MNEMONIC_OUTSD, "OUT"},
	{ZYDIS_MNEMONIC_RDGSBASE, "RDFSBASE"}, {ZYDIS_MNEMONIC_WRFSBASE, "WRGSBASE"}, {ZYDIS_MNEMONIC_INT3, "INT"},
};

static bool is_class(const struct emu_insn *insn, unsigned operand, ZydisRegisterClass class)
{
	return insn->operands[operand].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(insn->operands[operand].reg.value) == class;
}

/* The moves to and from registers that only a kernel has. NULL: innocuous. */
static const char *move_name(const struct emu_insn *insn)
{
	if (is_class(insn, 0, ZYDIS_REGCLASS_SEGMENT))
		return "MOV DS";
	if (is_class(insn, 1, ZYDIS_REGCLASS_SEGMENT))
		return "MOV r, CS";
	if (is_class(insn, 0, ZYDIS_REGCLASS_CONTROL))
		return "MOV CR3, r";
	if (is_class(insn, 1, ZYDIS_REGCLASS_CONTROL))
		return "MOV r, CR0";
	if (is_class(insn, 0, ZYDIS_REGCLASS_DEBUG) || is_class(insn, 1, ZYDIS_REGCLASS_DEBUG))
		return "MOV r, DR7";
	return NULL;
}

static const char *name_of(const struct emu_insn *insn)
{
	bool far = insn->info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	bool segment = is_class(insn, 0, ZYDIS_REGCLASS_SEGMENT);
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return move_name(insn);
	case ZYDIS_MNEMONIC_PUSH:
		return segment ? "PUSH" : NULL;
	case ZYDIS_MNEMONIC_POP:
		return segment ? "POP" : NULL;
	case ZYDIS_MNEMONIC_CALL:
		return far ? "CALL far" : NULL;
	case ZYDIS_MNEMONIC_JMP:
		return far ? "JMP far" : NULL;
	case ZYDIS_MNEMONIC_RET:
		return far ? "RET far" : NULL;
	case ZYDIS_MNEMONIC_INT:
		return insn->operands[0].imm.value.u == 0x80 ? "INT 80h" : "INT 30h";
	default:
		break;
	}
	for (unsigned n = 0; n < sizeof(alike) / sizeof(alike[0]); n++)
		if (alike[n].mnemonic == insn->info.mnemonic)
			return alike[n].name;
	return ZydisMnemonicGetString(insn->info.mnemonic);
}

const struct classify_insn *classify_find(const struct emu_insn *insn)
{
	const char *name = name_of(insn);
	size_t len = name ? strlen(name) : 0;
	for (unsigned n = 0; len && n < classify_insn_count; n++) {
		const char *listed = classify_insns[n].name;
		if (!strncasecmp(listed, name, len) &&
		    ((listed[len] == '\0' || listed[len] == ' ' || listed[len] == ',')))
			return &classify_insns[n];
	}
	return NULL;
}
