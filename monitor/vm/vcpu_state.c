/*
 * The virtual processor's state, in the order in which people read registers.
 */
#include "monitor/vm/state.h"
#include "monitor/vm/vcpu.h"

#define STATE_OF struct vcpu_segment
static const struct state_field segment_fields[] = {
	STATE_GUEST(selector),
	STATE_GUEST(base),
	STATE_GUEST(limit),
	STATE_GUEST(present),
	STATE_OPEN("descriptor", descriptor),
};
#undef STATE_OF
const struct state_list vcpu_segment_state = STATE_LIST(struct vcpu_segment, segment_fields);

#define STATE_OF struct vcpu_table
static const struct state_field table_fields[] = {STATE_GUEST(base), STATE_GUEST(limit)};
#undef STATE_OF
const struct state_list vcpu_table_state = STATE_LIST(struct vcpu_table, table_fields);

#define STATE_OF struct vcpu
static const struct state_field vcpu_fields[] = {
	STATE_HOST(vm),
	STATE_HOST(id),
	STATE_HOST(engine),
	STATE_NAMED("RIP", rip),
	STATE_NAMED("RAX", gpr[RAX]),
	STATE_NAMED("RBX", gpr[RBX]),
	STATE_NAMED("RCX", gpr[RCX]),
	STATE_NAMED("RDX", gpr[RDX]),
	STATE_NAMED("RSI", gpr[RSI]),
	STATE_NAMED("RDI", gpr[RDI]),
	STATE_NAMED("RBP", gpr[RBP]),
	STATE_NAMED("RSP", gpr[RSP]),
	STATE_NAMED("R8", gpr[R8]),
	STATE_NAMED("R9", gpr[R9]),
	STATE_NAMED("R10", gpr[R10]),
	STATE_NAMED("R11", gpr[R11]),
	STATE_NAMED("R12", gpr[R12]),
	STATE_NAMED("R13", gpr[R13]),
	STATE_NAMED("R14", gpr[R14]),
	STATE_NAMED("R15", gpr[R15]),
	STATE_OPEN("RFLAGS", rflags), /* IF may be in the shared-info page */
	STATE_NAMED("CPL", cpl),
	STATE_NAMED("halted", halted),
	STATE_NAMED("wakes", wakes),
	STATE_NAMED("interrupt shadow", interrupt_shadow),
	/* Code that runs directly has the processor keep these two. */
	STATE_OPEN("shadow of SS", debug_shadow),
	STATE_OPEN("data breakpoints hit", data_hits),
	STATE_NAMED("CR0", cr0),
	STATE_NAMED("CR2", cr2),
	STATE_NAMED("CR3", cr3),
	STATE_NAMED("CR4", cr4),
	STATE_NAMED("CR8", cr8),
	STATE_NAMED_ARRAY("PDPTE", pdpte),
	STATE_NAMED("XCR0", xcr0),
	STATE_NAMED("EFER", efer),
	STATE_NAMED_PART("ES", sreg[SREG_ES], vcpu_segment_state),
	STATE_NAMED_PART("CS", sreg[SREG_CS], vcpu_segment_state),
	STATE_NAMED_PART("SS", sreg[SREG_SS], vcpu_segment_state),
	STATE_NAMED_PART("DS", sreg[SREG_DS], vcpu_segment_state),
	STATE_NAMED_PART("FS", sreg[SREG_FS], vcpu_segment_state),
	STATE_NAMED_PART("GS", sreg[SREG_GS], vcpu_segment_state),
	STATE_NAMED_PART("LDTR", ldtr, vcpu_segment_state),
	STATE_NAMED_PART("TR", tr, vcpu_segment_state),
	STATE_NAMED_PART("GDTR", gdtr, vcpu_table_state),
	STATE_NAMED_PART("IDTR", idtr, vcpu_table_state),
	STATE_NAMED("KERNEL_GS base", kernel_gs_base),
	STATE_NAMED("STAR", star),
	STATE_NAMED("LSTAR", lstar),
	STATE_NAMED("CSTAR", cstar),
	STATE_NAMED("SFMASK", sfmask),
	STATE_NAMED("APIC_BASE", apic_base),
	STATE_NAMED("PAT", pat),
	STATE_NAMED("TSC_AUX", tsc_aux),
	STATE_NAMED("SYSENTER_CS", sysenter_cs),
	STATE_NAMED("SYSENTER_ESP", sysenter_esp),
	STATE_NAMED("SYSENTER_EIP", sysenter_eip),
	STATE_NAMED("MCG_STATUS", mcg_status),
	STATE_NAMED("MISC_ENABLE", misc_enable),
	STATE_NAMED("HWCR", hwcr),
	STATE_NAMED("DE_CFG", de_cfg),
	STATE_NAMED("MTRR_DEF_TYPE", mtrr.all_else),
	STATE_NAMED_ARRAY("MTRR_PHYS", mtrr.range),
	STATE_NAMED_ARRAY("MTRR_FIX", mtrr.fixed),
	STATE_NAMED("PKRU", pkru),
	STATE_NAMED("PKRS", pkrs),
	STATE_NAMED("TSC offset", tsc_offset),
	STATE_NAMED("NMI", nmi),
	STATE_NAMED_ARRAY("DR", dr),
	STATE_NAMED("shared-info page", pv.shared_gpa),
	STATE_NAMED("trap table", pv.has_traps),
	STATE_NAMED_ARRAY("trap table's entries", pv.traps),
	STATE_NAMED("kernel stack (stack_switch)", pv.rsp0),
	STATE_NAMED("double-fault stack", pv.double_fault_stack),
	STATE_NAMED("event vector", pv.event_vector),
	STATE_NAMED("SYSCALL entry", pv.syscall_entry),
	STATE_NAMED("user root", pv.user_root),
	STATE_NAMED("FPU of user mode", pv.direct),
	STATE_NAMED("cheap SYSCALL", pv.sites),

	/* Under way between an exit and the next entry; engines are at other points then. */
	STATE_OPEN("interrupt waits", interrupt_waits),
	STATE_OPEN("window wanted", window_wanted),
	STATE_OPEN("hypercall unfinished", call.unfinished),
	STATE_OPEN("hypercall's entries", call.entries),
	STATE_OPEN("hypercall's updates", call.updates),
	STATE_OPEN("event pending", event_pending),
	STATE_HOST(event),

	STATE_HOST(refill),
	STATE_HOST(debug),
	STATE_HOST(chain),
	STATE_HOST(chain_len),
	STATE_HOST(last_chain),
	STATE_HOST(last_chain_len),
	STATE_HOST(frames),
	STATE_HOST(frame_next),
};
#undef STATE_OF
const struct state_list vcpu_state = STATE_LIST(struct vcpu, vcpu_fields);
