/*
 * The virtual processor's state: its reset, its interrupt flag and RFLAGS image, and the queueing of events.
 */
#include "monitor/vm/vcpu.h"

#include <stdlib.h>
#include <string.h>

#include "monitor/host/cpuid.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

/* What a guest can keep in RFLAGS; VIF and VIP belong to extensions that this machine lacks. */
#define RFLAGS_KEPT                                                                                                    \
	(X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_TF |               \
	 X86_RFLAGS_DF | X86_RFLAGS_OF | X86_RFLAGS_IOPL | X86_RFLAGS_NT | X86_RFLAGS_RF | X86_RFLAGS_AC |             \
	 X86_RFLAGS_ID)

/* What a guest finds switched on, as far as the processor has it. */
#define CR4_BOOT (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE | X86_CR4_OSXSAVE)

struct vcpu *vcpu_create(struct vm *vm, unsigned id)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu)
		return NULL;
	vcpu->vm = vm;
	vcpu->id = id;
	if (id == 0) {
		cpu_describe(&vm->cpu, vm->config ? &vm->config->cpu : NULL,
			     vm->engine_ops ? vm->engine_ops->software : CPU_ALL_CODE, vm->kind == MACHINE_PC);
		vm->cpu.legacy_modes = vm->kind == MACHINE_PC;
	}
	vcpu->rflags = X86_RFLAGS_FIXED;
	vcpu->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	vcpu->cr4 = CR4_BOOT & vm->cpu.cr4;
	vcpu->xcr0 = vm->cpu.xcr0 & R3_GUEST_XCR0;
	vcpu->efer = (X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE) & vm->cpu.efer;
	vcpu->pat = X86_PAT_RESET;
	vcpu->misc_enable = X86_MISC_RESET;
	vcpu->hwcr = X86_HWCR_TSC_FIXED;
	vcpu->de_cfg = X86_DE_CFG_LFENCE;
	vcpu->dr[6] = X86_DR6_FIXED;
	vcpu->dr[7] = X86_DR7_FIXED;
	vcpu->apic_base = X86_APIC_BASE_RESET | X86_APIC_BASE_ENABLE | (id == 0 ? X86_APIC_BASE_BSP : 0);
	for (unsigned i = 0; i < SREG_COUNT; i++)
		vcpu->sreg[i] = seg_make(BOOT_DS, SEG_FLAT_DATA(0));
	vcpu->sreg[SREG_CS] = seg_make(BOOT_CS, SEG_FLAT_CODE(0));
	return vcpu;
}

void vcpu_free(struct vcpu *vcpu)
{
	free(vcpu);
}

static bool has_error_code(uint8_t vector)
{
	switch (vector) {
	case X86_VEC_DF:
	case X86_VEC_TS:
	case X86_VEC_NP:
	case X86_VEC_SS:
	case X86_VEC_GP:
	case X86_VEC_PF:
	case X86_VEC_AC:
	case X86_VEC_CP:
		return true;
	default:
		return false;
	}
}

static void queue(struct vcpu *vcpu, struct vcpu_event event)
{
	vcpu->event = event;
	vcpu->event_pending = true;
	vcpu->halted = false;
}

void vcpu_raise_error(struct vcpu *vcpu, uint8_t vector, uint32_t error)
{
	queue(vcpu,
	      (struct vcpu_event){
		      .vector = vector, .kind = EVENT_FAULT, .has_error = has_error_code(vector), .error = error});
}

void vcpu_raise(struct vcpu *vcpu, uint8_t vector)
{
	vcpu_raise_error(vcpu, vector, 0);
	if (vector == X86_VEC_DB) {
		vcpu->event.kind = EVENT_TRAP;
		vcpu->dr[6] |= X86_DR6_BS;
	}
}

void vcpu_debug_hits(struct vcpu *vcpu, unsigned hits)
{
	vcpu->dr[6] = (vcpu->dr[6] & ~X86_DR6_HITS) | hits;
}

void vcpu_raise_breakpoint(struct vcpu *vcpu, unsigned hits, bool before)
{
	vcpu_raise_error(vcpu, X86_VEC_DB, 0);
	vcpu->event.kind = before ? EVENT_FAULT : EVENT_TRAP;
	vcpu->event.breakpoint = before;
	vcpu_debug_hits(vcpu, hits);
}

void vcpu_raise_page_fault(struct vcpu *vcpu, uint64_t gva, uint32_t error)
{
	vcpu_raise_error(vcpu, X86_VEC_PF, error);
	vcpu->event.cr2 = gva;
}

