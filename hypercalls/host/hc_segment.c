/*
 * Hypercalls: segment bases.
 */
#include "hypercalls/host/hc_internal.h"
#include "monitor/vm/vm.h"

int64_t hc_call_set_segment_base(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint64_t which = arg[0], base = arg[1];

	if (!vcpu_canonical(base))
		return -R3_EINVAL;
	switch (which) {
	case R3_SEGBASE_FS:
		vcpu->sreg[SREG_FS].base = base;
		return 0;
	case R3_SEGBASE_GS:
		vcpu->sreg[SREG_GS].base = base;
		return 0;
	case R3_SEGBASE_KERNEL_GS:
		vcpu->kernel_gs_base = base;
		return 0;
	default:
		return -R3_EINVAL;
	}
}
