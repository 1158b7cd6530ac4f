/*
 * The virtual processor: the state the guest believes it has. While guest code runs, its general registers are in the
 * engine's hands; between exits everything is here. Only the vCPU's own thread touches it.
 */
#ifndef MONITOR_VM_VCPU_H
#define MONITOR_VM_VCPU_H

#include <stdbool.h>
#include <stdint.h>

#include "hypercalls/abi.h"
#include "hypercalls/x86.h"
#include "shadowpt/shadowpt.h"

struct vm;
struct engine_vcpu;
struct gm_fault;
struct state_list;

/* General registers in the order the instruction encoding numbers them (SDM 2A 2.2.1). */
enum vcpu_gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, GPR_COUNT };

/* Segment registers in the order the encoding numbers them (SDM 2A table 2-2). */
enum vcpu_sreg { SREG_ES, SREG_CS, SREG_SS, SREG_DS, SREG_FS, SREG_GS, SREG_COUNT };

/* The visible and hidden parts of a segment register, LDTR or TR. */
struct vcpu_segment {
	uint16_t selector;
	bool present;	/* a descriptor is loaded (false: null selector) */
	uint32_t limit; /* in bytes */
	uint64_t base;
	uint64_t descriptor; /* the 8 bytes it was loaded from */
};

struct vcpu_table {
	uint64_t base;
	uint16_t limit;
};

#define VCPU_NO_LINE 0xff

/* Memory type range registers, the fixed ones by the memory that each of their eight bytes stands for. */
#define VCPU_MTRR_RANGES 8
enum { VCPU_MTRR_64K, VCPU_MTRR_16K, VCPU_MTRR_4K = VCPU_MTRR_16K + 2, VCPU_MTRR_FIXED = VCPU_MTRR_4K + 8 };
struct vcpu_mtrr {
	uint64_t all_else, range[2 * VCPU_MTRR_RANGES], fixed[VCPU_MTRR_FIXED];
};

/* An exception or interrupt on its way to the guest. */
struct vcpu_event {
	uint8_t vector;
	bool has_error;
	bool breakpoint; /* #DB of an instruction breakpoint: a fault whose frame has RF clear */
	uint32_t error;
	uint64_t cr2; /* #PF only */
	enum {
		EVENT_FAULT,	       /* exception; RIP at the instruction */
		EVENT_TRAP,	       /* exception; RIP after the instruction (#DB of single step) */
		EVENT_INTERRUPT,       /* external */
		EVENT_SOFT,	       /* INT n, INT3, INTO: DPL of the gate is checked */
		EVENT_PRIVILEGED_SOFT, /* ICEBP: software, but no DPL check */
	} kind;
	uint8_t line;	/* EVENT_INTERRUPT: of the interrupt controller, VCPU_NO_LINE for an event channel */
	uint8_t length; /* EVENT_SOFT, EVENT_PRIVILEGED_SOFT: bytes of the instruction; RIP goes back by so much when
			   delivery itself faults */
};

#define VCPU_CHAIN_MAX 8

/* An exception frame that was pushed on the guest's stack: where it lies, and what it said when it was made. */
struct vcpu_frame {
	uint64_t gva; /* of the saved RIP, which CS, RFLAGS, RSP and SS follow */
	uint64_t rip;
	uint16_t cs;
	uint8_t vector;
};
#define VCPU_FRAMES 16

struct vcpu {
	struct vm *vm;
	unsigned id;
	struct engine_vcpu *engine; /* the engine's own, opaque elsewhere */

	/* Current when the vCPU is stopped. rflags: IF and IOPL here are the virtual ones, see vcpu_if(). */
	uint64_t gpr[GPR_COUNT];
	uint64_t rip;
	uint64_t rflags;
	unsigned cpl;

