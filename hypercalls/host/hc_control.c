/*
 * Hypercalls: version and features, the end of the guest, and the shared-info page.
 */
#include "hypercalls/host/hc_internal.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

int64_t hc_call_abi_version(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	return R3_ABI_VERSION;
}

int64_t hc_call_features(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	return R3_FEATURE_VIF | R3_FEATURE_CLOCK | R3_FEATURE_EVTCHN | R3_FEATURE_MMU_UPDATE | R3_FEATURE_MULTICALL |
	       R3_FEATURE_FPU | R3_FEATURE_SITES | R3_FEATURE_SWITCH;
}

int64_t hc_call_exit(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint64_t status = arg[0];

	if (status > R3_EXIT_MAX)
		return -R3_EINVAL;
	vm_end(vcpu->vm, (int)status);
	return 0;
}

/* Text that cannot be read is no reason to go on. */
int64_t hc_call_panic(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint64_t text = arg[0], len = arg[1] < R3_PANIC_MAX ? arg[1] : R3_PANIC_MAX;
	char why[R3_PANIC_MAX + 1] = "";
	struct gm_fault fault;

	if (!gm_read_gva(vcpu, text, why, len, GM_CPL, &fault))
		why[0] = '\0';
	vm_panic(vcpu->vm, why[0] ? why : "it does not say why");
	return 0;
}

/* The virtual interrupt flag moves to its new home with its value, for every vCPU. */
static void move_shared_page(struct hc *hc, uint64_t gpa)
{
	struct vm *vm = hc->vm;

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		bool enabled = vcpu_if(vm->vcpu[i]);

		vm->vcpu[i]->pv.shared_gpa = gpa;
		vcpu_set_if(vm->vcpu[i], enabled);
	}
}

int64_t hc_call_shared_info(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint64_t gpa = arg[0];
	struct hc *hc = vcpu->vm->hc;
	struct r3_shared_info *page = NULL;

	if (gpa & X86_PAGE_MASK)
		return -R3_EINVAL;
	if (gpa && !(page = gm_ptr(&vcpu->vm->mem, gpa, X86_PAGE_SIZE)))
		return -R3_EINVAL;
	move_shared_page(hc, gpa);
	hc->shared = page;
	if (page) {
		hc_time_publish(hc);
		hc_event_publish(hc);
	}
	return 0;
}
