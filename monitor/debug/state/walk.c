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

/* Bits of the address below what an entry of the level maps. */
static unsigned level_shift(unsigned level)
{
	return X86_PAGE_SHIFT + 9 * (level - 1);
}

static bool is_leaf(const struct spt_step *step)
{
	return step->level == 1 || (step->level < X86_PT_LEVELS && (step->entry & X86_PTE_PS));
}

static uint64_t leaf_gpa(const struct spt_step *leaf, uint64_t gva)
{
	uint64_t offset_mask = R3_BIT(level_shift(leaf->level)) - 1;

	return (leaf->entry & X86_PTE_ADDR & ~offset_mask) | (gva & offset_mask);
}

static void print_step(const struct spt_step *step, uint64_t gva, FILE *out)
{
	unsigned index = (unsigned)(gva >> level_shift(step->level)) % X86_PT_ENTRIES;

	fprintf(out, "    %-4s [%3u] at 0x%09" PRIx64 ": %016" PRIx64, level_names[step->level], index, step->entry_gpa,
		step->entry);
	REPORT_FLAGS(step->entry, entry_names, out);
	if (!(step->entry & X86_PTE_P))
		fputs(" not present", out);
	else if (is_leaf(step) && step->level > 1)
		fprintf(out, " page of %s", step->level == 2 ? "2 MiB" : "1 GiB");
	fputc('\n', out);
}

static void print_result(struct vcpu *vcpu, const struct spt_step *last, uint64_t gva, FILE *out)
{
	uint64_t gpa;

	if (!(last->entry & X86_PTE_P)) {
		fputs("    not mapped\n", out);
		return;
	}
	if (!is_leaf(last)) {
		fputs("    the next table lies outside RAM\n", out);
		return;
	}
	gpa = leaf_gpa(last, gva);
	fprintf(out, "    is gpa 0x%" PRIx64 "%s\n", gpa, gm_is_ram(&vcpu->vm->mem, gpa, 1) ? "" : ", outside RAM");
}

void report_walk(struct vcpu *vcpu, uint64_t gva, FILE *out)
{
	struct spt_step steps[X86_PT_LEVELS];
	unsigned count;

	if (!vcpu_canonical(gva)) {
		fputs("    not canonical\n", out);
		return;
	}
	count = spt_probe(vcpu->vm->spt, vcpu_root(vcpu), gva, steps);
	for (unsigned i = 0; i < count; i++)
		print_step(&steps[i], gva, out);
	if (count)
		print_result(vcpu, &steps[count - 1], gva, out);
}

enum report_reach report_reach(struct vcpu *vcpu, uint64_t gva, uint32_t access, uint64_t *gpa)
{
	struct spt_step steps[X86_PT_LEVELS];
	bool writable = true, executable = true, user = true;

	if (!vcpu_canonical(gva))
		return REACH_NOT_CANONICAL;
	unsigned count = spt_probe(vcpu->vm->spt, vcpu->cr3, gva, steps);
	for (unsigned i = 0; i < count; i++) {
		if (!(steps[i].entry & X86_PTE_P))
			return REACH_NOT_MAPPED;
		writable &= !!(steps[i].entry & X86_PTE_W);
		user &= !!(steps[i].entry & X86_PTE_U);
		executable &= !(steps[i].entry & X86_PTE_NX);
	}
	if (!count || !is_leaf(&steps[count - 1]))
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
