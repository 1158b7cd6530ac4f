/*
 * A stack that the processor itself pushes to and pops from: that of the running code, or one that is about to be its.
 * In SS's limit and with SS's width of the pointer outside 64-bit mode (SDM 3A 5.3, 6.2.3 of volume 1).
 */
#ifndef MONITOR_VM_STACK_H
#define MONITOR_VM_STACK_H

#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vcpu.h"

/* The most that is pushed or popped at once: the parameters of a call gate. */
#define STACK_WORDS_MAX 31

struct stack {
	struct vcpu_segment ss;
	uint64_t sp;
	unsigned bits;	       /* of the pointer that count: 16, 32, 64; above them sp stays as it is */
	uint32_t error;	       /* code of the #SS for what lies beyond the segment */
	enum gm_privilege who; /* GM_CPL: a stack of privilege 3 */
};

/* The running code's. */
struct stack stack_of(const struct vcpu *vcpu);

/*
 * Pushes words of `width` bytes, words[0] first, or reads those that lie at the pointer, lowest first. On success the
 * pointer has moved, else nothing of *stack has and *fault says why; bytes beyond the pointer may have been written.
 */
bool stack_push(struct vcpu *vcpu, struct stack *stack, unsigned width, const uint64_t *words, unsigned count,
		struct gm_fault *fault);
bool stack_pop(struct vcpu *vcpu, struct stack *stack, unsigned width, uint64_t *words, unsigned count,
	       struct gm_fault *fault);
/* Moves the pointer up over `bytes`. */
void stack_skip(struct stack *stack, uint64_t bytes);

#endif
