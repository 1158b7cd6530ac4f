/*
 * The copies of guest instructions that the confined task runs: of random encodings, legacy, VEX, EVEX and XOP, each
 * copy is decoded once more, here, and must be the same instruction on the same registers, whose operand in memory is
 * its own place in the exchange page. The interpreter's own check of it is not asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/interpret/native.h"
#include "monitor/engine/interpret/ops.h"
#include "monitor/vm/segment.h"
#include "tests/unit/machine_fixture.h"

#define ENCODINGS 60000
#define LONGEST	  15

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t random64(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1d;
}

static uint8_t random_byte(void)
{
	return (uint8_t)random64();
}

/* Opcode maps, and how an instruction of each begins; prefixes come before, operands after. */
static unsigned make_opcode(uint8_t *b)
{
	unsigned n = 0;
	switch (random64() % 8) {
	case 0:
		break;
	case 1:
	case 2:
		b[n++] = 0x0f;
		break;
	case 3:
		b[n++] = 0x0f;
		b[n++] = random64() & 1 ? 0x38 : 0x3a;
		break;
	case 4:
		b[n++] = 0xc5;
		b[n++] = random_byte();
		break;
	case 5:
		b[n++] = 0xc4;
		b[n++] = (uint8_t)((random_byte() & 0xe0) | (1 + random64() % 3));
		b[n++] = random_byte();
		break;
	case 6:
		b[n++] = 0x62;
		b[n++] = (uint8_t)((random_byte() & 0xf0) | (1 + random64() % 6));
		b[n++] = random_byte() | 4;
		b[n++] = random_byte();
		break;
	default:
		b[n++] = 0x8f;
		b[n++] = (uint8_t)((random_byte() & 0xe0) | (8 + random64() % 3));
		b[n++] = random_byte();
	}
	b[n++] = random_byte();
	return n;
}

static void make(uint8_t *b)
{
	static const uint8_t prefixes[] = {0x66, 0x67, 0x64, 0x65, 0x2e, 0x36, 0x3e, 0x26, 0xf2, 0xf3, 0xf0};
	unsigned n = 0;
	for (uint64_t count = random64() % 4; count; count--)
		b[n++] = prefixes[random64() % sizeof(prefixes)];
	if (random64() & 1)
		b[n++] = (uint8_t)(0x40 | random64() % 16);
	n += make_opcode(b + n);
	for (; n < LONGEST; n++)
		b[n] = random_byte();
}

static bool is_rsp(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op->reg.value) == ZYDIS_REGISTER_RSP;
}

static bool is_harmless(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_SEGMENT:
	case ZYDIS_REGCLASS_CONTROL:
	case ZYDIS_REGCLASS_DEBUG:
	case ZYDIS_REGCLASS_TEST:
	case ZYDIS_REGCLASS_BOUND:
	case ZYDIS_REGCLASS_IP:
	case ZYDIS_REGCLASS_TMM:
	case ZYDIS_REGCLASS_TABLE:
		return false;
	default:
		return true;
	}
}

/* What is wrong with an operand of the copy at `at`; NULL: nothing. */
static const char *look_at(const struct insn_detail *d, const ZydisDecodedInstruction *info,
			   const ZydisDecodedOperand *op, uint64_t at)
{
	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
		return is_rsp(op) ? "uses RSP" : !is_harmless(op->reg.value) ? "uses a system register" : NULL;
	if (op->type == ZYDIS_OPERAND_TYPE_POINTER)
		return "has a far pointer";
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return NULL;
	uint64_t place = native_operand_address(d, (unsigned)((at - TASK_CODE) / NATIVE_SLOT_SIZE));
	uint64_t room = d->size <= TASK_SMALL ? TASK_SMALL : ENGINE_FPU_MAX;
	if (place < TASK_XCHG + TASK_OPERAND || place + room > TASK_XCHG + TASK_STACK_TOP)
		return "has no place for its operand";
	if (op->mem.segment == ZYDIS_REGISTER_FS || op->mem.segment == ZYDIS_REGISTER_GS)
		return "has a segment";
	if (info->address_width != 64)
		return "has narrow addresses";
	if (op->size / 8 > room || d->size > room)
		return "has an operand larger than its place";
	if (native_is_through_rdi(&d->emu))
		return op->mem.base == ZYDIS_REGISTER_RDI ? NULL : "is not through RDI";
	if (op->mem.base != ZYDIS_REGISTER_RIP || op->mem.index != ZYDIS_REGISTER_NONE ||
	    at + info->length + (uint64_t)op->mem.disp.value != place)
		return "is not led to its operand's place";
	return NULL;
}

static const char *look(const struct engine_vcpu *c, const struct insn_detail *d)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction info;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	const uint8_t *bytes = c->native->task.code + (d->code - TASK_CODE);
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes, NATIVE_SLOT_SIZE, &info, op)))
		return "does not decode";
	if (bytes[info.length] != 0xc3 || info.length >= NATIVE_SLOT_SIZE)
		return "has another length";
	if (info.mnemonic != d->emu.info.mnemonic)
		return "is another instruction";
	if (info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return "is a branch";
	for (unsigned n = 0; n < info.operand_count; n++) {
		const char *wrong = look_at(d, &info, &op[n], d->code);
		if (wrong)
			return wrong;
	}
	return NULL;
}

