/*
 * Traces as they are recorded: what passed between guest and monitor, event by event. While tracing is off, each hook
 * costs one predictable branch on vm->trace_kinds; while it is on, an event is a record of 128 bytes in its vCPU's
 * ring. Records hold plain values; monitor/debug/trace/ makes words of them.
 */
#ifndef MONITOR_TRACE_TRACE_H
#define MONITOR_TRACE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/vm/vm.h"

/* TRACE_KIND(name, description) */
#define TRACE_KINDS(X)                                                                                                 \
	X(exit, "guest code stopped, and the monitor did something about it")                                          \
	X(hypercall, "a hypercall, those within a multicall included")                                                 \
	X(fault, "an exception was delivered to the guest")                                                            \
	X(irq, "an interrupt or event waits, or was delivered")                                                        \
	X(shadow, "the shadow page tables changed")                                                                    \
	X(device, "an access to a device: an I/O port, or memory that is no RAM")                                      \
	X(switch, "the guest goes on in another address space or mode")                                                \
	X(timer, "a deadline passed")

enum trace_kind {
#define X(name, description) TRACE_##name,
	TRACE_KINDS(X)
#undef X
		TRACE_KIND_COUNT
};

/* Reasons of exits: enum stats_exit, and what is no exit as the statistics count them. */
enum trace_exit {
	TRACE_EXIT_INTERPRETED = STAT_COUNT, /* the interpreter met a sensitive instruction */
	TRACE_EXIT_EMULATED,		     /* the interpreter came out for what that did */
	TRACE_EXIT_DEAD,		     /* the engine cannot go on */
	TRACE_EXIT_OTHER,		     /* a page fault that the host refused to map, or the debugger's */
	TRACE_EXIT_COUNT
};

/* For the other kinds: hypercall by number, fault by vector, and these. */
enum trace_irq { TRACE_IRQ_PENDING, TRACE_IRQ_DELIVERED };
enum trace_shadow { TRACE_SHADOW_FILL, TRACE_SHADOW_MAP, TRACE_SHADOW_UNMAP, TRACE_SHADOW_PROTECT };
enum trace_device { TRACE_DEVICE_READ, TRACE_DEVICE_WRITE };
enum trace_switch { TRACE_SWITCH_KERNEL, TRACE_SWITCH_USER, TRACE_SWITCH_ROOT };
enum trace_timer { TRACE_TIMER_EXPIRED };

#define TRACE_ARGS 8

#define TRACE_HAS_COST	 1u
#define TRACE_HAS_RESULT 2u
#define TRACE_NESTED	 4u  /* a hypercall in a multicall */
#define TRACE_OPEN	 8u  /* an exit that is being handled: cost and reason are to come */
#define TRACE_SKIP	 16u /* did not pass the filter */

/*
 * One event. What arg holds, by kind:
 *   exit       0: as stats_ring_entry.detail; exception, page_fault, shadow_fill: 1 error code;
 *              syscall: 0 number, 1 to 6 RDI RSI RDX R10 R8 R9; direct: 0 how many; 7: ticks the guest ran before
 *   hypercall  0 to 5: the arguments; result
 *   fault      0 error code, 1 CR2, 2 handler's RIP, 3 its CPL, 4 enum of struct vcpu_event.kind, 5 has_error,
 *              6 vector that it grew from (double fault)
 *   irq        0 vector, 1 source (0 controller, 1 event channels), 2 line of the controller, 3 ticks it waited,
 *              4 handler's RIP; pending: 1 and 5 whether the interrupt flag is set
 *   shadow     0 gva, 1 gpa, 2 bytes, 3 SPT_WRITE | SPT_EXEC, 4 enum spt_mode; fill: 2 pages, 3 X86_PF_* bits; result
 *   device     0 port or gpa, 1 bytes, 2 value, 3 whether 0 is a gpa
 *   switch     0 root before, 1 CPL before; root and CPL after are the event's own
 *   timer      0 deadline as clock_ns(), 1 ns late
 */
struct trace_event {
	uint64_t tsc;  /* clock_tsc() when it began */
	uint64_t cost; /* ticks it took */
	uint64_t rip, root;
	uint64_t arg[TRACE_ARGS];
	uint64_t result;
	uint8_t kind; /* enum trace_kind */
	uint8_t vcpu, cpl, flags;
	uint16_t reason;
	uint8_t length;	   /* of the instruction, 0: not known */
	uint8_t code_bits; /* how it is to be decoded: as 16-, 32- or 64-bit code */
	uint8_t bytes[15]; /* the instruction's */
};

_Static_assert(sizeof(struct trace_event) == 128, "two cache lines");

/* ------------------------------------------------------------------------------------------------------ hooks */

/* True if events of this kind are wanted; the hooks below are called behind it. */
static inline bool trace_wants(const struct vm *vm, enum trace_kind kind)
{
	return __builtin_expect(vm->trace_kinds & R3_BIT(kind), 0);
}

/* There is nothing more to do about the exit, though guest code does not go on yet. Behind vm->trace_kinds. */
void trace_exit_done(struct vcpu *vcpu);

/* What the present exit is, as it is counted; bytes: of the instruction in question, NULL and 0 if there is none. */
void trace_exit_reason(struct vcpu *vcpu, enum stats_exit reason, uint64_t detail, const uint8_t *bytes,
		       unsigned length);

void trace_hypercall(struct vcpu *vcpu, uint64_t nr, const uint64_t *arg, int64_t result, uint64_t since_tsc,
		     bool nested);
/* An event was delivered; rip, root and CPL as they were before. */
struct trace_place {
	uint64_t rip, root;
	unsigned cpl;
};
struct trace_place trace_place_of(const struct vcpu *vcpu);
void trace_inject(struct vcpu *vcpu, const struct trace_place *from);
/* A fault at gva was answered by mapping; access: X86_PF_* bits. */
void trace_shadow_fill(struct vcpu *vcpu, uint64_t gva, uint32_t access);
/* The engine's shadow effects, each with its event. */
const struct spt_ops *trace_shadow_ops(struct vm *vm);
void trace_device(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint32_t value, uint64_t since_tsc);
void trace_timer(struct vm *vm, uint64_t deadline, uint64_t now);

#endif
