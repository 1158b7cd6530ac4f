/*
 * The common x87 instructions, on the registers in the FPU image. As in vector_forms.c each operation is the host's own
 * instruction on values, so results and flags are the processor's. What could raise an exception, or finds a register
 * empty or full that must not be, changes nothing here and runs in the confined task.
 */
#include "monitor/engine/interpret/x87.h"

#include <string.h>

#include "monitor/engine/interpret/ops.h"
#include "monitor/vm/vm.h"

#define ST_MASK	     (X86_FPU_ST_COUNT - 1)
#define FCW_ROUNDING 0x0f00u /* precision and rounding: SDM 1 8.1.5 */

/* ------------------------------------------------------------------------------------------------------ the state */

static uint16_t word(const struct engine_vcpu *c, unsigned at)
{
	uint16_t value;
	memcpy(&value, c->fpu + at, sizeof(value));
	return value;
}

static void set_word(struct engine_vcpu *c, unsigned at, uint16_t value)
{
	memcpy(c->fpu + at, &value, sizeof(value));
}

/* The image has registers in the order of the stack. */
static uint8_t *st(struct engine_vcpu *c, unsigned n)
{
	return c->fpu + X86_FPU_ST + n * X86_FPU_SLOT;
}

static unsigned top(const struct engine_vcpu *c)
{
	return word(c, X86_FPU_FSW) >> X86_FSW_TOP_SHIFT & ST_MASK;
}

static bool is_full(const struct engine_vcpu *c, unsigned n)
{
	return c->fpu[X86_FPU_FTW] >> ((top(c) + n) & ST_MASK) & 1;
}

static void set_top(struct engine_vcpu *c, unsigned to)
{
	uint16_t fsw = word(c, X86_FPU_FSW) & (uint16_t) ~(ST_MASK << X86_FSW_TOP_SHIFT);
	set_word(c, X86_FPU_FSW, (uint16_t)(fsw | (to & ST_MASK) << X86_FSW_TOP_SHIFT));
}

static void push(struct engine_vcpu *c, const uint8_t *value)
{
	unsigned to = (top(c) - 1) & ST_MASK;
	memmove(st(c, 1), st(c, 0), ST_MASK * X86_FPU_SLOT);
	memcpy(st(c, 0), value, X86_FPU_SLOT);
	set_top(c, to);
	c->fpu[X86_FPU_FTW] |= (uint8_t)(1u << to);
}

static void pop(struct engine_vcpu *c)
{
	unsigned from = top(c);
	uint8_t old[X86_FPU_SLOT];
	memcpy(old, st(c, 0), sizeof(old));
	memmove(st(c, 0), st(c, 1), ST_MASK * X86_FPU_SLOT);
	memcpy(st(c, ST_MASK), old, sizeof(old));
	set_top(c, from + 1);
	c->fpu[X86_FPU_FTW] &= (uint8_t) ~(1u << from);
}

/* Nothing stops x87 instructions, not an exception that waits either; their state is good as it stands in the image. */
static bool is_good(struct engine_vcpu *c)
{
	uint64_t present;
	if (unlikely((c->vcpu->cr0 & (X86_CR0_EM | X86_CR0_TS)) || c->aligned))
		return false;
	native_fpu_borrow(c);
	memcpy(&present, c->fpu + X86_FPU_HEADER, sizeof(present));
	if (unlikely(!(present & X86_XCR0_X87))) {
		set_word(c, X86_FPU_FCW, X86_FCW_RESET);
		set_word(c, X86_FPU_FSW, 0);
		c->fpu[X86_FPU_FTW] = 0;
		memset(st(c, 0), 0, X86_FPU_ST_COUNT * X86_FPU_SLOT);
		present |= X86_XCR0_X87;
		memcpy(c->fpu + X86_FPU_HEADER, &present, sizeof(present));
	}
	return native_x87_is_plain(c->fpu);
}

/*
 * Underflow is masked as well, for that which is not is flagged where results are exact, too (SDM 1 8.5.5). False: the
 * task knows why not.
 */
static bool ready(struct engine_vcpu *c, const struct insn *i)
{
	return is_good(c) && !(word(c, X86_FPU_FSW) & i->detail->x87_form->unsure) &&
	       (word(c, X86_FPU_FCW) & X86_FCW_UM);
}

#define OR_TASK(c, i, condition)                                                                                       \
	do {                                                                                                           \
		if (unlikely(!(condition))) {                                                                          \
			native_run_insn(c, i);                                                                         \
			return;                                                                                        \
		}                                                                                                      \
	} while (0)

