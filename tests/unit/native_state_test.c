/*
 * XSAVE64 and XRSTOR64 as the interpreter does them, against the processor: random masks, random images, plain ones and
 * such as the processor refuses or stores otherwise than it loaded them; and plain ones are done without a hand-over,
 * as FWAIT is.
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

#define ROUNDS	     4000
#define DATA	     FIX_DATA
#define POINTERS_END X86_FPU_MXCSR /* from FOP on: where the processor runs is told otherwise, native_pointers.c */

static const uint8_t xsave[] = {0x49, 0x0f, 0xae, 0x24, 0x24}, xrstor[] = {0x49, 0x0f, 0xae, 0x2c, 0x24}; /* [R12] */

static uint64_t seed = 0x452821e638d01377;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void set16(uint8_t *at, unsigned value)
{
	uint16_t word = (uint16_t)value;
	memcpy(at, &word, sizeof(word));
}

/* Odd: in one way that is not plain. */
static void make_image(uint8_t *image, unsigned size, uint64_t components, bool odd)
{
	uint32_t mxcsr = X86_MXCSR_MASKS | ((uint32_t)random64() & X86_MXCSR_FLAGS);
	uint64_t present = random64() & components;
	for (unsigned n = 0; n < size; n++)
		image[n] = (uint8_t)random64();
	set16(image, X86_FCW_RESET | ((unsigned)random64() & 0xc00));
	set16(image + 2, (unsigned)random64() & 0x7f3f);
	memset(image + X86_FPU_FOP - 1, 0, X86_FPU_MXCSR - X86_FPU_FOP + 1);
	for (unsigned at = 32; at < X86_FPU_XMM; at += 16)
		memset(image + at + 10, 0, 6);
	memset(image + X86_FPU_HEADER, 0, X86_FPU_EXTENDED - X86_FPU_HEADER);
	switch (odd ? random64() % 8 : 8) {
	case 0:
		set16(image, (unsigned)random64());
		break;
	case 1:
		set16(image + 2, (unsigned)random64() | 0x80);
		break;
	case 2:
		image[X86_FPU_FOP - 1] = 0xff;
		break;
	case 3:
		image[32 + 16 * (random64() % 8) + 10 + random64() % 6] = 0xff;
		break;
	case 4:
		mxcsr |= 1u << (18 + random64() % 14);
		break;
	case 5:
		present |= 1ull << 62;
		break;
	case 6:
		image[X86_FPU_HEADER + 8 + random64() % 16] = 1;
		break;
	case 7:
		mxcsr = 0;
		break;
	default:
		break;
	}
	memcpy(image + X86_FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	memcpy(image + X86_FPU_HEADER, &present, sizeof(present));
}

struct state {
	uint64_t gpr[GPR_COUNT];
	uint8_t vector;
	uint8_t data[FIX_DATA_SIZE];
	uint8_t fpu[ENGINE_FPU_MAX] __attribute__((aligned(64)));
};

/* Of components that the host has and the machine does not, nothing is asked. */
static void run_native(const struct engine_vcpu *c, const uint8_t *code, struct state *s)
{
	struct native_state n = {.fpu = s->fpu, .mask = c->vcpu->vm->cpu.xcr0 & NATIVE_COMPONENTS};
	memcpy(n.gpr, s->gpr, sizeof(n.gpr));
	n.gpr[RAX] &= c->vcpu->xcr0;
	n.gpr[RDX] = 0;
	memcpy((void *)DATA, s->data, FIX_DATA_SIZE);
	native_reference(code, sizeof(xsave), &n, &s->vector);
	memcpy(s->data, (void *)DATA, FIX_DATA_SIZE);
}

static void run_interpreted(struct machine_fixture *m, struct state *s)
{
	struct vcpu *vcpu = m->vcpu;
	struct engine_vcpu *c = vcpu->engine;
	struct vm_exit exit;
	memcpy(vcpu->gpr, s->gpr, sizeof(s->gpr));
	memcpy(m->vm.mem.base + DATA, s->data, FIX_DATA_SIZE);
	memcpy(c->fpu, s->fpu, sizeof(s->fpu));
	vcpu->rip = FIX_CODE;
	interpret_enter(vcpu, &exit);
	s->vector = exit.reason == EXIT_EXCEPTION ? exit.vector : 0;
	memcpy(s->data, m->vm.mem.base + DATA, FIX_DATA_SIZE);
	memcpy(s->fpu, c->fpu, sizeof(s->fpu));
}

/* What is in its initial state is so in full; which components count as in use is the processor's affair. */
static void expand(uint8_t *image, uint64_t components)
{
	uint64_t present;
	memcpy(&present, image + X86_FPU_HEADER, sizeof(present));
	for (unsigned n = 2; n < 8; n++)
		if (components & ~present & R3_BIT(n))
			memset(image + vector_component(n).offset, 0, vector_component(n).size);
	if (!(present & X86_XCR0_SSE))
		memset(image + X86_FPU_XMM, 0, X86_FPU_XMM_SIZE);
	if (!(present & X86_XCR0_X87)) {
		memset(image, 0, X86_FPU_MXCSR);
		set16(image, X86_FCW_RESET);
		memset(image + 32, 0, X86_FPU_XMM - 32);
	}
	memset(image + X86_FPU_FOP, 0, POINTERS_END - X86_FPU_FOP);
	memset(image + X86_FPU_MXCSR_MASK, 0, sizeof(uint32_t));
	present |= components;
	memcpy(image + X86_FPU_HEADER, &present, sizeof(present));
}

/* The image that was stored; of the header what is not a component in use. */
static void level(struct state *s, uint64_t mask)
{
	uint64_t header;
	memcpy(&header, s->data + X86_FPU_HEADER, sizeof(header));
	header &= ~mask;
	memcpy(s->data + X86_FPU_HEADER, &header, sizeof(header));
	memset(s->data + X86_FPU_FOP, 0, POINTERS_END - X86_FPU_FOP);
}

static unsigned differing(const uint8_t *a, const uint8_t *b, unsigned size)
{
	unsigned n = 0;
	while (n < size && a[n] == b[n])
		n++;
	return n;
}

static bool same(struct machine_fixture *m, unsigned round)
{
	static struct state want, got;
	struct engine_vcpu *c = m->vcpu->engine;
	uint64_t components = m->vm.cpu.xcr0 & NATIVE_COMPONENTS;
	bool saves = round & 1;
	memset(&want, 0, sizeof(want));
	make_image(want.fpu, c->fpu_size, components, false);
	make_image(want.data, c->fpu_size, components, random64() % 4 == 0);
	want.gpr[RAX] = random64() % 4 ? random64() : ~0ull;
	want.gpr[RDX] = random64();
	want.gpr[R12] = DATA;
	got = want;
	fix_put(m, FIX_CODE, saves ? xsave : xrstor, sizeof(xsave));
	run_native(c, saves ? xsave : xrstor, &want);
	run_interpreted(m, &got);
	expand(want.fpu, components);
	expand(got.fpu, components);
	level(&want, components);
	level(&got, components);
	unsigned data = differing(want.data, got.data, FIX_DATA_SIZE), fpu = differing(want.fpu, got.fpu, c->fpu_size);
	bool alike = want.vector == got.vector && data == FIX_DATA_SIZE && fpu == c->fpu_size;
	if (!alike)
		printf("round %u, mask %#lx: vector %u, not %u; memory differs from %#x on, the state from %#x on\n",
		       round, want.gpr[RAX], got.vector, want.vector, data, fpu);
	return alike;
}

static void test_against_processor(void **state)
{
	struct machine_fixture *m = *state;
	static const uint8_t syscall[] = {0x0f, 0x05};
	unsigned failed = 0;
	assert_int_equal(interpret_create(&m->vm, NULL), 0);
	fix_put(m, FIX_CODE + sizeof(xsave), syscall, sizeof(syscall));
	for (unsigned round = 0; round < ROUNDS && failed < 10; round++)
		failed += !same(m, round);
	interpret_destroy(&m->vm);
	assert_int_equal(failed, 0);
}

/* XSAVE64, XSAVE, XSAVEOPT64, XSAVEC64 of [R12]. */
static const struct {
	uint8_t code[6], size;
	bool part, compacted;
} savers[] = {{{0x49, 0x0f, 0xae, 0x24, 0x24}, 5, false, false},
	      {{0x41, 0x0f, 0xae, 0x24, 0x24}, 5, false, false},
	      {{0x49, 0x0f, 0xae, 0x34, 0x24}, 5, true, false},
	      {{0x49, 0x0f, 0xc7, 0x24, 0x24}, 5, true, true}};
static const uint8_t xrstor_32[] = {0x41, 0x0f, 0xae, 0x2c, 0x24};

static void step(struct machine_fixture *m, const uint8_t *code, uint64_t mask)
{
	static const uint8_t syscall[] = {0x0f, 0x05};
	struct vm_exit exit;
	fix_put(m, FIX_CODE, code, 5);
	fix_put(m, FIX_CODE + 5, syscall, sizeof(syscall));
	m->vcpu->gpr[RAX] = mask;
	m->vcpu->gpr[RDX] = 0;
	m->vcpu->gpr[R12] = DATA;
	m->vcpu->rip = FIX_CODE;
	interpret_enter(m->vcpu, &exit);
	assert_int_equal(exit.reason, EXIT_SYSCALL);
}

/* The component of protection keys, in each form of an image, asked for and not, in its initial state and not; saved
 * and loaded as a plain image, and as one that the task is wanted for. */
static void test_keys(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	uint8_t *image = m->vm.mem.base + DATA;
	uint64_t header[2], value;
	c->xcr0 |= X86_XCR0_PKRU;
	assert_int_equal(interpret_create(&m->vm, NULL), 0);
	for (unsigned n = 0; n < 64; n++) {
		unsigned which = n % 4;
		bool initial = n & 4, asked = n & 8, odd = n & 16, by_task = n & 32;
		uint32_t keys = initial ? 0 : 0x12345678;
		uint64_t mask = asked ? ~0ull : ~X86_XCR0_PKRU;
		unsigned place = savers[which].compacted ? native_state_place(c->xcr0 | X86_FPU_COMPACTED, 9)
							 : cpu_component(9).offset;
		if (savers[which].compacted && !m->vm.cpu.has[CPU_xsavec])
			continue;
		memset(image, 0xcc, FIX_DATA_SIZE);
		memset(image + X86_FPU_HEADER, 0, X86_FPU_EXTENDED - X86_FPU_HEADER);
		set16(c->engine->fpu + 2, odd ? 0x3f : 0); /* exceptions that the control word keeps */
		set16(c->engine->fpu, odd ? 0x37e : X86_FCW_RESET);
		c->pkru = keys;
		step(m, savers[which].code, mask);
		memcpy(header, image + X86_FPU_HEADER, sizeof(header));
		memcpy(&value, image + place, sizeof(value));
		assert_int_equal(!!(header[0] & X86_XCR0_PKRU), asked && !initial);
		assert_int_equal(!!(header[1] & X86_XCR0_PKRU), asked && savers[which].compacted);
		assert_true(value == (asked && !(initial && savers[which].part) ? keys : 0xcccccccccccccccc));
		c->pkru = 0xffff;
		step(m, by_task ? xrstor_32 : xrstor, mask);
		assert_int_equal(c->pkru, asked ? keys : 0xffff);
		assert_int_equal(c->engine->paging.user_keys, c->cr4 & X86_CR4_PKE ? c->pkru : 0);
	}
	interpret_destroy(&m->vm);
}

/* What counts as a plain image, and is not handed over. */
static void test_plain(void **state)
{
	struct machine_fixture *m = *state;
	assert_int_equal(interpret_create(&m->vm, NULL), 0);
	struct engine_vcpu *c = m->vcpu->engine;
	struct insn insn = {.base = GPR_ZERO, .index = GPR_ZERO};
	struct emu_insn emu;
	uint64_t components = m->vm.cpu.xcr0 & NATIVE_COMPONENTS;
	m->vcpu->gpr[RAX] = m->vcpu->gpr[RDX] = ~0ull;
	c->native->size = c->fpu_size;
	interp_load(c);
	for (unsigned n = 0; n < 2; n++) {
		assert_true(ZYAN_SUCCESS(
			emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, n ? xsave : xrstor, sizeof(xsave), &emu)));
		decode_insn(c, &insn, &emu, false);
		make_image(c->native->buffer, c->fpu_size, components, false);
		assert_true(native_state_done(c, &insn));
		c->native->buffer[X86_FPU_HEADER + 8] = 1;
		assert_int_equal(native_state_done(c, &insn), n);
		free(insn.detail);
	}
	interpret_destroy(&m->vm);
}

