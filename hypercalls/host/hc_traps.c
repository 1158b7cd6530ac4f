/*
 * Hypercalls: how traps, events and SYSCALL reach the guest's kernel, and the way back from them.
 */
#include <string.h>

#include "hypercalls/host/hc_internal.h"
#include "monitor/emulate/emulate.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

#define FIRST_EVENT_VECTOR 32

static bool entry_valid(const struct r3_trap_entry *entry)
{
	return hc_address_valid(entry->address) && !(entry->flags & ~(R3_TRAP_DPL | R3_TRAP_MASK)) && !entry->reserved;
}

/* All entries are checked before one is installed. */
int64_t hc_call_set_trap_table(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint64_t table = arg[0], count = arg[1];
	struct r3_trap_entry entries[X86_VEC_COUNT];
	struct gm_fault fault;

	if (count > X86_VEC_COUNT)
		return -R3_EINVAL;
	if (!gm_read_gva(vcpu, table, entries, count * sizeof(entries[0]), GM_CPL, &fault))
		return -R3_EFAULT;
	for (uint64_t i = 0; i < count; i++)
		if (!entry_valid(&entries[i]))
			return -R3_EINVAL;
	memset(vcpu->pv.traps, 0, sizeof(vcpu->pv.traps));
	for (uint64_t i = 0; i < count; i++)
		vcpu->pv.traps[entries[i].vector] = entries[i];
	vcpu->pv.has_traps = count > 0;
	return 0;
}

int64_t hc_call_stack_switch(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	if (!hc_address_valid(arg[0]))
		return -R3_EINVAL;
	vcpu->pv.rsp0 = arg[0];
	return 0;
}

int64_t hc_call_set_callback(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint64_t type = arg[0], value = arg[1];

	switch (type) {
	case R3_CALLBACK_EVENT:
		if (value && (value < FIRST_EVENT_VECTOR || value >= X86_VEC_COUNT))
			return -R3_EINVAL;
		vcpu->pv.event_vector = (uint8_t)value;
		return 0;
	case R3_CALLBACK_SYSCALL:
		if (!hc_address_valid(value))
			return -R3_EINVAL;
		vcpu->pv.syscall_entry = value;
		return 0;
	case R3_CALLBACK_DIRECT:
		if (value > 1)
			return -R3_EINVAL;
		vcpu->pv.direct = value;
		return 0;
	case R3_CALLBACK_SITES:
		if (value > 1)
			return -R3_EINVAL;
		vcpu->pv.sites = value;
		return 0;
	case R3_CALLBACK_DOUBLE_FAULT:
		if (!hc_address_valid(value))
			return -R3_EINVAL;
		vcpu->pv.double_fault_stack = value;
		return 0;
	default:
		return -R3_EINVAL;
	}
}

/* A frame that the manual's IRETQ would refuse raises the same exception here, with no register changed. */
int64_t hc_call_iret(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	struct r3_iret_frame frame;
	struct gm_fault fault;

	if (!gm_read_gva(vcpu, vcpu->gpr[RSP], &frame, sizeof(frame), GM_CPL, &fault))
		return -R3_EFAULT;
	emu_return(vcpu, (const uint64_t[]){frame.rip, frame.cs, frame.rflags, frame.rsp, frame.ss});
	if (vcpu->event_pending)
		return 0;
	vcpu->gpr[RAX] = frame.rax;
	vcpu->gpr[RCX] = frame.rcx;
	vcpu->gpr[R11] = frame.r11;
	return 0;
}
