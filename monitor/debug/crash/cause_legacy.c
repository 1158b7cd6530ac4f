/*
 * Why an event could not be delivered outside long mode: the interrupt table of real mode, and protected mode's IDT
 * with gates of 16 and 32 bits and task gates (SDM 3A 6.11 to 6.13, 3B 20.1.4).
 */
#include <inttypes.h>

#include "monitor/debug/crash/cause_internal.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/task.h"

#define REAL_VECTOR_SIZE 4

struct gate {
	uint16_t selector;
	uint32_t offset;
	bool task;
	unsigned bits;
};

static void say_limit(const struct vcpu *vcpu, const char *table, unsigned vector, unsigned size, FILE *out)
{
	if (!vcpu->idtr.limit)
		fprintf(out, "the guest has no %s: it never executed LIDT, or with a limit of 0", table);
	else
		fprintf(out,
			"the guest's %s is too short: its limit 0x%x leaves room for %u entries, entry %u lies beyond",
			table, vcpu->idtr.limit, (vcpu->idtr.limit + 1u) / size, vector);
}

static const char *kind_of(unsigned type)
{
	switch (type) {
	case X86_GATE_TASK:
		return "a task gate";
	case X86_GATE_INTERRUPT:
		return "a 32-bit interrupt gate";
	case X86_GATE_TRAP:
		return "a 32-bit trap gate";
	case X86_GATE_INTERRUPT & ~X86_SYSTYPE_32:
		return "a 16-bit interrupt gate";
	case X86_GATE_TRAP & ~X86_SYSTYPE_32:
		return "a 16-bit trap gate";
	default:
		return NULL;
	}
}

static bool find_gate(struct vcpu *vcpu, const struct vcpu_event *event, struct gate *gate, FILE *out)
{
	unsigned vector = event->vector;
	char what[48];
	uint64_t raw;

	if (vector * X86_DESC_SIZE + X86_DESC_SIZE - 1 > vcpu->idtr.limit) {
		say_limit(vcpu, "IDT", vector, X86_DESC_SIZE, out);
		return false;
	}
	snprintf(what, sizeof(what), "the guest's IDT entry %u", vector);
	if (!cause_read_table(vcpu, what, (uint32_t)(vcpu->idtr.base + vector * X86_DESC_SIZE), &raw, sizeof(raw), out))
		return false;
	unsigned type = seg_type(raw);
	*gate = (struct gate){.selector = (uint16_t)(raw >> 16),
			      .offset = (uint32_t)((raw & 0xffff) | (type & X86_SYSTYPE_32 ? raw >> 48 << 16 : 0)),
			      .task = type == X86_GATE_TASK,
			      .bits = type & X86_SYSTYPE_32 ? 32 : 16};
	if (!raw)
		fprintf(out, "%s is empty", what);
	else if (!kind_of(type))
		fprintf(out, "%s is of type 0x%x, which is no interrupt, trap or task gate", what, type);
	else if (event->kind == EVENT_SOFT && seg_dpl(raw) < vcpu->cpl)
		fprintf(out, "%s, %s, has DPL %u, and INT 0x%x was executed at CPL %u", what, kind_of(type),
			seg_dpl(raw), vector, vcpu->cpl);
	else if (!(raw & X86_DESC_P))
		fprintf(out, "%s, %s, is not present", what, kind_of(type));
	else
		return true;
	return false;
}

/* False: says what is wrong with the gate's segment; else *cpl is what the handler runs at. */
static bool code_is_fine(struct vcpu *vcpu, const struct vcpu_event *event, const struct gate *gate, unsigned *cpl,
			 FILE *out)
{
	const char *why = NULL;
	struct gm_fault fault;
	uint64_t d = 0;

	if (seg_is_null(gate->selector))
		why = "is null";
	else if (!seg_read(vcpu, gate->selector, &d, &fault))
		why = fault.vector == X86_VEC_PF ? "lies in a table that is not mapped" : "lies beyond its table";
	else if (!seg_is_code(d))
		why = "is no code segment";
	else if (seg_dpl(d) > vcpu->cpl)
		why = "is of less privilege than the code that was interrupted";
	else if (!(d & X86_DESC_P))
		why = "is not present";
	else if (gate->offset > seg_make(gate->selector, d).limit)
		why = "ends before the handler's offset";
	if (why)
		fprintf(out, "the handler of vector %u is at 0x%x:0x%x, and code selector 0x%x %s", event->vector,
			gate->selector, gate->offset, gate->selector, why);
	*cpl = d & X86_DESC_CONFORMING ? vcpu->cpl : seg_dpl(d);
	return !why;
}

