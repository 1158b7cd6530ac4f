/*
 * Pairs of instructions that one function of the interpreter executes, each of them, against the same executed one by
 * one: registers, flags, memory, what devices see, RIP, the exit, and how many instructions were counted. Operands lie
 * in RAM, across pages, where the access faults, in a device, and on the second instruction itself. In 64-bit code, in
 * flat 32-bit code, and in segments of 32 and 16 bits, which have fewer such pairs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/interpret/ops.h"
#include "monitor/engine/interpret/pairs.h"
#include "monitor/vm/segment.h"
#include "tests/unit/machine_fixture.h"

#define CODE	    0x40000
#define CODE_SIZE   0x2000
#define PAIR_AT	    (CODE + 0x100)
#define LINE	    32 /* bytes of code, after which it ends at the latest */
#define DATA	    0x60000
#define DATA_SIZE   0x2000
#define READ_ONLY   0x64000
#define DEVICE	    0x65000
#define DEVICE_GPA  (2ull * FIX_RAM)
#define EDGE	    (FIX_HOLE - X86_PAGE_SIZE)
#define ROUNDS	    2
#define ENTRIES_MAX 100
#define ARITHMETIC  0x8d5u
#define LOG_MAX	    8
#define REPORTS_MAX 20

/* ------------------------------------------------------------------------------------------------ the instructions */

struct part {
	insn_function *run;
	const uint8_t *code, *end;
	const char *name;
};

#define DECLARE_FIRST(name)                                                                                            \
	insn_function name;                                                                                            \
	extern const uint8_t first_##name[], first_##name##_end[];
#define DECLARE_SECOND(name, unused)                                                                                   \
	insn_function name;                                                                                            \
	extern const uint8_t second_##name[], second_##name##_end[];
FIRSTS(DECLARE_FIRST)
SECONDS(DECLARE_SECOND, )
ENDS(DECLARE_SECOND, )

#define FIRST(name)	     {name, first_##name, first_##name##_end, #name},
#define SECOND(name, unused) {name, second_##name, second_##name##_end, #name},
static const struct part firsts[] = {FIRSTS(FIRST)};
static const struct part seconds[] = {SECONDS(SECOND, ) ENDS(SECOND, )};

/* clang-format off */
/* What code outside 64-bit mode has of them. */
#define NARROW_BOTH(X, bits) \
	X(mov32_rr, bits) X(mov32_rm, bits) X(mov32_mr, bits) X(add32_ri, bits) X(and32_ri, bits) X(xor32_rr, bits) \
	X(cmp32_rr, bits) X(cmp32_ri, bits) X(cmp8_ri, bits) X(cmp8_mi, bits) X(test32_rr, bits) X(test8_rr, bits) \
	X(test8_mi, bits) X(movzx32_8_r, bits) X(movzx32_8_m, bits) X(movzx32_16_m, bits) X(set2_r, bits)
#define NARROW_FIRSTS(X, bits) NARROW_BOTH(X, bits) X(mov32_ri, bits) X(shr32_imm, bits)
#define NARROW_SECONDS(X, bits) \
	NARROW_BOTH(X, bits) X(op_end, bits) X(op_jmp, bits) X(jcc2, bits) X(jcc3, bits) X(jcc4, bits) X(jcc5, bits) \
	X(jcc6, bits) X(jcc7, bits) X(jcc8, bits) X(jcc9, bits) X(jcc12, bits) X(jcc13, bits) X(jcc14, bits) \
	X(jcc15, bits)
/* clang-format on */

#define DECLARE_NARROW_FIRST(name, bits)  extern const uint8_t first##bits##_##name[], first##bits##_##name##_end[];
#define DECLARE_NARROW_SECOND(name, bits) extern const uint8_t second##bits##_##name[], second##bits##_##name##_end[];
NARROW_FIRSTS(DECLARE_NARROW_FIRST, 32)
NARROW_SECONDS(DECLARE_NARROW_SECOND, 32)
NARROW_FIRSTS(DECLARE_NARROW_FIRST, 16)
NARROW_SECONDS(DECLARE_NARROW_SECOND, 16)

