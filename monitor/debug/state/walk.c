/*
 * The walks of the guest's page tables in the crash report.
 */
#include <inttypes.h>

#include "monitor/debug/state/state.h"
#include "monitor/vm/vm.h"

static const struct report_flag entry_names[] = {
	{X86_PTE_P, "P"}, {X86_PTE_W, "W"}, {X86_PTE_U, "U"}, {X86_PTE_PWT, "PWT"}, {X86_PTE_PCD, "PCD"},
	{X86_PTE_A, "A"}, {X86_PTE_D, "D"}, {X86_PTE_G, "G"}, {X86_PTE_NX, "NX"},
};

static const char *const level_names[X86_PT_LEVELS + 1] = {"", "PT", "PD", "PDPT", "PML4"};

static uint64_t leaf_gpa(const struct spt_step *leaf, uint64_t gva)
{
	return leaf->page | (gva & (leaf->page_len - 1));
}

static void print_step(const struct spt_step *step, FILE *out)
{
	fprintf(out, "    %-4s [%3u] at 0x%09" PRIx64 ": %016" PRIx64, level_names[step->level], step->index,
		step->entry_gpa, step->entry);
	REPORT_FLAGS(step->entry, entry_names, out);
	if (!(step->entry & X86_PTE_P))
		fputs(" not present", out);
	else if (step->page_len >= R3_BIT(30))
		fprintf(out, " page of %" PRIu64 " GiB", step->page_len >> 30);
	else if (step->page_len > X86_PAGE_SIZE)
		fprintf(out, " page of %" PRIu64 " MiB", step->page_len >> 20);
	fputc('\n', out);
}

static void print_result(struct vcpu *vcpu, const struct spt_step *last, uint64_t gva, FILE *out)
{
	uint64_t gpa;

	if (!(last->entry & X86_PTE_P)) {
		fputs("    not mapped\n", out);
		return;
	}
	if (!last->page_len) {
		fputs("    the next table lies outside RAM\n", out);
		return;
	}
	gpa = leaf_gpa(last, gva);
	fprintf(out, "    is gpa 0x%" PRIx64 "%s\n", gpa, gm_is_ram(&vcpu->vm->mem, gpa, 1) ? "" : ", outside RAM");
}

void report_walk(struct vcpu *vcpu, uint64_t gva, FILE *out)
{
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_step steps[X86_PT_LEVELS];
	unsigned count;

	if (!vcpu_canonical(gva)) {
		fputs("    not canonical\n", out);
		return;
	}
	count = spt_probe(vcpu->vm->spt, &paging, gva, steps);
	for (unsigned i = 0; i < count; i++)
		print_step(&steps[i], out);
	if (!count)
		fputs("    paging is off\n", out);
	else
		print_result(vcpu, &steps[count - 1], gva, out);
}

enum report_reach report_reach(struct vcpu *vcpu, uint64_t gva, uint32_t access, uint64_t *gpa)
{
	struct spt_step steps[X86_PT_LEVELS];
	bool writable = true, executable = true, user = true;
	struct spt_cpu paging = vcpu_paging(vcpu);

	if (!vcpu_canonical(gva))
		return REACH_NOT_CANONICAL;
	if (paging.paging == SPT_NO_PAGING) {
		*gpa = gva;
		return gm_is_ram(&vcpu->vm->mem, gva, 1) ? REACH_RAM : REACH_NO_RAM;
	}
	paging.cr3 = vcpu->cr3;
	unsigned count = spt_probe(vcpu->vm->spt, &paging, gva, steps);
	for (unsigned i = 0; i < count; i++) {
		if (!(steps[i].entry & X86_PTE_P))
			return REACH_NOT_MAPPED;
		if (paging.paging == SPT_PAE && i == 0)
			continue; /* a register, without rights */
		writable &= !!(steps[i].entry & X86_PTE_W);
		user &= !!(steps[i].entry & X86_PTE_U);
		executable &= !(steps[i].entry & X86_PTE_NX);
	}
	if (!count || !steps[count - 1].page_len)
		return REACH_NOT_MAPPED;
	if ((access & X86_PF_W) && !writable && (vcpu->cr0 & X86_CR0_WP))
		return REACH_READ_ONLY;
	if ((access & X86_PF_I) && !executable && (vcpu->efer & X86_EFER_NXE))
		return REACH_NO_EXECUTE;
	if (user && (vcpu->cr4 & (access & X86_PF_I ? X86_CR4_SMEP : X86_CR4_SMAP)))
		return REACH_USER_PAGE;
	*gpa = leaf_gpa(&steps[count - 1], gva);
	return gm_is_ram(&vcpu->vm->mem, *gpa, 1) ? REACH_RAM : REACH_NO_RAM;
}

/* The address of the latest page fault that a report is about; false if there was none. */
static bool fault_address(const struct vcpu *vcpu, uint64_t *gva)
{
	const struct vcpu_event *chain = vcpu->chain_len ? vcpu->chain : vcpu->last_chain;
	unsigned len = vcpu->chain_len ? vcpu->chain_len : vcpu->last_chain_len;

	while (len--) {
		if (chain[len].vector == X86_VEC_PF && chain[len].kind == EVENT_FAULT) {
			*gva = chain[len].cr2;
			return true;
		}
	}
	return false;
}

void report_walks(struct vcpu *vcpu, FILE *out)
{
	uint64_t root = vcpu_root(vcpu) & X86_PTE_ADDR, gva;

	if (!vcpu->vm->spt)
		return;
	fprintf(out, "Page tables at 0x%" PRIx64 ":\n", root);
	if (fault_address(vcpu, &gva)) {
		fprintf(out, "  faulting address 0x%016" PRIx64, gva);
		report_symbol(vcpu->vm, gva, out);
		fputc('\n', out);
		report_walk(vcpu, gva, out);
	}
	fprintf(out, "  RIP 0x%016" PRIx64 "\n", vcpu->rip);
	report_walk(vcpu, vcpu->rip, out);
}
