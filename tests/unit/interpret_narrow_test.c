/*
 * The interpreter outside 64-bit mode against the processor: what 16-, 32- and 64-bit code have in common does the same
 * in each, so the processor's own 64-bit result is the reference for it in flat and in segmented 32-bit code, in 16-bit
 * protected mode and in real mode.
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
#include "monitor/vm/segment.h"
#include "tests/unit/machine_fixture.h"
#include "tests/unit/native_run.h"

struct insn_entry {
	const uint8_t *wide, *code32, *code16, *end;
	const char *text;
};
extern const struct insn_entry narrow_insns[], narrow_insns_end[];

#define ROUNDS		   40
#define DATA		   FIX_DATA
#define DATA_SIZE	   0x2000
#define ARITHMETIC	   0x8d5u
#define FPU_POINTERS_LEN   18
#define FPU_MXCSR_MASK_LEN 4

/* Where segments with a base begin. */
#define BASE	      0x10000
#define REAL_SELECTOR (BASE >> 4)

static const struct mode {
	const char *name;
	unsigned bits;
	uint64_t base;
	bool real;
} modes[] = {
	{"32-bit flat", 32, 0, false},
	{"32-bit segments", 32, BASE, false},
	{"16-bit segments", 16, BASE, false},
	{"real mode", 16, BASE, true},
};

struct state {
	uint64_t gpr[GPR_COUNT];
	uint64_t rflags;
	uint8_t vector;
	uint8_t data[DATA_SIZE];
	uint8_t fpu[ENGINE_FPU_MAX] __attribute__((aligned(64)));
};

static uint64_t random64(void)
{
	static uint64_t seed = 0x13198a2e03707344;
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint32_t random_value(void)
{
	static const uint32_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, ~0u};
	uint64_t r = random64();
	return r & 1 ? (uint32_t)random64() : edges[(r >> 8) % (sizeof(edges) / sizeof(edges[0]))];
}

/* EDI is an index there, else a pointer. */
static bool edi_is_index(const char *text)
{
	return strstr(text, ",%edi");
}

/* Some hosts let whoever locks the bus wait for milliseconds: such an operand stays within a cache line. */
static bool locks_memory(const char *text)
{
	return strstr(text, "lock") || !strncmp(text, "xchg", 4);
}

static void randomize(struct state *s, const char *text, unsigned fpu_size)
{
	const uint16_t fcw = X86_FCW_RESET;
	const uint32_t mxcsr = X86_MXCSR_RESET;
	const uint64_t components = X86_XCR0_SSE | X86_XCR0_AVX;
	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < GPR_COUNT; n++)
		s->gpr[n] = random_value();
	for (unsigned n = 0; n < DATA_SIZE; n++)
		s->data[n] = (uint8_t)(random64() & (random64() & 1 ? 0xff : 0x01));
	s->gpr[RSP] = FIX_STACK;
	s->gpr[RBP] = DATA + 0x800 + random64() % 64 + (random64() % 8 ? 0 : 0x7c0);
	if (locks_memory(text))
		s->gpr[RBP] = DATA + 0x800 + random64() % 32;
	s->gpr[RBX] = DATA + 0x840;
	s->gpr[RSI] = DATA + 0x400 + random64() % 0x400;
	/* Addresses of 32 bits begin anew beyond 4 GiB. */
	s->gpr[RDI] = edi_is_index(text) ? (uint32_t)(random64() % 16 - 8) : DATA + 0x800 + random64() % 0x400;
	if (strstr(text, "rep"))
		s->gpr[RCX] = random64() % 64;
	if (!strncmp(text, "bt", 2) && strstr(text, "(%ebp)"))
		s->gpr[RAX] = (uint32_t)(random64() % 8192 - 4096);
	s->rflags = (random64() & ARITHMETIC) | X86_RFLAGS_FIXED;
	memcpy(s->fpu, &fcw, sizeof(fcw));
	memcpy(s->fpu + X86_FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	for (unsigned n = 0; n < 256; n++)
		s->fpu[X86_FPU_XMM + n] = (uint8_t)random64();
	for (unsigned n = X86_FPU_EXTENDED; n < fpu_size; n++)
		s->fpu[n] = (uint8_t)random64();
	memcpy(s->fpu + X86_FPU_HEADER, &components, sizeof(components));
}

