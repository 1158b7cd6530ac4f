/*
 * FPU state that lives in another engine's cell: the interpreter borrows it once a stay, works on what it has borrowed,
 * and gives it back if it has changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/interpret.h"
#include "tests/unit/machine_fixture.h"

static uint8_t home[ENGINE_FPU_MAX];
static unsigned gets, sets;

static void home_get(struct vcpu *vcpu, void *image, unsigned size)
{
	gets++;
	memcpy(image, home, size);
}

static void home_set(struct vcpu *vcpu, void *image, unsigned size)
{
	sets++;
	memcpy(home, image, size);
}

static const struct engine_ops lender = {.fpu_get = home_get, .fpu_set = home_set};

static int setup(void **state)
{
	if (fix_setup(state))
		return -1;
	gets = sets = 0;
	vcpu_fpu_reset(home, sizeof(home));
	return interpret_create(&((struct machine_fixture *)*state)->vm, &lender);
}

static int teardown(void **state)
{
	interpret_destroy(&((struct machine_fixture *)*state)->vm);
	return fix_teardown(state);
}

/* XMM0 at home. */
static void set_home(uint64_t low)
{
	const uint64_t components = X86_XCR0_X87 | X86_XCR0_SSE;
	memcpy(home + X86_FPU_XMM, &low, sizeof(low));
	memcpy(home + X86_FPU_HEADER, &components, sizeof(components));
}

/* A stay that the UD2 behind the code ends. */
static void stay(struct machine_fixture *m, const void *code, size_t len)
{
	static const uint8_t ud2[] = {0x0f, 0x0b};
	struct vm_exit exit;
	fix_put(m, FIX_CODE, code, len);
	fix_put(m, FIX_CODE + len, ud2, sizeof(ud2));
	m->vcpu->rip = FIX_CODE;
	m->vcpu->gpr[RSP] = FIX_STACK;
	do
		interpret_enter(m->vcpu, &exit);
	while (exit.reason == EXIT_KICK);
	assert_int_equal(exit.vector, X86_VEC_UD);
}

/* Each form stores what is at home now, though its page is at hand and another value was borrowed before. */
static void test_store_first(void **state)
{
	static const struct {
		uint8_t code[8];
		uint8_t len;
	} rows[] = {
		{{0x50, 0xf2, 0x0f, 0x11, 0x44, 0x24, 0xf8}, 7}, /* push rax; movsd [rsp - 8], xmm0 */
		{{0x50, 0x66, 0x0f, 0xd6, 0x44, 0x24, 0xf8}, 7}, /* push rax; movq [rsp - 8], xmm0 */
		{{0x50, 0x0f, 0x11, 0x44, 0x24, 0xf8, 0x90}, 7}, /* push rax; movups [rsp - 8], xmm0; nop */
		{{0x50, 0x66, 0x48, 0x0f, 0x7e, 0xc0, 0x50}, 7}, /* push rax; movq rax, xmm0; push rax */
	};
	struct machine_fixture *m = *state;
	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++)
		for (uint64_t value = 1; value <= 3; value++) {
			set_home(value);
			stay(m, rows[n].code, rows[n].len);
			assert_int_equal(fix_get64(m, FIX_STACK - 16), value);
			assert_int_equal(gets, n * 3 + value);
		}
}

static void test_given_back(void **state)
{
	static const uint8_t twice[] = {0xf2, 0x0f, 0x58, 0xc0, 0xf2, 0x0f, 0x58, 0xc0}; /* addsd xmm0, xmm0, 2 times */
	static const uint8_t one[] = {0xd9, 0xe8, 0xd9, 0xc0};				 /* fld1; fld st0 */
	static const uint8_t nothing[] = {0x50, 0x58};					 /* push rax; pop rax */
	const double half = 0.5, both = 2;
	uint64_t bits;
	struct machine_fixture *m = *state;
	memcpy(&bits, &half, sizeof(bits));
	set_home(bits);
	stay(m, twice, sizeof(twice));
	assert_memory_equal(home + X86_FPU_XMM, &both, sizeof(both));
	assert_int_equal(gets, 1);
	assert_int_equal(sets, 1);
	stay(m, one, sizeof(one));
	assert_int_equal(home[X86_FPU_FTW], 0xc0);
	stay(m, nothing, sizeof(nothing));
	assert_int_equal(gets, 2);
	assert_int_equal(sets, 2);
}

/* MXCSR is the guest's while the interpreter computes; its flags come home too. */
static void test_mxcsr(void **state)
{
	static const uint8_t inexact[] = {0xf2, 0x0f, 0x5e, 0xc1}; /* divsd xmm0, xmm1 */
	const double one = 1, three = 3;
	uint32_t mxcsr;
	struct machine_fixture *m = *state;
	set_home(0);
	memcpy(home + X86_FPU_XMM, &one, sizeof(one));
	memcpy(home + X86_FPU_XMM + X86_FPU_SLOT, &three, sizeof(three));
	stay(m, inexact, sizeof(inexact));
	memcpy(&mxcsr, home + X86_FPU_MXCSR, sizeof(mxcsr));
	assert_int_equal(mxcsr, X86_MXCSR_RESET | 0x20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_store_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mxcsr, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
