/*
 * How long the interpreter believes a translation: INVLPG drops that of its page and no other, a load of CR3 all but a
 * kernel's of global pages, a change of CR4.PGE those too, and decoding code none. What it still believes is told by
 * page tables that were changed without a word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "monitor/engine/interpret/interpret.h"
#include "tests/unit/machine_fixture.h"

#define AT    0x60000 /* addresses 16 pages from here, of the fixture's kernel */
#define BEGIN 0x80000 /* frames that they are mapped to at first, and those after them */
#define PAGES 16

enum { GLOBAL, LOCAL, CODE };

static uint64_t gva(unsigned n)
{
	return AT + n * X86_PAGE_SIZE;
}

/* Page n shows frame `frame`, whose first byte is its number. No one is told. */
static void map(struct machine_fixture *m, unsigned n, unsigned frame, uint64_t flags)
{
	fix_map(m, gva(n), (BEGIN + frame * X86_PAGE_SIZE) | X86_PTE_P | X86_PTE_W | flags);
}

/* Runs the code from RIP, which is in place, to its next HLT. */
static void go(struct machine_fixture *m)
{
	struct vm_exit exit;
	m->vcpu->halted = false;
	for (unsigned n = 0; n < 100 && !m->vcpu->halted; n++) {
		interpret_enter(m->vcpu, &exit);
		assert_int_not_equal(exit.reason, EXIT_EXCEPTION);
		assert_false(m->vcpu->event_pending);
	}
	assert_true(m->vcpu->halted);
}

