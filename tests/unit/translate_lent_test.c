/*
 * XSAVE and XRSTOR in the cache while the FPU is lent to user mode: executed host instruction by host instruction,
 * where memory lies as the guest has it, where it lies UPPER_BASE further up, and on user memory in a slot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>

#include "hypercalls/x86.h"
#include "monitor/host/cpuid.h"
#include "tests/unit/translate_rules.h"
#include "tests/unit/translate_steps.h"

#define FLAVOUR	  (BT_IF | BT_CLOCK | BT_READ | BT_BASES | BT_SWAPS)
#define SIZE	  0x8000
#define IMAGE	  0x1000u /* in guest memory */
#define LENT	  0x4000u /* what user mode has */
#define STACK	  0x2000u
#define USER_HOST 0x220000000000
#define LEGACY	  (X86_XCR0_X87 | X86_XCR0_SSE)

typedef uint64_t word __attribute__((aligned(1)));

/* Where guest code lies, its memory, and how far up that is shown. */
static const struct world {
	unsigned flavour;
	uint64_t memory, up;
	uint32_t user;
} worlds[] = {
	{FLAVOUR, TEST_BASE + 0x500000000, 0, 0},
	{FLAVOUR | BT_UPPER, 0xffffffff81000000, UPPER_BASE, 0},
	{FLAVOUR | BT_UPPER, 0x550000000000, USER_HOST - 0x550000000000, ~0u},
};
#define WORLDS 3

static const struct world *world;
static struct user_regs_struct at_start;

