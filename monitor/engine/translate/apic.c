/*
 * What a kernel of 64 bits does at its local APIC without an exit, as long as nobody can tell: end the one interrupt in
 * service, and set the deadline of the timer's next one. The monitor learns of both when the vCPU is out.
 */
#include "monitor/device/lapic.h"
#include "monitor/device/machine.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/vm/vm.h"

static struct lapic *lapic_of(const struct vcpu *vcpu)
{
	return vcpu->id == 0 ? machine_lapic(vcpu->vm) : NULL;
}

/* An access finds its bits set already. The four entries above the tables of PAE have none. */
static bool is_accessed(const struct vcpu *vcpu, const struct spt_step *step, bool write)
{
	uint64_t bits = X86_PTE_A | (write ? X86_PTE_W : 0) | (write && step->page_len ? X86_PTE_D : 0);
	return (step->entry & bits) == bits || (step->covers >> X86_HUGE_SHIFT && !vcpu_is_long(vcpu));
}

bool apic_is_reached(struct vcpu *vcpu, uint64_t gva, unsigned offset, bool write)
{
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_step steps[X86_PT_LEVELS];
	unsigned count = vcpu_canonical(gva) ? spt_probe(vcpu->vm->spt, &paging, gva, steps) : 0;
	uint64_t gpa = gva;
	for (unsigned n = 0; n < count; n++)
		if (!is_accessed(vcpu, &steps[n], write))
			return false;
	if (count && !steps[count - 1].page_len)
		return false;
	if (count)
		gpa = steps[count - 1].page + (gva & (steps[count - 1].page_len - 1));
	return gpa == vcpu_apic_gpa(vcpu, offset);
}

void apic_fill(struct translate *t, struct vcpu *vcpu)
{
	struct bt_state *state = t->state;
	struct lapic *apic = lapic_of(vcpu);
	bool alone = apic && (t->mode & BT_READ) && !vcpu->vm->trace_kinds;
	bool quiet = alone && lapic_ends_quietly(apic), x2apic = vcpu->apic_base & X86_APIC_BASE_X2APIC;
	bool by_store = quiet && t->end_at && apic_is_reached(vcpu, t->end_at, X86_APIC_EOI, true);
	state->end.by_msr = quiet && x2apic;
	state->end.by_store = by_store;
	state->end.at = by_store ? t->end_at : BT_NO_ADDRESS;
	t->may_end = by_store || (quiet && x2apic);
	t->deadline_from = alone && (t->mode & BT_CLOCK) ? lapic_expect_deadline(apic) : UINT64_MAX;
	state->deadline.from = t->deadline_from;
	state->deadline.written = 0;
}

void apic_take(struct translate *t, const struct vcpu *vcpu)
{
	const volatile struct bt_state *state = t->state;
	uint64_t deadline = state->deadline.written;
	if (t->may_end && !state->end.by_store && !state->end.by_msr)
		lapic_end(lapic_of(vcpu));
	if (deadline && deadline >= t->deadline_from)
		lapic_write_deadline(lapic_of(vcpu), deadline);
	t->may_end = false;
	t->deadline_from = UINT64_MAX;
}