void vcpu_raise_fault(struct vcpu *vcpu, const struct gm_fault *fault)
{
	vcpu_raise_error(vcpu, fault->vector, fault->error);
	vcpu->event.cr2 = fault->gva;
}

void vcpu_raise_soft(struct vcpu *vcpu, uint8_t vector, uint8_t length)
{
	queue(vcpu, (struct vcpu_event){.vector = vector, .kind = EVENT_SOFT, .length = length});
}

void vcpu_raise_icebp(struct vcpu *vcpu, uint8_t length)
{
	queue(vcpu, (struct vcpu_event){.vector = X86_VEC_DB, .kind = EVENT_PRIVILEGED_SOFT, .length = length});
}

void vcpu_raise_interrupt(struct vcpu *vcpu, uint8_t vector)
{
	queue(vcpu, (struct vcpu_event){.vector = vector, .kind = EVENT_INTERRUPT});
}

const char *vcpu_vector_name(uint8_t vector)
{
	static const char *const names[] = {
		[X86_VEC_DE] = "#DE", [X86_VEC_DB] = "#DB", [X86_VEC_NMI] = "NMI", [X86_VEC_BP] = "#BP",
		[X86_VEC_OF] = "#OF", [X86_VEC_BR] = "#BR", [X86_VEC_UD] = "#UD",  [X86_VEC_NM] = "#NM",
		[X86_VEC_DF] = "#DF", [X86_VEC_TS] = "#TS", [X86_VEC_NP] = "#NP",  [X86_VEC_SS] = "#SS",
		[X86_VEC_GP] = "#GP", [X86_VEC_PF] = "#PF", [X86_VEC_MF] = "#MF",  [X86_VEC_AC] = "#AC",
		[X86_VEC_MC] = "#MC", [X86_VEC_XM] = "#XM", [X86_VEC_CP] = "#CP",
	};
	if (vector < sizeof(names) / sizeof(names[0]) && names[vector])
		return names[vector];
	return "interrupt";
}

struct r3_vcpu_info *vcpu_shared(struct vcpu *vcpu)
{
	if (!vcpu->pv.shared_gpa)
		return NULL;
	struct r3_shared_info *info = gm_ptr(&vcpu->vm->mem, vcpu->pv.shared_gpa, sizeof(*info));
	return info ? &info->vcpu[vcpu->id] : NULL;
}

bool vcpu_if(struct vcpu *vcpu)
{
	struct r3_vcpu_info *shared = vcpu_shared(vcpu);
	if (shared)
		return __atomic_load_n(&shared->vif, __ATOMIC_RELAXED) != 0;
	return vcpu->rflags & X86_RFLAGS_IF;
}

void vcpu_set_if(struct vcpu *vcpu, bool enabled)
{
	struct r3_vcpu_info *shared = vcpu_shared(vcpu);
	if (shared)
		__atomic_store_n(&shared->vif, enabled, __ATOMIC_RELAXED);
	vcpu->rflags = (vcpu->rflags & ~X86_RFLAGS_IF) | (enabled ? X86_RFLAGS_IF : 0);
}

uint64_t vcpu_rflags(struct vcpu *vcpu)
{
	vcpu->rflags = (vcpu->rflags & ~X86_RFLAGS_IF) | (vcpu_if(vcpu) ? X86_RFLAGS_IF : 0);
	return vcpu->rflags;
}

void vcpu_set_rflags(struct vcpu *vcpu, uint64_t image)
{
	vcpu->rflags = (image & RFLAGS_KEPT) | (vcpu->rflags & X86_RFLAGS_VM) | X86_RFLAGS_FIXED;
	vcpu_set_if(vcpu, image & X86_RFLAGS_IF);
}

struct spt_cpu vcpu_paging(const struct vcpu *vcpu)
{
	const enum spt_paging mode = vcpu_paging_mode(vcpu);
	const bool keys = mode == SPT_4_LEVEL;
	const uint64_t *pdpte = vcpu->pdpte;
	/* Made where it is wanted: it is asked for at each access of the monitor's. */
	return (struct spt_cpu){
		.cr3 = vcpu_root(vcpu),
		.paging = mode,
		.wp = vcpu->cr0 & X86_CR0_WP,
		.nxe = (vcpu->efer & X86_EFER_NXE) && (vcpu->cr4 & X86_CR4_PAE),
		.smep = vcpu->cr4 & X86_CR4_SMEP,
		.smap = (vcpu->cr4 & X86_CR4_SMAP) && vcpu->cpl != 3 && !(vcpu->rflags & X86_RFLAGS_AC),
		.pge = vcpu->cr4 & X86_CR4_PGE,
		.pse = vcpu->cr4 & X86_CR4_PSE,
		.user_keys = keys && (vcpu->cr4 & X86_CR4_PKE) ? vcpu->pkru : 0,
		.kernel_keys = keys && (vcpu->cr4 & X86_CR4_PKS) ? (uint32_t)vcpu->pkrs : 0,
		.pdpte = {pdpte[0], pdpte[1], pdpte[2], pdpte[3]},
	};
}