	uint64_t cr0, cr2, cr3, cr4, cr8, xcr0;
	uint64_t pdpte[SPT_PDPTES]; /* of PAE paging, see vcpu_load_pdptes */
	uint64_t dr[8];		    /* 4 and 5 unused */
	struct vcpu_segment sreg[SREG_COUNT], ldtr, tr;
	struct vcpu_table gdtr, idtr;
	uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base, apic_base, pat, tsc_aux;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip, mcg_status, misc_enable, hwcr, de_cfg;
	struct vcpu_mtrr mtrr;
	uint32_t pkru;
	uint64_t pkrs;
	uint64_t tsc_offset; /* guest TSC = host TSC + this, for RDMSR; RDTSC itself runs directly */
	/* FS and GS base live in sreg[].base; the engine carries them in and out of the running cell. */

	bool halted;	       /* HLT or block: wait for an interrupt */
	bool wakes;	       /* and whoever halted it ends that himself, whether interrupts are on or not */
	bool interrupt_shadow; /* the instruction after STI, MOV SS, POP SS: no interrupt before it */
	bool debug_shadow;     /* and it is that of a load of SS: what breakpoints have to say waits too */
	uint8_t data_hits;     /* DR6.B0 to B3 of data that instructions have touched, not told yet */

	/* NMI: one was taken and IRET has not come; it has, and the run loop has not looked yet whether another waits.
	 */
	enum { NMI_OPEN, NMI_BLOCKED, NMI_RELEASED } nmi;

	bool interrupt_waits; /* at the controller or as an event; set by the run loop before each entry */
	bool window_wanted;   /* an interrupt waits for the shadow to end: the engine stops after one instruction */

	/* Paravirtual side. All set by hypercalls. */
	struct {
		uint64_t shared_gpa; /* 0: none registered */
		bool has_traps;	     /* trap table installed: it stands in for the IDT */
		struct r3_trap_entry traps[X86_VEC_COUNT];
		uint64_t rsp0;
		uint64_t double_fault_stack; /* 0: none */
		uint8_t event_vector;	     /* 0: none */
		uint64_t syscall_entry;
		uint64_t user_root; /* CR3 of user mode; 0: as in kernel mode */
		bool direct;	    /* FPU, FS and GS base are user mode's alone (R3_CALLBACK_DIRECT) */
		bool sites;	    /* places of SYSCALL may be made cheaper (R3_CALLBACK_SITES) */
	} pv;

	/* A hypercall that gave way to what asked for attention: it goes on before the next guest instruction. */
	struct {
		bool unfinished;
		uint64_t entries; /* of a multicall, finished */
		uint64_t updates; /* of an mmu_update, alone or as the multicall's present entry, made */
	} call;

	/* A page fault of user mode that the guest is handling: once its tables permit the access, it is filled at
	 * once. */
	struct {
		bool wanted;
		uint32_t access; /* X86_PF_* bits, as spt_fault takes them */
		uint64_t gva, root;
	} refill;

	/* Set by a debugger (monitor/debug/gdb/gdb.h, lockstep.h), obeyed by engines. */
	struct {
		bool attached; /* every exit comes to the monitor, one by one: no direct entry, no looking on */
		bool step;     /* run one instruction; the engine clears it when that was through without an exit */
		bool hold;     /* no interrupt is taken */
		bool pause;    /* an engine that interprets stops (EXIT_KICK) before each sensitive instruction ... */
		bool paused;   /* ... and says so */
	} debug;

	bool event_pending; /* `event` is to be delivered before the next guest instruction */
	struct vcpu_event event;

	/* The exceptions that led to the present delivery, oldest first, for double faults and the crash report. */
	struct vcpu_event chain[VCPU_CHAIN_MAX];
	unsigned chain_len;
	/* The chain of the latest delivery that reached a handler: what a report shows of a guest that died later. */
	struct vcpu_event last_chain[VCPU_CHAIN_MAX];
	unsigned last_chain_len;

	/* The latest frames, a ring: a backtrace goes on behind those that are still there. */
	struct vcpu_frame frames[VCPU_FRAMES];
	unsigned frame_next;
};

/* The list of its state (state.h), and those of its segments and tables. */
extern const struct state_list vcpu_state, vcpu_segment_state, vcpu_table_state;

/*
 * A vCPU as the guest is entered: long mode, paging on, interrupts off, flat segments (BOOT_CS, BOOT_DS), all general
 * registers zero; CR3, RIP and RSP are the caller's to set. NULL when memory is out.
 */