static void run_native(struct engine_vcpu *c, const struct insn_entry *e, struct state *s)
{
	struct native_state n = {.fpu = s->fpu, .mask = c->vcpu->vm->cpu.xcr0 & 7};
	memcpy(n.gpr, s->gpr, sizeof(n.gpr));
	memcpy((void *)DATA, s->data, DATA_SIZE);
	n.flags = (s->rflags & 0xd5) << 8 | !!(s->rflags & X86_RFLAGS_OF);
	if (native_reference(e->wide, (unsigned)(e->code32 - e->wide), &n, &s->vector)) {
		n.gpr[RSP] = s->gpr[RSP];
		memcpy(s->gpr, n.gpr, sizeof(n.gpr));
		s->rflags = (n.flags >> 8 & 0xd5) | (n.flags & 1 ? X86_RFLAGS_OF : 0) | X86_RFLAGS_FIXED;
	}
	memcpy(s->data, (void *)DATA, DATA_SIZE);
}

/* Code and data segments of the mode, no paging. */
static void enter_mode(struct vcpu *vcpu, const struct mode *mode)
{
	const uint64_t limit = mode->bits == 16 ? 0xffff : 0xfffff;
	uint64_t d = X86_DESC_P | X86_DESC_S | X86_DESC_RW | X86_DESC_ACCESSED | (limit & 0xffff) | limit >> 16 << 48 |
		     mode->base << 16 | (mode->bits == 32 ? X86_DESC_DB | X86_DESC_G : 0);
	vcpu->efer = 0;
	vcpu->cr0 = X86_CR0_ET | X86_CR0_NE | (mode->real ? 0 : X86_CR0_PE);
	vcpu->cr4 &= ~X86_CR4_PAE;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		vcpu->sreg[n] = mode->real     ? seg_make_8086(REAL_SELECTOR, false)
				: n == SREG_CS ? seg_make(FIX_KCODE, d | X86_DESC_CODE)
					       : seg_make(FIX_KDATA, d);
}

/* Registers that point into the data are offsets there. */
static void shift_pointers(struct state *s, const char *text, uint64_t by)
{
	s->gpr[RBP] = (uint32_t)(s->gpr[RBP] + by);
	s->gpr[RBX] = (uint32_t)(s->gpr[RBX] + by);
	s->gpr[RSI] = (uint32_t)(s->gpr[RSI] + by);
	if (!edi_is_index(text))
		s->gpr[RDI] = (uint32_t)(s->gpr[RDI] + by);
}

static void run_interpreted(struct machine_fixture *m, struct state *s, const struct mode *mode, bool single)
{
	struct vcpu *vcpu = m->vcpu;
	struct engine_vcpu *c = vcpu->engine;
	struct vm_exit exit;
	memcpy(vcpu->gpr, s->gpr, sizeof(s->gpr));
	memcpy(m->vm.mem.base + DATA, s->data, DATA_SIZE);
	memcpy(c->fpu, s->fpu, sizeof(s->fpu));
	enter_mode(vcpu, mode);
	vcpu->rflags = s->rflags;
	vcpu->rip = FIX_CODE - mode->base;
	vcpu->window_wanted = single;
	vcpu->halted = false;
	do
		interpret_enter(vcpu, &exit);
	while (exit.reason == EXIT_KICK && vcpu->rip == FIX_CODE - mode->base);
	s->vector = exit.reason == EXIT_EXCEPTION ? exit.vector : 0;
	memcpy(s->gpr, vcpu->gpr, sizeof(s->gpr));
	memcpy(s->data, m->vm.mem.base + DATA, DATA_SIZE);
	memcpy(s->fpu, c->fpu, sizeof(s->fpu));
	s->rflags = vcpu->rflags & (ARITHMETIC | X86_RFLAGS_FIXED);
}

