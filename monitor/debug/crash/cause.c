/*
 * Why the guest died, in plain words. The state it died in is still there, and delivering an exception changes nothing
 * when it fails: so each failed delivery of the chain is gone through once more, with a sentence for every check that
 * the processor makes (SDM 3A 6.12, 6.14).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "monitor/debug/crash/cause_internal.h"
#include "monitor/debug/crash/report.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

/* ------------------------------------------------------------------------------------------ memory, in sentences */

const char *cause_reach_words(enum report_reach reach)
{
	switch (reach) {
	case REACH_NOT_CANONICAL:
		return "which is no canonical address";
	case REACH_NOT_MAPPED:
		return "which the page tables do not map";
	case REACH_READ_ONLY:
		return "which the page tables map read-only";
	case REACH_NO_EXECUTE:
		return "which the page tables map as not executable";
	case REACH_USER_PAGE:
		return "a page of user mode, which CR4.SMEP or SMAP keeps the kernel from";
	case REACH_NO_RAM:
		return "where there is no RAM";
	case REACH_RAM:
		break;
	}
	return NULL;
}

bool cause_read_table(struct vcpu *vcpu, const char *what, uint64_t gva, void *to, size_t len, FILE *out)
{
	uint8_t *bytes = to;

	for (size_t done = 0; done < len; done++) {
		uint64_t gpa;
		enum report_reach reach = report_reach(vcpu, gva + done, 0, &gpa);
		if (reach == REACH_RAM && gm_read(&vcpu->vm->mem, gpa, bytes + done, 1))
			continue;
		const char *words = cause_reach_words(reach);
		fprintf(out, "%s lies at 0x%" PRIx64 ", %s", what, gva,
			words ? words : cause_reach_words(REACH_NO_RAM));
		return false;
	}
	return true;
}

/* ------------------------------------------------------------------------------------------------------ the gate */

struct gate {
	uint64_t address;
	uint16_t selector;
	unsigned ist;
};

static bool gate_of_traps(struct vcpu *vcpu, const struct vcpu_event *event, struct gate *gate, FILE *out)
{
	const struct r3_trap_entry *trap = &vcpu->pv.traps[event->vector];

	*gate = (struct gate){.address = trap->address, .selector = trap->selector};
	if (event->kind == EVENT_SOFT && (trap->flags & R3_TRAP_DPL) < vcpu->cpl) {
		fprintf(out,
			"the guest's trap table permits INT 0x%x from CPL %u at most, and it was executed at CPL %u",
			event->vector, (unsigned)(trap->flags & R3_TRAP_DPL), vcpu->cpl);
		return false;
	}
	if (!trap->address)
		fprintf(out, "the guest's trap table (hypercall set_trap_table) has no handler for vector %u",
			event->vector);
	return trap->address;
}

static void say_limit(const struct vcpu *vcpu, unsigned vector, FILE *out)
{
	if (!vcpu->idtr.limit)
		fputs("the guest has no IDT: it never executed LIDT, or with a limit of 0", out);
	else
		fprintf(out,
			"the guest's IDT is too short: its limit 0x%x leaves room for %u entries, entry %u lies beyond",
			vcpu->idtr.limit, (vcpu->idtr.limit + 1u) / X86_GATE_SIZE, vector);
}

