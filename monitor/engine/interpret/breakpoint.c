/*
 * The guest's own breakpoints, in DR0 to DR3 (SDM 3B 17.2).
 */
#include "monitor/engine/interpret/interp.h"
#include "monitor/vm/vm.h"

bool breakpoint_here(struct engine_vcpu *c)
{
	struct vcpu *vcpu = c->vcpu;
	uint64_t gva = code_address(c, c->rip);
	unsigned hits = 0;
	/* Intel's processors look for none behind a load of SS. */
	bool shadow = vcpu->interrupt_shadow && vcpu->debug_shadow && !c->vm->cpu.amd;
	if ((vcpu->rflags & X86_RFLAGS_RF) || shadow)
		return false;
	for (unsigned i = 0; i < ENGINE_WATCHES; i++) {
		bool execute = !(vcpu->dr[7] >> X86_DR7_FIELD_SHIFT(i) & 3);
		if (execute && (vcpu->dr[7] & X86_DR7_ENABLED(i)) && vcpu->dr[i] == gva)
			hits |= 1u << i;
	}
	if (!hits)
		return false;
	vcpu_raise_breakpoint(vcpu, hits, true);
	c->leave = true;
	*c->exit = (struct vm_exit){.reason = EXIT_EMULATED};
	return true;
}

bool breakpoint_due(const struct vcpu *vcpu)
{
	return vcpu->data_hits && !(vcpu->interrupt_shadow && vcpu->debug_shadow);
}

void breakpoint_tell(struct vcpu *vcpu, struct vm_exit *exit)
{
	bool excepted = exit->reason == EXIT_EXCEPTION, queued = vcpu->event_pending;
	if (!breakpoint_due(vcpu) || exit->reason == EXIT_SYSCALL || exit->reason == EXIT_INT80)
		return;
	if ((excepted && exit->vector == X86_VEC_DB) ||
	    (queued && vcpu->event.vector == X86_VEC_DB && vcpu->event.kind != EVENT_SOFT)) {
		vcpu_debug_hits(vcpu, vcpu->data_hits);
	} else if (!excepted && !queued) {
		vcpu_raise_breakpoint(vcpu, vcpu->data_hits, false);
		exit->reason = EXIT_EMULATED;
	} else {
		return;
	}
	vcpu->data_hits = 0;
}