/* What the rules let run has a copy, or they are not what the copies follow. */
static bool should_run(const struct emu_insn *emu)
{
	unsigned memory = 0;
	if (native_kind_of(emu) == NATIVE_FORBIDDEN || emu->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return false;
	for (unsigned n = 0; n < emu->info.operand_count; n++) {
		const ZydisDecodedOperand *op = &emu->operands[n];
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && (is_rsp(op) || !native_register_allowed(op->reg.value)))
			return false;
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
			memory += op->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
						  op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM && op->size
					  ? 1
					  : 2;
	}
	return memory < 2;
}

static unsigned complain(const struct emu_insn *emu, const char *wrong)
{
	char text[96];
	fprintf(stderr, "%s:", emu_format(emu, FIX_CODE, text, sizeof(text)));
	for (unsigned n = 0; n < emu->info.length; n++)
		fprintf(stderr, " %02x", emu->bytes[n]);
	fprintf(stderr, ": %s\n", wrong);
	return 1;
}

/* CS as the mode has it. */
static void enter_mode(struct engine_vcpu *c, ZydisMachineMode mode)
{
	struct vcpu *vcpu = c->vcpu;
	bool wide = mode == ZYDIS_MACHINE_MODE_LONG_64;
	uint64_t size = wide ? X86_DESC_L : mode == ZYDIS_MACHINE_MODE_LEGACY_32 ? X86_DESC_DB : 0;
	vcpu->efer = wide ? X86_EFER_LMA : 0;
	vcpu->cr0 = X86_CR0_ET | (mode == ZYDIS_MACHINE_MODE_REAL_16 ? 0 : X86_CR0_PE);
	vcpu->sreg[SREG_CS] = seg_make(FIX_KCODE, SEG_FLAT | X86_DESC_CODE | size);
	interp_load(c);
}

static unsigned copies_of_mode(struct engine_vcpu *c, ZydisMachineMode mode, unsigned *bad)
{
	unsigned copies = 0;
	enter_mode(c, mode);
	assert_int_equal(emu_mode(c->vcpu), mode);
	for (unsigned n = 0; n < ENCODINGS; n++) {
		uint8_t bytes[LONGEST];
		struct emu_insn emu;
		struct insn insn = {.base = GPR_ZERO, .index = GPR_ZERO};
		make(bytes);
		if (ZYAN_FAILED(emu_decode_bytes(mode, bytes, sizeof(bytes), &emu)) || emu_is_sensitive(&emu))
			continue;
		if (native_is_full(c->native))
			native_reset(c->native);
		decode_insn(c, &insn, &emu, n & 1);
		const char *wrong = insn.detail && insn.detail->code ? look(c, insn.detail) : NULL;
		copies += insn.detail && insn.detail->code;
		if (!wrong && insn.detail && !insn.detail->code && insn.run == op_undefined && should_run(&emu))
			wrong = "has no copy";
		if (wrong)
			*bad += complain(&emu, wrong);
		free(insn.detail);
	}
	return copies;
}

static void test_copies(void **state)
{
	static const ZydisMachineMode modes[] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LEGACY_32,
						 ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_REAL_16};
	struct machine_fixture *m = fix_make();
	unsigned bad = 0;
	assert_int_equal(interpret_create(&m->vm, NULL), 0);
	for (unsigned n = 0; n < sizeof(modes) / sizeof(modes[0]); n++)
		assert_true(copies_of_mode(m->vcpu->engine, modes[n], &bad) > ENCODINGS / 100);
	interpret_destroy(&m->vm);
	fix_free(m);
	assert_int_equal(bad, 0);
}

/* A copy that reaches beside its operand is refused, whoever made it. */
static void test_unsound(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[10], len;
		bool sound;
	} copies[] = {
		{"paddd 0(%rip)", {0x66, 0x0f, 0xfe, 0x05, 0x00, 0x00, 0x00, 0x00}, 8, true},
		{"beside it", {0x66, 0x0f, 0xfe, 0x05, 0x01, 0x00, 0x00, 0x00}, 8, false},
		{"through a register", {0x66, 0x0f, 0xfe, 0x00}, 4, false},
		{"with a segment", {0x64, 0x66, 0x0f, 0xfe, 0x05, 0xff, 0xff, 0xff, 0xff}, 9, false},
		{"with narrow addresses", {0x67, 0x66, 0x0f, 0xfe, 0x05, 0xff, 0xff, 0xff, 0xff}, 9, false},
		{"another register", {0x66, 0x0f, 0xfe, 0x0d, 0x00, 0x00, 0x00, 0x00}, 8, false},
		{"another instruction", {0x66, 0x0f, 0xfa, 0x05, 0x00, 0x00, 0x00, 0x00}, 8, false},
		{"SYSCALL", {0x0f, 0x05}, 2, false},
		{"more behind it", {0x66, 0x0f, 0xfe, 0x05, 0x00, 0x00, 0x00, 0x00, 0x0f, 0x05}, 10, false},
	};
	const uint8_t original[] = {0x66, 0x0f, 0xfe, 0x00}; /* paddd (%rax), %xmm0 */
	struct insn_detail d = {.size = 16, .reads = true};
	assert_true(ZYAN_SUCCESS(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, original, sizeof(original), &d.emu)));
	for (unsigned n = 0; n < sizeof(copies) / sizeof(copies[0]); n++)
		if (native_copy_is_sound(&d, copies[n].bytes, copies[n].len, TASK_CODE, TASK_CODE + 8) !=
		    copies[n].sound)
			fail_msg("%s", copies[n].what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_unsound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
