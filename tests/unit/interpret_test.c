/*
 * The interpreter against the processor: each instruction of interpret_insns.S on seeded random registers, flags,
 * memory and vector state, once natively and once interpreted; what differs is a defect.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/interpret/native.h"
#include "tests/unit/machine_fixture.h"
#include "tests/unit/native_run.h"

struct insn_entry {
	const uint8_t *code, *end;
	const char *text;
};
extern const struct insn_entry interpret_insns[], interpret_insns_end[];

#define ROUNDS	   100
#define DATA	   FIX_DATA
#define DATA_SIZE  0x2000
#define ARITHMETIC 0x8d5u
/* The x87 instruction and data pointers tell where the instruction lay, and only XSAVE writes the mask of MXCSR. */
#define FPU_POINTERS_LEN   18
#define FPU_MXCSR_MASK_LEN 4
#define FPU_EXTENDED	   576

static uint64_t seed = 0x243f6a8885a308d3;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Half of all values lie at an edge. */
static uint64_t random_value(void)
{
	static const uint64_t edges[] = {0,	     1,		0x7f,	    0x80,	0xff,
					 0x7fff,     0x8000,	0xffff,	    0x7fffffff, 0x80000000,
					 0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX, 0x0f};
	uint64_t r = random64();
	if (r & 1)
		return random64() >> (r >> 8 & 63);
	return edges[(r >> 8) % (sizeof(edges) / sizeof(edges[0]))] + (r & 2 ? (r >> 40 & 3) : 0);
}

struct state {
	uint64_t gpr[GPR_COUNT];
	uint64_t rflags;
	uint8_t vector;
	uint8_t data[DATA_SIZE];
	uint8_t fpu[ENGINE_FPU_MAX] __attribute__((aligned(64)));
};

static bool is_string(const char *text)
{
	static const char *const names[] = {"stos", "movs", "lods", "scas", "cmps"};
	const char *name = strncmp(text, "rep", 3) ? text : strchr(text, ' ') + 1;
	for (unsigned n = 0; n < 5; n++)
		if (!strncmp(name, names[n], 4) && name[5] == '\0')
			return true;
	return false;
}

/* Some hosts let whoever locks the bus wait for milliseconds: such an operand stays within a cache line. */
static bool locks_memory(const char *text)
{
	return strstr(text, "lock") || !strncmp(text, "xchg", 4);
}

/* State that the instruction can be run on: addresses lie in the data. */
static void randomize(const struct engine_vcpu *c, struct state *s, const char *text)
{
	const uint16_t fcw = X86_FCW_RESET;
	const uint32_t mxcsr = X86_MXCSR_RESET;
	const uint64_t components = c->vcpu->vm->cpu.xcr0 & R3_GUEST_XCR0 & ~X86_XCR0_X87;
	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < GPR_COUNT; n++)
		s->gpr[n] = random_value();
	for (unsigned n = 0; n < DATA_SIZE; n++)
		s->data[n] = (uint8_t)(random64() & (random64() & 1 ? 0xff : 0x01));
	s->gpr[RSP] = FIX_STACK;
	s->gpr[R15] = DATA + 0x800 + random64() % 64;
	s->gpr[R12] = DATA + 0x840;
	s->gpr[R14] = random64() % 8;
	if (random64() % 8 == 0) /* across two pages */
		s->gpr[R15] += 0x7c0;
	if (locks_memory(text))
		s->gpr[R15] = DATA + 0x800 + random64() % 32;
	if (is_string(text)) {
		s->gpr[RSI] = DATA + 0x400 + random64() % 0x400;
		s->gpr[RDI] = DATA + 0x800 + random64() % 0x400;
		s->gpr[RCX] = random64() % 64;
	} else if (!strncmp(text, "bt", 2) && strstr(text, "(%r15)")) {
		s->gpr[RAX] = random64() % 8192 - 4096;
	}
	s->rflags = (random64() & ARITHMETIC) | X86_RFLAGS_FIXED;
	memcpy(s->fpu, &fcw, sizeof(fcw));
	memcpy(s->fpu + 24, &mxcsr, sizeof(mxcsr));
	for (unsigned n = X86_FPU_XMM; n < X86_FPU_XMM + 256; n++)
		s->fpu[n] = (uint8_t)random64();
	for (unsigned n = FPU_EXTENDED; n < c->fpu_size; n++)
		s->fpu[n] = (uint8_t)random64();
	memcpy(s->fpu + X86_FPU_HEADER, &components, sizeof(components));
}

static void run_native(struct engine_vcpu *c, const struct insn_entry *e, struct state *s)
{
	struct native_state n = {.fpu = s->fpu, .mask = c->vcpu->vm->cpu.xcr0 & R3_GUEST_XCR0};
	memcpy(n.gpr, s->gpr, sizeof(n.gpr));
	memcpy((void *)DATA, s->data, DATA_SIZE);
	n.flags = (s->rflags & 0xd5) << 8 | !!(s->rflags & X86_RFLAGS_OF);
	if (native_reference(e->code, (unsigned)(e->end - e->code), &n, &s->vector)) {
		n.gpr[RSP] = s->gpr[RSP];
		memcpy(s->gpr, n.gpr, sizeof(n.gpr));
		s->rflags = (n.flags >> 8 & 0xd5) | (n.flags & 1 ? X86_RFLAGS_OF : 0) | X86_RFLAGS_FIXED;
	}
	memcpy(s->data, (void *)DATA, DATA_SIZE);
}

