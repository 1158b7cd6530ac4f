/*
 * The instructions that are rare or many, and that no function here executes: each is run by the host's processor on
 * the guest's registers, in a task of its own (native_task.h), with its memory operand redirected there, so that
 * result, flags and faults are the processor's own. Only what belongs to a known harmless category is run, and never
 * anything that reaches memory in another way, changes RSP, RIP, segments or control registers.
 *
 * Such instructions that follow each other go in one hand-over, if none needs what an earlier one leaves in general
 * registers or memory.
 */
#include "monitor/engine/interpret/native.h"

#include <stdlib.h>
#include <string.h>

#include "monitor/engine/interpret/ops.h"
#include "monitor/host/clock.h"
#include "monitor/vm/vm.h"

struct native *native_create(void)
{
	struct native *native = calloc(1, sizeof(*native));
	if (native && task_init(&native->task)) {
		native_destroy(native);
		native = NULL;
	}
	if (native)
		native_reset(native);
	return native;
}

void native_destroy(struct native *native)
{
	if (!native)
		return;
	task_exit(&native->task);
	free(native);
}

void native_reset(struct native *native)
{
	native->used = 1;
}

bool native_is_full(const struct native *native)
{
	return native->used + BLOCK_INSNS > NATIVE_SLOT_COUNT;
}

void native_fpu_get(struct engine_vcpu *c)
{
	if (c->rounding)
		vector_settle(c);
	c->xmm_ready = false;
	if (!c->fpu_of || c->borrowed)
		return;
	c->fpu_of->fpu_get(c->vcpu, c->fpu, c->fpu_size);
	c->borrowed = true;
	c->changed = false;
}

void native_fpu_set(struct engine_vcpu *c)
{
	c->changed = true;
}

void native_fpu_return(struct engine_vcpu *c)
{
	if (c->changed)
		c->fpu_of->fpu_set(c->vcpu, c->fpu, c->fpu_size);
	c->borrowed = false;
}

/* What each class of instructions asks of the control registers: SDM 3A 2.5 and tables 2-2, 23-4 ff.; APM 2 3.1. */
static const struct {
	uint8_t emulated; /* the exception under CR0.EM; 0: none */
	bool osfxsr;	  /* #UD without CR4.OSFXSR */
	bool osxsave;	  /* #UD without CR4.OSXSAVE, or without the components in XCR0 */
} demands[] = {
	[NATIVE_CLASS_X87] = {X86_VEC_NM, false, false}, [NATIVE_CLASS_MMX] = {X86_VEC_UD, false, false},
	[NATIVE_CLASS_SSE] = {X86_VEC_UD, true, false},	 [NATIVE_CLASS_FXSAVE] = {X86_VEC_NM, false, false},
	[NATIVE_CLASS_XSAVE] = {0, false, true},	 [NATIVE_CLASS_VEX] = {0, false, true},
};

