/*
 * Blocks that follow each other in the interpreter without its run loop: as many as one likes need no more of the
 * host's stack; they are counted; a store into the next one is seen; they end at a limit, and when somebody asks.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/interpret.h"
#include "monitor/vm/segment.h"
#include "tests/unit/machine_fixture.h"

#define FAR_CODE    (FIX_CODE + 0x1000)
#define DATA	    0x60000
#define ALIAS	    0x61000 /* shows the page of FIX_CODE */
#define STACK	    0x1e0000
#define PAGES	    32
#define TICK_US	    20000
#define TICKS_MAX   1000
#define PROMPT_NS   100000000
#define HLT	    0xf4
#define MILLION	    1000000
#define ENTRIES_MAX 1000

struct program {
	const uint8_t *code, *end, *mark;
};

/* The program `text`, in which MARK stands somewhere. */
#define PROGRAM(name, text)                                                                                            \
	extern const uint8_t follow_##name[], follow_##name##_end[], follow_##name##_mark[];                           \
	__asm__(".pushsection .rodata.follow,\"a\",@progbits\nfollow_" #name ": " text "\nfollow_" #name               \
		"_end:\n\t.popsection");                                                                               \
	static const struct program name = {follow_##name, follow_##name##_end, follow_##name##_mark};
#define MARK(name) "\nfollow_" #name "_mark: "

/* All but `store` are the same in 64- and in 32-bit code. */
PROGRAM(two, MARK(two) "1: dec %ecx; jmp 2f; 2: jnz 1b; hlt")
PROGRAM(recursion, "call 1f; hlt;" MARK(recursion) "1: dec %ecx; jz 2f; call 1b; inc %edi; 2: ret")
PROGRAM(store, "1: cmp $50, %ecx; cmove %r9, %r8; mov %cl, (%r8); jmp 2f; 2: .byte 0x83, 0xc7" MARK(
		       store) "; .byte 0x55; dec %ecx; jnz 1b; hlt")
PROGRAM(store_far, "1: mov %cl, (%r8); jmp *%rbx; .byte 0x83, 0xc7" MARK(
			   store_far) "; .byte 0x55; dec %ecx; jz 2f; jmp *%rdx; 2: hlt")

/* Without end: by a branch to itself, two branches, ends of blocks that are full, indirect ones, calls and returns. */
PROGRAM(self, MARK(self) "1: jmp 1b")
PROGRAM(pair, MARK(pair) "1: jmp 2f; nop; 2: inc %ecx; jmp 1b")
PROGRAM(full, MARK(full) "1: .fill 100, 1, 0x90; jmp 1b")
PROGRAM(indirect, MARK(indirect) "jmp *%rax")
PROGRAM(calls, MARK(calls) "1: call 2f; jmp 1b; 2: ret")

/* What CALL pushes hits the block that it ends, and goes back to the start of. */
PROGRAM(hit, MARK(hit) "1: .byte 0x48, 0xb8; .quad 0; 2: lea 2b(%rip), %rsp; call 1b")

/* -------------------------------------------------------------------------------------------------------- running */

static void put(struct machine_fixture *m, const struct program *p)
{
	fix_put(m, FIX_CODE, p->code, (uint64_t)(p->end - p->code));
}

/* A hundred blocks round and round. */
static void put_hundred(struct machine_fixture *m)
{
	static const uint8_t block[] = {0xff, 0xc7, 0xeb, 0}, again[] = {0xff, 0xc9, 0x0f, 0x85}; /* INC; DEC, JNZ */
	uint8_t code[100 * sizeof(block) + sizeof(again) + 5];
	int32_t back = 1 - (int32_t)sizeof(code);
	for (unsigned n = 0; n < 100; n++)
		memcpy(code + n * sizeof(block), block, sizeof(block));
	memcpy(code + 100 * sizeof(block), again, sizeof(again));
	memcpy(code + sizeof(code) - 5, &back, sizeof(back));
	code[sizeof(code) - 1] = HLT;
	fix_put(m, FIX_CODE, code, sizeof(code));
}

static void narrow(struct machine_fixture *m)
{
	m->vcpu->sreg[SREG_CS] = seg_make(FIX_CODE32, fix_get64(m, FIX_GDT + FIX_CODE32));
	for (enum vcpu_sreg sreg = SREG_ES; sreg <= SREG_DS; sreg++)
		if (sreg != SREG_CS)
			m->vcpu->sreg[sreg] = seg_make(FIX_KDATA, SEG_FLAT_DATA(0));
}

static void begin(struct machine_fixture *m, uint64_t count)
{
	struct vcpu *vcpu = m->vcpu;
	memset(vcpu->gpr, 0, sizeof(vcpu->gpr));
	vcpu->gpr[RCX] = count;
	vcpu->gpr[RSP] = STACK;
	vcpu->rip = FIX_CODE;
	vcpu->halted = false;
	vcpu->window_wanted = false;
	m->vm.stats.vcpu[0].interpreted = 0;
}

/* To HLT; how many instructions that were. */
static uint64_t go(struct machine_fixture *m)
{
	struct vm_exit exit;
	for (unsigned n = 0; n < ENTRIES_MAX && !m->vcpu->halted; n++) {
		interpret_enter(m->vcpu, &exit);
		assert_int_not_equal(exit.reason, EXIT_EXCEPTION);
		assert_false(m->vcpu->event_pending);
	}
	assert_true(m->vcpu->halted);
	return m->vm.stats.vcpu[0].interpreted;
}

/* ------------------------------------------------------------------------------------------------ many, and counted */

static void check_two(struct machine_fixture *m)
{
	struct engine_vcpu *c = m->vcpu->engine;
	put(m, &two);
	begin(m, 2 * MILLION);
	assert_int_equal(go(m), 3 * 2 * MILLION + 1);
	assert_true(jump_is_good(c, &jump_of(c, FIX_CODE)->block->after[0], FIX_CODE + 4));
}

static void check_hundred(struct machine_fixture *m)
{
	put_hundred(m);
	begin(m, MILLION / 50);
	assert_int_equal(go(m), MILLION / 50 * 202 + 1);
	assert_int_equal(m->vcpu->gpr[RDI], 2 * MILLION);
}

static void check_recursion(struct machine_fixture *m)
{
	const uint64_t depth = 20000;
	put(m, &recursion);
	for (unsigned n = 0; n < 20; n++) {
		begin(m, depth);
		assert_int_equal(go(m), 5 * (depth - 1) + 3 + 2);
		assert_int_equal(m->vcpu->gpr[RDI], depth - 1);
		assert_int_equal(m->vcpu->gpr[RSP], STACK);
	}
}

static void test_many(void **state)
{
	struct machine_fixture *m = *state;
	for (unsigned mode = 0; mode < 2; mode++) {
		check_two(m);
		check_hundred(m);
		check_recursion(m);
		assert_true(m->vcpu->engine->flat && m->vcpu->engine->wide == !mode);
		narrow(m);
	}
}

/* ---------------------------------------------------------------------------------------------------------- stores */

/* The program stores to `warm` at first, then into its second block. */
static void check_store(struct machine_fixture *m, uint64_t warm, uint64_t page)
{
	put(m, &store);
	begin(m, 100);
	m->vcpu->gpr[R8] = warm;
	m->vcpu->gpr[R9] = page + (uint64_t)(store.mark - store.code);
	assert_int_equal(go(m), 100 * 7 + 1);
	assert_int_equal(m->vcpu->gpr[RDI], 50 * 0x55 + 50 * 51 / 2);
}

static void test_store(void **state)
{
	struct machine_fixture *m = *state;
	const uint64_t pages[] = {FIX_CODE, ALIAS};
	fix_map(m, ALIAS, FIX_CODE | X86_PTE_P | X86_PTE_W);
	for (unsigned n = 0; n < 2; n++) {
		check_store(m, DATA, pages[n]);
		check_store(m, FIX_CODE + 0x800, pages[n]);
		check_store(m, ALIAS + 0x800, pages[n]);
	}
}

/* The page that is stored to comes to hold code only then. */
static void test_store_far(void **state)
{
	struct machine_fixture *m = *state;
	uint64_t block = (uint64_t)(store_far.mark - store_far.code) - 2; /* what is executed in the other page */
	put(m, &store_far);
	fix_put(m, FAR_CODE, store_far.code + block, (uint64_t)(store_far.end - store_far.code) - block);
	begin(m, 100);
	m->vcpu->gpr[R8] = FAR_CODE + 2;
	m->vcpu->gpr[RBX] = FAR_CODE;
	m->vcpu->gpr[RDX] = FIX_CODE;
	assert_int_equal(go(m), 100 * 6);
	assert_int_equal(m->vcpu->gpr[RDI], 100 * 101 / 2);
}

/* Code is dropped all the time for want of room. */
static void test_evictions(void **state)
{
	struct machine_fixture *m = *state;
	uint8_t code[] = {0xff, 0xc7, 0xe9, 0xf9, 0x0f, 0, 0};	       /* INC; JMP to the next page */
	uint8_t last[] = {0xff, 0xc9, 0x74, 5, 0xe9, 0, 0, 0, 0, HLT}; /* DEC; JZ; JMP to the first */
	int32_t back = -(int32_t)(PAGES * X86_PAGE_SIZE + sizeof(last) - 1);
	m->vm.stats.code.bytes_max = 3 * sizeof(struct code_page);
	for (unsigned n = 0; n < PAGES; n++)
		fix_put(m, DATA + n * X86_PAGE_SIZE, code, sizeof(code));
	memcpy(last + 5, &back, sizeof(back));
	fix_put(m, DATA + PAGES * X86_PAGE_SIZE, last, sizeof(last));
	begin(m, 100);
	m->vcpu->rip = DATA;
	go(m);
	assert_int_equal(m->vcpu->gpr[RDI], 100 * PAGES);
	assert_true(m->vm.stats.code.evictions > 100);
}

/* ---------------------------------------------------------------------------------------------------------- limits */

/* Where a limit ends it is where as many single instructions lead. */
static void check_limit(struct machine_fixture *m, unsigned patience)
{
	struct vm_exit exit;
	struct vcpu *vcpu = m->vcpu;
	begin(m, 1000);
	interpret_on(vcpu, &exit, patience);
	assert_int_equal(exit.reason, EXIT_KICK);
	uint64_t gpr[GPR_COUNT], rip = vcpu->rip, flags = vcpu->rflags, count = m->vm.stats.vcpu[0].interpreted;
	memcpy(gpr, vcpu->gpr, sizeof(gpr));
	assert_in_range(count, patience, patience + BLOCK_INSNS - 1);
	begin(m, 1000);
	vcpu->window_wanted = true;
	for (uint64_t n = 0; n < count; n++)
		interpret_enter(vcpu, &exit);
	assert_int_equal(m->vm.stats.vcpu[0].interpreted, count);
	assert_int_equal(vcpu->rip, rip);
	assert_memory_equal(vcpu->gpr, gpr, sizeof(gpr));
	assert_int_equal(vcpu->rflags, flags);
}

static void test_limit(void **state)
{
	struct machine_fixture *m = *state;
	for (unsigned mode = 0; mode < 2; mode++) {
		for (unsigned patience = 1; patience < 400; patience += 7) {
			put(m, &two);
			check_limit(m, patience);
			put(m, &recursion);
			check_limit(m, patience);
			put_hundred(m);
			check_limit(m, patience);
		}
		narrow(m);
	}
}

static atomic_bool *attention;
static volatile sig_atomic_t ticks;
static struct timespec asked;

static void tick(int signal)
{
	if (!ticks)
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &asked);
	if (++ticks == TICKS_MAX)
		abort();
	atomic_store(attention, true);
}

