/*
 * What the interpreter's table makes of instructions is what decode.c makes of what Zydis says of them: of every opcode
 * of the first two maps with every ModRM byte, and with every SIB byte, under the prefixes that the table takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/emulate/shape.h"
#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/interpret.h"
#include "tests/unit/machine_fixture.h"

#define REX_ANY 16
#define ESCAPE	0x0f
/* Of all that is tried, so many are known at least. */
#define KNOWN_MIN 1500000

static struct engine_vcpu *c;
static unsigned long known;

static const char *difference(const uint8_t *bytes, const struct insn *quick, unsigned len, bool ends)
{
	struct emu_insn emu;
	if (ZYAN_FAILED(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, bytes, X86_INSN_MAX, &emu)))
		return "it is none";
	struct insn whole = {.base = GPR_ZERO, .index = GPR_ZERO};
	bool whole_ends = decode_insn(c, &whole, &emu, false);
	bool detailed = whole.detail;
	free(whole.detail);
	if (detailed)
		return "more is to be known of it";
	if (emu.info.length != len)
		return "length";
	if (whole.run != quick->run)
		return "function";
	if (whole.base != quick->base || whole.index != quick->index || whole.scale != quick->scale ||
	    whole.ea != quick->ea || whole.disp != quick->disp)
		return "address";
	if (whole.dst != quick->dst || whole.src != quick->src)
		return "registers";
	if (whole.imm != quick->imm)
		return "immediate";
	return whole_ends == ends ? NULL : "end of the block";
}

static void try_one(const uint8_t *bytes)
{
	struct insn quick;
	bool ends;
	unsigned len = decode_quick(c, &quick, bytes, X86_INSN_MAX, &ends);
	if (!len)
		return;
	known++;
	const char *what = difference(bytes, &quick, len, ends);
	if (what)
		fail_msg("%02x %02x %02x %02x %02x %02x: %s", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
			 bytes[5], what);
	if (decode_quick(c, &quick, bytes, len - 1, &ends))
		fail_msg("%02x %02x %02x %02x: known by less than all of it", bytes[0], bytes[1], bytes[2], bytes[3]);
}

/* Displacements and immediates of either sign. */
static void try_tails(uint8_t *bytes, unsigned len)
{
	static const uint8_t tails[][3] = {{0x24, 0x81, 0x7f}, {0xe3, 0x7e, 0xff}, {0x5d, 0xfe, 1}};
	for (unsigned n = 0; n < sizeof(tails) / sizeof(tails[0]); n++) {
		for (unsigned at = len; at < X86_INSN_MAX; at++)
			bytes[at] = tails[n][(at - len) % 3];
		try_one(bytes);
	}
}

static unsigned write_head(uint8_t *bytes, unsigned n)
{
	unsigned len = 0, rex = n / 4;
	if (n & 1)
		bytes[len++] = PREFIX_OPERAND;
	if (rex < REX_ANY)
		bytes[len++] = (uint8_t)(REX | rex);
	if (n & 2)
		bytes[len++] = ESCAPE;
	return len;
}

static void test_opcodes(void **state)
{
	uint8_t bytes[X86_INSN_MAX];
	known = 0;
	for (unsigned n = 0; n < 2 * 2 * (REX_ANY + 1); n++) {
		unsigned len = write_head(bytes, n);
		for (unsigned opcode = 0; opcode < 256; opcode++)
			for (unsigned modrm = 0; modrm < 256; modrm++) {
				bytes[len] = (uint8_t)opcode;
				bytes[len + 1] = (uint8_t)modrm;
				try_tails(bytes, len + 2);
			}
	}
	assert_true(known > KNOWN_MIN);
}

static void test_addresses(void **state)
{
	static const uint8_t opcodes[] = {0x8b, 0x8d, 0x80};
	uint8_t bytes[X86_INSN_MAX];
	known = 0;
	for (unsigned n = 0; n < 4 * REX_ANY; n += 4)
		for (unsigned opcode = 0; opcode < sizeof(opcodes); opcode++)
			for (unsigned mod = 0; mod < 3; mod++)
				for (unsigned sib = 0; sib < 256; sib++) {
					unsigned len = write_head(bytes, n);
					bytes[len++] = opcodes[opcode];
					bytes[len++] = (uint8_t)(mod << 6 | 4);
					bytes[len++] = (uint8_t)sib;
					try_tails(bytes, len);
				}
	assert_int_equal(known, REX_ANY * sizeof(opcodes) * 3 * 256 * 3);
}

/* Of other modes others are true. */
static void test_only_64_bit_code(void **state)
{
	static const uint8_t move[X86_INSN_MAX] = {0x48, 0x89, 0xc8};
	struct insn insn;
	bool ends;
	assert_int_equal(decode_quick(c, &insn, move, sizeof(move), &ends), 3);
	c->wide = false;
	assert_int_equal(decode_quick(c, &insn, move, sizeof(move), &ends), 0);
	c->wide = true;
	c->vm->cpu.chosen = true;
	assert_int_equal(decode_quick(c, &insn, move, sizeof(move), &ends), 0);
	c->vm->cpu.chosen = false;
}

static int setup(void **state)
{
	int error = fix_setup(state);
	struct machine_fixture *m = *state;
	if (error || interpret_create(&m->vm, NULL))
		return -1;
	c = m->vcpu->engine;
	interp_load(c);
	return c->wide ? 0 : -1;
}

static int teardown(void **state)
{
	interpret_destroy(&((struct machine_fixture *)*state)->vm);
	return fix_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(opcodes), TEST(addresses), TEST(only_64_bit_code)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