#define NARROW_FIRST(name, bits)  {name, first##bits##_##name, first##bits##_##name##_end, #name},
#define NARROW_SECOND(name, bits) {name, second##bits##_##name, second##bits##_##name##_end, #name},
static const struct part firsts_32[] = {NARROW_FIRSTS(NARROW_FIRST, 32)},
			 seconds_32[] = {NARROW_SECONDS(NARROW_SECOND, 32)},
			 firsts_16[] = {NARROW_FIRSTS(NARROW_FIRST, 16)},
			 seconds_16[] = {NARROW_SECONDS(NARROW_SECOND, 16)};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static unsigned length(const struct part *p)
{
	return (unsigned)(p->end - p->code);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), part = strlen(end);
	return len >= part && !strcmp(text + len - part, end);
}

static bool pushes(const struct part *p)
{
	return !strncmp(p->name, "push", 4) || p->run == op_call;
}

static bool has_stack(const struct part *p)
{
	return pushes(p) || !strncmp(p->name, "pop", 3) || p->run == op_ret;
}

static bool has_memory(const struct part *p)
{
	return has_stack(p) || ends_with(p->name, "_rm") || ends_with(p->name, "_mr") || ends_with(p->name, "_mi") ||
	       ends_with(p->name, "_m");
}

/* ------------------------------------------------------------------------------------------------------ the states */

/* Where an operand lies. */
enum place { RAM, CROSSING, HOLE, CROSSING_HOLE, UNWRITABLE, NO_RAM, NOT_CANONICAL, ON_CODE, PLACES };

/* Segments' bases, and how many pages they have. */
struct mode {
	const char *name;
	unsigned bits;
	uint32_t code_base, data_base, pages;
	const struct part *firsts, *seconds;
	unsigned first_count, second_count;
};

#define PARTS(firsts, seconds) (firsts), (seconds), COUNT(firsts), COUNT(seconds)
static const struct mode wide = {"64-bit code", 64, 0, 0, 0, PARTS(firsts, seconds)},
			 flat = {"flat 32-bit code", 32, 0, 0, 0x100000, PARTS(firsts_32, seconds_32)},
			 segments_32 = {"segments of 32 bits",	     32, 0x10000, 0x10000, 0x401,
					PARTS(firsts_32, seconds_32)},
			 segments_16 = {"segments of 16 bits", 16, CODE, DATA, 0x10, PARTS(firsts_16, seconds_16)};

struct state {
	uint64_t gpr[GPR_COUNT], rflags, rip;
	uint64_t executed;
	struct vm_exit exit;
	bool queued; /* an event is */
	struct vcpu_event event;
	uint8_t code[CODE_SIZE], data[DATA_SIZE], edge[X86_PAGE_SIZE], read_only[X86_PAGE_SIZE];
	unsigned accesses;
	struct {
		uint64_t offset, size, write, value;
	} log[LOG_MAX];
};

struct pair {
	const struct mode *mode;
	const struct part *first, *second;
	uint64_t at, middle;
};

static struct vcpu reset;    /* what each run begins with */
static struct state *logged; /* the one that is being run */

static uint64_t seed = 0x13198a2e03707344;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void device(void *unused, uint32_t offset, unsigned size, bool write, uint64_t *value)
{
	unsigned n = logged->accesses++;
	assert_true(n < LOG_MAX);
	if (!write)
		*value = 0x4142434445464748 + n;
	logged->log[n].offset = offset;
	logged->log[n].size = size;
	logged->log[n].write = write;
	logged->log[n].value = *value;
}

