/*
 * The parts of `ring3 compare` and `ring3 lockstep` that hold one thing against another: states, RAM, outputs, and
 * instructions against the list of sensitive ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/cli/classify/classify.h"
#include "monitor/cli/common/arguments.h"
#include "monitor/cli/compare/internal.h"
#include "monitor/cli/lockstep/memory_diff.h"
#include "monitor/cli/lockstep/state_diff.h"
#include "monitor/vm/guest_mem.h"
#include "tests/unit/machine_fixture.h"

#define MAX 8

/* --------------------------------------------------------------------------------------------------------- states */

static unsigned diff_of(struct machine_fixture *m, struct vcpu *other, struct state_difference *out)
{
	return state_diff(m->vcpu, other, out, MAX);
}

static void states(void **state)
{
	struct machine_fixture *m = *state;
	struct state_difference d[MAX];
	struct vcpu other = *m->vcpu;
	assert_int_equal(diff_of(m, &other, d), 0);

	other.gpr[R9] ^= 1;
	other.sreg[SREG_GS].base = 5;
	other.pv.traps[7].address = 1;
	assert_int_equal(diff_of(m, &other, d), 3);
	assert_string_equal(d[0].name, "R9");
	assert_int_equal(d[0].value[0] ^ d[0].value[1], 1);
	assert_string_equal(d[1].name, "GS.base");
	assert_int_equal(d[1].value[1], 5);
	assert_string_equal(d[2].name, "trap table's entries[7]");
}

static void flags(void **state)
{
	struct machine_fixture *m = *state;
	struct state_difference d[MAX];
	struct vcpu other = *m->vcpu;
	other.rflags ^= X86_RFLAGS_RF;
	assert_int_equal(diff_of(m, &other, d), 0);
	vcpu_set_if(&other, !vcpu_if(&other));
	assert_int_equal(diff_of(m, &other, d), 1);
	assert_string_equal(d[0].name, "RFLAGS");
	assert_int_equal(d[0].value[0] ^ d[0].value[1], X86_RFLAGS_IF);
}

/* No more than asked for. */
static void many(void **state)
{
	struct machine_fixture *m = *state;
	struct state_difference d[MAX];
	struct vcpu other = *m->vcpu;
	for (unsigned n = 0; n < GPR_COUNT; n++)
		other.gpr[n]++;
	assert_int_equal(state_diff(m->vcpu, &other, d, 3), 3);
	assert_string_equal(d[0].name, "RAX");
}

/* Offsets of the XSAVE image: SDM 1 13.4. */
#define IMAGE 1024
#define MXCSR 24
#define FIP   8
#define ST0   32
#define XMM0  160
#define BV    512

static void fpu(void **state)
{
	uint8_t a[IMAGE], b[IMAGE];
	vcpu_fpu_reset(a, IMAGE);
	vcpu_fpu_reset(b, IMAGE);
	assert_null(state_diff_fpu(a, b, IMAGE));
	/* What lies in a component that the image leaves out is no state. */
	a[XMM0] = 1;
	assert_null(state_diff_fpu(a, b, IMAGE));
	a[BV] = 2;
	assert_string_equal(state_diff_fpu(a, b, IMAGE), "SSE");
	a[XMM0] = 0;
	assert_null(state_diff_fpu(a, b, IMAGE));
	b[MXCSR] ^= 1;
	assert_string_equal(state_diff_fpu(a, b, IMAGE), "MXCSR");
	b[MXCSR] ^= 1;
	a[BV] = b[BV] = 3;
	a[FIP] = 9;
	assert_null(state_diff_fpu(a, b, IMAGE));
	b[ST0 + 9] = 1;
	assert_string_equal(state_diff_fpu(a, b, IMAGE), "x87");
}

/* --------------------------------------------------------------------------------------------------------- memory */

#define RAM (64 * X86_PAGE_SIZE)

static void memory(void **state)
{
	struct guest_mem a, b;
	uint64_t pages[MAX], at;
	assert_int_equal(gm_init(&a, RAM), 0);
	assert_int_equal(gm_init(&b, RAM), 0);
	assert_int_equal(memory_diff(&a, &b, 0, pages, MAX), 0);

	/* Touched in one, a hole in the other: the same as long as there are zeroes. */
	*(volatile uint8_t *)(a.base + 7 * X86_PAGE_SIZE) = 0;
	assert_int_equal(memory_diff(&a, &b, 0, pages, MAX), 0);
	a.base[7 * X86_PAGE_SIZE + 100] = 1;
	b.base[9 * X86_PAGE_SIZE] = 1;
	b.base[RAM - 1] = 1;
	assert_int_equal(memory_diff(&a, &b, 0, pages, MAX), 3);
	assert_int_equal(pages[0], 7 * X86_PAGE_SIZE);
	assert_int_equal(pages[1], 9 * X86_PAGE_SIZE);
	assert_int_equal(pages[2], RAM - X86_PAGE_SIZE);
	assert_int_equal(memory_diff(&a, &b, 9 * X86_PAGE_SIZE, pages, MAX), 2);
	assert_int_equal(memory_diff(&a, &b, 0, pages, 1), 1);

	assert_true(memory_diff_page(&a, &b, 7 * X86_PAGE_SIZE, &at));
	assert_int_equal(at, 7 * X86_PAGE_SIZE + 96);
	assert_false(memory_diff_page(&a, &b, 8 * X86_PAGE_SIZE, &at));
	gm_free(&a);
	gm_free(&b);
}