struct vcpu *vcpu_create(struct vm *vm, unsigned id);
void vcpu_free(struct vcpu *vcpu);

/* The XSAVE image, `size` bytes in standard form (SDM 1 13.4), of an FPU that was not used since reset. */
void vcpu_fpu_reset(void *image, unsigned size);
/*
 * For every such image that comes from where guest code, or a debugger, can write: without what would make XRSTOR fault
 * (SDM 1 13.8.1), or names components other than `components`, and without the notes that the host's kernel keeps in
 * the room left for software.
 */
void vcpu_fpu_sanitize(void *image, unsigned size, uint64_t components);

/*
 * Queues an exception for delivery before the next guest instruction. An exception that is raised while another is
 * being delivered becomes a double or triple fault in inject.c, not here. All are faults (RIP at the instruction), but
 * for vcpu_raise of #DB, which is the trap of a single step: DR6.BS is set, RIP is after the instruction.
 */
void vcpu_raise(struct vcpu *vcpu, uint8_t vector);
void vcpu_raise_error(struct vcpu *vcpu, uint8_t vector, uint32_t error);
void vcpu_raise_page_fault(struct vcpu *vcpu, uint64_t gva, uint32_t error);
/* What a failed access through guest_mem.h asks for. */
void vcpu_raise_fault(struct vcpu *vcpu, const struct gm_fault *fault);
/* INT n, INT3 of `length` bytes was executed, RIP is after it. ICEBP likewise, with vcpu_raise_icebp. */
void vcpu_raise_soft(struct vcpu *vcpu, uint8_t vector, uint8_t length);
void vcpu_raise_icebp(struct vcpu *vcpu, uint8_t length);
/* #DB for these of DR0 to DR3: as a fault before the instruction, or as a trap behind it. */
void vcpu_raise_breakpoint(struct vcpu *vcpu, unsigned hits, bool before);
/* DR6 for a #DB: which of DR0 to DR3 have led to it; what else is set stays (SDM 3B 17.2.3). */
void vcpu_debug_hits(struct vcpu *vcpu, unsigned hits);
/* An external interrupt (or a paravirtual event) is taken; the caller saw inject_window_open(). */
void vcpu_raise_interrupt(struct vcpu *vcpu, uint8_t vector);

/* "#GP" and so on, "interrupt" for vectors that are no exception's. */
const char *vcpu_vector_name(uint8_t vector);

/* The vCPU's slot in the shared-info page; NULL while none is registered. All in it is hostile. */
struct r3_vcpu_info *vcpu_shared(struct vcpu *vcpu);

/*
 * The one virtual interrupt flag: in the shared-info page once the guest registered it, in rflags before. rflags.IF is
 * brought up to date by vcpu_rflags(), which gives the image that PUSHF, exception frames and SYSCALL would show.
 */
bool vcpu_if(struct vcpu *vcpu);
void vcpu_set_if(struct vcpu *vcpu, bool enabled);
uint64_t vcpu_rflags(struct vcpu *vcpu);
/* Loads an RFLAGS image: reserved bits fixed, VM as it was, IF through vcpu_set_if. */
void vcpu_set_rflags(struct vcpu *vcpu, uint64_t image);

static inline unsigned vcpu_iopl(const struct vcpu *vcpu)
{
	return (vcpu->rflags & X86_RFLAGS_IOPL) >> X86_RFLAGS_IOPL_SHIFT;
}

/* ------------------------------------------------------------------------------------------------ modes (SDM 3A 2.2)
 */

static inline bool vcpu_is_protected(const struct vcpu *vcpu)
{
	return vcpu->cr0 & X86_CR0_PE;
}

/* IA-32e mode: 64-bit and compatibility mode. */
static inline bool vcpu_is_long(const struct vcpu *vcpu)
{
	return vcpu->efer & X86_EFER_LMA;
}

static inline bool vcpu_is_v86(const struct vcpu *vcpu)
{
	return vcpu->rflags & X86_RFLAGS_VM;
}