/* --------------------------------------------------------------------------------------------------------- operating
 */

/* With the guest's precision and rounding. */
static uint16_t operate(const struct engine_vcpu *c, x87_function *run, void *to, const void *from)
{
	uint16_t usual = X86_FCW_RESET, fcw = (word(c, X86_FPU_FCW) & FCW_ROUNDING) | (usual & ~FCW_ROUNDING);
	if (likely(fcw == usual))
		return run(to, from);
	__asm__ volatile("fldcw %0" : : "m"(fcw));
	uint16_t fsw = run(to, from);
	__asm__ volatile("fldcw %0" : : "m"(usual));
	return fsw;
}

/* The operation raised nothing that is not masked. */
static bool is_quiet(const struct engine_vcpu *c, uint16_t fsw)
{
	return !(fsw & ~word(c, X86_FPU_FCW) & X86_FSW_EXCEPTIONS);
}

static void add_status(struct engine_vcpu *c, uint16_t fsw, uint16_t conditions)
{
	uint16_t kept = word(c, X86_FPU_FSW) & (uint16_t)~conditions;
	set_word(c, X86_FPU_FSW, kept | (fsw & (conditions | X86_FSW_EXCEPTIONS)));
}

/* The instruction is through, whose operand in memory, if it has one, lay at gva. */
static void finish(struct engine_vcpu *c, const struct insn *i, uint64_t gva)
{
	struct x87_pointers pointers;
	for (unsigned left = i->detail->x87_form->pops; left; left--)
		pop(c);
	native_pointers_get(c, &pointers);
	native_pointers_after(c, &pointers, i, gva);
	native_pointers_put(c, &pointers);
}

static bool load_operand(struct engine_vcpu *c, const struct insn *i, uint64_t gva, void *to)
{
	uint16_t narrow;
	uint32_t single;
	uint64_t wide;
	switch (i->detail->size) {
	case sizeof(narrow):
		if (!load16(c, gva, i->ea, &narrow))
			return false;
		memcpy(to, &narrow, sizeof(narrow));
		return true;
	case sizeof(single):
		if (!load32(c, gva, i->ea, &single))
			return false;
		memcpy(to, &single, sizeof(single));
		return true;
	case sizeof(wide):
		if (!load64(c, gva, i->ea, &wide))
			return false;
		memcpy(to, &wide, sizeof(wide));
		return true;
	default:
		return memory_read(c, gva, to, i->detail->size, i->ea);
	}
}

static bool store_operand(struct engine_vcpu *c, const struct insn *i, uint64_t gva, const void *from)
{
	uint16_t narrow;
	uint32_t single;
	uint64_t wide;
	switch (i->detail->size) {
	case sizeof(narrow):
		memcpy(&narrow, from, sizeof(narrow));
		return store16(c, gva, i->ea, narrow);
	case sizeof(single):
		memcpy(&single, from, sizeof(single));
		return store32(c, gva, i->ea, single);
	case sizeof(wide):
		memcpy(&wide, from, sizeof(wide));
		return store64(c, gva, i->ea, wide);
	default:
		return memory_write(c, gva, from, i->detail->size, i->ea);
	}
}

/* If the task comes to read the operand again, since it raises what is not masked, it can: it is no device's. */
static bool may_read(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t len = i->detail->size;
	bool masked = (word(c, X86_FPU_FCW) & X86_FSW_EXCEPTIONS) == X86_FSW_EXCEPTIONS;
	return masked || !len || (memory_span(c, address_of(c, i), &len, false) && len == i->detail->size);
}

/* The other operand of what works on ST(0): memory, or a register, which is not empty. False: the exit is set. */
static bool load_source(struct engine_vcpu *c, const struct insn *i, uint64_t *gva, uint8_t *from)
{
	*gva = 0;
	memcpy(from, st(c, i->src), X86_FPU_SLOT);
	if (!i->detail->size)
		return true;
	*gva = address_of(c, i);
	return load_operand(c, i, *gva, from);
}

static bool has_source(const struct engine_vcpu *c, const struct insn *i)
{
	return is_full(c, 0) && (i->detail->size || is_full(c, i->src));
}

/* ------------------------------------------------------------------------------------------------------ arithmetic */