static uint64_t needed_components(const struct emu_insn *emu)
{
	if (emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return 0;
	/* Those on mask registers have AVX's encoding. */
	bool avx512 = emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
		      emu->info.meta.category == ZYDIS_CATEGORY_KMASK;
	return X86_XCR0_SSE | X86_XCR0_AVX | (avx512 ? X86_XCR0_AVX512 : 0);
}

uint8_t native_forbidden(const struct engine_vcpu *c, const struct insn_detail *d)
{
	const struct vcpu *vcpu = c->vcpu;
	enum native_class class = native_class_of(&d->emu);
	if (d->emu.info.mnemonic == ZYDIS_MNEMONIC_FWAIT)
		return (vcpu->cr0 & X86_CR0_TS) && (vcpu->cr0 & X86_CR0_MP) ? X86_VEC_NM : 0;
	if (demands[class].osxsave && (!(vcpu->cr4 & X86_CR4_OSXSAVE) || needed_components(&d->emu) & ~vcpu->xcr0))
		return X86_VEC_UD;
	if ((vcpu->cr0 & X86_CR0_EM) && demands[class].emulated)
		return demands[class].emulated;
	if (demands[class].osfxsr && !(vcpu->cr4 & X86_CR4_OSFXSR))
		return X86_VEC_UD;
	return vcpu->cr0 & X86_CR0_TS ? X86_VEC_NM : 0;
}

/* ---------------------------------------------------------------------------------------------------- a hand-over */

/* Instructions [first, first + count), each one's operand at gva. */
struct batch {
	const struct insn *first;
	unsigned count;
	uint64_t gva[TASK_BATCH];
	bool fpu;
	uint64_t mask; /* components that travel */
};

/* What came of it. */
enum outcome { THROUGH, FAULTED, LEFT };

static unsigned slot_of(const struct insn_detail *d)
{
	return (unsigned)((d->code - TASK_CODE) / NATIVE_SLOT_SIZE);
}

/* The task's place of the operand as the monitor has it. */
static uint8_t *operand_of(struct engine_vcpu *c, const struct insn_detail *d)
{
	return (uint8_t *)c->native->task.xchg + (native_operand_address(d, slot_of(d)) - TASK_XCHG);
}

/* What the copy runs with where the guest's own registers will not do. */
static void lend(struct engine_vcpu *c, const struct insn_detail *d, uint64_t *gpr)
{
	if (d->stand_in)
		gpr[d->stand_in] = c->gpr[RSP];
	if (native_is_through_rdi(&d->emu))
		gpr[RDI] = native_operand_address(d, slot_of(d));
	if (native_is_state(&d->emu)) {
		uint64_t asked = c->vcpu->xcr0 & NATIVE_COMPONENTS;
		gpr[RAX] &= (uint32_t)asked;
		gpr[RDX] &= asked >> 32;
	}
}

static void take_back(struct engine_vcpu *c, const struct insn_detail *d, uint64_t *gpr)
{
	gpr[RSP] = c->gpr[RSP];
	if (d->stand_in) {
		gpr[RSP] = gpr[d->stand_in];
		gpr[d->stand_in] = c->gpr[d->stand_in];
	}
	if (native_is_through_rdi(&d->emu))
		gpr[RDI] = c->gpr[RDI];
	if (native_is_state(&d->emu)) {
		gpr[RAX] = c->gpr[RAX];
		gpr[RDX] = c->gpr[RDX];
	}
}

static void put(struct engine_vcpu *c, const struct batch *b)
{
	struct task_xchg *xchg = c->native->task.xchg;
	uint64_t gpr[GPR_COUNT];
	memcpy(gpr, c->gpr, sizeof(gpr));
	lend(c, b->first->detail, gpr);
	memcpy(xchg->gpr, gpr, sizeof(gpr));
	xchg->flags = c->flags;
	xchg->mask = b->mask;
	for (unsigned n = 0; n < TASK_BATCH; n++)
		xchg->call[n] = n < b->count ? b->first[n].detail->code : task_address(native_stub_ret);
	if (b->fpu)
		native_image_put(c, b->mask);
}

static void take(struct engine_vcpu *c, const struct batch *b, bool faulted)
{
	const struct task_xchg *xchg = c->native->task.xchg;
	uint64_t gpr[GPR_COUNT];
	if (b->fpu)
		native_image_take(c, b->mask);
	/* What raises an exception has not changed general registers, and may have been lent some. */
	if (faulted && b->count == 1)
		return;
	memcpy(gpr, xchg->gpr, sizeof(gpr));
	take_back(c, b->first->detail, gpr);
	memcpy(c->gpr, gpr, sizeof(gpr));
	c->flags = (uint32_t)xchg->flags & FLAGS_ALL;
}

/* Leaves before the instruction: with something else to do, or since the host will not have it. */
static void leave(struct engine_vcpu *c, const struct insn *i, enum task_result result)
{
	c->rip = c->base + i->start;
	c->leave = true;
	*c->exit = (struct vm_exit){.reason = EXIT_KICK};
	if (result != TASK_REFUSED)
		return;
	vm_end(c->vm, VM_STATUS_HOST);
	c->exit->reason = EXIT_DEAD;
}

/* A task that died is made anew once, since others may have ended it; then it is the copy's doing. */
static enum outcome hand_over(struct engine_vcpu *c, const struct batch *b)
{
	struct task *task = &c->native->task;
	enum task_result result = TASK_LOST;
	for (unsigned tries = 0; tries < 2 && result == TASK_LOST; tries++) {
		put(c, b);
		result = task_run(task, &c->vm->attention);
	}
	if (result == TASK_BACK)
		return __atomic_load_n(&task->xchg->faulted, __ATOMIC_RELAXED) ? FAULTED : THROUGH;
	if (result == TASK_LOST)
		interp_raise(c, b->first, X86_VEC_UD, 0);
	else
		leave(c, b->first, result);
	return LEFT;
}

/* Which instruction of the batch lies there in the task; count: none. */
static unsigned at_address(const struct batch *b, uint64_t address)
{
	for (unsigned n = 0; n < b->count; n++)
		if (address - b->first[n].detail->code < NATIVE_SLOT_SIZE)
			return n;
	return b->count;
}

/* Exceptions that a copy can raise by itself. All else would be a copy that left its operand: not to be had. */
static uint8_t vector_of(uint32_t vector)
{
	switch (vector) {
	case X86_VEC_DE:
	case X86_VEC_GP:
	case X86_VEC_MF:
	case X86_VEC_XM:
		return (uint8_t)vector;
	default:
		return X86_VEC_UD;
	}
}

/* What the task left, of which `done` instructions are through. */
static void take_all(struct engine_vcpu *c, const struct batch *b, unsigned done, bool faulted)
{
	struct x87_pointers pointers;
	if (!b->fpu) {
		take(c, b, faulted);
		return;
	}
	native_pointers_get(c, &pointers);
	const struct insn_detail *d = b->first->detail;
	if (done && d->writes && native_is_environment(&d->emu))
		native_pointers_store(c, &pointers, &d->emu, operand_of(c, d));
	for (unsigned n = 0; n < done; n++)
		native_pointers_after(c, &pointers, &b->first[n], b->gva[n]);
	take(c, b, faulted);
	native_pointers_put(c, &pointers);
	native_fpu_set(c);
}

/* Runs the batch, the image being up to date. How many instructions are through; less than all: the exit is set. */
static unsigned run(struct engine_vcpu *c, const struct batch *b)
{
	const struct task_xchg *xchg = c->native->task.xchg;
	enum outcome outcome = hand_over(c, b);
	if (outcome == LEFT)
		return 0;
	uint64_t rip = __atomic_load_n(&xchg->rip, __ATOMIC_RELAXED);
	uint32_t vector = __atomic_load_n(&xchg->vector, __ATOMIC_RELAXED);
	unsigned n = outcome == THROUGH ? b->count : at_address(b, rip);
	/* Nowhere: it is not even said which instruction it was. */
	if (outcome == FAULTED && n == b->count)
		n = 0;
	take_all(c, b, n, outcome == FAULTED);
	if (outcome == THROUGH)
		return n;
	interp_raise(c, &b->first[n], vector_of(vector), 0);
	return n;
}

/*
 * The operand cannot be accessed, and the exit says so. Before that the processor looks at whether it has the opcode,
 * and whether an exception of the x87 waits: which a run shows of which nothing is taken.
 */
static void operand_failed(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	struct vm_exit failed = *c->exit;
	uint64_t rip = c->rip;
	if (d->fpu)
		native_fpu_get(c);
	struct batch b = {i, 1, {0}, d->fpu, d->fpu ? native_components(c, d) : 0};
	enum outcome outcome = hand_over(c, &b);
	uint8_t vector = vector_of(c->native->task.xchg->vector);
	if (outcome == LEFT)
		return;
	if (outcome == FAULTED && (vector == X86_VEC_UD || vector == X86_VEC_MF)) {
		interp_raise(c, i, vector, 0);
		return;
	}
	*c->exit = failed;
	c->rip = rip;
}

/* Adds i to the batch. False: the exit is set. */
static bool add(struct engine_vcpu *c, struct batch *b, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint64_t gva = d->size ? address_of(c, i) : 0;
	uint8_t forbidden = d->fpu ? native_forbidden(c, d) : 0;
	if (unlikely(forbidden)) {
		interp_raise(c, i, forbidden, 0);
		return false;
	}
	if (d->size && !native_operand_in(c, i, gva)) {
		operand_failed(c, i);
		return false;
	}
	if (native_is_state(&d->emu))
		native_keys_before(c, i);
	if (d->size)
		memcpy(operand_of(c, d), c->native->buffer, c->native->size);
	b->gva[b->count++] = gva;
	if (d->fpu)
		b->mask |= native_components(c, d);
	b->fpu |= d->fpu;
	return true;
}

/* Adds what can go with those before it: alone it would do the same, and its operand can be had without a fault. */
static bool join(struct engine_vcpu *c, struct batch *b, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	if (i->run != native_run_insn || d->alone || (d->fpu && native_forbidden(c, d)))
		return false;
	uint64_t gva = d->size ? address_of(c, i) : 0;
	if (d->size && !native_operand_at_hand(c, d, gva, operand_of(c, d)))
		return false;
	if (d->fpu && !b->fpu)
		native_fpu_get(c);
	if (d->fpu)
		b->mask |= native_components(c, d);
	b->fpu |= d->fpu;
	b->gva[b->count++] = gva;
	return true;
}

/* RDRAND or RDSEED of a machine that is to run the same way each time: splitmix64 of how many there were. */
static void draw(struct engine_vcpu *c, const struct insn_detail *d)
{
	unsigned reg = (unsigned)ZydisRegisterGetId(d->emu.operands[0].reg.value), width = d->emu.info.operand_width;
	uint64_t z = ++c->draws * 0x9e3779b97f4a7c15, kept = width == 16 ? ~(uint64_t)UINT16_MAX : 0;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	z ^= z >> 31;
	c->gpr[reg] = (c->gpr[reg] & kept) | (width == 64 ? z : z & (R3_BIT(width) - 1));
	c->flags = FLAG_CF;
}

/* Its operand, the first one's of the batch, is in the buffer. */
static bool state_done(struct engine_vcpu *c, const struct insn *i)
{
	if (!native_is_state(&i->detail->emu) || !native_state_done(c, i))
		return false;
	if (!i->detail->writes)
		native_fpu_set(c);
	native_keys_after(c, i);
	return true;
}

void native_run_insn(struct engine_vcpu *c, const struct insn *i)
{
	struct batch b = {.first = i};
	if (interp_leaves_to_cell(c, i))
		return;
	if (unlikely(clock_frozen()) && emu_is_random(&i->detail->emu)) {
		draw(c, i->detail);
		NEXT;
	}
	if (i->detail->fpu)
		native_fpu_get(c);
	if (!add(c, &b, i))
		return;
	if (native_wait_done(c, i))
		NEXT;
	if (state_done(c, i)) {
		if (i->detail->writes && !native_operand_out(c, i, b.gva[0]))
			FAULT;
		NEXT_STORED;
	}
	if (!i->detail->alone)
		while (b.count < TASK_BATCH && !i[b.count - 1].detail->ends && join(c, &b, &i[b.count]))
			;
	if (unlikely(run(c, &b) < b.count))
		return;
	i += b.count - 1;
	const struct insn_detail *d = i->detail;
	if (d->writes)
		memcpy(c->native->buffer, operand_of(c, d), c->native->size);
	if (native_is_state(&d->emu))
		native_keys_after(c, i);
	if (d->writes) {
		if (!native_operand_out(c, i, b.gva[b.count - 1]))
			FAULT;
	}
	NEXT_STORED;
}