/* SDM 3A table 4-8. */
#define PDPTE_RESERVED                                                                                                 \
	(~(R3_BIT(CPU_PHYSICAL_BITS) - 1) | X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D | X86_PTE_PS | X86_PTE_G)

bool vcpu_load_pdptes(struct vcpu *vcpu, uint64_t cr3)
{
	uint64_t pdpte[SPT_PDPTES];
	if (vcpu_paging_mode(vcpu) != SPT_PAE)
		return true;
	/* What is no RAM reads as zeros, as other tables there do. */
	if (!gm_read(&vcpu->vm->mem, cr3 & X86_CR3_PAE_ADDR, pdpte, sizeof(pdpte)))
		memset(pdpte, 0, sizeof(pdpte));
	for (unsigned i = 0; i < SPT_PDPTES; i++)
		if ((pdpte[i] & X86_PTE_P) && (pdpte[i] & PDPTE_RESERVED))
			return false;
	memcpy(vcpu->pdpte, pdpte, sizeof(pdpte));
	return true;
}

/* Control words as after reset; the rest of the image is "initial". */
void vcpu_fpu_reset(void *image, unsigned size)
{
	const uint16_t fcw = X86_FCW_RESET;
	const uint32_t mxcsr = X86_MXCSR_RESET;
	memset(image, 0, size);
	memcpy((uint8_t *)image + X86_FPU_FCW, &fcw, sizeof(fcw));
	memcpy((uint8_t *)image + X86_FPU_MXCSR, &mxcsr, sizeof(mxcsr));
}

void vcpu_fpu_sanitize(void *image, unsigned size, uint64_t components)
{
	uint8_t *at = image;
	uint64_t present;
	uint32_t mxcsr;
	if (size < X86_FPU_EXTENDED)
		return;
	memcpy(&mxcsr, at + X86_FPU_MXCSR, sizeof(mxcsr));
	mxcsr &= X86_MXCSR_WRITABLE;
	memcpy(at + X86_FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	memcpy(&present, at + X86_FPU_HEADER, sizeof(present));
	present &= components;
	/* XRSTOR clears the pointers of an x87 in its initial state; only who executes goes on with them
	 * (native_pointers.c). */
	if (!(present & X86_XCR0_X87))
		memset(at + X86_FPU_FOP, 0, X86_FPU_MXCSR - X86_FPU_FOP);
	memset(at + X86_FPU_SOFTWARE, 0, X86_FPU_EXTENDED - X86_FPU_SOFTWARE);
	memcpy(at + X86_FPU_HEADER, &present, sizeof(present));
}

void vcpu_cpuid(struct vcpu *vcpu)
{
	const struct cpuid_query query = {(uint32_t)vcpu->gpr[RAX],
					  (uint32_t)vcpu->gpr[RCX],
					  vcpu->cr4,
					  vcpu->xcr0,
					  vcpu->id,
					  vcpu->vm->vcpu_count,
					  !(vcpu->apic_base & X86_APIC_BASE_ENABLE),
					  vcpu->misc_enable,
					  vcpu_is_long(vcpu)};
	uint32_t answer[CPUID_REGISTERS];
	bool users = vcpu->cpl == 3 && vcpu_code_bits(vcpu) == 64;
	if (users ? vcpu->vm->cpu.host_users : vcpu->vm->cpu.host_kernel)
		host_cpuid_raw(query.leaf, query.subleaf, answer);
	else
		cpu_cpuid(&vcpu->vm->cpu, &query, answer);
	vcpu->gpr[RAX] = answer[CPUID_EAX];
	vcpu->gpr[RBX] = answer[CPUID_EBX];
	vcpu->gpr[RCX] = answer[CPUID_ECX];
	vcpu->gpr[RDX] = answer[CPUID_EDX];
}
