/*
 * The compiler of engine `translate`: what its table knows of an instruction is what Zydis and the rest of the compiler
 * know, of every opcode of the first two maps with every ModRM byte under the prefixes that the table takes, in both
 * forms of 64-bit code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "monitor/engine/translate/internal.h"
#include "monitor/vm/cpu.h"
#include "tests/unit/translate_rules.h"

#define GVA	  0x7f0000200000
#define UPPER_GVA 0xffffffff81000000
#define ALWAYS	  (BT_FPU | BT_AVX | BT_IF | BT_CLOCK | BT_READ | BT_BASES)
#define REX_ANY	  16
/* Of all that is tried, so many are known at least: half of the first map. */
#define KNOWN_MIN 1000000

struct tried {
	uint8_t bytes[X86_INSN_MAX];
	struct bt_source source;
	struct emu_insn insn; /* as the table has it */
	struct compiler by_table;
	struct compiler whole; /* as Zydis has it */
	struct quick quick;
};

static unsigned long known;

static bool is_branch(enum bt_class class)
{
	return class == BT_BRANCH || class == BT_JUMP || class == BT_CALL;
}

/* Those who know its operands emit the same. */
static bool is_copied(struct tried *t)
{
	uint8_t code[BT_SEQUENCE_MAX], quick[BT_SEQUENCE_MAX];
	struct bt_place place;
	struct compiler *c = &t->whole, *by_table = &t->by_table;
	test_place(&place);
	by_table->source = &t->source;
	by_table->insn = t->insn;
	by_table->quick = t->quick;
	by_table->is_quick = true;
	c->e = (struct emit){.bytes = code, .room = sizeof(code), .place = &place};
	by_table->e = (struct emit){.bytes = quick, .room = sizeof(quick), .place = &place};
	c->rip = by_table->rip = t->source.gva;
	c->next = by_table->next = t->source.gva + t->insn.info.length;
	bool done = t->source.flavour & BT_UPPER ? upper_copy(c, false) : compile_copy(c);
	return compiler_copy(by_table) == done && by_table->e.len == c->e.len && !memcmp(quick, code, c->e.len);
}

static const char *difference(struct tried *t)
{
	struct compiler *c = &t->whole;
	c->source = &t->source;
	if (ZYAN_FAILED(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, t->bytes, sizeof(t->bytes), &c->insn)))
		return "it is none";
	if (c->insn.info.length != t->insn.info.length)
		return "length";
	if (bt_classify(&c->insn, t->source.flavour) != t->quick.class)
		return "class";
	if (memcmp(c->insn.bytes, t->insn.bytes, t->insn.info.length))
		return "bytes";
	if (c->insn.info.meta.category == ZYDIS_CATEGORY_INTERRUPT || c->insn.info.mnemonic == ZYDIS_MNEMONIC_STI ||
	    c->insn.info.mnemonic == ZYDIS_MNEMONIC_DIV || c->insn.info.mnemonic == ZYDIS_MNEMONIC_IDIV)
		return "more is to be known of it";
	if (t->quick.class == BT_COPY)
		return is_copied(t) ? NULL : "it is copied otherwise";
	if (c->insn.info.mnemonic != t->insn.info.mnemonic && t->quick.class != BT_BRANCH)
		return "mnemonic";
	if (t->quick.class == BT_BRANCH && (c->insn.info.opcode & 15) != (t->insn.info.opcode & 15))
		return "condition";
	if (c->insn.operands[0].type != t->insn.operands[0].type && is_branch(t->quick.class))
		return "kind of target";
	if (is_branch(t->quick.class) && c->insn.operands[0].imm.value.s != t->insn.operands[0].imm.value.s)
		return "target";
	return t->quick.class == BT_RETURN && c->insn.info.raw.imm[0].size ? "bytes to drop" : NULL;
}

static void try_one(struct tried *t)
{
	t->source.bytes = t->bytes;
	t->source.len = sizeof(t->bytes);
	if (!quick_decode(&t->source, 0, &t->insn, &t->quick))
		return;
	known++;
	const char *what = difference(t);
	if (what)
		fail_msg("%02x %02x %02x %02x %02x, flavour %x: %s", t->bytes[0], t->bytes[1], t->bytes[2], t->bytes[3],
			 t->bytes[4], t->source.flavour, what);
	t->source.len = t->insn.info.length - 1u;
	if (quick_decode(&t->source, 0, &t->insn, &t->quick))
		fail_msg("%02x %02x %02x %02x: known by less than all of it", t->bytes[0], t->bytes[1], t->bytes[2],
			 t->bytes[3]);
}

/* Displacements and immediates beyond a byte, negative and positive. */
static void try_tails(struct tried *t, unsigned len)
{
	static const uint8_t tails[][3] = {{0x24, 0x81, 0x7f}, {0x25, 0x12, 0x80}, {0xe3, 0x7e, 0xff}, {0x5d, 0xfe, 1}};
	for (unsigned n = 0; n < sizeof(tails) / sizeof(tails[0]); n++) {
		for (unsigned at = len; at < sizeof(t->bytes); at++)
			t->bytes[at] = tails[n][(at - len) % 3];
		try_one(t);
	}
}

static void try_opcodes(struct tried *t, unsigned len)
{
	for (unsigned opcode = 0; opcode < 256; opcode++)
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			t->bytes[len] = (uint8_t)opcode;
			t->bytes[len + 1] = (uint8_t)modrm;
			try_tails(t, len + 2);
		}
}

static void try_flavour(unsigned flavour)
{
	static struct tried t;
	for (unsigned n = 0; n < 2 * 2 * (REX_ANY + 1); n++) {
		unsigned len = 0, rex = n / 4;
		t = (struct tried){
			.source = {.gva = flavour & BT_UPPER ? UPPER_GVA : GVA, .flavour = flavour | ALWAYS}};
		if (n & 1)
			t.bytes[len++] = PREFIX_OPERAND;
		if (rex < REX_ANY)
			t.bytes[len++] = (uint8_t)(REX | rex);
		if (n & 2)
			t.bytes[len++] = 0x0f;
		try_opcodes(&t, len);
	}
}

static void test_what_is_known_is_so(void **state)
{
	try_flavour(0);
	assert_true(known > KNOWN_MIN);
	known = 0;
	try_flavour(BT_UPPER);
	assert_true(known > KNOWN_MIN);
}

/* Which differ from host to host, or from form to form, or are a model's. */
static void test_others_are_left_alone(void **state)
{
	static const struct cpu model;
	static const uint8_t plain[] = {0x48, 0x89, 0xc8, 0x90, 0x90}, narrow_jump[] = {0x66, 0xe9, 0, 0, 0, 0, 0};
	struct emu_insn insn;
	struct quick quick;
	struct bt_source source = {.gva = GVA, .bytes = plain, .len = sizeof(plain), .flavour = ALWAYS};
	assert_true(quick_decode(&source, 0, &insn, &quick));
	source.model = &model;
	assert_false(quick_decode(&source, 0, &insn, &quick));
	source.model = NULL;
	source.flavour |= BT_NARROW;
	assert_false(quick_decode(&source, 0, &insn, &quick));
	source = (struct bt_source){.gva = GVA, .bytes = narrow_jump, .len = sizeof(narrow_jump), .flavour = ALWAYS};
	assert_false(quick_decode(&source, 0, &insn, &quick));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_known_is_so),
		cmocka_unit_test(test_others_are_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
