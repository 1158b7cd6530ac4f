/*
 * The x87 in the interpreter against the processor: each encoding on seeded random registers, control and status words
 * and memory, of which some are masked, wait, are empty, or are no numbers; and what a fault leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/interpret/native.h"
#include "monitor/engine/interpret/x87.h"
#include "tests/unit/machine_fixture.h"
#include "tests/unit/native_run.h"

#define ROUNDS	     60
#define OPERAND	     (FIX_DATA + 0x100)
#define DATA_LEN     0x200
#define COMPARED     X86_FPU_XMM
#define ESCAPE	     0xd8
#define REX_B	     0x41
#define AT_R15	     7 /* ModRM without its middle bits: [R15], given REX.B */
#define OF_REGISTERS 0xc0

static uint64_t seed = 0x452821e638d01377;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

struct state {
	uint64_t rax, flags; /* flags as LAHF and SETO leave them in AX */
	uint8_t vector;
	uint8_t data[DATA_LEN];
	uint8_t fpu[ENGINE_FPU_MAX] __attribute__((aligned(64)));
};

/* Zero, denormals, infinities, what is no number, and what no processor makes; mostly of a size that fits. */
static void put_number(uint8_t *to)
{
	static const uint16_t exponents[] = {0, 1, 0x7fff, 0x3fff, 0x3f7f, 0x407f, 0x3c00, 0x43ff, 0x403d, 0x401e};
	static const uint64_t digits[] = {0, 1, R3_BIT(63), UINT64_MAX, R3_BIT(63) | R3_BIT(62), R3_BIT(62)};
	uint64_t r = random64();
	uint16_t exponent = r & 1 ? (uint16_t)(0x3fff + (int)(r >> 8 & 0x7f) - 0x40) : exponents[(r >> 16) % 10];
	uint64_t value = r & 2 ? random64() | R3_BIT(63) : digits[(r >> 24) % 6];
	exponent |= r & 4 ? 0x8000 : 0;
	memcpy(to, &value, sizeof(value));
	memcpy(to + sizeof(value), &exponent, sizeof(exponent));
}