static uint64_t address(const struct pair *p, enum place place)
{
	static const uint64_t at[PLACES] = {
		[RAM] = DATA + 0x100,
		[CROSSING] = DATA + 0xfff,
		[HOLE] = FIX_HOLE + 0x10,
		[CROSSING_HOLE] = FIX_HOLE - 1,
		[UNWRITABLE] = READ_ONLY + 0x10,
		[NO_RAM] = DEVICE + 0x10,
		[NOT_CANONICAL] = FIX_NONCANONICAL,
	};
	uint64_t linear = place == ON_CODE ? p->middle : at[place];
	if (p->mode->bits == 64)
		return linear;
	/* Beyond the segment's end, or across it. */
	if (place == NOT_CANONICAL)
		return ((uint64_t)p->mode->pages << X86_PAGE_SHIFT) - 1;
	return (place == NO_RAM ? DEVICE_GPA + 0x10 : linear) - p->mode->data_base;
}

/* Without paging an access is in RAM, in a device or beyond its segment; one of 16 bits reaches its own data alone. */
static bool has_place(const struct mode *mode, enum place place)
{
	switch (place) {
	case RAM:
	case CROSSING:
		return true;
	case NO_RAM:
	case ON_CODE:
		return mode->bits > 16;
	case NOT_CANONICAL:
		return mode != &flat;
	default:
		return mode->bits == 64;
	}
}

static void lay_code(const struct pair *p, struct state *s)
{
	static const uint8_t syscall[] = {0x0f, 0x05};
	memset(s->code, 0x90, CODE_SIZE);
	for (unsigned n = LINE - sizeof(syscall); n < CODE_SIZE; n += LINE)
		memcpy(s->code + n, syscall, sizeof(syscall));
	memcpy(s->code + p->at - CODE, p->first->code, length(p->first));
	memcpy(s->code + p->middle - CODE, p->second->code, length(p->second));
}

/* What RET finds on the stack, there and behind what POP takes off it. */
static void lay_return(struct state *s, uint64_t stack)
{
	uint64_t target = CODE + 0x200;
	for (uint64_t at = stack; at <= stack + 8; at += 8) {
		if (at >= DATA && at < DATA + DATA_SIZE - 8)
			memcpy(s->data + at - DATA, &target, sizeof(target));
		if (at >= READ_ONLY && at < READ_ONLY + 0x100)
			memcpy(s->read_only + at - READ_ONLY, &target, sizeof(target));
	}
	s->gpr[RBX] = s->gpr[RAX] = target;
}

static void randomize(const struct pair *p, struct state *s, enum place first, enum place second)
{
	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < GPR_COUNT; n++)
		s->gpr[n] = random64() >> (random64() % 64) & (p->mode->bits == 64 ? UINT64_MAX : UINT32_MAX);
	for (unsigned n = 0; n < DATA_SIZE; n++)
		s->data[n] = (uint8_t)random64();
	memcpy(s->edge, s->data, sizeof(s->edge));
	memcpy(s->read_only, s->data, sizeof(s->read_only));
	s->rflags = (random64() & ARITHMETIC) | X86_RFLAGS_FIXED;
	s->rip = p->at - p->mode->code_base;
	lay_code(p, s);
	s->gpr[RSI] = address(p, first) + 8;
	s->gpr[RDI] = address(p, second) + 8;
	const struct part *stack = has_stack(p->first) ? p->first : p->second;
	s->gpr[RSP] = address(p, stack == p->first ? first : second) + (pushes(stack) ? 8 : 0);
	/* Stored on the second instruction: NOPs. */
	if (first == ON_CODE || second == ON_CODE)
		s->gpr[RAX] = s->gpr[RBX] = p->mode->bits == 64 ? 0x9090909090909090 : 0x90909090;
	else if (p->second->run == op_ret)
		lay_return(s, s->gpr[RSP]);
}

/* -------------------------------------------------------------------------------------------------------- running */

static void to_memory(struct machine_fixture *m, const struct state *s)
{
	uint8_t *ram = m->vm.mem.base;
	/* Else what was decoded is good still. */
	if (memcmp(ram + CODE, s->code, CODE_SIZE))
		fix_put(m, CODE, s->code, CODE_SIZE);
	memcpy(ram + DATA, s->data, sizeof(s->data));
	memcpy(ram + EDGE, s->edge, sizeof(s->edge));
	memcpy(ram + READ_ONLY, s->read_only, sizeof(s->read_only));
}