static bool gate_of_idt(struct vcpu *vcpu, const struct vcpu_event *event, struct gate *gate, FILE *out)
{
	unsigned vector = event->vector, type;
	uint64_t raw[2];
	char what[48];

	if (vector * X86_GATE_SIZE + X86_GATE_SIZE - 1 > vcpu->idtr.limit) {
		say_limit(vcpu, vector, out);
		return false;
	}
	snprintf(what, sizeof(what), "the guest's IDT entry %u", vector);
	if (!cause_read_table(vcpu, what, vcpu->idtr.base + vector * X86_GATE_SIZE, raw, sizeof(raw), out))
		return false;
	type = seg_type(raw[0]);
	*gate = (struct gate){.address = (raw[0] & 0xffff) | (raw[0] >> 48) << 16 | raw[1] << 32,
			      .selector = raw[0] >> 16 & 0xffff,
			      .ist = raw[0] >> 32 & 7};
	if (!raw[0] && !raw[1])
		fprintf(out, "%s is empty", what);
	else if (type != X86_GATE_INTERRUPT && type != X86_GATE_TRAP)
		fprintf(out, "%s is of type 0x%x, which is neither an interrupt gate (0xe) nor a trap gate (0xf)", what,
			type);
	else if (event->kind == EVENT_SOFT && seg_dpl(raw[0]) < vcpu->cpl)
		fprintf(out, "%s has DPL %u, and INT 0x%x was executed at CPL %u", what, seg_dpl(raw[0]), vector,
			vcpu->cpl);
	else if (!(raw[0] & X86_DESC_P))
		fprintf(out, "%s is not present", what);
	else
		return true;
	return false;
}

/* --------------------------------------------------------------------------------------------- where it leads to */

/* False: says what is wrong with the gate's code segment or address; else *cpl is what the handler runs at. */
static bool code_is_fine(struct vcpu *vcpu, const struct vcpu_event *event, const struct gate *gate, unsigned *cpl,
			 FILE *out)
{
	struct gm_fault fault = {0};
	uint64_t d;

	fprintf(out, "the handler of vector %u ", event->vector);
	if (seg_is_null(gate->selector)) {
		fputs("has a null selector for its code segment", out);
		return false;
	}
	fprintf(out, "names code selector 0x%x, ", gate->selector);
	if (!seg_read(vcpu, gate->selector, &d, &fault)) {
		if (fault.vector == X86_VEC_PF)
			fprintf(out, "and the descriptor table at 0x%" PRIx64 " is not mapped", vcpu->gdtr.base);
		else
			fprintf(out, "which lies beyond its table (the GDT's limit is 0x%x)", vcpu->gdtr.limit);
		return false;
	}
	*cpl = d & X86_DESC_CONFORMING ? vcpu->cpl : seg_dpl(d);
	if (!seg_is_code(d))
		fputs("which is no code segment", out);
	else if (seg_dpl(d) > vcpu->cpl)
		fprintf(out, "of DPL %u, and an exception at CPL %u cannot go to less privilege", seg_dpl(d),
			vcpu->cpl);
	else if (!(d & X86_DESC_P))
		fputs("which is not present", out);
	else if (!(d & X86_DESC_L) || (d & X86_DESC_DB))
		fputs("which is not 64-bit code (L set, D clear)", out);
	else if (!vcpu_canonical(gate->address))
		fprintf(out, "and address 0x%" PRIx64 ", which is not canonical", gate->address);
	else
		return true;
	return false;
}

static bool tss_stack(struct vcpu *vcpu, unsigned offset, const char *name, uint64_t *rsp, FILE *out)
{
	char what[48];

	if (!vcpu->tr.present) {
		fprintf(out, "%s is taken from the TSS, and the guest has none: it never executed LTR", name);
		return false;
	}
	if (offset + sizeof(*rsp) - 1 > vcpu->tr.limit) {
		fprintf(out, "%s lies beyond the end of the TSS (limit 0x%x)", name, vcpu->tr.limit);
		return false;
	}
	snprintf(what, sizeof(what), "%s in the TSS", name);
	return cause_read_table(vcpu, what, vcpu->tr.base + offset, rsp, sizeof(*rsp), out);
}

/* The stack the frame goes to, and what it is called. */
static bool find_stack(struct vcpu *vcpu, const struct gate *gate, unsigned cpl, uint64_t *rsp, char name[16],
		       FILE *out)
{
	*rsp = vcpu->gpr[RSP];
	snprintf(name, 16, "RSP");
	if (gate->ist) {
		snprintf(name, 16, "IST%u", gate->ist);
		return tss_stack(vcpu, X86_TSS_IST1 + (gate->ist - 1) * (unsigned)sizeof(*rsp), name, rsp, out);
	}
	if (cpl >= vcpu->cpl)
		return true;
	snprintf(name, 16, "RSP%u", cpl);
	if (cpl == 0 && vcpu->pv.rsp0) {
		*rsp = vcpu->pv.rsp0;
		return true;
	}
	return tss_stack(vcpu, X86_TSS_RSP0 + cpl * (unsigned)sizeof(*rsp), name, rsp, out);
}

