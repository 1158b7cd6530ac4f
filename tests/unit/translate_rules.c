/*
 * Rules of blocks.
 */
#include "tests/unit/translate_rules.h"

#include <string.h>

uint64_t test_random_bytes(uint8_t *bytes, unsigned len)
{
	static uint64_t random = 88172645463325252u;
	for (unsigned i = 0; i <= len; i++) {
		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		if (i < len)
			bytes[i] = (uint8_t)(random >> 32);
	}
	return random;
}

void test_place(struct bt_place *place)
{
	*place = (struct bt_place){
		.host = TEST_CODE,
		.state = TEST_STATE,
		.table = TEST_TABLE,
		.identity = TEST_IDENTITY,
		.hypercall = TEST_GATE,
		.callout = TEST_GATE + 0x100,
		.root = TEST_GATE + 0x200,
		.callout_id = TEST_STATE + 0xff8,
		.window = BT_WINDOW_BASE,
		.sets_bases = true,
	};
}

/* Nothing that ring 0 would need is executed in its place, and nothing that enters the host. */
static bool is_harmless(const struct emu_insn *insn, unsigned flavour)
{
	const bool kernel = (flavour & BT_NARROW) && !(flavour & BT_USER);
	switch (insn->info.mnemonic) {
	/* For the kernel alone: its own, and WRMSR's. */
	case ZYDIS_MNEMONIC_WRFSBASE:
		return kernel || (!(flavour & BT_NARROW) && flavour & (BT_LOADS | BT_SWAPS));
	/* Likewise, of what the host has in SS. */
	case ZYDIS_MNEMONIC_VERW:
		return kernel && insn->operands[0].reg.value == ZYDIS_REGISTER_R8W;
	case ZYDIS_MNEMONIC_MOV:
		return (kernel && insn->operands[0].reg.value == ZYDIS_REGISTER_R8D &&
			insn->operands[1].reg.value == ZYDIS_REGISTER_SS) ||
		       !emu_is_sensitive(insn);
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_POPFQ:
		return true;
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_SYSCALL:
	case ZYDIS_MNEMONIC_SYSENTER:
	case ZYDIS_MNEMONIC_CPUID:
	case ZYDIS_MNEMONIC_WRPKRU:
		return false;
	default:
		return !emu_is_sensitive(insn);
	}
}

/* Host instructions up to the stubs, each whole; at each of them the guest's place is known. */
static const char *walk(const struct bt_source *source, const struct bt_place *place, const struct bt_code *code)
{
	struct emu_insn insn;
	struct bt_locus locus;
	for (unsigned at = 0; at < code->stubs; at += insn.info.length) {
		if (ZYAN_FAILED(
			    emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, code->bytes + at, code->stubs - at, &insn)))
			return "a host instruction is none, or runs into the stubs";
		if (!is_harmless(&insn, source->flavour))
			return "a host instruction is sensitive";
		if (!bt_locate(source, place, at, &locus))
			return "a host instruction belongs to no guest instruction";
		bool inside = locus.rip - source->gva <= code->guest_len, leads = false;
		for (unsigned n = 0; n < code->exit_count; n++)
			leads |= code->exits[n].target == locus.rip;
		if (!inside && !leads)
			return "the guest is where the block does not lead";
		if (locus.resume != BT_NOWHERE && locus.resume > at)
			return "the block would go on ahead of where it was";
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------------------------ the window */

/* Where the host's operand lies is in the window, or in the state and tables, whatever the guest's registers hold. */
static bool is_confined(const struct emu_insn *insn, const ZydisDecodedOperand *op, unsigned flavour)
{
	const bool prefixed = op->mem.segment == ZYDIS_REGISTER_GS || op->mem.segment == ZYDIS_REGISTER_FS;
	if (op->mem.type == ZYDIS_MEMOP_TYPE_AGEN || op->mem.base == ZYDIS_REGISTER_RIP)
		return true;
	if (prefixed)
		return insn->info.address_width == 32;
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_POPFQ:
		return true;
	case ZYDIS_MNEMONIC_PUSH:
		return insn->operands[0].reg.value == ZYDIS_REGISTER_R10;
	case ZYDIS_MNEMONIC_POP:
		return insn->operands[0].reg.value == ZYDIS_REGISTER_R8;
	case ZYDIS_MNEMONIC_JMP:
		return op->mem.base == ZYDIS_REGISTER_NONE && op->mem.index == ZYDIS_REGISTER_R9;
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
		return (op->mem.base == ZYDIS_REGISTER_R9 || op->mem.base == ZYDIS_REGISTER_R11) &&
		       !(flavour & BT_USER);
	default:
		return insn->info.meta.category == ZYDIS_CATEGORY_STRINGOP;
	}
}

