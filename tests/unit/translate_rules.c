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
		.hypercall = TEST_GATE,
		.callout = TEST_GATE + 0x100,
		.callout_id = TEST_STATE + 0x800,
	};
}

/* Nothing that ring 0 would need is executed in its place, and nothing that enters the host. */
static bool is_harmless(const struct emu_insn *insn)
{
	switch (insn->info.mnemonic) {
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
		if (!is_harmless(&insn))
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

const char *broken_rule(const struct bt_source *source)
{
	static struct bt_code code, again;
	struct bt_place place;
	test_place(&place);
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
	return walk(&kept, &place, &code);
}