/* A stack grows into what is not mapped below it. */
static bool looks_overflown(struct vcpu *vcpu, uint64_t at)
{
	uint64_t gpa;

	return report_reach(vcpu, at, X86_PF_W, &gpa) == REACH_NOT_MAPPED &&
	       report_reach(vcpu, (at & ~X86_PAGE_MASK) + X86_PAGE_SIZE, X86_PF_W, &gpa) == REACH_RAM;
}

bool cause_stack_is_fine(struct vcpu *vcpu, uint64_t gva, const char *name, unsigned bytes, unsigned step, FILE *out)
{
	uint64_t gpa;

	for (unsigned below = step; below <= bytes; below += step) {
		enum report_reach reach = report_reach(vcpu, gva - below, X86_PF_W, &gpa);
		if (reach == REACH_RAM || reach == REACH_NO_RAM)
			continue;
		fprintf(out, "the exception frame belongs below 0x%" PRIx64 " (%s), %s", gva, name,
			cause_reach_words(reach));
		if (looks_overflown(vcpu, gva - below))
			fputs("; the page above it is mapped, so the stack has probably overflowed", out);
		return false;
	}
	return true;
}

static bool stack_is_fine(struct vcpu *vcpu, const struct vcpu_event *event, const struct gate *gate, unsigned cpl,
			  FILE *out)
{
	const unsigned words = event->has_error ? 6 : 5, padding = 15;
	uint64_t rsp;
	char name[16];

	if (!find_stack(vcpu, gate, cpl, &rsp, name, out))
		return false;
	/* The frame begins on a multiple of 16. */
	return cause_stack_is_fine(vcpu, rsp, name, (unsigned)(rsp & padding) + words * (unsigned)sizeof(rsp),
				   sizeof(rsp), out);
}

static bool find_gate(struct vcpu *vcpu, const struct vcpu_event *event, struct gate *gate, FILE *out)
{
	return vcpu->pv.has_traps ? gate_of_traps(vcpu, event, gate, out) : gate_of_idt(vcpu, event, gate, out);
}

/* Text that only counts when a check fails is made aside. */
static void say_why_not(struct vcpu *vcpu, const struct vcpu_event *event, FILE *out)
{
	static const char changed[] = "its handler could be entered by now; what stood in the way has changed since";
	struct gate gate = {0};
	unsigned cpl = 0;
	char code[256] = "";
	FILE *aside = fmemopen(code, sizeof(code) - 1, "w");

	if (!vcpu_is_long(vcpu)) {
		if (!cause_legacy(vcpu, event, out))
			fputs(changed, out);
	} else if (!find_gate(vcpu, event, &gate, out)) {
		/* said */
	} else if (aside && !code_is_fine(vcpu, event, &gate, &cpl, aside)) {
		fflush(aside);
		fputs(code, out);
	} else if (stack_is_fine(vcpu, event, &gate, cpl, out)) {
		fputs(changed, out);
	}
	if (aside)
		fclose(aside);
}

/* --------------------------------------------------------------------------------------------------- the events */

static void say_page_fault(struct vcpu *vcpu, const struct vcpu_event *event, FILE *out)
{
	const char *access = event->error & X86_PF_I ? "fetch" : event->error & X86_PF_W ? "write" : "read";

	fprintf(out, "page fault at 0x%" PRIx64, event->cr2);
	report_symbol(vcpu->vm, event->cr2, out);
	fprintf(out, " (%s by %s, %s)", access, event->error & X86_PF_U ? "user mode" : "the kernel",
		event->error & X86_PF_P ? "not permitted" : "not mapped");
}