void x87_run_operation(struct engine_vcpu *c, const struct insn *i)
{
	const struct x87_form *form = i->detail->x87_form;
	uint8_t to[X86_FPU_SLOT], from[X86_FPU_SLOT];
	uint64_t gva;
	OR_TASK(c, i, ready(c, i) && has_source(c, i) && may_read(c, i));
	if (!load_source(c, i, &gva, from))
		FAULT;
	memcpy(to, st(c, 0), sizeof(to));
	uint16_t fsw = operate(c, form->operate, to, from);
	OR_TASK(c, i, is_quiet(c, fsw));
	memcpy(st(c, 0), to, sizeof(to));
	add_status(c, fsw, form->conditions);
	finish(c, i, gva);
	NEXT;
}

void x87_run_to_register(struct engine_vcpu *c, const struct insn *i)
{
	const struct x87_form *form = i->detail->x87_form;
	uint8_t to[X86_FPU_SLOT];
	OR_TASK(c, i, ready(c, i) && has_source(c, i));
	memcpy(to, st(c, i->src), sizeof(to));
	uint16_t fsw = operate(c, form->operate, to, st(c, 0));
	OR_TASK(c, i, is_quiet(c, fsw));
	memcpy(st(c, i->src), to, sizeof(to));
	add_status(c, fsw, form->conditions);
	finish(c, i, 0);
	NEXT;
}

void x87_run_unary(struct engine_vcpu *c, const struct insn *i)
{
	const struct x87_form *form = i->detail->x87_form;
	uint8_t to[X86_FPU_SLOT];
	OR_TASK(c, i, ready(c, i) && is_full(c, 0));
	memcpy(to, st(c, 0), sizeof(to));
	uint16_t fsw = operate(c, form->operate, to, to);
	OR_TASK(c, i, is_quiet(c, fsw));
	memcpy(st(c, 0), to, sizeof(to));
	add_status(c, fsw, form->conditions);
	finish(c, i, 0);
	NEXT;
}

void x87_run_compare(struct engine_vcpu *c, const struct insn *i)
{
	const struct x87_form *form = i->detail->x87_form;
	uint8_t from[X86_FPU_SLOT];
	uint64_t gva;
	OR_TASK(c, i, ready(c, i) && has_source(c, i) && may_read(c, i));
	if (!load_source(c, i, &gva, from))
		FAULT;
	uint16_t fsw = operate(c, form->operate, st(c, 0), from);
	OR_TASK(c, i, is_quiet(c, fsw));
	add_status(c, fsw, form->conditions);
	finish(c, i, gva);
	NEXT;
}

/* FXAM and FTST; an empty register, of which FXAM says so, is the task's. */
void x87_run_examine(struct engine_vcpu *c, const struct insn *i)
{
	const struct x87_form *form = i->detail->x87_form;
	OR_TASK(c, i, ready(c, i) && is_full(c, 0));
	uint16_t fsw = operate(c, form->operate, st(c, 0), NULL);
	OR_TASK(c, i, is_quiet(c, fsw));
	add_status(c, fsw, form->conditions);
	finish(c, i, 0);
	NEXT;
}

void x87_run_compare_flags(struct engine_vcpu *c, const struct insn *i)
{
	const struct x87_form *form = i->detail->x87_form;
	struct x87_flags flags = {.first = st(c, 0)};
	OR_TASK(c, i, ready(c, i) && has_source(c, i));
	uint16_t fsw = operate(c, form->operate, &flags, st(c, i->src));
	OR_TASK(c, i, is_quiet(c, fsw));
	c->flags = flags.ax & FLAGS_ALL;
	add_status(c, fsw, form->conditions);
	finish(c, i, 0);
	NEXT;
}

/* ---------------------------------------------------------------------------------------------------------- moves */

/* Of the register that becomes ST(0). */
static bool has_room(const struct engine_vcpu *c)
{
	return !is_full(c, ST_MASK);
}

static void loaded(struct engine_vcpu *c, const struct insn *i, uint64_t gva, const uint8_t *value, uint16_t fsw)
{
	push(c, value);
	add_status(c, fsw, i->detail->x87_form->conditions);
	finish(c, i, gva);
}

void x87_run_load(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t value[X86_FPU_SLOT] = {0}, from[sizeof(uint64_t)];
	OR_TASK(c, i, ready(c, i) && has_room(c) && may_read(c, i));
	uint64_t gva = address_of(c, i);
	if (!load_operand(c, i, gva, from))
		FAULT;
	uint16_t fsw = operate(c, i->detail->x87_form->operate, value, from);
	OR_TASK(c, i, is_quiet(c, fsw));
	loaded(c, i, gva, value, fsw);
	NEXT;
}

