/*
 * The compiler of engine `translate` for kernels of the upper half: rules that hold of random bytes, and sequences
 * executed step by step where memory lies UPPER_BASE further up and user memory in a slot of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>

#include "hypercalls/x86.h"
#include "tests/random/generate.h"
#include "tests/unit/translate_rules.h"
#include "tests/unit/translate_steps.h"

#define BLOCKS_RANDOM  20000
#define ARITHMETIC     0x8d5u /* bits of RFLAGS */
#define SEQUENCES_FROM 7000
#define SEQUENCES      4000

#define FLAVOUR (BT_FPU | BT_AVX | BT_IF | BT_CLOCK | BT_READ | BT_BASES | BT_UPPER | gs_slot)
static unsigned gs_slot; /* BT_GS_SLOT, or 0 */

/* Kernel memory: code, data, a stack, two pages of holes behind it. The guest's addresses. */
#define KERNEL	   0xffffffff81000000
#define DATA	   (KERNEL + 0x2000)
#define STACK	   (KERNEL + 0x4800)
#define KERNEL_END (KERNEL + 0x5000)
#define GS_BASE	   (KERNEL + 0x1000)
/* Code and data of a kernel that no sign-extended displacement reaches, between holes. */
#define FAR	 0xffffa00000200000
#define FAR_DATA (FAR + 0x2000)
#define FAR_GS	 0x10
#define FAR_END	 (FAR + 0x3000)
/* The most that an operand and what a bit's number leads to take. */
#define PATTERN_SIZE 0x600
/* User memory: the guest's address, and where it is shown. */
#define USER	  0x550000003000
#define USER_HOST 0x220000003000
#define USER_SIZE 0x1000
#define NOWHERE	  (1ull << 47)

#define ALL_USER ~0u

typedef uint64_t word __attribute__((aligned(1)));

static struct user_regs_struct at_start;

static uint64_t host(uint64_t gva)
{
	return gva >> 47 ? gva + UPPER_BASE : gva - USER + USER_HOST;
}

static word *at(uint64_t gva)
{
	return (word *)host(gva);
}