/* Of the segment's pointer: False, with the reason, if `bytes` below it are not all there. */
static bool frame_fits(struct vcpu *vcpu, const struct vcpu_segment *ss, uint64_t sp, const char *name, unsigned bytes,
		       FILE *out)
{
	uint64_t mask = ss->descriptor & X86_DESC_DB ? UINT32_MAX : UINT16_MAX;
	uint32_t linear;

	if (!seg_linear(ss, (uint32_t)((sp - bytes) & mask), bytes, true, &linear)) {
		fprintf(out,
			"the exception frame belongs below 0x%x:0x%" PRIx64 " (%s), beyond that segment's limit 0x%x",
			ss->selector, sp & mask, name, ss->limit);
		return false;
	}
	return cause_stack_is_fine(vcpu, (uint64_t)linear + bytes, name, bytes, sizeof(uint16_t), out);
}

static bool stack_is_fine(struct vcpu *vcpu, const struct vcpu_event *event, const struct gate *gate, unsigned cpl,
			  FILE *out)
{
	const struct seg_stack_use use = {.cpl = cpl, .bits = 32, .vector = X86_VEC_TS};
	bool inner = cpl != vcpu->cpl;
	unsigned words = (vcpu_is_v86(vcpu) ? 9u : inner ? 5u : 3u) + event->has_error;
	struct vcpu_segment ss = vcpu->sreg[SREG_SS];
	uint64_t sp = vcpu->gpr[RSP];
	struct gm_fault fault;
	uint16_t selector;

	if (inner && !vcpu->tr.present) {
		fprintf(out,
			"the stack of privilege %u is taken from the TSS, and the guest has none: it never executed "
			"LTR",
			cpl);
		return false;
	}
	if (inner && !task_stack(vcpu, cpl, 0, &selector, &sp, &fault)) {
		fprintf(out, "the stack of privilege %u cannot be read from the TSS (limit 0x%x)", cpl, vcpu->tr.limit);
		return false;
	}
	if (inner && !seg_check_stack(vcpu, selector, &use, &ss, &fault)) {
		fprintf(out, "the TSS names stack selector 0x%x for privilege %u, which is no stack of that", selector,
			cpl);
		return false;
	}
	return frame_fits(vcpu, &ss, sp, inner ? "of the TSS" : "SS:ESP", words * gate->bits / 8, out);
}

static bool real_mode(struct vcpu *vcpu, const struct vcpu_event *event, FILE *out)
{
	unsigned at = event->vector * REAL_VECTOR_SIZE;

	if (at + REAL_VECTOR_SIZE - 1 > vcpu->idtr.limit) {
		say_limit(vcpu, "interrupt table", event->vector, REAL_VECTOR_SIZE, out);
		return true;
	}
	return !frame_fits(vcpu, &vcpu->sreg[SREG_SS], vcpu->gpr[RSP], "SS:SP", 6, out);
}

bool cause_legacy(struct vcpu *vcpu, const struct vcpu_event *event, FILE *out)
{
	struct gate gate = {0};
	unsigned cpl = 0;

	if (!vcpu_is_protected(vcpu))
		return real_mode(vcpu, event, out);
	if (!find_gate(vcpu, event, &gate, out))
		return true;
	if (gate.task) {
		fprintf(out, "its handler is a task, by TSS selector 0x%x, that could not be switched to",
			gate.selector);
		return true;
	}
	return !code_is_fine(vcpu, event, &gate, &cpl, out) || !stack_is_fine(vcpu, event, &gate, cpl, out);
}