static void from_memory(struct machine_fixture *m, struct state *s)
{
	const uint8_t *ram = m->vm.mem.base;
	memcpy(s->code, ram + CODE, CODE_SIZE);
	memcpy(s->data, ram + DATA, sizeof(s->data));
	memcpy(s->edge, ram + EDGE, sizeof(s->edge));
	memcpy(s->read_only, ram + READ_ONLY, sizeof(s->read_only));
}

/* From *start to an exit that is one; `single`: one instruction at a time, of which the first is executed by `first`.
 */
static void run(struct machine_fixture *m, const struct state *start, struct state *s, bool single,
		insn_function *first)
{
	struct vcpu *vcpu = m->vcpu;
	uint64_t before = m->vm.stats.vcpu[0].interpreted;
	unsigned entries = 0;
	*s = *start;
	logged = s;
	to_memory(m, s);
	*vcpu = reset;
	memcpy(vcpu->gpr, s->gpr, sizeof(s->gpr));
	vcpu->rflags = s->rflags;
	vcpu->rip = s->rip;
	vcpu->window_wanted = single;
	do {
		interpret_enter(vcpu, &s->exit);
		if (first && !entries)
			assert_ptr_equal(vcpu->engine->block->insn[0].run, first);
	} while ((s->exit.reason == EXIT_KICK || s->exit.reason == EXIT_EMULATED) && !vcpu->event_pending &&
		 ++entries < ENTRIES_MAX);
	assert_true(entries < ENTRIES_MAX);
	memcpy(s->gpr, vcpu->gpr, sizeof(s->gpr));
	s->rflags = vcpu->rflags;
	s->rip = vcpu->rip;
	s->queued = vcpu->event_pending;
	s->event = s->queued ? vcpu->event : (struct vcpu_event){0};
	s->executed = m->vm.stats.vcpu[0].interpreted - before;
	from_memory(m, s);
}

static const char *difference(const struct state *a, const struct state *b)
{
	if (a->exit.reason != b->exit.reason || a->exit.vector != b->exit.vector || a->exit.error != b->exit.error ||
	    a->exit.gva != b->exit.gva)
		return "exit";
	if (a->queued != b->queued || a->event.vector != b->event.vector || a->event.error != b->event.error ||
	    a->event.kind != b->event.kind)
		return "event";
	if (a->rip != b->rip)
		return "RIP";
	if (memcmp(a->gpr, b->gpr, sizeof(a->gpr)))
		return "registers";
	if (a->rflags != b->rflags)
		return "flags";
	if (a->executed != b->executed)
		return "count";
	if (memcmp(a->code, b->code, sizeof(a->code)))
		return "code";
	if (memcmp(a->data, b->data, sizeof(a->data)) || memcmp(a->edge, b->edge, sizeof(a->edge)) ||
	    memcmp(a->read_only, b->read_only, sizeof(a->read_only)))
		return "memory";
	return a->accesses == b->accesses && !memcmp(a->log, b->log, sizeof(a->log)) ? NULL : "device";
}

/* -------------------------------------------------------------------------------------------------------- the test */

static unsigned reports;

/* Code and data segments of the mode, no paging. */
static void enter_mode(struct vcpu *vcpu, const struct mode *mode)
{
	const uint64_t limit = mode->pages - 1;
	uint64_t d = X86_DESC_P | X86_DESC_S | X86_DESC_RW | X86_DESC_ACCESSED | X86_DESC_G | (limit & 0xffff) |
		     limit >> 16 << 48 | (mode->bits == 32 ? X86_DESC_DB : 0);
	if (mode->bits == 64)
		return;
	vcpu->efer = 0;
	vcpu->cr0 = X86_CR0_ET | X86_CR0_NE | X86_CR0_PE;
	vcpu->cr4 &= ~X86_CR4_PAE;
	for (unsigned n = 0; n < SREG_COUNT; n++) {
		vcpu->sreg[n] = n == SREG_CS ? seg_make(FIX_KCODE, d | X86_DESC_CODE) : seg_make(FIX_KDATA, d);
		vcpu->sreg[n].base = n == SREG_CS ? mode->code_base : mode->data_base;
	}
}

