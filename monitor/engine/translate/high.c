/*
 * Kernels of the lower half that have their programs below themselves. Such a kernel's cell can show what lies from the
 * kernel on alone, which all roots have in common: then it is one cell for all of them, and a load of CR3 leaves it as
 * it is. What the kernel does to memory below is interpreted, so one that does much there has a cell for each root.
 */
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/vm/vm.h"

/* So many more strays than loads of CR3 are too many. */
#define STRAYS_MAX 1024

/* What an entry of the top level covers. */
#define PART_SIZE R3_BIT(39)

/* By the top-level entries of the root in force: the lowest from which on user mode has nothing, up to the kernel's. */
static uint64_t find_start(struct translate *t, const struct vcpu *vcpu)
{
	const struct spt_cpu paging = vcpu_paging(vcpu);
	uint64_t table;
	unsigned level = spt_root(&paging, &table), first = (unsigned)(vcpu->rip / PART_SIZE);
	const unsigned none = X86_PTE_P | X86_PTE_U;
	if (level != X86_PT_LEVELS)
		return 0;
	for (unsigned n = GVA_LOWER_END / PART_SIZE; n-- > 0;) {
		uint64_t entry = spt_probe_entry(t->vm->spt, &paging, level, table, n).entry;
		if ((entry & none) == none)
			return n < first ? (n + 1) * PART_SIZE : 0;
	}
	return 0;
}

void high_choose(struct translate *t, const struct vcpu *vcpu)
{
	if (t->high.strays > STRAYS_MAX)
		t->high.refused = true;
	if (t->high.refused && t->high.start)
		form_part(t, 0);
	/* Before user mode has been entered there is one root, most often. */
	if (t->high.refused || t->high.start || !t->lent.entries || vcpu->rip < PART_SIZE ||
	    vcpu->rip >= GVA_LOWER_END || vcpu->pv.shared_gpa)
		return;
	uint64_t start = find_start(t, vcpu);
	if (start)
		form_part(t, start);
	else
		high_note_stray(t);
}

void high_note_stray(struct translate *t)
{
	t->high.strays++;
}

void high_note_load(struct translate *t)
{
	t->high.strays -= t->high.strays > 0;
}