static unsigned report(const char *text, const struct state *start, const struct state *want, const struct state *got)
{
	unsigned bad = 0;
	for (unsigned n = 0; n < GPR_COUNT; n++)
		if (want->gpr[n] != got->gpr[n])
			bad += (unsigned)printf("%s: register %u from %#lx: %#lx, not %#lx\n", text, n, start->gpr[n],
						got->gpr[n], want->gpr[n]);
	/* Of a rotation by more than one OF is undefined, and some processors tell an immediate from CL. */
	uint64_t known = !strncmp(text, "ro", 2) && strchr(text, '$') ? ~(uint64_t)X86_RFLAGS_OF : UINT64_MAX;
	if ((want->rflags ^ got->rflags) & known)
		bad += (unsigned)printf("%s: flags %#lx, not %#lx\n", text, got->rflags, want->rflags);
	if (want->vector != got->vector)
		bad += (unsigned)printf("%s: raises %u, not %u\n", text, got->vector, want->vector);
	for (unsigned n = 0; n < DATA_SIZE && !bad; n++)
		if (want->data[n] != got->data[n])
			bad += (unsigned)printf("%s: memory at %#x: %#x, not %#x\n", text, DATA + n, got->data[n],
						want->data[n]);
	/* Processors differ in what they take for the x87's initial state. */
	for (unsigned n = 0; n < ENGINE_FPU_MAX && !bad; n++)
		if (((want->fpu[n] ^ got->fpu[n]) & (n == X86_FPU_HEADER ? ~1 : ~0)) &&
		    n - X86_FPU_FOP >= FPU_POINTERS_LEN && n - X86_FPU_MXCSR_MASK >= FPU_MXCSR_MASK_LEN)
			bad += (unsigned)printf("%s: FPU image at %u: %#x, not %#x\n", text, n, got->fpu[n],
						want->fpu[n]);
	return bad;
}

static bool same_as_processor(struct machine_fixture *m, const struct insn_entry *e, const struct mode *mode,
			      unsigned round)
{
	static struct state start, want, got;
	struct engine_vcpu *c = m->vcpu->engine;
	randomize(&start, e->text, c->fpu_size);
	want = got = start;
	run_native(c, e, &want);
	shift_pointers(&got, e->text, -mode->base);
	run_interpreted(m, &got, mode, round % 8 == 0);
	shift_pointers(&got, e->text, mode->base);
	if (!report(e->text, &start, &want, &got))
		return true;
	printf("in %s\n", mode->name);
	return false;
}

/* VEX does not exist in real mode. */
static bool is_vex(const uint8_t *code)
{
	return *code == 0xc4 || *code == 0xc5;
}

static void test_mode(struct machine_fixture *m, const struct mode *mode, unsigned *failed)
{
	static const uint8_t hlt = 0xf4;
	for (const struct insn_entry *e = narrow_insns; e < narrow_insns_end; e++) {
		const uint8_t *code = mode->bits == 32 ? e->code32 : e->code16;
		uint64_t len = (uint64_t)((mode->bits == 32 ? e->code16 : e->end) - code);
		/* A prefix of address size may stand before it. */
		if (mode->real && (is_vex(code) || is_vex(code + 1)))
			continue;
		fix_put(m, FIX_CODE, code, len);
		fix_put(m, FIX_CODE + len, &hlt, sizeof(hlt));
		bool same = true;
		for (unsigned round = 0; round < ROUNDS && same; round++)
			same = same_as_processor(m, e, mode, round);
		*failed += !same;
	}
}

static void test_against_processor(void **state)
{
	struct machine_fixture *m = *state;
	unsigned failed = 0;
	assert_int_equal(interpret_create(&m->vm, NULL), 0);
	for (unsigned n = 0; n < sizeof(modes) / sizeof(modes[0]); n++)
		test_mode(m, &modes[n], &failed);
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
