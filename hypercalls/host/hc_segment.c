/*
 * Hypercalls: segment bases and FPU state.
 */
#include <string.h>

#include "hypercalls/host/hc_internal.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

#define FPU_ALIGNMENT 64

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

int64_t hc_call_get_segment_base(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	switch (arg[0]) {
	case R3_SEGBASE_FS:
		return (int64_t)vcpu->sreg[SREG_FS].base;
	case R3_SEGBASE_GS:
		return (int64_t)vcpu->sreg[SREG_GS].base;
	case R3_SEGBASE_KERNEL_GS:
		return (int64_t)vcpu->kernel_gs_base;
	default:
		return -R3_EINVAL;
	}
}

/* The image to load is a private copy; the engine makes it harmless before the processor sees it. */
int64_t hc_call_fpu_switch(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	const struct engine_ops *engine = vcpu->vm->engine_ops;
	uint64_t save = arg[0], load = arg[1];
	uint8_t image[ENGINE_FPU_MAX] __attribute__((aligned(FPU_ALIGNMENT))) = {0};
	unsigned size = engine->fpu_size(vcpu->vm);
	struct gm_fault fault;

	if ((save | load) % FPU_ALIGNMENT)
		return -R3_EINVAL;
	if (save) {
		engine->fpu_get(vcpu, image, size);
		if (!gm_write_gva(vcpu, save, image, size, GM_CPL, &fault))
			return -R3_EFAULT;
	}
	memset(image, 0, size);
	if (load && !gm_read_gva(vcpu, load, image, size, GM_CPL, &fault))
		return -R3_EFAULT;
	engine->fpu_set(vcpu, image, size);
	return 0;
}

static bool is_loadable(const struct r3_user_context *to)
{
	return !(to->root >> CPU_PHYSICAL_BITS) && hc_address_valid(to->rsp0) && vcpu_canonical(to->fs_base) &&
	       vcpu_canonical(to->gs_base) && to->fpu;
}

/* All is checked before anything is changed, but for where FPU state cannot be written or read. */
int64_t hc_call_user_switch(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	struct r3_user_context from, to;
	struct gm_fault fault;

	if (!gm_read_gva(vcpu, arg[0], &from, sizeof(from), GM_CPL, &fault) ||
	    !gm_read_gva(vcpu, arg[1], &to, sizeof(to), GM_CPL, &fault))
		return -R3_EFAULT;
	if (!from.fpu || !is_loadable(&to))
		return -R3_EINVAL;
	from.fs_base = vcpu->sreg[SREG_FS].base;
	from.gs_base = vcpu->sreg[SREG_GS].base;
	if (!gm_write_gva(vcpu, arg[0], &from, sizeof(from), GM_CPL, &fault))
		return -R3_EFAULT;
	int64_t result = hc_call_fpu_switch(vcpu, (const uint64_t[HC_ARGS]){from.fpu, to.fpu});
	if (!result)
		result = hc_call_set_user_root(vcpu, (const uint64_t[HC_ARGS]){to.root});
	if (result)
		return result;
	vcpu->pv.rsp0 = to.rsp0;
	vcpu->sreg[SREG_FS].base = to.fs_base;
	vcpu->sreg[SREG_GS].base = to.gs_base;
	return 0;
}