/* With nothing in the translation buffer, and once more with what is there now. */
static bool same(struct machine_fixture *m, const struct pair *p, enum place first, enum place second)
{
	static struct state start, once, again, want;
	randomize(p, &start, first, second);
	run(m, &start, &once, false, NULL);
	run(m, &start, &again, false, NULL);
	const struct jump *jump = jump_of(m->vcpu->engine, p->at);
	const bool paired = p->mode == &wide || p->mode == &flat;
	if (paired && first == RAM && second == RAM) {
		assert_true(jump_is_good(m->vcpu->engine, jump, p->at));
		assert_ptr_not_equal(jump->block->insn[0].run, p->first->run);
		assert_ptr_equal(jump->block->insn[1].run, p->second->run);
	}
	run(m, &start, &want, true, paired ? p->first->run : NULL);
	const char *cold = difference(&once, &want), *warm = difference(&again, &want);
	if ((cold || warm) && reports++ < REPORTS_MAX)
		printf("%s: %s, %s with operands at %u, %u: %s differ%s\n", p->mode->name, p->first->name,
		       p->second->name, first, second, cold ? cold : warm, cold ? "" : ", what is there being known");
	return !cold && !warm;
}

static unsigned failures(struct machine_fixture *m, const struct pair *p)
{
	unsigned failed = 0;
	for (enum place first = RAM; first < (has_memory(p->first) ? PLACES : 1); first++)
		for (enum place second = RAM; second < (has_memory(p->second) ? PLACES : 1); second++)
			for (unsigned round = 0; round < ROUNDS; round++)
				failed += has_place(p->mode, first) && has_place(p->mode, second) &&
					  !same(m, p, first, second);
	return failed;
}

static struct vcpu begun; /* as the fixture has it, in 64-bit mode */

static void test_pairs(void **state, const struct mode *mode)
{
	unsigned failed = 0;
	reset = begun;
	enter_mode(&reset, mode);
	for (unsigned f = 0; f < mode->first_count; f++) {
		for (unsigned n = 0; n < mode->second_count; n++) {
			struct pair p = {mode, &mode->firsts[f], &mode->seconds[n], PAIR_AT, 0};
			/* A block ends without a transfer of control where the page does. */
			if (p.second->run == op_end)
				p.at = CODE + X86_PAGE_SIZE - length(p.first);
			p.middle = p.at + length(p.first);
			failed += failures(*state, &p);
		}
	}
	assert_int_equal(failed, 0);
}

static void test_wide(void **state)
{
	test_pairs(state, &wide);
}

static void test_flat(void **state)
{
	test_pairs(state, &flat);
}

static void test_segments(void **state)
{
	test_pairs(state, &segments_32);
	test_pairs(state, &segments_16);
}

static int setup(void **state)
{
	struct machine_fixture *m;
	fix_setup(state);
	m = *state;
	m->vcpu->cr0 |= X86_CR0_WP;
	fix_map(m, READ_ONLY, READ_ONLY | X86_PTE_P);
	fix_map(m, DEVICE, DEVICE_GPA | X86_PTE_P | X86_PTE_W);
	bus_map(&m->vm.bus, DEVICE_GPA, X86_PAGE_SIZE, 8, device, NULL, "recorder");
	int error = interpret_create(&m->vm, NULL);
	begun = *m->vcpu;
	return error;
}

static int teardown(void **state)
{
	interpret_destroy(&((struct machine_fixture *)*state)->vm);
	return fix_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wide, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flat, setup, teardown),
		cmocka_unit_test_setup_teardown(test_segments, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