static bool map(uint64_t address, uint64_t size)
{
	void *to = (void *)address;
	return mmap(to, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == to;
}

static int start(void **state)
{
	uint64_t *table = (uint64_t *)TEST_SLOTS;
	for (unsigned n = 0; n < WORLDS; n++)
		if (!map(worlds[n].memory + worlds[n].up, SIZE))
			return -1;
	if (!map(TEST_SLOTS, 65536 * sizeof(*table)))
		return -1;
	for (unsigned n = 0; n < 65536; n++)
		table[n] = n >> 15 ? UPPER_BASE : 1ull << 47;
	table[worlds[2].memory >> 40] = worlds[2].up;
	return steps_start(&at_start);
}

static int end(void **state)
{
	return steps_end();
}

static uint8_t *at(uint64_t offset)
{
	return (uint8_t *)(world->memory + world->up + offset);
}

static word *header(uint64_t offset)
{
	return (word *)(at(offset) + X86_FPU_HEADER);
}

/* XMM3 of an image, by which they are told apart. Neither component is in its initial state. */
static word *mark(uint64_t offset)
{
	return (word *)(at(offset) + X86_FPU_XMM + 3 * X86_FPU_SLOT);
}

static void make_image(uint64_t offset, uint64_t components, uint64_t value)
{
	memset(at(offset), 0, 0x1000);
	*(uint16_t *)(at(offset) + X86_FPU_FCW) = 0x27f;
	*(uint32_t *)(at(offset) + X86_FPU_MXCSR) = 0x1f80;
	*header(offset) = components;
	*mark(offset) = value;
}

static void begin(const struct world *w)
{
	volatile struct bt_state *s = steps_state();
	world = w;
	memset((void *)s, 0, sizeof(*s));
	make_image(LENT, LEGACY, 0x1111);
	make_image(IMAGE, LEGACY, 0x2222);
	s->fpu.at = (uint64_t)at(LENT);
	s->fpu.components = host_state_components();
	s->fpu.enabled = LEGACY;
	s->fpu.refused = ~(LEGACY | X86_FPU_COMPACTED);
}

static struct user_regs_struct registers(void)
{
	struct user_regs_struct r = at_start;
	r.rax = 0x11ffffffff, r.rdx = 0x22ffffffff, r.rcx = 3, r.rbp = 5, r.rsi = 6;
	r.rdi = r.rbx = r.r9 = world->memory + IMAGE;
	r.rsp = (world->user ? worlds[1].memory : world->memory) + STACK;
	r.eflags = 0x202 | X86_RFLAGS_CF | X86_RFLAGS_SF | X86_RFLAGS_OF;
	return r;
}

static struct snapshot run(struct user_regs_struct regs, const uint8_t *insn, unsigned len)
{
	uint8_t bytes[16];
	memcpy(bytes, insn, len);
	bytes[len] = 0xf4;
	struct bt_source source = {.gva = world->user ? worlds[1].memory : world->memory,
				   .bytes = bytes,
				   .len = len + 1,
				   .flavour = world->flavour,
				   .site_mask = {[BT_SITE_USER] = world->user}};
	struct snapshot after = steps_run(&source, &regs, true, ~0ull, 0);
	/* How far it came; nothing else may have changed. */
	after.regs.rip -= source.gva;
	assert_int_equal(after.regs.rax, regs.rax);
	assert_int_equal(after.regs.rdx, regs.rdx);
	assert_int_equal(after.regs.rcx, regs.rcx);
	assert_int_equal(after.regs.rbx, regs.rbx);
	assert_int_equal(after.regs.eflags & ~X86_RFLAGS_TF, regs.eflags);
	return after;
}

#define RUN_FROM(from, ...) run(from, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})).regs.rip
#define XSAVE64_RDI	    0x48, 0x0f, 0xae, 0x27
#define XRSTOR64_RDI	    0x48, 0x0f, 0xae, 0x2f

static void test_saves(void **state)
{
	assert_int_equal(RUN_FROM(registers(), XSAVE64_RDI), 4);
	assert_int_equal(*mark(IMAGE), 0x1111);
	assert_int_equal(*header(IMAGE), LEGACY);
	/* XSAVE [R9], XSAVEOPT [RBX], XSAVEC [RDI] if it is there. */
	begin(world);
	assert_int_equal(RUN_FROM(registers(), 0x41, 0x0f, 0xae, 0x21), 4);
	assert_int_equal(*mark(IMAGE), 0x1111);
	begin(world);
	assert_int_equal(RUN_FROM(registers(), 0x0f, 0xae, 0x33), 3);
	assert_int_equal(*mark(IMAGE), 0x1111);
	begin(world);
	assert_int_equal(RUN_FROM(registers(), 0x0f, 0xc7, 0x27), 3);
	assert_int_equal(*mark(IMAGE), 0x1111);
	assert_int_equal(header(IMAGE)[1] >> 63, 1);
}

/* What the guest has not enabled it does not get, nor what it did not ask for. */
static void test_components(void **state)
{
	struct user_regs_struct regs = registers();
	steps_state()->fpu.enabled = X86_XCR0_X87;
	*header(IMAGE) = 0;
	assert_int_equal(RUN_FROM(regs, XSAVE64_RDI), 4);
	assert_int_equal(*header(IMAGE), X86_XCR0_X87);
	assert_int_equal(*mark(IMAGE), 0x2222);
	begin(world);
	regs.rax = X86_XCR0_X87, regs.rdx = 0;
	assert_int_equal(RUN_FROM(regs, XRSTOR64_RDI), 4);
	assert_int_equal(*mark(LENT), 0x1111);
}

static void test_loads(void **state)
{
	assert_int_equal(RUN_FROM(registers(), XRSTOR64_RDI), 4);
	assert_int_equal(*mark(LENT), 0x2222);
	/* A component that is in its initial state. */
	*header(IMAGE) = X86_XCR0_X87;
	assert_int_equal(RUN_FROM(registers(), XRSTOR64_RDI), 4);
	assert_int_equal(*header(LENT) & X86_XCR0_SSE ? *mark(LENT) : 0, 0);
}

/* By any register, some of which the sequence takes for itself. */
static void test_operands(void **state)
{
	struct user_regs_struct regs = registers();
	regs.rax = regs.rdi;
	assert_int_equal(RUN_FROM(regs, 0x48, 0x0f, 0xae, 0x20), 4); /* [RAX] */
	regs = registers();
	regs.rdx = regs.rdi - 0x40, regs.rcx = 8;
	assert_int_equal(RUN_FROM(regs, 0x48, 0x0f, 0xae, 0x24, 0xca), 5); /* [RDX + RCX * 8] */
	if (world->user)
		return;
	assert_int_equal(RUN_FROM(registers(), 0x48, 0x0f, 0xae, 0x64, 0x24, 0x40), 6); /* [RSP + 64] */
	assert_int_equal(*mark(STACK + 0x40), 0x1111);
	assert_int_equal(RUN_FROM(registers(), 0x48, 0x0f, 0xae, 0x25, 0xf8, 0x2f, 0, 0), 8); /* [RIP + 0x2ff8] */
	assert_int_equal(*mark(0x3000), 0x1111);
}

/* Nobody knows where the state is; the image names what the guest has not enabled: the monitor does it. */
static void test_given_up(void **state)
{
	steps_state()->fpu.at = 0;
	assert_int_equal(RUN_FROM(registers(), XSAVE64_RDI), 0);
	assert_int_equal(RUN_FROM(registers(), XRSTOR64_RDI), 0);
	begin(world);
	*header(IMAGE) |= X86_XCR0_AVX;
	assert_int_equal(RUN_FROM(registers(), XRSTOR64_RDI), 0);
	*header(IMAGE) = LEGACY;
	header(IMAGE)[1] = X86_FPU_COMPACTED | X86_XCR0_AVX;
	assert_int_equal(RUN_FROM(registers(), XRSTOR64_RDI), 0);
	assert_int_equal(*mark(LENT), 0x1111);
}

/* Nothing has happened: the guest's operand is bad, or what user mode made of its own image. */
static void test_faults(void **state)
{
	struct user_regs_struct regs = registers();
	regs.rdi += 8;
	assert_int_equal(RUN_FROM(regs, XSAVE64_RDI), 0);
	assert_int_equal(RUN_FROM(regs, XRSTOR64_RDI), 0);
	regs.rdi = world->memory + SIZE;
	assert_int_equal(RUN_FROM(regs, XSAVE64_RDI), 0);
	assert_int_equal(RUN_FROM(regs, XRSTOR64_RDI), 0);
	regs.rdi = 1ull << 47;
	assert_int_equal(RUN_FROM(regs, XSAVE64_RDI), 0);
	header(LENT)[2] = 1;
	assert_int_equal(RUN_FROM(registers(), XSAVE64_RDI), 0);
	assert_int_equal(*mark(IMAGE), 0x2222);
	header(LENT)[2] = 0;
	*(uint32_t *)(at(LENT) + X86_FPU_MXCSR) = ~0u;
	assert_int_equal(RUN_FROM(registers(), XRSTOR64_RDI), 0);
}

/* Where the FPU is the kernel's, somebody is told, or another base is asked for. */
static void test_other_flavours(void **state)
{
	static const uint8_t xsave[] = {XSAVE64_RDI, 0xf4}, through_gs[] = {0x65, XSAVE64_RDI, 0xf4};
	static struct bt_code code;
	struct bt_place place;
	test_place(&place);
	const struct {
		const uint8_t *bytes;
		unsigned len, flavour;
	} others[] = {{xsave, sizeof(xsave), FLAVOUR | BT_FPU},
		      {xsave, sizeof(xsave), FLAVOUR | BT_X87},
		      {xsave, sizeof(xsave), FLAVOUR & ~BT_READ},
		      {through_gs, sizeof(through_gs), FLAVOUR}};
	for (unsigned n = 0; n < sizeof(others) / sizeof(others[0]); n++) {
		struct bt_source source = {
			.gva = TEST_BASE, .bytes = others[n].bytes, .len = others[n].len, .flavour = others[n].flavour};
		assert_true(bt_compile(&source, &place, &code));
		assert_true(code.leaves && code.insns == 1);
	}
}

static void test_rules_hold_of_random_bytes(void **state)
{
	uint8_t bytes[200];
	for (unsigned n = 0; n < 20000; n++) {
		uint64_t random = test_random_bytes(bytes, sizeof(bytes));
		bytes[0] = (uint8_t)(0x40 | n % 16), bytes[1] = 0x0f, bytes[2] = n & 8 ? 0xc7 : 0xae;
		struct bt_source source = {.gva = worlds[n % 2].memory,
					   .bytes = bytes,
					   .len = 1 + (unsigned)(random % sizeof(bytes)),
					   .flavour = worlds[n % 2].flavour,
					   .site_mask = {[BT_SITE_USER] = n & 4 ? ~0u : 0}};
		const char *rule = broken_rule(&source);
		if (rule)
			fail_msg("block %u: %s", n, rule);
	}
}

static void test_in_every_world(void **state)
{
	static void (*const tests[])(void **) = {test_saves,	test_components, test_loads,
						 test_operands, test_given_up,	 test_faults};
	for (unsigned w = 0; w < WORLDS; w++)
		for (unsigned n = 0; n < sizeof(tests) / sizeof(tests[0]); n++) {
			begin(&worlds[w]);
			tests[n](state);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_every_world),
		cmocka_unit_test(test_other_flavours),
		cmocka_unit_test(test_rules_hold_of_random_bytes),
	};
	return cmocka_run_group_tests(tests, start, end);
}
