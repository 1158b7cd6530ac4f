/*
 * The compiler of engine `translate` for code of 32 bits: what holds of random bytes, above all that nothing of what
 * was emitted reaches memory outside the window.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/translate_rules.h"

#define BLOCKS_RANDOM 20000
#define GVA	      0x80100000u
#define ALL_FLAVOURS  (BT_FPU | BT_AVX | BT_USER | BT_IF | BT_CLOCK | BT_READ | BT_BASES)

static void test_rules_hold_of_random_bytes(void **state)
{
	uint8_t bytes[200];
	for (unsigned n = 0; n < BLOCKS_RANDOM; n++) {
		uint64_t random = test_random_bytes(bytes, sizeof(bytes));
		struct bt_source source = {n & 1 ? GVA : 0xffffffc0, bytes, 1 + (unsigned)(random % sizeof(bytes)),
					   BT_NARROW | ((unsigned)(random >> 8) & ALL_FLAVOURS), .hypercall = false};
		const char *rule = broken_rule(&source);
		if (rule)
			fail_msg("block %u: %s", n, rule);
	}
}

/* -------------------------------------------------------------------------------------------------------- the wall */

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
		return op->mem.base == ZYDIS_REGISTER_R9 && !(flavour & BT_USER);
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

static void check_confined(const struct bt_source *source, const struct bt_code *block)
{
	struct emu_insn insn;
	unsigned moved = 0;
	for (unsigned at = 0; at < block->stubs; at += insn.info.length) {
		assert_true(ZYAN_SUCCESS(
			emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, block->bytes + at, block->stubs - at, &insn)));
		moved += moves_pointer(&insn);
		for (unsigned n = 0; n < insn.info.operand_count; n++) {
			const ZydisDecodedOperand *op = &insn.operands[n];
			if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
				continue;
			if (!is_confined(&insn, op, source->flavour))
				fail_msg("a host instruction at %#x of a block reaches out: %02x %02x %02x %02x %02x",
					 at, block->bytes[at], block->bytes[at + 1], block->bytes[at + 2],
					 block->bytes[at + 3], block->bytes[at + 4]);
			if (insn.info.meta.category == ZYDIS_CATEGORY_STRINGOP)
				assert_true(moved-- > 0);
		}
	}
}

static void test_nothing_reaches_out_of_the_window(void **state)
{
	static struct bt_code block;
	uint8_t bytes[64];
	unsigned blocks = 0;
	for (unsigned n = 0; n < BLOCKS_RANDOM; n++) {
		struct bt_place place;
		uint64_t random = test_random_bytes(bytes, sizeof(bytes));
		struct bt_source source = {GVA, bytes, sizeof(bytes),
					   BT_NARROW | ((unsigned)(random >> 8) & ALL_FLAVOURS), .hypercall = false};
		test_place(&place);
		if (!bt_compile(&source, &place, &block))
			continue;
		blocks++;
		check_confined(&source, &block);
	}
	assert_true(blocks > BLOCKS_RANDOM / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_hold_of_random_bytes),
		cmocka_unit_test(test_nothing_reaches_out_of_the_window),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