/* -------------------------------------------------------------------------------------------------------- outputs */

static bool part(const char *a, const char *b, struct compare_line *at)
{
	return compare_outputs(a, strlen(a), b, strlen(b), at);
}

static void outputs(void **state)
{
	struct compare_line at;
	char longer[400];
	assert_false(part("", "", &at));
	assert_false(part("one\ntwo\n", "one\ntwo\n", &at));
	assert_true(part("one\ntwo\nthree\n", "one\ntvo\nthree\n", &at));
	assert_int_equal(at.number, 2);
	assert_string_equal(at.text[0], "two");
	assert_string_equal(at.text[1], "tvo");
	assert_true(part("one\n", "one\ntwo", &at));
	assert_int_equal(at.number, 2);
	assert_string_equal(at.text[0], "");
	assert_string_equal(at.text[1], "two");
	assert_true(part("a\x01\xff", "b", &at));
	assert_string_equal(at.text[0], "a\\x01\\xff");

	memset(longer, '\x02', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_true(part(longer, "", &at));
	assert_true(strlen(at.text[0]) < sizeof(at.text[0]));
	assert_true(compare_outputs("a\0b", 3, "a\0c", 3, &at));
	assert_string_equal(at.text[0], "a\\x00b");
}

/* --------------------------------------------------------------------------------------------------------- classes */

static const char *class_of(struct machine_fixture *m, const uint8_t *code, size_t len)
{
	struct emu_insn insn;
	fix_put(m, m->vcpu->rip, code, len);
	assert_true(emu_peek(m->vcpu, &insn));
	const struct classify_insn *found = classify_find(&insn);
	return found ? found->name : NULL;
}

static void classes(void **state)
{
	static const struct {
		uint8_t code[4];
		const char *name;
	} cases[] = {
		{{0x9d}, "POPF"},		    /* POPFQ */
		{{0x66, 0x9c}, "PUSHF"},	    /* PUSHF */
		{{0x0f, 0x01, 0x03}, "SGDT"},	    /* SGDT [RBX] */
		{{0x8c, 0xc8}, "MOV r, CS"},	    /* MOV EAX, CS */
		{{0x8e, 0xd8}, "MOV DS, r"},	    /* MOV DS, EAX */
		{{0x0f, 0x22, 0xd8}, "MOV CR3, r"}, /* MOV CR3, RAX */
		{{0x0f, 0x20, 0xe0}, "MOV r, CR0"}, /* MOV RAX, CR4 */
		{{0x0f, 0xa0}, "PUSH FS"},	    /* PUSH FS */
		{{0xcd, 0x80}, "INT 80h"},	    /* INT 80h */
		{{0xcd, 0x31}, "INT 30h"},	    /* INT 31h */
		{{0x48, 0xcf}, "IRET"},		    /* IRETQ */
		{{0xec}, "IN"},			    /* IN AL, DX */
		{{0x0f, 0xa2}, "CPUID"},	    /* CPUID */
		{{0x0f, 0x31}, "RDTSC"},	    /* RDTSC */
		{{0x48, 0xff, 0x2b}, "JMP far"},    /* JMP FAR [RBX] */
		{{0x89, 0xc3}, NULL},		    /* MOV EBX, EAX */
		{{0x50}, NULL},			    /* PUSH RAX */
		{{0xc3}, NULL},			    /* RET */
		{{0xff, 0x23}, NULL},		    /* JMP [RBX] */
	};
	for (unsigned n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		const char *name = class_of(*state, cases[n].code, sizeof(cases[n].code));
		const char *wanted = cases[n].name;
		if (name != wanted && (!name || !wanted || strncmp(name, wanted, strlen(wanted))))
			fail_msg("case %u: %s instead of %s", n, name ? name : "none", wanted ? wanted : "none");
	}
}

/* ------------------------------------------------------------------------------------------------------- arguments */

static void arguments(void **state)
{
	char verb[] = "compare", a[] = "--json=x", b[] = "--jsonx", c[] = "--json", d[] = "y", e[] = "kernel",
	     f[] = "--flag", g[] = "--limit";
	char *argv[] = {verb, a, f, b, c, d, e, f, g, NULL};
	int argc = 9;
	const char *value = "none";
	assert_true(arguments_take(&argc, argv, "svg", &value));
	assert_string_equal(value, "none");
	assert_true(arguments_take(&argc, argv, "json", &value));
	assert_string_equal(value, "y");
	assert_true(arguments_take_flag(&argc, argv, "flag"));
	assert_false(arguments_take_flag(&argc, argv, "flag"));
	assert_false(arguments_take(&argc, argv, "limit", &value));
	assert_int_equal(argc, 4);
	assert_string_equal(argv[1], "--jsonx");
	assert_string_equal(argv[2], "kernel");
	assert_null(argv[4]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(states, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(flags, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(many, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(classes, fix_setup, fix_teardown),
		cmocka_unit_test(fpu),
		cmocka_unit_test(memory),
		cmocka_unit_test(outputs),
		cmocka_unit_test(arguments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
