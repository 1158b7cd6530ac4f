#include "monitor/engine/trap/judge.h"

#include "monitor/vm/engine.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vcpu.h"

/* What user mode can raise (SDM 3A table 6-1), and how much of the error code the processor can have set. */
static const struct {
	bool possible;
	uint32_t error;
} exceptions[] = {
	[X86_VEC_DE] = {true, 0},
	[X86_VEC_DB] = {true, X86_DR6_BS | X86_DR6_HITS},
	[X86_VEC_BP] = {true, 0},
	[X86_VEC_OF] = {true, 0},
	[X86_VEC_BR] = {true, 0},
	[X86_VEC_UD] = {true, 0},
	[X86_VEC_NM] = {true, 0},
	[X86_VEC_TS] = {true, X86_SELERR_MASK},
	[X86_VEC_NP] = {true, X86_SELERR_MASK},
	[X86_VEC_SS] = {true, X86_SELERR_MASK},
	[X86_VEC_GP] = {true, X86_SELERR_MASK},
	/* Present and the rest are what the walk of the guest's tables finds. */
	[X86_VEC_PF] = {true, X86_PF_W | X86_PF_I},
	[X86_VEC_MF] = {true, 0},
	[X86_VEC_AC] = {true, 0},
	[X86_VEC_XM] = {true, 0},
	[X86_VEC_CP] = {true, X86_SELERR_MASK},
};

#define INT80_LENGTH 2
#define EXCEPTIONS   (sizeof(exceptions) / sizeof(exceptions[0]))

static void becomes(struct vm_exit *exit, uint8_t vector, uint32_t error, uint64_t gva)
{
	*exit = (struct vm_exit){.reason = EXIT_EXCEPTION, .vector = vector, .error = error, .gva = gva};
}

static bool is_no_code(uint64_t rip)
{
	return (rip >= JUDGE_RIP_LOW_END && rip < GATE_HOLE_END) || rip >= LAYOUT_TASK_END;
}

/* Nothing was fetched there, so the only thing that can have happened is the fault of that fetch. */
static void judge_rip(struct vcpu *vcpu, struct vm_exit *exit)
{
	/* Where the kernel forbids INT 0x80 it is shown the instruction itself, which lies before RIP. */
	uint64_t start = vcpu->rip - (exit->reason == EXIT_INT80 ? INT80_LENGTH : 0);
	if (vcpu_canonical(vcpu->rip) && !is_no_code(vcpu->rip) && !is_no_code(start))
		return;
	vcpu->rip = is_no_code(vcpu->rip) ? vcpu->rip : start;
	if (vcpu_canonical(vcpu->rip))
		becomes(exit, X86_VEC_PF, X86_PF_I, vcpu->rip);
	else
		becomes(exit, X86_VEC_GP, 0, 0);
}

static void judge_exception(struct vm_exit *exit)
{
	if (exit->vector >= EXCEPTIONS || !exceptions[exit->vector].possible) {
		exit->reason = EXIT_DEAD;
		return;
	}
	exit->error &= exceptions[exit->vector].error;
	if (exit->vector == X86_VEC_PF && !vcpu_canonical(exit->gva))
		becomes(exit, X86_VEC_GP, 0, 0);
}

void judge_user_exit(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (exit->reason == EXIT_EXCEPTION)
		judge_exception(exit);
	/* Hypercalls are the kernel's: to user mode their page is one that it may not execute. */
	if (exit->reason == EXIT_HYPERCALL)
		becomes(exit, X86_VEC_GP, 0, 0);
	if (exit->reason != EXIT_DEAD)
		judge_rip(vcpu, exit);
}