#define START(m, text)		START_AT(m, text, __LINE__)
#define START_AT(m, text, line) START_NAMED(m, text, line)
#define START_NAMED(m, text, line)                                                                                     \
	do {                                                                                                           \
		extern const uint8_t pages_code_##line[], pages_end_##line[];                                          \
		__asm__(".pushsection .text.fix,\"ax\",@progbits\npages_code_" #line ": " text "\npages_end_" #line    \
			":\n\t.popsection");                                                                           \
		fix_put(m, FIX_CODE, pages_code_##line, (uint64_t)(pages_end_##line - pages_code_##line));             \
		(m)->vcpu->rip = FIX_CODE;                                                                             \
	} while (0)

/* Reads both pages until they are known. */
#define READ_BOTH "movb 0x60000, %al; movb 0x61000, %bl; "

static void check(struct machine_fixture *m, unsigned global, unsigned local)
{
	assert_int_equal(m->vcpu->gpr[RAX] & 0xff, global);
	assert_int_equal(m->vcpu->gpr[RBX] & 0xff, local);
}

static void test_cr3(void **state)
{
	struct machine_fixture *m = *state;
	START(m, READ_BOTH "hlt; mov %cr3, %rcx; mov %rcx, %cr3;" READ_BOTH "hlt; mov %cr4, %rcx; xor $0x80, %rcx;"
			   "mov %rcx, %cr4; xor $0x80, %rcx; mov %rcx, %cr4;" READ_BOTH "hlt");
	go(m);
	check(m, GLOBAL, LOCAL);
	map(m, GLOBAL, 8, X86_PTE_G);
	map(m, LOCAL, 9, 0);
	go(m);
	check(m, GLOBAL, 9);
	go(m);
	check(m, 8, 9);
}

/* Without CR4.PGE the bit says nothing. */
static void test_no_pge(void **state)
{
	struct machine_fixture *m = *state;
	m->vcpu->cr4 &= ~X86_CR4_PGE;
	START(m, READ_BOTH "hlt; mov %cr3, %rcx; mov %rcx, %cr3;" READ_BOTH "hlt");
	go(m);
	map(m, GLOBAL, 8, X86_PTE_G);
	map(m, LOCAL, 9, 0);
	go(m);
	check(m, 8, 9);
}

static void test_invlpg(void **state)
{
	struct machine_fixture *m = *state;
	START(m, READ_BOTH "hlt; invlpg 0x60000;" READ_BOTH "hlt; invlpg 0x61000;" READ_BOTH "hlt");
	go(m);
	map(m, GLOBAL, 8, X86_PTE_G);
	map(m, LOCAL, 9, 0);
	go(m);
	check(m, 8, LOCAL);
	go(m);
	check(m, 8, 9);
}

/* Rights that a stale entry for reading or writing had do not come back with the page. */
static void test_rights(void **state)
{
	struct machine_fixture *m = *state;
	struct vm_exit exit;
	START(m, "movb $7, 0x60000; hlt; invlpg 0x60000; movb 0x60000, %al; mov %cr3, %rcx; mov %rcx, %cr3;"
		 "movb 0x60000, %al; hlt; movb $8, 0x60000; hlt");
	m->vcpu->cr0 |= X86_CR0_WP;
	go(m);
	fix_map(m, gva(GLOBAL), BEGIN | X86_PTE_P | X86_PTE_G);
	go(m);
	assert_int_equal(m->vcpu->gpr[RAX] & 0xff, 7);
	m->vcpu->halted = false;
	interpret_enter(m->vcpu, &exit);
	assert_int_equal(exit.reason, EXIT_EXCEPTION);
	assert_int_equal(exit.vector, X86_VEC_PF);
	assert_int_equal(exit.error, X86_PF_P | X86_PF_W);
}

/* Code: a global page's is found through a load of CR3, and its INVLPG finds what is there now. */
static void test_code(void **state)
{
	static const uint8_t was[] = {0xb0, 1, 0xc3}, is[] = {0xb0, 2, 0xc3}; /* MOV AL; RET */
	struct machine_fixture *m = *state;
	fix_put(m, BEGIN + CODE * X86_PAGE_SIZE, was, sizeof(was));
	fix_put(m, BEGIN + 8 * X86_PAGE_SIZE, is, sizeof(is));
	START(m, "mov $0x62000, %edx; call *%rdx; hlt; mov %cr3, %rcx; mov %rcx, %cr3; call *%rdx; hlt;"
		 "invlpg (%rdx); call *%rdx; hlt");
	go(m);
	map(m, CODE, 8, X86_PTE_G);
	go(m);
	assert_int_equal(m->vcpu->gpr[RAX] & 0xff, 1);
	go(m);
	assert_int_equal(m->vcpu->gpr[RAX] & 0xff, 2);
}

/* A page of code comes to be watched for stores: no reason to forget others. */
static void test_watch(void **state)
{
	static const uint8_t ret = 0xc3;
	struct machine_fixture *m = *state;
	fix_put(m, BEGIN + CODE * X86_PAGE_SIZE, &ret, sizeof(ret));
	START(m, READ_BOTH "mov $0x62000, %edx; hlt; call *%rdx; hlt;" READ_BOTH "hlt");
	go(m);
	map(m, LOCAL, 9, 0);
	go(m);
	go(m);
	check(m, GLOBAL, LOCAL);
}

/* What a kernel did while others executed it: a page was invalidated, code's perhaps, and then CR3 loaded. */
static void test_others(void **state)
{
	static const uint8_t was[] = {0xb1, 1, 0xc3}, is[] = {0xb1, 2, 0xc3}; /* MOV CL; RET */
	struct machine_fixture *m = *state;
	for (unsigned loads = 0; loads < 2; loads++) {
		struct spt_cpu cpu = vcpu_paging(m->vcpu);
		fix_put(m, BEGIN + CODE * X86_PAGE_SIZE, was, sizeof(was));
		fix_put(m, BEGIN + 8 * X86_PAGE_SIZE, is, sizeof(is));
		map(m, GLOBAL, GLOBAL, X86_PTE_G);
		map(m, CODE, CODE, 0);
		map(m, LOCAL, LOCAL, 0);
		assert_int_equal(spt_flush_all(m->vm.spt), 0);
		START(m, READ_BOTH "mov $0x62000, %edx; call *%rdx; hlt;" READ_BOTH "call *%rdx; hlt");
		go(m);
		check(m, GLOBAL, LOCAL);
		assert_int_equal(m->vcpu->gpr[RCX] & 0xff, 1);
		map(m, GLOBAL, 9, X86_PTE_G);
		map(m, CODE, 8, 0);
		map(m, LOCAL, 9, 0);
		assert_int_equal(spt_invlpg(m->vm.spt, &cpu, gva(CODE)), 0);
		if (loads)
			assert_int_equal(spt_cr3_load(m->vm.spt, &cpu), 0);
		go(m);
		assert_int_equal(m->vcpu->gpr[RCX] & 0xff, 2);
		check(m, GLOBAL, 9);
	}
}

static unsigned told;

static void tell(void *ctx, uint64_t gpa)
{
	told++;
}

/* A frame comes to be one that nobody stores to unseen: the translations stay, but those that store to it. */
static void test_lock(void **state)
{
	struct machine_fixture *m = *state;
	START(m,
	      "movb $1, 0x60000; movb $2, 0x61000;" READ_BOTH "hlt; mov %cr3, %rcx; mov %rcx, %cr3; movb $3, 0x60000;"
	      "movb $4, 0x61000;" READ_BOTH "hlt; mov %cr3, %rcx; mov %rcx, %cr3; movb $5, 0x60000; hlt");
	go(m);
	for (unsigned again = 0; again < 2; again++) {
		map(m, GLOBAL, 8, X86_PTE_G);
		told = 0;
		spt_set_written(m->vm.spt, SPT_WATCH_CODE, tell);
		/* And once so many others at a time that nobody remembers which. */
		for (unsigned n = 0; n < (again ? 200 : 0); n++)
			assert_int_equal(spt_watch(m->vm.spt, n * X86_PAGE_SIZE), 0);
		assert_int_equal(spt_watch(m->vm.spt, BEGIN + GLOBAL * X86_PAGE_SIZE), 0);
		assert_int_equal(spt_watch(m->vm.spt, BEGIN + 8 * X86_PAGE_SIZE), 0);
		go(m);
		assert_true(told);
	}
}

/* Any address of a large page stands for all of it. */
static void test_large(void **state)
{
	struct machine_fixture *m = *state;
	fix_put64(m, FIX_PML4 + 0x2000, X86_PTE_P | X86_PTE_W | X86_PTE_PS);
	START(m, "movb 0x1000, %al; movb 0x8e000, %bl; hlt; invlpg 0x2000; movb 0x8e000, %bl; hlt");
	go(m);
	assert_int_equal(m->vcpu->gpr[RBX] & 0xff, 14);
	fix_put64(m, FIX_PML4 + 0x2000, FIX_PT | X86_PTE_P | X86_PTE_W);
	fix_map(m, 0x8e000, (BEGIN + 3 * X86_PAGE_SIZE) | X86_PTE_P | X86_PTE_W);
	go(m);
	assert_int_equal(m->vcpu->gpr[RBX] & 0xff, 3);
}

static int setup(void **state)
{
	struct machine_fixture *m;
	fix_setup(state);
	m = *state;
	m->vcpu->cr4 |= X86_CR4_PGE;
	for (unsigned n = 0; n < PAGES; n++) {
		uint8_t number = (uint8_t)n;
		fix_put(m, BEGIN + n * X86_PAGE_SIZE, &number, sizeof(number));
	}
	map(m, GLOBAL, GLOBAL, X86_PTE_G);
	map(m, LOCAL, LOCAL, 0);
	map(m, CODE, CODE, X86_PTE_G);
	return interpret_create(&m->vm, NULL);
}

static int teardown(void **state)
{
	interpret_destroy(&((struct machine_fixture *)*state)->vm);
	return fix_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cr3),   TEST(no_pge), TEST(invlpg), TEST(rights), TEST(code),
		TEST(watch), TEST(others), TEST(lock),	 TEST(large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