/* Segments are a selector times 16: real mode and virtual 8086 mode. */
static inline bool vcpu_is_8086(const struct vcpu *vcpu)
{
	return !vcpu_is_protected(vcpu) || vcpu_is_v86(vcpu);
}

/* Default operand and address size of code, 16, 32 or 64, by what CS was loaded with; real mode too (SDM 3A 9.9.2). */
static inline unsigned vcpu_code_bits(const struct vcpu *vcpu)
{
	uint64_t d = vcpu->sreg[SREG_CS].descriptor;

	if (vcpu_is_long(vcpu) && (d & X86_DESC_L))
		return 64;
	return d & X86_DESC_DB ? 32 : 16;
}

/* How many bits of the stack pointer pushes and pops use. */
static inline unsigned vcpu_stack_bits(const struct vcpu *vcpu)
{
	if (vcpu_code_bits(vcpu) == 64)
		return 64;
	return vcpu->sreg[SREG_SS].descriptor & X86_DESC_DB ? 32 : 16;
}

/* The linear address of offset `rip` in the code segment. */
static inline uint64_t vcpu_code_address(const struct vcpu *vcpu, uint64_t rip)
{
	return vcpu_code_bits(vcpu) == 64 ? rip : (uint32_t)(vcpu->sreg[SREG_CS].base + rip);
}

/* Where memory has the local APIC's register; nowhere: an address that there is none of. */
static inline uint64_t vcpu_apic_gpa(const struct vcpu *vcpu, unsigned offset)
{
	bool mapped = (vcpu->apic_base & X86_APIC_BASE_ENABLE) && !(vcpu->apic_base & X86_APIC_BASE_X2APIC);

	return mapped ? (vcpu->apic_base & X86_PTE_ADDR) + offset : UINT64_MAX;
}

static inline bool vcpu_canonical(uint64_t gva)
{
	return (uint64_t)((int64_t)(gva << 16) >> 16) == gva;
}

/* The CR3 of user mode, and the one in force at the present CPL: a paravirtual guest may have one for each. */
static inline uint64_t vcpu_user_root(const struct vcpu *vcpu)
{
	return vcpu->pv.user_root ? vcpu->pv.user_root : vcpu->cr3;
}

static inline uint64_t vcpu_root(const struct vcpu *vcpu)
{
	return vcpu->cpl == 3 ? vcpu_user_root(vcpu) : vcpu->cr3;
}

/* Misaligned accesses are #AC (SDM 3A 6.15): the guest's CR0 and CPL decide, not the host's. */
static inline bool vcpu_checks_alignment(const struct vcpu *vcpu)
{
	return vcpu->cpl == 3 && (vcpu->cr0 & X86_CR0_AM) && (vcpu->rflags & X86_RFLAGS_AC);
}

/* By what CR0, CR4 and EFER say now. */
static inline enum spt_paging vcpu_paging_mode(const struct vcpu *vcpu)
{
	if (!(vcpu->cr0 & X86_CR0_PG))
		return SPT_NO_PAGING;
	if (!(vcpu->cr4 & X86_CR4_PAE))
		return SPT_32_BIT;
	return vcpu_is_long(vcpu) ? SPT_4_LEVEL : SPT_PAE;
}

/* CPUID with the leaf in RAX and RCX, as the instruction does it. */
void vcpu_cpuid(struct vcpu *vcpu);

/* Loads the page-table root, as MOV CR3 does; false if a reserved bit is set, nothing is changed then. */
bool vcpu_load_cr3(struct vcpu *vcpu, uint64_t value);
/*
 * Loads the registers of PAE paging from the table at cr3, as MOV CR3 does, and MOV CR0 and MOV CR4 that change CD, NW,
 * PG, PAE, PGE, PSE, SMEP or SMAP (SDM 3A 4.4.1). False: a present one has reserved bits set, nothing is changed, the
 * instruction is #GP(0). In other paging modes it is true and does nothing: what is to change must have changed.
 */
bool vcpu_load_pdptes(struct vcpu *vcpu, uint64_t cr3);

/* The paging registers of this vCPU at its present CPL in the form shadowpt takes. */
struct spt_cpu vcpu_paging(const struct vcpu *vcpu);

#endif
