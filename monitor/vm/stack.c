/*
 * Stacks as the processor pushes to and pops from them, word by word.
 */
#include "monitor/vm/stack.h"

#include <string.h>

#include "monitor/vm/segment.h"

struct stack stack_of(const struct vcpu *vcpu)
{
	return (struct stack){
		.ss = vcpu->sreg[SREG_SS],
		.sp = vcpu->gpr[RSP],
		.bits = vcpu_stack_bits(vcpu),
		.who = GM_CPL,
	};
}

static uint64_t mask_of(const struct stack *stack)
{
	return stack->bits == 64 ? UINT64_MAX : R3_BIT(stack->bits) - 1;
}

static void move(struct stack *stack, uint64_t by)
{
	uint64_t mask = mask_of(stack);
	/* A 32-bit pointer clears the upper half, as any 32-bit register does. */
	uint64_t kept = stack->bits == 16 ? stack->sp & ~mask : 0;
	stack->sp = kept | ((stack->sp + by) & mask);
}

static bool linear_of(const struct stack *stack, unsigned width, bool write, uint64_t *gva, struct gm_fault *fault)
{
	uint32_t linear;
	if (stack->bits == 64) {
		*gva = stack->sp;
		return (vcpu_canonical(*gva) && vcpu_canonical(*gva + width - 1)) ||
		       seg_fail(fault, X86_VEC_SS, stack->error);
	}
	if (!seg_linear(&stack->ss, (uint32_t)(stack->sp & mask_of(stack)), width, write, &linear))
		return seg_fail(fault, X86_VEC_SS, stack->error);
	*gva = linear;
	return true;
}

/* `bytes` from the pointer on, if they lie in a row in linear memory and nothing forbids them. */
static bool in_a_row(const struct stack *stack, uint64_t sp, unsigned bytes, bool write, uint64_t *gva)
{
	const struct stack at = {.ss = stack->ss, .sp = sp, .bits = stack->bits};
	struct gm_fault fault;
	return (sp & mask_of(stack)) <= mask_of(stack) - bytes && linear_of(&at, bytes, write, gva, &fault);
}

bool stack_push(struct vcpu *vcpu, struct stack *stack, unsigned width, const uint64_t *words, unsigned count,
		struct gm_fault *fault)
{
	struct stack at = *stack;
	uint8_t raw[STACK_WORDS_MAX * sizeof(*words)];
	uint64_t gva;
	move(&at, -(uint64_t)width * count);
	if (in_a_row(&at, at.sp, width * count, true, &gva)) {
		for (unsigned n = 0; n < count; n++)
			memcpy(raw + (count - 1 - n) * width, &words[n], width);
		if (!gm_write_gva(vcpu, gva, raw, width * count, at.who, fault))
			return false;
		stack->sp = at.sp;
		return true;
	}
	at.sp = stack->sp;
	for (unsigned n = 0; n < count; n++) {
		move(&at, -(uint64_t)width);
		if (!linear_of(&at, width, true, &gva, fault) ||
		    !gm_write_gva(vcpu, gva, &words[n], width, at.who, fault))
			return false;
	}
	stack->sp = at.sp;
	return true;
}

bool stack_pop(struct vcpu *vcpu, struct stack *stack, unsigned width, uint64_t *words, unsigned count,
	       struct gm_fault *fault)
{
	struct stack at = *stack;
	uint8_t raw[STACK_WORDS_MAX * sizeof(*words)];
	uint64_t gva;
	if (in_a_row(&at, at.sp, width * count, false, &gva)) {
		if (!gm_read_gva(vcpu, gva, raw, width * count, at.who, fault))
			return false;
		for (unsigned n = 0; n < count; n++) {
			words[n] = 0;
			memcpy(&words[n], raw + n * width, width);
		}
		move(stack, (uint64_t)width * count);
		return true;
	}
	for (unsigned n = 0; n < count; n++) {
		words[n] = 0;
		if (!linear_of(&at, width, false, &gva, fault) ||
		    !gm_read_gva(vcpu, gva, &words[n], width, at.who, fault))
			return false;
		move(&at, width);
	}
	stack->sp = at.sp;
	return true;
}

void stack_skip(struct stack *stack, uint64_t bytes)
{
	move(stack, bytes);
}
