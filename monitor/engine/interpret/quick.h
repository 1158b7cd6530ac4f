/*
 * What most instructions executed are made of. Each has one body, `NAME_does`, of which two functions come. The quick
 * one gives up, with nothing changed, where memory is not at hand in the translation buffer: so nothing has to be kept
 * on the host's stack on its way, and the next instruction is a jump. Then the whole one does it all again.
 */
#ifndef MONITOR_ENGINE_INTERPRET_QUICK_H
#define MONITOR_ENGINE_INTERPRET_QUICK_H

#include "monitor/engine/interpret/interp.h"
#include "monitor/vm/vm.h"

/* False: the quick way is not to be had or, `quick` being false, the exit is set. */
#define BODY(name)                                                                                                     \
	static inline __attribute__((always_inline)) bool name##_does(struct engine_vcpu *c, const struct insn *i,     \
								      bool quick)

#define WHOLE_WAY(name) static __attribute__((noinline)) void name##_whole(struct engine_vcpu *c, const struct insn *i)

/* Where only bodies are wanted there are no functions. */
#ifdef QUICK_BODIES
#define HANDLER(name)	     insn_function name;
#define ENDING(name, follow) insn_function name;
#else
#define QUICK_WAY(name, on)                                                                                            \
	insn_function name;                                                                                            \
	void name(struct engine_vcpu *c, const struct insn *i)                                                         \
	{                                                                                                              \
		if (unlikely(!name##_does(c, i, true)))                                                                \
			return name##_whole(c, i);                                                                     \
		on;                                                                                                    \
	}
#define HANDLER(name)                                                                                                  \
	WHOLE_WAY(name)                                                                                                \
	{                                                                                                              \
		if (!name##_does(c, i, false))                                                                         \
			FAULT;                                                                                         \
		NEXT_STORED;                                                                                           \
	}                                                                                                              \
	QUICK_WAY(name, NEXT)

/*
 * The same of what ends a block, and has set c->rip: `follow` leads on from there. What the whole one pushed may have
 * hit the block itself, which counts as executed all the same, even if it leads back to its start.
 */
#define ENDING(name, follow)                                                                                           \
	WHOLE_WAY(name)                                                                                                \
	{                                                                                                              \
		if (!name##_does(c, i, false))                                                                         \
			FAULT;                                                                                         \
		c->base = c->rip - i->end;                                                                             \
	}                                                                                                              \
	QUICK_WAY(name, follow)
#endif

/* On to the next block, if it is one of the last two and nothing else has to be looked at; else back to the run loop.
 */
#define FOLLOW                                                                                                         \
	do {                                                                                                           \
		const struct block *from = c->block;                                                                   \
		if (unlikely(!may_follow(c)))                                                                          \
			return;                                                                                        \
		if (likely(jump_is_good(c, &from->after[0], c->rip)))                                                  \
			return enter_block(c, from->after[0].block);                                                   \
		if (jump_is_good(c, &from->after[1], c->rip))                                                          \
			return enter_block(c, from->after[1].block);                                                   \
	} while (0)
/* The same in 64-bit mode where there may be many: wherever control has been before. */
#define FOLLOW_FAR                                                                                                     \
	do {                                                                                                           \
		FOLLOW;                                                                                                \
		const struct jump *jump = jump_of(c, c->rip);                                                          \
		if (likely(jump_is_good(c, jump, c->rip) && !c->stops && !c->block->single))                           \
			return enter_block(c, jump->block);                                                            \
	} while (0)

static inline __attribute__((always_inline)) void enter_block(struct engine_vcpu *c, const struct block *block)
{
	c->block = block;
	c->vcpu->interrupt_shadow = false;
	c->base = c->rip;
	c->executed += block->count;
	return block->insn[0].run(c, block->insn);
}

/*
 * Where a function's variables are in memory the jump to the next instruction is a call, so blocks may not follow each
 * other for ever: as much of the stack, in bytes, until the run loop has it back.
 */
#define FOLLOW_STACK 1024

static inline uintptr_t stack_pointer(void)
{
	uintptr_t sp;
	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	return sp;
}

/* As the run loop asks between two blocks. */
static inline bool may_go_on(const struct engine_vcpu *c)
{
	return !c->stop && c->executed < c->limit && !atomic_load_explicit(&c->vm->attention, memory_order_relaxed);
}

static inline bool may_follow(const struct engine_vcpu *c)
{
	return may_go_on(c) && stack_pointer() > c->deepest;
}

/* In the translation buffer there is nothing at ADDRESS_NONE. */
static inline uint64_t quick_address(const struct engine_vcpu *c, const struct insn *i)
{
	uint64_t address = c->gpr[i->base] + (c->gpr[i->index] << i->scale) + (uint64_t)i->disp;
	return unlikely(i->ea & EA_OTHER) ? ADDRESS_NONE : address & c->offsets;
}

#define QUICK_MEMORY(n)                                                                                                \
	static inline bool quick_load##n(struct engine_vcpu *c, uint64_t gva, uint##n##_t *value)                      \
	{                                                                                                              \
		const struct tlb_entry *e = tlb_entry(c, gva);                                                         \
		if (unlikely(e->read != tlb_tag(c, gva, n / 8)))                                                       \
			return false;                                                                                  \
		__builtin_memcpy(value, (void *)(gva + e->addend), n / 8);                                             \
		return true;                                                                                           \
	}                                                                                                              \
	static inline void *quick_modify##n(struct engine_vcpu *c, uint64_t gva)                                       \
	{                                                                                                              \
		const struct tlb_entry *e = tlb_entry(c, gva);                                                         \
		return likely(e->write == tlb_tag(c, gva, n / 8)) ? (void *)(gva + e->addend) : NULL;                  \
	}                                                                                                              \
	static inline bool quick_store##n(struct engine_vcpu *c, uint64_t gva, uint##n##_t value)                      \
	{                                                                                                              \
		void *p = quick_modify##n(c, gva);                                                                     \
		if (unlikely(!p))                                                                                      \
			return false;                                                                                  \
		__builtin_memcpy(p, &value, n / 8);                                                                    \
		return true;                                                                                           \
	}
QUICK_MEMORY(8)
QUICK_MEMORY(16)
QUICK_MEMORY(32)
QUICK_MEMORY(64)
#undef QUICK_MEMORY

/* In a body: the address of the operand in memory, and accesses there or at another address. */
#define ADDRESS			    (quick ? quick_address(c, i) : address_of(c, i))
#define LOAD_AT(n, gva, ea, value)  (quick ? quick_load##n(c, gva, value) : load##n(c, gva, ea, value))
#define STORE_AT(n, gva, ea, value) (quick ? quick_store##n(c, gva, value) : store##n(c, gva, ea, value))
#define LOAD(n, value)		    LOAD_AT(n, ADDRESS, i->ea, value)
#define STORE(n, value)		    STORE_AT(n, ADDRESS, i->ea, value)
#define MODIFY(n)		    (quick ? quick_modify##n(c, ADDRESS) : modify##n(c, ADDRESS, i->ea))
/* Behind a change of what MODIFY gave. */
#define MODIFIED                                                                                                       \
	do {                                                                                                           \
		if (!quick && c->bounce.size)                                                                          \
			memory_commit(c);                                                                              \
	} while (0)

#endif