/* FWAIT is #MF if an exception waits, and that the task finds; else nothing, and no task is made for it. */
static void test_wait(void **state)
{
	static const uint8_t wait[] = {0x9b, 0x0f, 0x05}; /* FWAIT; SYSCALL */
	static const struct {
		uint64_t present;
		unsigned fcw, fsw;
		bool waits;
	} cases[] = {{X86_XCR0_X87, X86_FCW_RESET, 0, false},
		     {X86_XCR0_X87, X86_FCW_RESET, 0x3f, false},
		     {0, 0x37e, 0x81, false},
		     {X86_XCR0_X87, 0x37e, 0x3e, false},
		     {X86_XCR0_X87, 0x37e, 0x1, true},
		     {X86_XCR0_X87, X86_FCW_RESET & ~4u, 0x8084, true}};
	struct machine_fixture *m = *state;
	struct vm_exit exit;
	assert_int_equal(interpret_create(&m->vm, NULL), 0);
	struct engine_vcpu *c = m->vcpu->engine;
	fix_put(m, FIX_CODE, wait, sizeof(wait));
	for (unsigned n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		set16(c->fpu, cases[n].fcw);
		set16(c->fpu + 2, cases[n].fsw);
		memcpy(c->fpu + X86_FPU_HEADER, &cases[n].present, sizeof(cases[n].present));
		m->vcpu->rip = FIX_CODE;
		interpret_enter(m->vcpu, &exit);
		assert_int_equal(exit.reason, cases[n].waits ? EXIT_EXCEPTION : EXIT_SYSCALL);
		assert_true(!cases[n].waits || exit.vector == X86_VEC_MF);
		assert_int_equal(c->native->task.pid > 0, cases[n].waits);
	}
	interpret_destroy(&m->vm);
}

static int setup(void **state)
{
	int status = fix_setup_data(state);
	struct machine_fixture *m = *state;
	m->vcpu->cr4 |= X86_CR4_OSXSAVE | X86_CR4_PKE;
	m->vcpu->xcr0 = m->vm.cpu.xcr0 & NATIVE_COMPONENTS;
	return status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_against_processor, setup, fix_teardown_data),
		cmocka_unit_test_setup_teardown(test_plain, setup, fix_teardown_data),
		cmocka_unit_test_setup_teardown(test_keys, setup, fix_teardown_data),
		cmocka_unit_test_setup_teardown(test_wait, setup, fix_teardown_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