/* Runs a program that has no end but the limit, or that somebody asks. */
static void run_endless(struct machine_fixture *m, const struct program *p, unsigned limit)
{
	const struct itimerval every = {{0, TICK_US}, {0, TICK_US}}, never = {0};
	struct vm_exit exit;
	put(m, p);
	begin(m, 0);
	m->vcpu->gpr[RAX] = FIX_CODE;
	atomic_store(attention, false);
	ticks = 0;
	setitimer(ITIMER_REAL, &every, NULL);
	if (limit)
		interpret_on(m->vcpu, &exit, limit);
	else
		interpret_enter(m->vcpu, &exit);
	setitimer(ITIMER_REAL, &never, NULL);
	assert_int_equal(exit.reason, EXIT_KICK);
}

static void check_asked(struct machine_fixture *m, const struct program *p)
{
	struct timespec now;
	run_endless(m, p, 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	assert_true(m->vm.stats.vcpu[0].interpreted > 0 && ticks > 0);
	assert_true((now.tv_sec - asked.tv_sec) * 1000000000 + now.tv_nsec - asked.tv_nsec < PROMPT_NS);
}

static void test_asked(void **state)
{
	struct machine_fixture *m = *state;
	const struct program *const programs[] = {&self, &pair, &full, &indirect, &calls};
	for (unsigned n = 0; n < sizeof(programs) / sizeof(programs[0]); n++)
		check_asked(m, programs[n]);
}

/* A block that has dropped itself and leads back to its start has been executed. */
static void test_limit_dropped(void **state)
{
	struct machine_fixture *m = *state;
	run_endless(m, &hit, 999);
	assert_int_equal(m->vm.stats.vcpu[0].interpreted, 999);
}

static int setup(void **state)
{
	struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
	struct machine_fixture *m;
	fix_setup(state);
	m = *state;
	attention = &m->vm.attention;
	sigaction(SIGALRM, &action, NULL);
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
		TEST(many),  TEST(store), TEST(store_far),     TEST(evictions),
		TEST(limit), TEST(asked), TEST(limit_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