static void run_interpreted(struct machine_fixture *m, struct state *s, bool single)
{
	struct vcpu *vcpu = m->vcpu;
	struct engine_vcpu *c = vcpu->engine;
	struct vm_exit exit;
	memcpy(vcpu->gpr, s->gpr, sizeof(s->gpr));
	memcpy(m->vm.mem.base + DATA, s->data, DATA_SIZE);
	memcpy(c->fpu, s->fpu, sizeof(s->fpu));
	vcpu->rflags = s->rflags;
	vcpu->rip = FIX_CODE;
	vcpu->window_wanted = single;
	do
		interpret_enter(vcpu, &exit);
	while (exit.reason == EXIT_KICK && vcpu->rip == FIX_CODE);
	s->vector = exit.reason == EXIT_EXCEPTION ? exit.vector : 0;
	memcpy(s->gpr, vcpu->gpr, sizeof(s->gpr));
	memcpy(s->data, m->vm.mem.base + DATA, DATA_SIZE);
	memcpy(s->fpu, c->fpu, sizeof(s->fpu));
	s->rflags = vcpu->rflags & (ARITHMETIC | X86_RFLAGS_FIXED);
}

/* Components that are said to be in their initial state, in full: processors differ in what they take for it. */
static void expand(struct state *s)
{
	static const uint16_t fcw = X86_FCW_RESET;
	uint64_t present, all = R3_GUEST_XCR0;
	memcpy(&present, s->fpu + X86_FPU_HEADER, sizeof(present));
	for (unsigned n = 2; n < 8; n++)
		if (!(present >> n & 1) && (all >> n & 1))
			memset(s->fpu + vector_component(n).offset, 0, vector_component(n).size);
	if (!(present & 1)) {
		memset(s->fpu, 0, X86_FPU_MXCSR);
		memcpy(s->fpu, &fcw, sizeof(fcw));
		memset(s->fpu + X86_FPU_ST, 0, X86_FPU_XMM - X86_FPU_ST);
	}
	present |= all;
	memcpy(s->fpu + X86_FPU_HEADER, &present, sizeof(present));
}

static unsigned report(const struct insn_entry *e, const struct state *start, const struct state *want,
		       const struct state *got)
{
	unsigned bad = 0;
	for (unsigned n = 0; n < GPR_COUNT; n++)
		if (want->gpr[n] != got->gpr[n])
			bad += (unsigned)printf("%s: register %u from %#lx: %#lx, not %#lx\n", e->text, n,
						start->gpr[n], got->gpr[n], want->gpr[n]);
	/* Of a rotation by more than one OF is undefined, and some processors tell an immediate from CL. */
	uint64_t known = !strncmp(e->text, "ro", 2) && strchr(e->text, '$') ? ~(uint64_t)X86_RFLAGS_OF : UINT64_MAX;
	if ((want->rflags ^ got->rflags) & known)
		bad += (unsigned)printf("%s: flags %#lx, not %#lx\n", e->text, got->rflags, want->rflags);
	if (want->vector != got->vector)
		bad += (unsigned)printf("%s: raises %u, not %u\n", e->text, got->vector, want->vector);
	for (unsigned n = 0; n < DATA_SIZE && !bad; n++)
		if (want->data[n] != got->data[n])
			bad += (unsigned)printf("%s: memory at %#x (r15 %#lx): %#x, not %#x\n", e->text, DATA + n,
						start->gpr[R15], got->data[n], want->data[n]);
	for (unsigned n = 0; n < ENGINE_FPU_MAX && !bad; n++)
		if (want->fpu[n] != got->fpu[n] && n - X86_FPU_FOP >= FPU_POINTERS_LEN &&
		    n - X86_FPU_MXCSR_MASK >= FPU_MXCSR_MASK_LEN)
			bad += (unsigned)printf("%s: FPU image at %u: %#x, not %#x\n", e->text, n, got->fpu[n],
						want->fpu[n]);
	return bad;
}

static bool same_as_processor(struct machine_fixture *m, const struct insn_entry *e, unsigned round)
{
	static struct state start, want, got;
	struct engine_vcpu *c = m->vcpu->engine;
	randomize(c, &start, e->text);
	want = got = start;
	run_native(c, e, &want);
	/* Images of the environment hold the pointers. */
	bool pointers =
		!strncmp(e->text, "fxsave", 6) || !strncmp(e->text, "fnstenv", 7) || !strncmp(e->text, "fnsave", 6);
	run_interpreted(m, &got, round % 8 == 0);
	if (pointers)
		memcpy(got.data, want.data, DATA_SIZE);
	expand(&want);
	expand(&got);
	return !report(e, &start, &want, &got);
}

static void test_against_processor(void **state)
{
	struct machine_fixture *m = *state;
	unsigned failed = 0;
	/* Here, since cmocka catches the signals by which faults are known itself until the test begins. */
	assert_int_equal(interpret_create(&m->vm, NULL), 0);
	for (const struct insn_entry *e = interpret_insns; e < interpret_insns_end; e++) {
		static const uint8_t syscall[] = {0x0f, 0x05};
		fix_put(m, FIX_CODE, e->code, (uint64_t)(e->end - e->code));
		fix_put(m, FIX_CODE + (uint64_t)(e->end - e->code), syscall, sizeof(syscall));
		bool same = true;
		for (unsigned round = 0; round < ROUNDS && same; round++)
			same = same_as_processor(m, e, round);
		if (m->vm.ended) {
			printf("%s: %s\n", e->text, m->vm.reason);
			m->vm.ended = false;
			m->vm.reason[0] = '\0';
			same = false;
		}
		failed += !same;
	}
	interpret_destroy(&m->vm);
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_against_processor, fix_setup_data, fix_teardown_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