void x87_run_load_whole(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t value[X86_FPU_SLOT] = {0};
	OR_TASK(c, i, ready(c, i) && has_room(c));
	uint64_t gva = address_of(c, i);
	if (!load_operand(c, i, gva, value))
		FAULT;
	loaded(c, i, gva, value, 0);
	NEXT;
}

void x87_run_load_register(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t value[X86_FPU_SLOT];
	OR_TASK(c, i, ready(c, i) && has_room(c) && is_full(c, i->src));
	memcpy(value, st(c, i->src), sizeof(value));
	loaded(c, i, 0, value, 0);
	NEXT;
}

void x87_run_constant(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t value[X86_FPU_SLOT] = {0};
	OR_TASK(c, i, ready(c, i) && has_room(c));
	uint16_t fsw = operate(c, i->detail->x87_form->operate, value, NULL);
	loaded(c, i, 0, value, fsw);
	NEXT;
}

void x87_run_store(struct engine_vcpu *c, const struct insn *i)
{
	const struct x87_form *form = i->detail->x87_form;
	uint8_t to[sizeof(uint64_t)];
	OR_TASK(c, i, ready(c, i) && is_full(c, 0));
	uint16_t fsw = operate(c, form->operate, to, st(c, 0));
	OR_TASK(c, i, is_quiet(c, fsw));
	uint64_t gva = address_of(c, i);
	if (!store_operand(c, i, gva, to))
		FAULT;
	add_status(c, fsw, form->conditions);
	finish(c, i, gva);
	NEXT_STORED;
}

void x87_run_store_whole(struct engine_vcpu *c, const struct insn *i)
{
	OR_TASK(c, i, ready(c, i) && is_full(c, 0));
	uint64_t gva = address_of(c, i);
	if (!store_operand(c, i, gva, st(c, 0)))
		FAULT;
	add_status(c, 0, i->detail->x87_form->conditions);
	finish(c, i, gva);
	NEXT_STORED;
}

/* To a register that may be empty. */
void x87_run_store_register(struct engine_vcpu *c, const struct insn *i)
{
	OR_TASK(c, i, ready(c, i) && is_full(c, 0));
	memmove(st(c, i->src), st(c, 0), X86_FPU_SLOT);
	c->fpu[X86_FPU_FTW] |= (uint8_t)(1u << ((top(c) + i->src) & ST_MASK));
	add_status(c, 0, i->detail->x87_form->conditions);
	finish(c, i, 0);
	NEXT;
}

void x87_run_exchange(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t value[X86_FPU_SLOT];
	OR_TASK(c, i, ready(c, i) && has_source(c, i));
	memcpy(value, st(c, 0), sizeof(value));
	memmove(st(c, 0), st(c, i->src), sizeof(value));
	memcpy(st(c, i->src), value, sizeof(value));
	add_status(c, 0, i->detail->x87_form->conditions);
	finish(c, i, 0);
	NEXT;
}

/* FCMOVcc: imm is the condition. */
void x87_run_conditional(struct engine_vcpu *c, const struct insn *i)
{
	OR_TASK(c, i, ready(c, i) && has_source(c, i));
	if (condition(c->flags, (unsigned)i->imm))
		memmove(st(c, 0), st(c, i->src), X86_FPU_SLOT);
	finish(c, i, 0);
	NEXT;
}

/* ------------------------------------------------------------------------------------------------------- control */

void x87_run_control_load(struct engine_vcpu *c, const struct insn *i)
{
	uint16_t fcw;
	OR_TASK(c, i, ready(c, i));
	if (!load16(c, address_of(c, i), i->ea, &fcw))
		FAULT;
	bool raises = word(c, X86_FPU_FSW) & ~fcw & X86_FSW_EXCEPTIONS;
	OR_TASK(c, i, (fcw & X86_FCW_FIXED) == X86_FCW_AS_FIXED && !raises);
	set_word(c, X86_FPU_FCW, fcw);
	NEXT;
}

/* These do not wait for exceptions: if one waits, the task knows. imm is where the image has the word. */
void x87_run_word_store(struct engine_vcpu *c, const struct insn *i)
{
	OR_TASK(c, i, is_good(c));
	if (!store16(c, address_of(c, i), i->ea, word(c, (unsigned)i->imm)))
		FAULT;
	NEXT_STORED;
}

void x87_run_status_to_ax(struct engine_vcpu *c, const struct insn *i)
{
	OR_TASK(c, i, is_good(c));
	SET16(RAX * sizeof(uint64_t), word(c, X86_FPU_FSW));
	NEXT;
}