/* Pointers of strings are moved into the window in the same sequence. */
static bool moves_pointer(const struct emu_insn *insn)
{
	return insn->info.mnemonic == ZYDIS_MNEMONIC_LEA && insn->info.operand_width == 64 &&
	       insn->operands[1].mem.index == ZYDIS_REGISTER_R8;
}

static const char *reaches_out(const struct bt_source *source, const struct bt_code *code)
{
	struct emu_insn insn;
	unsigned moved = 0;
	for (unsigned at = 0; at < code->stubs; at += insn.info.length) {
		emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, code->bytes + at, code->stubs - at, &insn);
		moved += moves_pointer(&insn);
		for (unsigned n = 0; n < insn.info.operand_count; n++) {
			const ZydisDecodedOperand *op = &insn.operands[n];
			if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
				continue;
			if (!is_confined(&insn, op, source->flavour))
				return "a host instruction reaches out of the window";
			if (insn.info.meta.category == ZYDIS_CATEGORY_STRINGOP && !moved--)
				return "the pointer of a string lies outside the window";
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------------------------- the copies */

/* What the stack pointer has to do with, and LEA, may become something else. */
static bool is_copied(const struct emu_insn *insn, unsigned flavour)
{
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_LEA:
	case ZYDIS_MNEMONIC_LEAVE:
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_POP:
	case ZYDIS_MNEMONIC_PUSHAD:
	case ZYDIS_MNEMONIC_POPAD:
		return false;
	default:
		return bt_classify(insn, flavour) == BT_COPY;
	}
}

/* The same operation, on operands as wide, and where they are not in memory on the same ones or on what stands in. */
static bool is_copy(const struct emu_insn *insn, const struct emu_insn *host)
{
	const ZydisInstructionAttributes same =
		ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE;
	if (host->info.mnemonic != insn->info.mnemonic ||
	    host->info.operand_count_visible != insn->info.operand_count_visible ||
	    (host->info.attributes ^ insn->info.attributes) & same)
		return false;
	for (unsigned n = 0; n < insn->info.operand_count_visible; n++) {
		const ZydisDecodedOperand *a = &insn->operands[n], *b = &host->operands[n];
		if (a->type != b->type || a->size != b->size ||
		    (a->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && a->imm.value.u != b->imm.value.u) ||
		    (a->type == ZYDIS_OPERAND_TYPE_REGISTER && a->reg.value != b->reg.value &&
		     ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, a->reg.value) != ZYDIS_REGISTER_RSP))
			return false;
	}
	return true;
}

/* What is copied is there, and once, whatever prefixes it had. */
static const char *lost_copies(const struct bt_source *source, const struct bt_code *code)
{
	struct emu_insn insn, host;
	for (unsigned n = 0; n < code->insns; n++) {
		const unsigned end = n + 1 < code->insns ? code->start[n + 1] : code->stubs;
		unsigned found = 0;
		emu_decode_bytes(bt_mode(source->flavour), source->bytes + code->guest_at[n],
				 source->len - code->guest_at[n], &insn);
		if (code->start[n] == end || !is_copied(&insn, source->flavour))
			continue;
		for (unsigned at = code->start[n]; at < end; at += host.info.length) {
			emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, code->bytes + at, code->stubs - at, &host);
			found += is_copy(&insn, &host);
		}
		if (!found)
			return "an instruction is copied as another one, or not at all";
	}
	return NULL;
}

static const char *broken_rule_of(const struct bt_source *kept, const struct bt_place *place,
				  const struct bt_code *code)
{
	const char *rule = walk(kept, place, code);
	if (!rule && !kept->hypercall)
		rule = lost_copies(kept, code);
	return rule || !(kept->flavour & BT_NARROW) ? rule : reaches_out(kept, code);
}

const char *broken_rule(const struct bt_source *source)
{
	static struct bt_code code, again;
	struct bt_place place;
	test_place(&place);
	place.cross[BT_CROSS_IN] = place.cross[BT_CROSS_OUT] = TEST_GATE;
	if (!bt_compile(source, &place, &code))
		return NULL;
	if (code.len > sizeof(code.bytes) || code.stubs > code.len || code.guest_len > source->len ||
	    code.exit_count > BT_EXITS)
		return "a block exceeds its bounds";
	/* Of the copy that is kept, it is the same block. */
	struct bt_source kept = *source;
	kept.len = code.guest_len;
	if (!bt_compile(&kept, &place, &again) || again.len != code.len || memcmp(again.bytes, code.bytes, code.len))
		return "compiled again, it is another block";
	for (unsigned n = 0; n < code.exit_count; n++)
		if (code.exits[n].stub < code.stubs || code.exits[n].stub >= code.len)
			return "an exit has no stub";
	return broken_rule_of(&kept, &place, &code);
}