static void randomize(struct state *s)
{
	uint64_t r = random64();
	unsigned open = r & 3 ? 0 : r >> 8 & 0x3f, raised = r >> 16 & 0x3f;
	uint16_t fcw = (uint16_t)((0x7f ^ open) | (r & 8 ? 0x300 : (r >> 24 & 0xf) << 8));
	uint16_t fsw = (uint16_t)(raised | (raised & open ? 0x8080 : 0) | (r >> 32 & 0x7f) << 8);
	const uint64_t components = X86_XCR0_X87 | X86_XCR0_SSE;
	const uint32_t mxcsr = X86_MXCSR_RESET;
	memset(s, 0, sizeof(*s));
	s->rax = random64();
	s->flags = random64() & 0xd501;
	for (unsigned n = 0; n < DATA_LEN; n++)
		s->data[n] = (uint8_t)random64();
	/* Operands in memory: of 80 bits, or as many of the highest as make a number of 32 or 64. */
	put_number(s->data + OPERAND - FIX_DATA);
	if (r & 16)
		memset(s->data + OPERAND - FIX_DATA, r & 32 ? 0 : 0xff, 2);
	memcpy(s->fpu + X86_FPU_FCW, &fcw, sizeof(fcw));
	memcpy(s->fpu + X86_FPU_FSW, &fsw, sizeof(fsw));
	s->fpu[X86_FPU_FTW] = (uint8_t)(r & 64 ? 0xff ^ 1u << (fsw >> 11 & 7) >> 1 : r >> 40);
	memcpy(s->fpu + X86_FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	for (unsigned n = 0; n < X86_FPU_ST_COUNT; n++)
		put_number(s->fpu + X86_FPU_ST + n * X86_FPU_SLOT);
	memcpy(s->fpu + X86_FPU_HEADER, &components, sizeof(components));
}

/* Numbers that are denormal, and exact, in 32 bits; underflow, which is flagged then, is not masked. */
static void make_tiny(struct state *s)
{
	const uint16_t fcw = X86_FCW_RESET & ~X86_FCW_UM, fsw = 0, exponent = 0x3f70;
	const uint64_t digits = R3_BIT(63);
	memcpy(s->fpu + X86_FPU_FCW, &fcw, sizeof(fcw));
	memcpy(s->fpu + X86_FPU_FSW, &fsw, sizeof(fsw));
	s->fpu[X86_FPU_FTW] = 0x7f;
	for (unsigned n = 0; n < X86_FPU_ST_COUNT; n++) {
		memcpy(s->fpu + X86_FPU_ST + n * X86_FPU_SLOT, &digits, sizeof(digits));
		memcpy(s->fpu + X86_FPU_ST + n * X86_FPU_SLOT + sizeof(digits), &exponent, sizeof(exponent));
	}
}

static void run_native(const uint8_t *code, unsigned len, struct state *s)
{
	struct native_state n = {.fpu = s->fpu, .mask = X86_XCR0_X87 | X86_XCR0_SSE, .flags = s->flags};
	n.gpr[RAX] = s->rax;
	n.gpr[R15] = OPERAND;
	memcpy((void *)FIX_DATA, s->data, DATA_LEN);
	if (native_reference(code, len, &n, &s->vector)) {
		s->rax = n.gpr[RAX];
		s->flags = n.flags;
	}
	memcpy(s->data, (void *)FIX_DATA, DATA_LEN);
}

static uint64_t rflags_of(uint64_t flags)
{
	return (flags >> 8 & 0xd5) | (flags & 1 ? X86_RFLAGS_OF : 0) | X86_RFLAGS_FIXED;
}

static void run_interpreted(struct machine_fixture *m, struct state *s)
{
	struct vcpu *vcpu = m->vcpu;
	struct engine_vcpu *c = vcpu->engine;
	struct vm_exit exit;
	vcpu->gpr[RAX] = s->rax;
	vcpu->gpr[R15] = OPERAND;
	memcpy(m->vm.mem.base + FIX_DATA, s->data, DATA_LEN);
	memcpy(c->fpu, s->fpu, sizeof(s->fpu));
	vcpu->rflags = rflags_of(s->flags);
	vcpu->rip = FIX_CODE;
	do
		interpret_enter(vcpu, &exit);
	while (exit.reason == EXIT_KICK && vcpu->rip == FIX_CODE);
	s->vector = exit.reason == EXIT_EXCEPTION ? exit.vector : 0;
	/* What cannot be decoded is left to the emulator, which finds the same. */
	if (vcpu->event_pending)
		s->vector = vcpu->event.vector;
	vcpu->event_pending = false;
	s->rax = vcpu->gpr[RAX];
	memcpy(s->data, m->vm.mem.base + FIX_DATA, DATA_LEN);
	memcpy(s->fpu, c->fpu, sizeof(s->fpu));
	s->flags = vcpu->rflags;
}

/* ------------------------------------------------------------------------------------------- against the processor */

/* Encodings that the processor is no judge of: FPREM's conditions hang on what it did before, an environment holds
 * pointers, FBLD of what is no decimal. */
static bool is_left_out(uint8_t opcode, uint8_t modrm)
{
	bool memory = modrm < OF_REGISTERS;
	unsigned reg = modrm >> 3 & 7;
	if (memory)
		return ((opcode == 0xd9 || opcode == 0xdd) && (reg == 4 || reg == 6)) || (opcode == 0xdf && reg == 4);
	return opcode == 0xd9 && (modrm == 0xf5 || modrm == 0xf8);
}

static unsigned report(const char *name, const struct state *start, const struct state *want, const struct state *got)
{
	unsigned bad = 0;
	if (want->vector != got->vector)
		bad += (unsigned)printf("%s: raises %u, not %u\n", name, got->vector, want->vector);
	if (want->rax != got->rax)
		bad += (unsigned)printf("%s: RAX %#lx, not %#lx\n", name, got->rax, want->rax);
	if (!want->vector && rflags_of(want->flags) != (got->flags & rflags_of(UINT64_MAX)))
		bad += (unsigned)printf("%s: flags %#lx, not %#lx\n", name, got->flags, rflags_of(want->flags));
	for (unsigned n = 0; n < DATA_LEN && !bad; n++)
		if (want->data[n] != got->data[n])
			bad += (unsigned)printf("%s: memory at %#x: %#x, not %#x\n", name, n, got->data[n],
						want->data[n]);
	for (unsigned n = 0; n < COMPARED && !bad; n++)
		if (want->fpu[n] != got->fpu[n] && (n < X86_FPU_FOP || n >= X86_FPU_ST))
			bad += (unsigned)printf(
				"%s: image at %u: %#x, not %#x (control %02x%02x status %02x%02x tags %02x)\n", name, n,
				got->fpu[n], want->fpu[n], start->fpu[1], start->fpu[0], start->fpu[3], start->fpu[2],
				start->fpu[4]);
	return bad;
}

static bool same_as_processor(struct machine_fixture *m, uint8_t opcode, uint8_t modrm)
{
	static struct state start, want, got;
	const uint8_t code[] = {REX_B, opcode, modrm, 0x0f, 0x05}; /* and SYSCALL */
	char name[16];
	snprintf(name, sizeof(name), "%02x %02x", opcode, modrm);
	fix_put(m, FIX_CODE, code, sizeof(code));
	for (unsigned round = 0; round < ROUNDS; round++) {
		randomize(&start);
		if (!round)
			make_tiny(&start);
		want = got = start;
		run_native(code, 3, &want);
		run_interpreted(m, &got);
		if (report(name, &start, &want, &got))
			return false;
	}
	return true;
}

static void test_against_processor(void **state)
{
	struct machine_fixture *m = *state;
	unsigned failed = 0;
	assert_int_equal(interpret_create(&m->vm, NULL), 0);
	for (unsigned opcode = ESCAPE; opcode < ESCAPE + 8; opcode++)
		for (unsigned modrm = AT_R15; modrm <= UINT8_MAX; modrm += modrm < OF_REGISTERS - 8 ? 8 : 1)
			if ((modrm < 0x40 || modrm >= OF_REGISTERS) && !is_left_out((uint8_t)opcode, (uint8_t)modrm))
				failed += !same_as_processor(m, (uint8_t)opcode, (uint8_t)modrm);
	interpret_destroy(&m->vm);
	assert_int_equal(failed, 0);
}

/* ---------------------------------------------------------------------------------------------------- without the task
 */

/* Runs the code up to the exception that ends it. */
static void run_code(struct machine_fixture *m, const uint8_t *code, size_t len, struct vm_exit *exit)
{
	fix_put(m, FIX_CODE, code, len);
	m->vcpu->rip = FIX_CODE;
	m->vcpu->gpr[R15] = OPERAND;
	m->vcpu->gpr[R14] = FIX_HOLE;
	do
		interpret_enter(m->vcpu, exit);
	while (exit->reason == EXIT_KICK);
}

static void test_without_task(void **state)
{
	struct machine_fixture *m = *state;
	struct vm_exit exit;
	static const uint8_t code[] = {
		0x41, 0xd9, 0x07,	/* fld dword [r15] */
		0x41, 0xd8, 0x07,	/* fadd dword [r15] */
		0xd9, 0xc0,		/* fld st0 */
		0xde, 0xc9,		/* fmulp */
		0xd9, 0xe8,		/* fld1 */
		0xd9, 0xc9,		/* fxch */
		0xdf, 0xf1,		/* fcomip st1 */
		0x41, 0xdd, 0x1f,	/* fstp qword [r15] */
		0x41, 0xd9, 0x7f, 0x10, /* fnstcw [r15 + 16] */
		0x41, 0xd9, 0x6f, 0x10, /* fldcw [r15 + 16] */
		0xdf, 0xe0,		/* fnstsw ax */
		0x0f, 0x0b,		/* ud2 */
	};
	const float number = 1.5f;
	const double one = 1;
	assert_int_equal(interpret_create(&m->vm, NULL), 0);
	struct engine_vcpu *c = m->vcpu->engine;
	memcpy(m->vm.mem.base + OPERAND, &number, sizeof(number));
	run_code(m, code, sizeof(code), &exit);
	assert_int_equal(exit.vector, X86_VEC_UD);
	assert_memory_equal(m->vm.mem.base + OPERAND, &one, sizeof(one));
	assert_int_equal(*(uint16_t *)(m->vm.mem.base + OPERAND + 16), X86_FCW_RESET);
	assert_int_equal(c->fpu[X86_FPU_FTW], 0);
	assert_int_equal(c->native->task.pid, 0);
	interpret_destroy(&m->vm);
}

/* What cannot be accessed leaves the stack, the status word and the pointers as they were. */
static void test_faults(void **state)
{
	struct machine_fixture *m = *state;
	struct vm_exit exit;
	static const struct {
		uint8_t code[3];
		uint32_t error;
	} rows[] = {
		{{0x41, 0xd9, 0x06}, 0},	/* fld dword [r14] */
		{{0x41, 0xdb, 0x2e}, 0},	/* fld tbyte [r14] */
		{{0x41, 0xdc, 0x06}, 0},	/* fadd qword [r14] */
		{{0x41, 0xdd, 0x1e}, X86_PF_W}, /* fstp qword [r14] */
		{{0x41, 0xdb, 0x3e}, X86_PF_W}, /* fstp tbyte [r14] */
		{{0x41, 0xdd, 0x3e}, X86_PF_W}, /* fnstsw [r14] */
	};
	static uint8_t before[X86_FPU_XMM];
	static const uint8_t one_third[] = {0xd9, 0xe8, 0xd9, 0xeb,
					    0xde, 0xf9, 0x0f, 0x0b}; /* fld1, fldpi, fdivp, ud2 */
	assert_int_equal(interpret_create(&m->vm, NULL), 0);
	struct engine_vcpu *c = m->vcpu->engine;
	run_code(m, one_third, sizeof(one_third), &exit);
	memcpy(before, c->fpu, sizeof(before));
	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		run_code(m, rows[n].code, sizeof(rows[n].code), &exit);
		assert_int_equal(exit.vector, X86_VEC_PF);
		assert_int_equal(exit.error & X86_PF_W, rows[n].error);
		assert_int_equal(m->vcpu->rip, FIX_CODE);
		assert_memory_equal(c->fpu, before, sizeof(before));
	}
	interpret_destroy(&m->vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_against_processor, fix_setup_data, fix_teardown_data),
		cmocka_unit_test_setup_teardown(test_without_task, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_faults, fix_setup, fix_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
