/*
 * Segment bases of cells. See GATE_BASES_* for the ways in which hosts want them loaded.
 */
#include "monitor/engine/trap/bases.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <ucontext.h>

#include "monitor/engine/trap/cell.h"
#include "monitor/vm/vcpu.h"

#define HWCAP2_FSGSBASE 2 /* arch/x86/include/uapi/asm/hwcap2.h */
#define RDFSBASE_LENGTH 5

static volatile sig_atomic_t refused;

static void skip_rdfsbase(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	refused = true;
	uc->uc_mcontext.gregs[REG_RIP] += RDFSBASE_LENGTH;
}

static bool processor_reads_bases(void)
{
	struct sigaction action = {.sa_sigaction = skip_rdfsbase, .sa_flags = SA_SIGINFO}, before;
	sigaction(SIGILL, &action, &before);
	__asm__ volatile("rdfsbase %%rax" : : : "rax");
	sigaction(SIGILL, &before, NULL);
	return !refused;
}

uint32_t bases_mode(void)
{
	if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
		return GATE_BASES_INSNS;
	return processor_reads_bases() ? GATE_BASES_CALLS_AND_READ : GATE_BASES_CALLS;
}

uint64_t bases_loadable(uint64_t base)
{
	return base < LAYOUT_TASK_END ? base : 0;
}

/* What a cell is given for a base of the vCPU's. */
static uint64_t given(const struct cell *cell, uint64_t base)
{
	return cell->owner->bases == GATE_BASES_INSNS ? base : bases_loadable(base);
}

bool bases_are_free(const struct cells *cells)
{
	return !cells->traced && cells->bases == GATE_BASES_INSNS;
}

bool bases_are_real(const struct cells *cells, const struct vcpu *vcpu)
{
	const uint64_t fs = vcpu->sreg[SREG_FS].base, gs = vcpu->sreg[SREG_GS].base;
	return bases_are_free(cells) || (bases_loadable(fs) == fs && bases_loadable(gs) == gs);
}

void bases_give(struct cell *cell, uint64_t fs_base, uint64_t gs_base)
{
	cell->xchg->fs_base = given(cell, fs_base);
	cell->xchg->gs_base = given(cell, gs_base);
}

static void take(const struct cell *cell, uint64_t *base, uint64_t shown)
{
	if (shown != given(cell, *base) && vcpu_canonical(shown))
		*base = shown;
}

void bases_take(const struct cell *cell, struct vcpu *vcpu)
{
	take(cell, &vcpu->sreg[SREG_FS].base, cell->xchg->fs_base);
	take(cell, &vcpu->sreg[SREG_GS].base, cell->xchg->gs_base);
}
