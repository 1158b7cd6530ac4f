/*
 * What the monitor changed: two states of the virtual processor, compared.
 */
#include "monitor/debug/narrate/changes.h"

#include <inttypes.h>
#include <string.h>

#include "monitor/debug/state/state.h"

static const char *const gpr_names[GPR_COUNT] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
						 "R8",	"R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
static const char *const sreg_names[SREG_COUNT] = {"ES", "CS", "SS", "DS", "FS", "GS"};

void narrate_state_take(struct vcpu *vcpu, struct narrate_state *state)
{
	const struct stats_vcpu *stats = &vcpu->vm->stats.vcpu[vcpu->id];

	*state = (struct narrate_state){.rip = vcpu->rip,
					.rflags = vcpu->rflags & ~(X86_RFLAGS_IF | X86_RFLAGS_RF),
					.interrupts = vcpu_if(vcpu),
					.cpl = vcpu->cpl,
					.cr0 = vcpu->cr0,
					.cr2 = vcpu->cr2,
					.cr3 = vcpu->cr3,
					.cr4 = vcpu->cr4,
					.efer = vcpu->efer,
					.user_root = vcpu->pv.user_root,
					.ldtr = vcpu->ldtr,
					.tr = vcpu->tr,
					.gdtr = vcpu->gdtr,
					.idtr = vcpu->idtr,
					.halted = vcpu->halted,
					.injected = stats->injected};
	memcpy(state->gpr, vcpu->gpr, sizeof(state->gpr));
	memcpy(state->sreg, vcpu->sreg, sizeof(state->sreg));
	memcpy(state->exits, stats->exits, sizeof(state->exits));
	spt_get_stats(vcpu->vm->spt, &state->shadow);
}

/* ---------------------------------------------------------------------------------------------------- the list */

struct list {
	FILE *out;
	bool any;
};

static void item(struct list *list)
{
	fputs(list->any ? ", " : "  The monitor changed ", list->out);
	list->any = true;
}

static void compare(struct list *list, const char *name, uint64_t before, uint64_t after)
{
	if (before == after)
		return;
	item(list);
	fprintf(list->out, "%s 0x%" PRIx64 " -> 0x%" PRIx64, name, before, after);
}

static void compare_table(struct list *list, const char *name, const struct vcpu_table *before,
			  const struct vcpu_table *after)
{
	if (before->base == after->base && before->limit == after->limit)
		return;
	item(list);
	fprintf(list->out, "%s to 0x%" PRIx64 " with limit 0x%x", name, after->base, after->limit);
}

static void compare_segment(struct list *list, const char *name, const struct vcpu_segment *before,
			    const struct vcpu_segment *after)
{
	char base[16];

	compare(list, name, before->selector, after->selector);
	snprintf(base, sizeof(base), "%s's base", name);
	compare(list, base, before->base, after->base);
}

static void compare_registers(struct list *list, const struct narrate_state *before, const struct narrate_state *after)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		compare(list, gpr_names[i], before->gpr[i], after->gpr[i]);
	compare(list, "the other flags", before->rflags, after->rflags);
	compare(list, "CR0", before->cr0, after->cr0);
	compare(list, "CR2", before->cr2, after->cr2);
	compare(list, "CR3", before->cr3, after->cr3);
	compare(list, "CR4", before->cr4, after->cr4);
	compare(list, "EFER", before->efer, after->efer);
	compare(list, "user mode's CR3", before->user_root, after->user_root);
	for (unsigned i = 0; i < SREG_COUNT; i++)
		compare_segment(list, sreg_names[i], &before->sreg[i], &after->sreg[i]);
	compare_segment(list, "TR", &before->tr, &after->tr);
	compare_segment(list, "LDTR", &before->ldtr, &after->ldtr);
	compare_table(list, "GDTR", &before->gdtr, &after->gdtr);
	compare_table(list, "IDTR", &before->idtr, &after->idtr);
}

static void compare_state(struct list *list, const struct narrate_state *before, const struct narrate_state *after,
			  struct vm *vm)
{
	if (before->rip != after->rip) {
		item(list);
		fprintf(list->out, "RIP to 0x%" PRIx64, after->rip);
		report_symbol(vm, after->rip, list->out);
	}
	if (before->cpl != after->cpl) {
		item(list);
		fprintf(list->out, "CPL %u -> %u", before->cpl, after->cpl);
	}
	if (before->interrupts != after->interrupts) {
		item(list);
		fprintf(list->out, "the virtual interrupt flag %u -> %u", before->interrupts, after->interrupts);
	}
	compare_registers(list, before, after);
	if (after->halted) {
		item(list);
		fputs("the processor to halted", list->out);
	}
}

static void tell_shadow(const struct spt_stats *before, const struct spt_stats *after, FILE *out)
{
	uint64_t mapped = after->pages_mapped - before->pages_mapped, dropped = after->drops - before->drops;

	if (mapped)
		fprintf(out, "  Shadow page tables: %" PRIu64 " page%s mapped, that one and what lies around it.\n",
			mapped, mapped == 1 ? "" : "s");
	if (dropped)
		fprintf(out, "  Shadow page tables: %" PRIu64 " entr%s dropped.\n", dropped,
			dropped == 1 ? "y" : "ies");
}

static void tell_delivery(const struct vcpu *vcpu, FILE *out)
{
	fputs("  Delivered to the guest's handler:", out);
	for (unsigned i = 0; i < vcpu->last_chain_len; i++) {
		const struct vcpu_event *event = &vcpu->last_chain[i];
		fprintf(out, "%s %s (vector %u)", i ? ", then" : "",
			event->kind == EVENT_INTERRUPT ? "an interrupt" : vcpu_vector_name(event->vector),
			event->vector);
	}
	fputs(", through its table of handlers, with the frame the processor would have pushed.\n", out);
}

void narrate_changes(const struct narrate_state *before, struct vcpu *vcpu, FILE *out)
{
	struct list list = {.out = out};
	struct narrate_state after;

	narrate_state_take(vcpu, &after);
	compare_state(&list, before, &after, vcpu->vm);
	fputs(list.any ? ".\n" : "  The monitor changed no register.\n", out);
	tell_shadow(&before->shadow, &after.shadow, out);
	if (after.injected != before->injected && vcpu->last_chain_len)
		tell_delivery(vcpu, out);
}