static void say_event(struct vcpu *vcpu, const struct vcpu_event *event, FILE *out)
{
	if (event->kind == EVENT_SOFT)
		fprintf(out, "INT 0x%x", event->vector);
	else if (event->kind == EVENT_INTERRUPT)
		fprintf(out, "interrupt of vector %u", event->vector);
	else if (event->vector == X86_VEC_PF)
		say_page_fault(vcpu, event, out);
	else if (event->vector == X86_VEC_DF)
		fputs("double fault", out);
	else
		fprintf(out, "%s (vector %u)", vcpu_vector_name(event->vector), event->vector);
}

static bool is_double_fault(const struct vcpu_event *event)
{
	return event->vector == X86_VEC_DF && event->kind == EVENT_FAULT;
}

static void say_failure(struct vcpu *vcpu, const struct vcpu_event *event, bool first, FILE *out)
{
	fputs("  The ", out);
	say_event(vcpu, event, out);
	fprintf(out, " could not be delivered%s: ", first ? "" : " either");
	say_why_not(vcpu, event, out);
	fputs(".\n", out);
}

/*
 * A handler that cannot be fetched faults at its own first instruction, over and over, each time a frame further down
 * the stack: what is found dead is the end of that.
 */
static void say_handler(struct vcpu *vcpu, const struct vcpu_event *event, FILE *out)
{
	struct gate gate = {0};
	uint64_t gpa;
	char *unread = NULL;
	size_t size;
	FILE *nowhere = open_memstream(&unread, &size);

	if (!nowhere)
		return;
	if (vcpu_is_long(vcpu) && event->vector == X86_VEC_PF && event->cr2 == vcpu->rip &&
	    find_gate(vcpu, event, &gate, nowhere) && gate.address == vcpu->rip) {
		const char *words = cause_reach_words(report_reach(vcpu, gate.address, X86_PF_I, &gpa));
		fprintf(out, "  The handler of vector %u is at 0x%" PRIx64, event->vector, gate.address);
		report_symbol(vcpu->vm, gate.address, out);
		fprintf(out, ", %s: each attempt to run it faulted again, until no stack was left.\n",
			words ? words : "where nothing can be fetched");
	}
	fclose(nowhere);
	free(unread);
}

static void say_chain(struct vcpu *vcpu, FILE *out)
{
	const struct vcpu_event *chain = vcpu->chain;
	bool first = true;

	say_handler(vcpu, &chain[0], out);
	for (unsigned i = 0; i + 1 < vcpu->chain_len; first = false) {
		const struct vcpu_event *failed = &chain[i], *next = &chain[i + 1];
		say_failure(vcpu, failed, first, out);
		if (is_double_fault(failed)) {
			fputs("  A double fault that cannot be delivered shuts the processor down: a triple fault.\n",
			      out);
			return;
		}
		fputs("  That raised ", out);
		fputs(vcpu_vector_name(next->vector), out);
		i++;
		if (i + 1 < vcpu->chain_len && is_double_fault(&chain[i + 1])) {
			fputs(", and a second exception on the way to the first one's handler is a double fault", out);
			i++;
		}
		fputs(".\n", out);
	}
}

/* ------------------------------------------------------------------------------------------ other ways to an end */

static bool in_gate(const struct vcpu *vcpu)
{
	return vcpu->rip >= GATE_HOLE_START && vcpu->rip < GATE_HOLE_END;
}

void report_cause(struct vcpu *vcpu, FILE *out)
{
	if (vcpu->chain_len > 1) {
		fputs("Cause:\n", out);
		say_chain(vcpu, out);
	} else if (vcpu->halted && !vcpu_if(vcpu)) {
		fputs("Cause:\n  The guest executed HLT (or the hypercall block) with its interrupt flag clear, so no "
		      "interrupt can end the halt.\n  To wait, set the flag first (STI; HLT); to end, use the "
		      "hypercall exit or port 0xf4.\n",
		      out);
	} else if (in_gate(vcpu)) {
		fputs("Cause:\n  The guest runs at an address in the monitor's part of the address space, where it has "
		      "no code: a jump or a\n  return went wrong, or a hypercall was made with RSP pointing to no "
		      "stack.\n",
		      out);
	}
}
