/*
 * Hypercalls: page-table root, page-table entries, and what was derived from them.
 */
#include <stdio.h>
#include <string.h>

#include "hypercalls/host/hc_internal.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

#define UPDATES_AT_ONCE	 128
#define PAGES_ONE_BY_ONE 512 /* more are dropped by dropping everything */

/* The engine could not change a real address space: what runs there no longer agrees with the guest's tables. */
static int64_t host_refused(struct vm *vm, int error)
{
	fprintf(stderr,
		"ring3: the host refused to change a guest's address space: %s; see vm.max_map_count and 'ulimit -v'\n",
		strerror(-error));
	vm_end(vm, VM_STATUS_HOST);
	return -R3_EAGAIN;
}

int64_t hc_call_set_root(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	return vcpu_load_cr3(vcpu, arg[0]) ? 0 : -R3_EINVAL;
}

int64_t hc_call_set_user_root(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	struct spt_cpu cpu = vcpu_paging(vcpu);
	int error;

	if (arg[0] >> CPU_PHYSICAL_BITS)
		return -R3_EINVAL;
	vcpu->pv.user_root = cpu.cr3 = arg[0];
	error = arg[0] ? spt_cr3_load(vcpu->vm->spt, &cpu) : 0;
	return error ? host_refused(vcpu->vm, error) : 0;
}

int64_t hc_call_drop_root(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	struct vm *vm = vcpu->vm;
	struct spt_cpu cpu = vcpu_paging(vcpu);
	uint64_t root = arg[0] & X86_PTE_ADDR;

	cpu.cr3 = root;
	if (root == (vcpu->cr3 & X86_PTE_ADDR) || root == (vcpu->pv.user_root & X86_PTE_ADDR))
		return -R3_EBUSY;
	for (enum spt_mode mode = SPT_KERNEL; mode <= SPT_USER; mode++) {
		struct spt_space *space = spt_space_find(vm->spt, &cpu, mode);

		if (space)
			vm->engine_ops->space_drop(vm, space);
	}
	return 0;
}

static bool apply_one(struct vm *vm, const struct r3_mmu_update *update)
{
	uint64_t gpa = update->entry_gpa;
	int error;

	if (gpa % sizeof(uint64_t) || !gm_is_ram(&vm->mem, gpa, sizeof(uint64_t)))
		return false;
	error = spt_entry_write(vm->spt, gpa, update->value);
	if (error)
		host_refused(vm, error);
	return !error;
}

/* Applies updates until one is wrong, which is false, or something else is to be done. Adds to *done how many. */
static bool apply(struct vm *vm, const struct r3_mmu_update *updates, uint64_t count, uint64_t *done)
{
	for (uint64_t i = 0; i < count && (!i || !hc_gives_way(vm)); i++) {
		if (!apply_one(vm, &updates[i]))
			return false;
		++*done;
	}
	return true;
}

int64_t hc_call_mmu_update(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint64_t table = arg[0], count = arg[1], *done = &vcpu->call.updates;
	struct r3_mmu_update updates[UPDATES_AT_ONCE];
	struct gm_fault fault;

	if (count > R3_MMU_UPDATE_MAX)
		return -R3_EINVAL;
	while (*done < count) {
		uint64_t n = count - *done < UPDATES_AT_ONCE ? count - *done : UPDATES_AT_ONCE;

		if (!gm_read_gva(vcpu, table + *done * sizeof(updates[0]), updates, n * sizeof(updates[0]), GM_CPL,
				 &fault))
			return *done ? (int64_t)*done : -R3_EFAULT;
		if (!apply(vcpu->vm, updates, n, done))
			return *done ? (int64_t)*done : -R3_EINVAL;
		if (*done < count && hc_gives_way(vcpu->vm))
			return HC_GAVE_WAY;
	}
	return (int64_t)*done;
}

static int flush_pages(struct vcpu *vcpu, uint64_t gva, uint64_t pages)
{
	struct spt_cpu cpu = vcpu_paging(vcpu);
	int error = 0;

	if (pages > PAGES_ONE_BY_ONE)
		return spt_flush_all(vcpu->vm->spt);
	for (uint64_t i = 0; i < pages && !error; i++)
		error = spt_invlpg(vcpu->vm->spt, &cpu, gva + i * X86_PAGE_SIZE);
	return error;
}

int64_t hc_call_mmu_flush(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint64_t op = arg[0], gva = arg[1], pages = arg[2];
	struct spt_cpu cpu = vcpu_paging(vcpu);
	struct vm *vm = vcpu->vm;
	int error;

	switch (op) {
	case R3_FLUSH_PAGES:
		error = flush_pages(vcpu, gva & ~X86_PAGE_MASK, pages);
		break;
	case R3_FLUSH_ROOT:
		error = spt_cr3_load(vm->spt, &cpu);
		break;
	case R3_FLUSH_ALL:
		error = spt_flush_all(vm->spt);
		break;
	default:
		return -R3_EINVAL;
	}
	return error ? host_refused(vm, error) : 0;
}