static bool map(uint64_t address, uint64_t size)
{
	void *to = (void *)address;
	return mmap(to, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == to;
}

static int start(void **state)
{
	uint64_t *table = (uint64_t *)TEST_SLOTS;
	if (!map(host(KERNEL), KERNEL_END - KERNEL) || !map(host(FAR), FAR_END - FAR) || !map(USER_HOST, USER_SIZE) ||
	    !map(TEST_SLOTS, 65536 * sizeof(*table)))
		return -1;
	for (unsigned n = 0; n < 65536; n++)
		table[n] = n < 128 ? NOWHERE : n >= 65536 - 128 ? UPPER_BASE : 0;
	table[USER / USER_SLOT_SIZE] = USER_HOST - USER;
	return steps_start(&at_start);
}

static int put_gs_in_slot(void **state)
{
	gs_slot = BT_GS_SLOT;
	return 0;
}

static int end(void **state)
{
	return steps_end();
}

static struct user_regs_struct registers(void)
{
	struct user_regs_struct r = at_start;
	r.rax = 0x1111, r.rcx = 3, r.rdx = 0x2222, r.rbx = DATA + 0x100, r.rsp = STACK, r.rbp = STACK + 0x100;
	r.rsi = DATA + 0x200, r.rdi = DATA + 0x300, r.r8 = 8, r.r9 = USER + 0x40, r.r10 = 16, r.r11 = 11;
	r.r12 = DATA + 0x400, r.r13 = USER + 0x80, r.r14 = 2, r.r15 = DATA + 0x500;
	r.eflags = 0x202 | X86_RFLAGS_CF | X86_RFLAGS_SF;
	r.fs_base = 0, r.gs_base = GS_BASE;
	return r;
}

static struct snapshot run_at(uint64_t gva, struct user_regs_struct regs, uint32_t user, int part, const uint8_t *insn,
			      unsigned len)
{
	uint8_t bytes[16];
	memcpy(bytes, insn, len);
	bytes[len] = 0xf4;
	struct bt_source source = {.gva = gva, .bytes = bytes, .len = len + 1, .flavour = FLAVOUR, .site_mask = {user}};
	return steps_run(&source, &regs, true, ~0ull, part);
}

static struct snapshot run(struct user_regs_struct regs, uint32_t user, int part, const uint8_t *insn, unsigned len)
{
	return run_at(KERNEL, regs, user, part, insn, len);
}

#define RUN_FROM(regs, user, part, ...)                                                                                \
	run(regs, user, part, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define RUN(user, ...) RUN_FROM(registers(), user, 0, __VA_ARGS__)

/* It went past the instruction of `len` bytes. */
static void assert_done(const struct snapshot *end, unsigned len)
{
	assert_int_equal(end->regs.rip, KERNEL + len);
}

static void test_rules_hold_of_random_bytes(void **state)
{
	uint8_t bytes[200];
	for (unsigned n = 0; n < BLOCKS_RANDOM; n++) {
		uint64_t random = test_random_bytes(bytes, sizeof(bytes));
		struct bt_source source = {.gva = n & 1 ? KERNEL : FAR,
					   .bytes = bytes,
					   .len = 1 + (unsigned)(random % sizeof(bytes)),
					   .flavour = BT_UPPER | ((unsigned)(random >> 8) & FLAVOUR),
					   .site_mask = {(uint32_t)(random >> 20), (uint32_t)(random >> 24)}};
		const char *rule = broken_rule(&source);
		if (rule)
			fail_msg("block %u: %s", n, rule);
	}
}

/* The shadow of STI needs another instruction: there is none where the block is full behind it. */
static void test_sti_in_a_full_block(void **state)
{
	for (unsigned movs = 0; movs < 30; movs++)
		for (unsigned lods = 0; movs + lods < 30; lods++) {
			uint8_t bytes[32], *end = bytes;
			memset(end, 0xa5, movs), end += movs;
			memset(end, 0xac, lods), end += lods;
			*end++ = 0xfb, *end++ = 0x90;
			const struct bt_source source = {KERNEL, bytes, (unsigned)(end - bytes), FLAVOUR,
							 .hypercall = false};
			const char *rule = broken_rule(&source);
			if (rule)
				fail_msg("%u MOVS, %u LODS: %s", movs, lods, rule);
		}
}

static void test_operands(void **state)
{
	*at(DATA + 0x108) = 0x1122334455667788;
	assert_int_equal(RUN(0, 0x48, 0x8b, 0x43, 0x08).regs.rax, 0x1122334455667788); /* MOV RAX, [RBX + 8] */
	*at(KERNEL + 0x2007) = 0x99;
	assert_int_equal(RUN(0, 0x48, 0x8b, 0x05, 0x00, 0x20, 0, 0).regs.rax, 0x99); /* MOV RAX, [RIP + 0x2000] */
	*at(STACK + 8) = 0x77;
	assert_int_equal(RUN(0, 0x48, 0x8b, 0x44, 0x24, 0x08).regs.rax, 0x77); /* MOV RAX, [RSP + 8] */
	*at(GS_BASE + 0x10) = 0x66;
	/* MOV RAX, GS:[0x10]; MOV RAX, GS:[R10] */
	assert_int_equal(RUN(0, 0x65, 0x48, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0).regs.rax, 0x66);
	assert_int_equal(RUN(0, 0x65, 0x49, 0x8b, 0x02).regs.rax, 0x66);
	assert_int_equal(RUN(0, 0x48, 0x8d, 0x05, 0x00, 0x10, 0, 0).regs.rax, KERNEL + 0x1007); /* LEA RAX, [RIP] */
	/* FS has no base of its own in the cell. */
	assert_int_equal(RUN(0, 0x64, 0x48, 0x8b, 0x03).regs.rip, KERNEL);
}

static void test_based_operands(void **state)
{
	*at(GS_BASE + 0x20) = DATA + 0x100;
	/* MOV RSP, GS:[0x20]; XCHG RSP, GS:[0x20]; MOV GS:[0x20], RSP */
	assert_int_equal(RUN(0, 0x65, 0x48, 0x8b, 0x24, 0x25, 0x20, 0, 0, 0).regs.rsp, DATA + 0x100);
	assert_int_equal(RUN(0, 0x65, 0x48, 0x87, 0x24, 0x25, 0x20, 0, 0, 0).regs.rsp, DATA + 0x100);
	assert_int_equal(*at(GS_BASE + 0x20), STACK);
	struct snapshot end = RUN(0, 0x65, 0x48, 0x89, 0x24, 0x25, 0x20, 0, 0, 0);
	assert_done(&end, 9);
	assert_int_equal(*at(GS_BASE + 0x20), STACK);
	/* PUSH GS:[0x20]; POP GS:[0x10]; ADD GS:[RBP * 2 + 0x10], R8, where REX makes other registers of it */
	RUN(0, 0x65, 0xff, 0x34, 0x25, 0x20, 0, 0, 0);
	assert_int_equal(*at(STACK - 8), STACK);
	*at(STACK) = 0x4321;
	assert_int_equal(RUN(0, 0x65, 0x8f, 0x04, 0x25, 0x10, 0, 0, 0).regs.rsp, STACK + 8);
	assert_int_equal(*at(GS_BASE + 0x10), 0x4321);
	struct user_regs_struct regs = registers();
	regs.rbp = 8, regs.rsi = 0;
	end = RUN_FROM(regs, 0, 0, 0x65, 0x4c, 0x01, 0x04, 0x6d, 0, 0, 0, 0);
	assert_done(&end, 9);
	assert_int_equal(*at(GS_BASE + 0x10), 0x4329);
	/* LOCK CMPXCHG16B GS:[RSI]: one register is left, and RBP */
	*at(GS_BASE) = 0x1111, *at(GS_BASE + 8) = 0x2222;
	end = RUN_FROM(regs, 0, 0, 0xf0, 0x65, 0x48, 0x0f, 0xc7, 0x0e);
	assert_done(&end, 6);
	assert_int_equal(*at(GS_BASE + 8), 3);
	/* Nothing is there. */
	regs.rsi = KERNEL_END - GS_BASE - 4;
	assert_int_equal(RUN_FROM(regs, 0, 0, 0x65, 0x48, 0x01, 0x06).regs.rip, KERNEL); /* ADD GS:[RSI], RAX */
	assert_int_equal(RUN(0, 0x65, 0x48, 0x87, 0x24, 0x25, 0, 0x60, 0, 0).regs.rip, KERNEL);
}

static void test_stack_is_read(void **state)
{
	assert_int_equal(RUN(0, 0x48, 0x89, 0xe0).regs.rax, STACK);			      /* MOV RAX, RSP */
	assert_int_equal(RUN(0, 0x89, 0xe0).regs.rax, (uint32_t)STACK);			      /* MOV EAX, ESP */
	assert_int_equal(RUN(0, 0x66, 0x89, 0xe0).regs.rax, 0x1111 >> 16 | (STACK & 0xffff)); /* MOV AX, SP */
	assert_int_equal(RUN(0, 0x40, 0x88, 0xe0).regs.rax, 0x1100 | (STACK & 0xff));	      /* MOV AL, SPL */
	assert_int_equal(RUN(0, 0x48, 0x8d, 0x44, 0x24, 0x10).regs.rax, STACK + 16);	      /* LEA RAX, [RSP + 16] */
	assert_int_equal(RUN(0, 0x8d, 0x44, 0x24, 0x10).regs.rax, (uint32_t)STACK + 16);      /* LEA EAX, [RSP + 16] */
	/* LEA RAX, [RSP + RAX * 2 + 8] */
	assert_int_equal(RUN(0, 0x48, 0x8d, 0x44, 0x44, 0x08).regs.rax, STACK + 0x2222 + 8);
	RUN(0, 0x48, 0x89, 0x23); /* MOV [RBX], RSP */
	assert_int_equal(*at(DATA + 0x100), STACK);
	RUN(0, 0x54); /* PUSH RSP */
	assert_int_equal(*at(STACK - 8), STACK);
	/* CMP RSP, RBP: below, negative */
	assert_int_equal(RUN(0, 0x48, 0x39, 0xec).regs.eflags & (X86_RFLAGS_CF | X86_RFLAGS_ZF), X86_RFLAGS_CF);
	assert_int_equal(RUN(0, 0x48, 0x03, 0xc4).regs.rax, STACK + 0x1111); /* ADD RAX, RSP */
}

static void test_stack_is_written(void **state)
{
	struct snapshot end = RUN(0, 0x48, 0x83, 0xec, 0x20); /* SUB RSP, 0x20 */
	assert_int_equal(end.regs.rsp, STACK - 0x20);
	assert_int_equal(end.regs.eflags & (X86_RFLAGS_CF | X86_RFLAGS_SF), X86_RFLAGS_SF);
	assert_int_equal(RUN(0, 0x48, 0x83, 0xe4, 0xf0).regs.rsp, STACK & ~15ull); /* AND RSP, -16 */
	assert_int_equal(RUN(0, 0x48, 0x89, 0xdc).regs.rsp, DATA + 0x100);	   /* MOV RSP, RBX */
	*at(DATA + 0x100) = USER;
	assert_int_equal(RUN(0, 0x48, 0x8b, 0x23).regs.rsp, USER);		    /* MOV RSP, [RBX] */
	assert_int_equal(RUN(0, 0x89, 0xdc).regs.rsp, (uint32_t)(DATA + 0x100));    /* MOV ESP, EBX */
	assert_int_equal(RUN(0, 0x48, 0x8d, 0x63, 0x18).regs.rsp, DATA + 0x118);    /* LEA RSP, [RBX + 24] */
	assert_int_equal(RUN(0, 0x48, 0x8d, 0x64, 0x24, 0xf8).regs.rsp, STACK - 8); /* LEA RSP, [RSP - 8] */
	*at(STACK) = 0xffff0000deadbeef;
	assert_int_equal(RUN(0, 0x5c).regs.rsp, 0xffff0000deadbeef); /* POP RSP */
	*at(STACK + 0x100) = 0x5555;
	end = RUN(0, 0xc9); /* LEAVE */
	assert_int_equal(end.regs.rsp, STACK + 0x108);
	assert_int_equal(end.regs.rbp, 0x5555);
	end = RUN(0, 0x48, 0x94); /* XCHG RAX, RSP */
	assert_int_equal(end.regs.rsp, 0x1111);
	assert_int_equal(end.regs.rax, STACK);
	/* POP SP is left to the monitor. */
	assert_int_equal(RUN(0, 0x66, 0x5c).regs.rip, KERNEL);
}

/* The instruction, whose displacement is the four bytes from `disp`, with an operand at `to`. */
static struct snapshot run_far(uint64_t gs_base, uint64_t to, unsigned disp, const uint8_t *insn, unsigned len)
{
	struct user_regs_struct regs = registers();
	uint8_t bytes[X86_INSN_MAX];
	const int32_t displacement = (int32_t)(to - FAR - len);
	memcpy(bytes, insn, len);
	memcpy(bytes + disp, &displacement, sizeof(displacement));
	regs.gs_base = gs_base;
	return run_at(FAR, regs, 0, 0, bytes, len);
}

#define RUN_FAR_GS(gs_base, to, disp, ...)                                                                             \
	run_far(gs_base, to, disp, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define RUN_FAR(to, disp, ...) RUN_FAR_GS(FAR_GS, to, disp, __VA_ARGS__)

static void assert_far_done(const struct snapshot *end, unsigned len)
{
	assert_int_equal(end->regs.rip, FAR + len);
	assert_int_equal(end->regs.rsp, STACK);
}

/* Relative to RIP, where no displacement of 32 bits leads: through a register, or RSP where that is a value. */
static void test_far_operands(void **state)
{
	*at(FAR_DATA) = 0x1122334455667788, *at(FAR_DATA + FAR_GS) = 0x77;
	struct snapshot end = RUN_FAR(FAR_DATA, 3, 0x48, 0x8b, 0x05, 0, 0, 0, 0); /* MOV RAX, [RIP] */
	assert_far_done(&end, 7);
	assert_int_equal(end.regs.rax, 0x1122334455667788);
	end = RUN_FAR(FAR_DATA, 4, 0x65, 0x48, 0x8b, 0x05, 0, 0, 0, 0); /* MOV RAX, GS:[RIP] */
	assert_far_done(&end, 8);
	assert_int_equal(end.regs.rax, 0x77);
	end = RUN_FAR(FAR_DATA, 3, 0x4f, 0x01, 0x05, 0, 0, 0, 0); /* ADD [RIP], R8, with REX.X and REX.B set */
	assert_far_done(&end, 7);
	assert_int_equal(*at(FAR_DATA), 0x1122334455667790);
	end = RUN_FAR(FAR_DATA, 2, 0xc6, 0x05, 0, 0, 0, 0, 0x12); /* MOV BYTE [RIP], 0x12 */
	assert_far_done(&end, 7);
	assert_int_equal(*at(FAR_DATA), 0x1122334455667712);
	*at(FAR_DATA) = 0x1111, *at(FAR_DATA + 8) = 0x2222;
	end = RUN_FAR(FAR_DATA, 5, 0xf0, 0x48, 0x0f, 0xc7, 0x0d, 0, 0, 0, 0); /* LOCK CMPXCHG16B [RIP] */
	assert_far_done(&end, 9);
	assert_int_equal(*at(FAR_DATA + 8), 3);
	end = RUN_FAR(FAR_DATA, 5, 0xc4, 0xe2, 0xf0, 0xf2, 0x05, 0, 0, 0, 0); /* ANDN RAX, RCX, [RIP]: VEX */
	assert_far_done(&end, 9);
}

static void test_far_stack(void **state)
{
	struct snapshot end = RUN_FAR(FAR_DATA, 3, 0x48, 0x89, 0x25, 0, 0, 0, 0); /* MOV [RIP], RSP */
	assert_far_done(&end, 7);
	assert_int_equal(*at(FAR_DATA), STACK);
	end = RUN_FAR(FAR_DATA, 3, 0x48, 0x3b, 0x25, 0, 0, 0, 0); /* CMP RSP, [RIP] */
	assert_far_done(&end, 7);
	assert_true(end.regs.eflags & X86_RFLAGS_ZF);
	*at(FAR_DATA) = 0x18;
	end = RUN_FAR(FAR_DATA, 3, 0x48, 0x03, 0x25, 0, 0, 0, 0); /* ADD RSP, [RIP] */
	assert_int_equal(end.regs.rip, FAR + 7);
	assert_int_equal(end.regs.rsp, STACK + 0x18);
	*at(FAR_DATA) = FAR_END;
	end = RUN_FAR(FAR_DATA, 3, 0x48, 0x8b, 0x25, 0, 0, 0, 0); /* MOV RSP, [RIP] */
	assert_int_equal(end.regs.rip, FAR + 7);
	assert_int_equal(end.regs.rsp, FAR_END);
	end = RUN_FAR(FAR_DATA, 3, 0x48, 0x87, 0x25, 0, 0, 0, 0); /* XCHG [RIP], RSP */
	assert_int_equal(end.regs.rsp, FAR_END);
	assert_int_equal(*at(FAR_DATA), STACK);
	RUN_FAR(FAR_DATA, 2, 0xff, 0x35, 0, 0, 0, 0); /* PUSH [RIP] */
	assert_int_equal(*at(STACK - 8), STACK);
	*at(STACK) = 0x4321;
	end = RUN_FAR(FAR_DATA, 2, 0x8f, 0x05, 0, 0, 0, 0); /* POP [RIP] */
	assert_int_equal(end.regs.rsp, STACK + 8);
	assert_int_equal(*at(FAR_DATA), 0x4321);
	/* With a segment's base RSP cannot be the operand's address: MOV GS:[RIP], RSP is left to the monitor. */
	end = RUN_FAR_GS(-UPPER_BASE, FAR_DATA, 4, 0x65, 0x48, 0x89, 0x25, 0, 0, 0, 0);
	assert_int_equal(end.regs.rip, FAR);
}

/* What is missing there is so with the registers as they were. */
static void test_far_faults(void **state)
{
	static const uint64_t holes[] = {FAR_END, FAR_END - 4, FAR - 0x1000};
	for (unsigned n = 0; n < sizeof(holes) / sizeof(holes[0]); n++) {
		assert_int_equal(RUN_FAR(holes[n], 3, 0x48, 0x01, 0x05, 0, 0, 0, 0).regs.rip, FAR); /* ADD [RIP], RAX */
		assert_int_equal(RUN_FAR(holes[n], 3, 0x48, 0x87, 0x25, 0, 0, 0, 0).regs.rip,
				 FAR); /* XCHG [RIP], RSP */
		assert_int_equal(RUN_FAR(holes[n], 3, 0x48, 0x8b, 0x25, 0, 0, 0, 0).regs.rip, FAR); /* MOV RSP, [RIP] */
	}
}

/* Relative to RIP, on general registers, and does not tell where it is. */
static bool is_plain_relative(const uint8_t *bytes, unsigned len, struct emu_insn *insn)
{
	return ZYAN_SUCCESS(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, bytes, len, insn)) &&
	       insn->info.raw.modrm.offset && insn->info.raw.disp.size == 32 && !bt_uses_fpu(insn) &&
	       insn->info.mnemonic != ZYDIS_MNEMONIC_LEA;
}

static struct snapshot run_on_pattern(uint64_t gva, const struct emu_insn *insn)
{
	const uint64_t data = gva == FAR ? FAR_DATA : DATA;
	const int32_t disp = (int32_t)(data - gva - insn->info.length);
	uint8_t bytes[X86_INSN_MAX];
	memcpy(bytes, insn->bytes, sizeof(bytes));
	memcpy(bytes + insn->info.raw.disp.offset, &disp, sizeof(disp));
	memset(at(data), 0x35, PATTERN_SIZE);
	struct snapshot end = run_at(gva, registers(), 0, 0, bytes, insn->info.length);
	if (end.regs.rip - gva <= X86_INSN_MAX)
		end.regs.rip -= gva;
	return end;
}

/* Near and far each instruction does the same to registers and memory, or nothing. */
static void test_far_is_like_near(void **state)
{
	static const uint8_t starts[][3] = {{0}, {0x66}, {0x48}, {0x40}, {0x0f}, {0x48, 0x0f}};
	unsigned done = 0;
	for (unsigned n = 0; n < sizeof(starts) / sizeof(starts[0]) * 0x800; n++) {
		const uint8_t *start = starts[n >> 11];
		uint8_t bytes[X86_INSN_MAX] = {0};
		unsigned len = (unsigned)strlen((const char *)start);
		struct emu_insn insn;
		memcpy(bytes, start, len);
		bytes[len++] = (uint8_t)(n >> 3);
		bytes[len++] = (uint8_t)((n & 7) << 3 | 5);
		if (!is_plain_relative(bytes, sizeof(bytes), &insn))
			continue;
		struct snapshot near = run_on_pattern(KERNEL, &insn), far = run_on_pattern(FAR, &insn);
		if (memcmp(&near.regs, &far.regs, sizeof(near.regs)) || memcmp(at(DATA), at(FAR_DATA), PATTERN_SIZE))
			fail_msg("%s, number %#x: rip %llx %llx, rsp %llx %llx",
				 ZydisMnemonicGetString(insn.info.mnemonic), n, near.regs.rip, far.regs.rip,
				 near.regs.rsp, far.regs.rsp);
		done += near.regs.rip == insn.info.length;
	}
	assert_true(done > 500);
}

/* From kernel to user memory and back, both directions, none, and onto a hole. */
static void test_strings(void **state)
{
	struct user_regs_struct regs = registers();
	for (unsigned n = 0; n < 8; n++)
		*at(DATA + 0x200 + 8 * n) = 0x100 + n;
	regs.rdi = USER + 0x100, regs.rcx = 5;
	struct snapshot end = RUN_FROM(regs, 0, 8, 0xf3, 0x48, 0xa5); /* REP MOVSQ */
	assert_done(&end, 3);
	assert_int_equal(end.regs.rdi, USER + 0x128);
	assert_int_equal(end.regs.rsi, DATA + 0x228);
	assert_int_equal(*at(USER + 0x120), 0x104);
	regs.eflags |= X86_RFLAGS_DF;
	end = RUN_FROM(regs, 0, -4, 0xf3, 0xa5); /* REP MOVSD, down */
	assert_int_equal(end.regs.rdi, USER + 0x100 - 20);
	regs.rcx = 0;
	end = RUN_FROM(regs, 0, 1, 0xf3, 0xaa); /* REP STOSB of nothing */
	assert_done(&end, 2);
	assert_int_equal(end.regs.rdi, regs.rdi);
	regs = registers();
	regs.rdi = KERNEL_END - 16, regs.rcx = 9;
	end = RUN_FROM(regs, 0, 8, 0xf3, 0x48, 0xab); /* REP STOSQ onto the hole */
	assert_int_equal(end.regs.rip, KERNEL);
	assert_int_equal(*at(KERNEL_END - 8), 0x1111);
	*at(DATA + 0x300) = 0x1111;
	end = RUN(0, 0x48, 0xaf); /* SCASQ */
	assert_true(end.regs.eflags & X86_RFLAGS_ZF);
	assert_int_equal(end.regs.rdi, DATA + 0x308);
	assert_int_equal(RUN(0, 0xac).regs.rsi, DATA + 0x201); /* LODSB */
}

static void test_user_operands(void **state)
{
	*at(USER + 0x48) = 0xabcd;
	assert_int_equal(RUN(ALL_USER, 0x49, 0x8b, 0x41, 0x08).regs.rax, 0xabcd); /* MOV RAX, [R9 + 8] */
	RUN(ALL_USER, 0x4b, 0xc7, 0x44, 0xb5, 0x00, 0x78, 0x56, 0x34, 0x12);	  /* MOV QWORD [R13 + R14 * 4], imm */
	assert_int_equal(*at(USER + 0x88), 0x12345678);
	*at(USER + 0x40) = 7;
	struct snapshot end = RUN(ALL_USER, 0xf0, 0x49, 0x0f, 0xc1, 0x01); /* LOCK XADD [R9], RAX */
	assert_int_equal(end.regs.rax, 7);
	assert_int_equal(*at(USER + 0x40), 0x1118);
	/* ANDN RAX, RCX, [R9]: VEX */
	assert_int_equal(RUN(ALL_USER, 0xc4, 0xc2, 0xf0, 0xf2, 0x01).regs.rax, ~3ull & 0x1118);
	RUN(ALL_USER, 0x41, 0xff, 0x31); /* PUSH [R9] */
	assert_int_equal(*at(STACK - 8), 0x1118);
	/* LOCK CMPXCHG16B [RSI]: one register is left, and RBP */
	struct user_regs_struct regs = registers();
	regs.rsi = USER + 0x80;
	*at(USER + 0x80) = 0x1111, *at(USER + 0x88) = 0x2222;
	end = RUN_FROM(regs, ALL_USER, 0, 0xf0, 0x48, 0x0f, 0xc7, 0x0e);
	assert_done(&end, 5);
	assert_int_equal(*at(USER + 0x88), 3);
	/* Kernel memory at the same place in the code. */
	*at(DATA + 0x400) = 0x4321;
	assert_int_equal(RUN(ALL_USER, 0x49, 0x8b, 0x04, 0x24).regs.rax, 0x4321); /* MOV RAX, [R12] */
	/* A bit far away may lie in another piece: BTS [R9], RAX. */
	assert_int_equal(RUN(ALL_USER, 0x49, 0x0f, 0xab, 0x01).regs.rip, KERNEL);
}

/* Addresses that lead nowhere fault at the instruction, whatever their bits. */
static void test_hostile_addresses(void **state)
{
	static const uint64_t addresses[] = {
		0,
		0x1000,
		0x540000003000,
		USER + USER_SLOT_SIZE,
		0x7ffffffffff8,
		0x800000000000,
		0xffff7ffffffffff8,
		0x4000000000001000,
		0xc000000000001000,
		0xff00550000003000,
		0xfe00550000003000,
		0x0100000000001000,
		USER | 1ull << 63,
		KERNEL ^ 1ull << 62,
		KERNEL ^ 1ull << 56,
		KERNEL ^ 1ull << 47,
		0xffff800000000000,
		0xffff8000001ffff8,
		0xfffffffffffffff8,
	};
	for (unsigned n = 0; n < sizeof(addresses) / sizeof(addresses[0]); n++) {
		struct user_regs_struct regs = registers();
		regs.r9 = regs.rsi = addresses[n];
		assert_int_equal(RUN_FROM(regs, ALL_USER, 0, 0x49, 0x8b, 0x01).regs.rip, KERNEL);
		assert_int_equal(RUN_FROM(regs, 0, 0, 0x49, 0x8b, 0x01).regs.rip, KERNEL);
		assert_int_equal(RUN_FROM(regs, 0, 8, 0xf3, 0x48, 0xad).regs.rip, KERNEL); /* REP LODSQ */
	}
}

/* ---------------------------------------------------------------------------------------------------- odd prefixes */

#define PREFIX_CS 0x2e

/* The instruction behind as many prefixes as make it `len` bytes; one relative to RIP has DATA for its operand. */
static struct snapshot run_padded(const uint8_t *insn, unsigned size, unsigned len, uint32_t user)
{
	uint8_t bytes[X86_INSN_MAX];
	memset(bytes, PREFIX_CS, sizeof(bytes));
	memcpy(bytes + len - size, insn, size);
	if (size == 7 && (insn[2] & 0xc7) == 5) {
		int32_t disp = (int32_t)(DATA - KERNEL - len);
		memcpy(bytes + len - 4, &disp, sizeof(disp));
	}
	return run(registers(), user, 0, bytes, len);
}

/* Up to the most that an instruction may have it does the same, or is left to the monitor. */
static void test_redundant_prefixes(void **state)
{
	static const struct {
		uint8_t bytes[8];
		unsigned size;
		uint32_t user;
	} all[] = {
		{{0x48, 0x8b, 0x43, 0x08}, 4, 0},	      /* MOV RAX, [RBX + 8] */
		{{0x48, 0x8b, 0x44, 0x24, 0x08}, 5, 0},	      /* MOV RAX, [RSP + 8] */
		{{0x48, 0x8b, 0x05, 0, 0, 0, 0}, 7, 0},	      /* MOV RAX, [RIP] */
		{{0x48, 0x03, 0x25, 0, 0, 0, 0}, 7, 0},	      /* ADD RSP, [RIP] */
		{{0x48, 0x89, 0x25, 0, 0, 0, 0}, 7, 0},	      /* MOV [RIP], RSP */
		{{0x49, 0x8b, 0x41, 0x08}, 4, ALL_USER},      /* MOV RAX, [R9 + 8] */
		{{0x49, 0x8b, 0x01}, 3, ALL_USER},	      /* MOV RAX, [R9] */
		{{0x48, 0x8d, 0x44, 0x24, 0x10}, 5, 0},	      /* LEA RAX, [RSP + 16] */
		{{0x48, 0x83, 0xec, 0x20}, 4, 0},	      /* SUB RSP, 32 */
		{{0x48, 0xa5}, 2, 0},			      /* MOVSQ */
		{{0xff, 0x63, 0x08}, 3, 0},		      /* JMP [RBX + 8] */
		{{0x66, 0x0f, 0x38, 0xf0, 0x43, 0x08}, 6, 0}, /* MOVBE AX, [RBX + 8] */
	};
	for (unsigned n = 0; n < sizeof(all) / sizeof(all[0]); n++) {
		*at(DATA) = 0x18, *at(DATA + 0x108) = 0x1234;
		struct snapshot plain = run_padded(all[n].bytes, all[n].size, all[n].size, all[n].user);
		assert_int_not_equal(plain.regs.rip, KERNEL);
		for (unsigned len = all[n].size + 1; len <= X86_INSN_MAX; len++) {
			*at(DATA) = 0x18;
			struct snapshot end = run_padded(all[n].bytes, all[n].size, len, all[n].user);
			if (end.regs.rip == KERNEL)
				continue;
			bool goes_on = plain.regs.rip == KERNEL + all[n].size;
			assert_int_equal(end.regs.rip, goes_on ? KERNEL + len : plain.regs.rip);
			assert_int_equal(end.regs.rax, plain.regs.rax);
			assert_int_equal(end.regs.rsp, plain.regs.rsp);
			assert_int_equal(end.regs.rdi, plain.regs.rdi);
		}
	}
}

/* REX counts where the opcode follows at once; a segment's prefix that gives way must not make it count. */
static void test_lost_rex(void **state)
{
	*at(DATA + 0x100) = 0x1122334455667788;
	assert_int_equal(RUN(0, 0x48, 0x2e, 0x8b, 0x03).regs.rax, 0x55667788); /* MOV EAX, CS:[RBX] */
	assert_int_equal(RUN(0, 0x4f, 0x26, 0x66, 0x8b, 0x03).regs.rax & 0xffff, 0x7788);
}

/* What is loaded of virtual registers has no place in an RSP that holds more than the guest's. */
static void test_registers_are_read(void **state)
{
	steps_state()->cr0 = 0x80050033;
	assert_int_equal(RUN(0, 0x0f, 0x20, 0xc0).regs.rax, 0x80050033); /* MOV RAX, CR0 */
	assert_int_equal(RUN(0, 0x0f, 0x20, 0xc4).regs.rip, KERNEL);	 /* MOV RSP, CR0 */
	assert_int_equal(RUN(0, 0x48, 0x8c, 0xdc).regs.rip, KERNEL);	 /* MOV RSP, DS */
	assert_int_equal(RUN(0, 0x66, 0x8c, 0xdc).regs.rip, KERNEL);	 /* MOV SP, DS */
}

/* The first instruction of each, known to reach user memory or not; most of what they name is not there. */
static void test_random_instructions(void **state)
{
	struct sequence s;
	struct emu_insn insn;
	steps_state()->hold = 0;
	for (unsigned n = SEQUENCES_FROM; n < SEQUENCES_FROM + SEQUENCES; n++) {
		uint8_t bytes[X86_INSN_MAX + 1];
		struct user_regs_struct regs = registers();
		generate(&s, 1, n, GENERATE_UPPER);
		if (ZYAN_FAILED(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, s.code, s.size, &insn)) ||
		    steps_has_parts(&insn))
			continue;
		memcpy(bytes, s.code, insn.info.length);
		bytes[insn.info.length] = 0xf4; /* HLT */
		const struct bt_source source = {.gva = n & 1 ? KERNEL : FAR,
						 .bytes = bytes,
						 .len = insn.info.length + 1u,
						 .flavour = FLAVOUR,
						 .site_mask = {n & 2 ? ALL_USER : 0}};
		uint64_t kept = insn.info.mnemonic == ZYDIS_MNEMONIC_POPFQ ? ~(uint64_t)ARITHMETIC : ~0ull;
		steps_run(&source, &regs, n % 3, kept, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_hold_of_random_bytes),
		cmocka_unit_test(test_random_instructions),
		cmocka_unit_test(test_sti_in_a_full_block),
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_based_operands),
		cmocka_unit_test(test_far_operands),
		cmocka_unit_test(test_far_stack),
		cmocka_unit_test(test_far_faults),
		cmocka_unit_test(test_far_is_like_near),
		cmocka_unit_test(test_stack_is_read),
		cmocka_unit_test(test_stack_is_written),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_user_operands),
		cmocka_unit_test(test_hostile_addresses),
		cmocka_unit_test(test_redundant_prefixes),
		cmocka_unit_test(test_lost_rex),
		cmocka_unit_test(test_registers_are_read),
	};
	int failed = cmocka_run_group_tests_name("GS", tests, start, NULL);
	return failed + cmocka_run_group_tests_name("GS in a slot", tests, put_gs_in_slot, end);
}
