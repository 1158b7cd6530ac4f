/*
 * From the bytes of guest code to a block of host code that runs in ring 3 in the place of the guest's ring 0: a pure
 * function of the bytes, of where they lie and of where the block will lie. Most instructions are copied as they are
 * (identical translation), since general registers, flags and memory are the guest's own. What is rewritten: operands
 * relative to RIP, and transfers of control, because the code lies elsewhere than the guest believes. What is
 * sensitive, or unknown here, leaves the block through a stub.
 *
 * The state is precise: at every host instruction of a block it is known which guest instruction is next and what is to
 * be put back. bt_locate finds out by compiling once more.
 */
#ifndef MONITOR_ENGINE_TRANSLATE_COMPILE_H
#define MONITOR_ENGINE_TRANSLATE_COMPILE_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/emulate/emulate.h"
#include "monitor/engine/trap/gate.h"

/* What emitted code depends on beside the bytes; part of a block's key. A mode or a form of memory is one more bit. */
#define BT_FPU	    1u	   /* x87, MMX and SSE instructions may run: else they leave */
#define BT_AVX	    2u	   /* likewise VEX, EVEX and XSAVE */
#define BT_X87	    BT_AVX /* without BT_FPU: x87 and MMX alone */
#define BT_USER	    4u	   /* code of user mode; of BT_NARROW alone */
#define BT_FLAVOURS 8
/* These change so rarely that the cache is emptied for it. */
#define BT_IF	 8u  /* the interrupt flag is bt_state's */
#define BT_CLOCK 16u /* RDTSC runs directly */
#define BT_READ	 32u /* registers that are only read are bt_state's */
#define BT_BASES 64u /* FS and GS have the guest's bases: else what goes through them leaves */
/*
 * Code of 32 bits in flat segments, for a window of 4 GiB: narrow.h. Of FS and GS one is the guest's, with BT_BASES:
 * FS, with BT_USER GS.
 */
#define BT_NARROW  128u
#define BT_UPPER   256u	 /* memory lies as in FORM_UPPER, see upper.c */
#define BT_SWAPS   512u	 /* GS has the base of what the guest loaded last, and instructions change it */
#define BT_LOADS   1024u /* which the guest has as well */
#define BT_GS_SLOT 2048u /* BT_UPPER: the guest's base of GS is in bt_state.gs, and not in GS */

/* Where the window lies: all 4 GiB around it are empty, but for what the guest has there. */
#define BT_WINDOW_BASE 0x100000000000u
#define BT_WINDOW_SIZE 0x100000000u
/* User mode's own, where both share a cell: above, since what a segment's base adds leads up. */
#define BT_WINDOW_USER (BT_WINDOW_BASE + 16 * BT_WINDOW_SIZE)

/* BT_UPPER: how far up memory lies in the cell, modulo 2^64. */
#define UPPER_BASE 0x7fffffe00000ull
/* User memory is reached in pieces that begin at multiples of 2^40: bits 40 to 55 of an address, two bytes of it. */
#define USER_SLOT_SIZE (1ull << 40)
/* What lies between two: more than an operand is long. */
#define USER_SLOT_GUARD (1ull << 21)
#define USER_SLOT_BYTE	5

/* Guest instructions in a block, and the bytes that suffice for any block. */
#define BT_INSNS     32
#define BT_BLOCK_MAX 4096
/* The sequence of one instruction and its padding. */
#define BT_SEQUENCE_MAX 448
#define BT_EXITS	(BT_INSNS + 2)
#define BT_ALIGN	16

/* What the emitted code refers to: host addresses within 2 GiB of the block, but for tables. */
struct bt_place {
	uint64_t host;	    /* where the block will lie, a multiple of BT_ALIGN */
	uint64_t state;	    /* struct bt_state */
	uint64_t table;	    /* for indirect jumps: one host address for each value of the low 16 bits of the target */
	uint64_t identity;  /* struct bt_identity, BT_IDENTITIES of them */
	uint64_t slots;	    /* of BT_UPPER: what to add to an address, by its bits 40 to 55 */
	uint64_t hypercall; /* the gate's entry for hypercalls */
	uint64_t callout;   /* the gate's entry for exits; 0: UD2 makes the exit */
	/* Likewise for IRETQ and SYSRET, which the gate may take to user mode by itself, and MOV to CR3, which it may
	 * do. */
	uint64_t iret, sysret, root;
	bool narrow;	     /* of BT_NARROW */
	uint64_t window;     /* likewise: the base of GS */
	bool sets_bases;     /* likewise: WRFSBASE can be executed */
	uint64_t cross[4];   /* likewise: the ways of bt_compile_crossing; 0: those instructions leave */
	uint64_t callout_id; /* where the stub says which it is: the low 32 bits of its own address */
};

/* BT_NARROW. Gates that are known, by vector; segments that can be loaded without the monitor, by selector. */
#define BT_GATES 4
#define BT_KNOWN 16

/* What a descriptor was when the monitor saw what it does, and where the cell sees it. */
struct bt_described {
	uint64_t at, is;
};

struct bt_gate {
	uint64_t vector;
	struct bt_described gate;
	uint64_t target; /* RIP of the handler */
	uint64_t kept;	 /* of RFLAGS */
};

struct bt_known {
	uint64_t selector, flat; /* for FS and GS; for DS and ES */
	struct bt_described descriptor;
	uint64_t base[2];    /* of FS or GS in the cell: for the kernel, for user mode */
	uint64_t privileged; /* not 0: IRET to user mode would have it no longer */
};

/* The segments that gates and IRET lead to. */
enum bt_cross_segment { BT_KERNEL_CS, BT_KERNEL_SS, BT_USER_CS, BT_USER_SS, BT_CROSS_SEGMENTS };

/* Of a register of a device: no code reads or writes there. */
#define BT_NO_ADDRESS UINT64_MAX

/*
 * What emitted code keeps beside registers, in a page that kernel cells can write: hostile to the monitor, which reads
 * each field once.
 */
struct bt_state {
	uint64_t rax, rcx;	     /* the guest's while a sequence uses them; an indirect jump RCX alone */
	uint64_t scratch, scratch2;  /* of the registers that hold the address of an operand, and more */
	uint64_t address;	     /* one that is looked up */
	uint64_t moved_di, moved_si; /* what has been added to these registers */
	uint64_t target;	     /* of the indirect jump under way */
	uint64_t source;	     /* host address in the sequence that made the jump */
	/* Written by the monitor before each entry; translated code changes iflag. */
	uint64_t iflag;	 /* RFLAGS.IF in its place, or 0 */
	uint64_t pushed; /* to be added to what PUSHF pushes, beside iflag */
	/* Bits of RFLAGS: POPF of one of them is the monitor's, IF or, which all have, FIXED. Not 0: so are STI, IRET.
	 */
	uint64_t hold;
	uint64_t cr0, cr2, cr4, cr8, ldtr, tr, tsc_aux;
	struct gate_root root; /* CR3 */
	uint64_t selector[6];  /* in the order of the encoding */
	/* What a load is compared with that changes nothing; where the descriptor lies in the cell. */
	uint64_t match[6], described[6], described_at[6];
	uint64_t stack[4]; /* for host instructions that use one */
	/* BT_NARROW. Written by the monitor and by ways between the levels. */
	uint64_t level;	    /* 0 or 3; the store to it is what makes a way done */
	uint64_t crossings; /* ever */
	uint64_t may[4];    /* not 0: the ways of bt_compile_crossing may be gone */
	uint64_t cross_selector[BT_CROSS_SEGMENTS];
	struct bt_described cross_segment[BT_CROSS_SEGMENTS];
	uint64_t tss_at;
	uint64_t sysenter_esp, sysenter_eip;
	struct bt_gate gates[BT_GATES];
	/* Of FS in the cell, for the kernel and for user mode. */
	uint64_t fs_base[2];
	uint64_t privileged[6]; /* as in bt_known */
	uint64_t loaded[6];	/* host address of the bt_known that was loaded last; 0: none */
	uint64_t nothing;
	/* A device's register that does not change by itself: its gva, BT_NO_ADDRESS if there is none; what it holds.
	 */
	uint64_t constant_at, constant;
	/*
	 * EOI by a store, at this gva (BT_NO_ADDRESS: nowhere), or by its MSR, without the monitor: not 0: it may be,
	 * and 0 says that it was. IA32_TSC_DEADLINE likewise: values from `from` on, and what was written last, 0:
	 * nothing.
	 */
	struct {
		uint64_t at, by_store, by_msr;
	} end;
	struct {
		uint64_t from, written;
	} deadline;
	uint64_t upper; /* UPPER_BASE where guest memory lies so, else 0 */
	uint64_t held;	/* not 0: CR8 keeps an interrupt waiting, and writing it is the monitor's */
	/* The base of GS of BT_GS_SLOT, and the one that SWAPGS loads; as the cell is to have them. */
	uint64_t gs, kernel_gs;
	uint64_t fs; /* BT_UPPER: the guest's base of FS */
	uint64_t msr, efer;
	struct {
		uint64_t limit, base;
	} gdtr, idtr;
	struct {
		uint64_t at, end; /* where the cell has the GDT; offsets of whole descriptors are less */
	} descriptors;
	uint64_t dr[8]; /* 4 and 5 unused */
	/*
	 * Where the cell has the gate of #DE, what it must say, and where it leads; what remains of iflag. `delivered`
	 * is how often.
	 */
	struct {
		uint64_t at, low, high, handler, keeps, delivered;
	} gate;
	/*
	 * Where the cell has the FPU's state while it is lent to user mode, 0: it has not, or the guest may not use it;
	 * its components; those that the guest has enabled; what its images must not name; and what it asks for.
	 */
	struct {
		uint64_t at, components, enabled, refused, asked[2];
	} fpu;
	struct bt_known known[BT_KNOWN + 1]; /* the first one is never found */
	uint16_t known_at[UINT8_MAX + 1];    /* by the low byte of the selector: offset of one in the state */
};

/*
 * What CPUID answers to a question: the leaf in its lower half, the subleaf in the upper one. Here is its negative, so
 * that their sum tells whether it is this one.
 */
struct bt_identity {
	uint64_t question;
	uint32_t eax, ebx, ecx, edx;
	uint64_t reserved;
};
/* By the sum of the leaf's first and last byte. */
#define BT_IDENTITIES 512
static inline unsigned bt_identity_of(uint32_t leaf)
{
	return (leaf & 0xff) + (leaf >> 24);
}

/* What is known of an instruction. */
enum bt_site {
	BT_SITE_USER,	 /* BT_UPPER: its operand is user memory */
	BT_SITE_DIVIDES, /* a division that comes to #DE */
	BT_SITE_DEVICE,	 /* a store to bt_state.end.at; BT_NARROW: a load that reads bt_state.constant_at */
	BT_SITES
};

struct bt_source {
	uint64_t gva;
	const uint8_t *bytes; /* a private copy */
	unsigned len;	      /* up to the end of the page, or all of an instruction that reaches into the next */
	unsigned flavour;
	const struct cpu *model; /* may lack what the host's processor executes; NULL: it does not */
	bool hypercall;		 /* not the bytes count: it is the entry of the hypercall page */
	/* What faults taught of places in the code: bits by enum bt_site for each byte of the page; NULL: site_mask
	 * says it. */
	const uint8_t *sites;
	uint32_t site_mask[BT_SITES]; /* by number in the block */
};

enum bt_exit_kind {
	BT_LINK, /* to `target`; the jump at `patch` goes to the stub until it is linked */
	BT_INSN, /* the instruction at `target` is the monitor's to execute */
};

/* Which of the gate's entries the stub of a BT_INSN goes to. */
enum bt_door { BT_CALLOUT, BT_IRET, BT_SYSRET, BT_ROOT };

struct bt_exit {
	enum bt_exit_kind kind;
	enum bt_door door;
	uint16_t patch; /* offset of the 32-bit displacement, 0: none */
	uint16_t stub;	/* offset of the stub */
	uint64_t target;
};

struct bt_code {
	uint8_t bytes[BT_BLOCK_MAX];
	unsigned len;
	unsigned stubs;	    /* offset of the first stub */
	unsigned guest_len; /* bytes of guest code that the block stands for; 0: not even one instruction */
	unsigned insns;
	bool calls, leaves;			      /* ends with a call, or what leaves: comes back to behind it */
	bool bases;				      /* goes through FS or GS, or would with BT_BASES */
	uint32_t site_mask[BT_SITES];		      /* to compile the same again */
	uint16_t start[BT_INSNS], guest_at[BT_INSNS]; /* of each: the offset of what was emitted, and of its bytes */
	unsigned inside_count;
	uint16_t inside[BT_INSNS]; /* emu_id of the sensitive ones among them that are done in the cache */
	unsigned exit_count;
	struct bt_exit exits[BT_EXITS];
};

/* Compiles the block at source->gva. False: its first instruction cannot be decoded, or not within the bytes. */
bool bt_compile(const struct bt_source *source, const struct bt_place *place, struct bt_code *code);

/* What to do to a vCPU that stopped inside a block, so that it is at an instruction's boundary. */
enum bt_undo {
	BT_EXACT,
	BT_SCRATCH,   /* bt_state.scratch belongs in `reg` */
	BT_PAIR,      /* and bt_state.scratch2 in `reg2` */
	BT_STACK,     /* `reg` holds the guest's RSP; bt_state.scratch belongs there */
	BT_AUX,	      /* bt_state.tsc_aux belongs in RCX */
	BT_COUNTER,   /* bt_state.rcx belongs in RCX */
	BT_BOTH,      /* and bt_state.rax in RAX */
	BT_POPPED,    /* as BT_COUNTER, and IF is as in RCX */
	BT_STATUS,    /* as BT_BOTH, and the arithmetic flags are in AX as LAHF and SETO AL left them */
	BT_GIVEN,     /* as BT_STATUS, and `reg` becomes RCX as it is now */
	BT_DELIVERS,  /* as BT_STATUS, and RSP is bt_state.scratch */
	BT_DELIVERED, /* as BT_STATUS, and RIP is bt_state.target */
	BT_RETURNS,   /* as BT_BOTH, RIP is bt_state.target, RSP bt_state.scratch, the flags are in bt_state.stack[0] */
	BT_FOUR,      /* as BT_BOTH, bt_state.scratch belongs in RDX and scratch2 in RBX */
	BT_LENT,      /* likewise; an exception, but for page faults, may be none of the guest's */
	BT_SWAPPED,   /* as BT_BOTH, and bt_state.kernel_gs is to be RAX */
	BT_WINDOW,    /* BT_NARROW, of all whose upper halves are cleared: that suffices */
	BT_KEPT,      /* BT_NARROW: RCX is in R10 */
	BT_MOVED,     /* BT_NARROW: `reg` is in R8 */
	BT_ALL,	      /* BT_NARROW: all registers but RSP are in R8 and following */
	BT_BORROWED,  /* BT_NARROW: RSP is in R9 */
	BT_FLAGS,     /* as BT_BORROWED, and IF is as in R8 */
	BT_JUMPED,    /* BT_NARROW, an indirect jump: RCX is in R10, RIP in R8 */
	BT_UNDERWAY,  /* an indirect jump: bt_state.rcx belongs in RCX, bt_state.target in RIP; where bt_state.source
			 lies, the jump itself can be undone */
};

struct bt_locus {
	uint64_t rip;
	enum bt_undo undo;
	uint8_t reg, reg2;
	bool moved_di, moved_si; /* bt_state.moved_di is to be taken off RDI; likewise */
	bool shadow;		 /* no interrupt before the next instruction */
	int32_t rsp;		 /* to be added to RSP */
	unsigned resume;	 /* with that done, the block may go on at this offset; BT_NOWHERE: it cannot */
};
#define BT_NOWHERE ~0u
/* Of code of BT_NARROW, in the order of the encoding; what is not to change stays. */
void bt_undo_narrow(const struct bt_locus *locus, uint64_t gpr[16], uint64_t *rip, bool *enabled);

/* What POPF may load without the monitor: the processor takes all but IF from the image itself. */
#define BT_POPF_FREE                                                                                                   \
	(X86_RFLAGS_CF | X86_RFLAGS_FIXED | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF |            \
	 X86_RFLAGS_IF | X86_RFLAGS_DF | X86_RFLAGS_OF | X86_RFLAGS_ID)

/* Where the guest is when the host instruction at this offset of the block, before the stubs, is next. */
bool bt_locate(const struct bt_source *source, const struct bt_place *place, unsigned offset, struct bt_locus *locus);

/*
 * The check in front of a block that is reached by an indirect jump: goes to `body` if the jump's target is gva, else
 * to the next check for the same entry of the table: its displacement is that at offset *otherwise. Writes at most
 * BT_THUNK_MAX bytes for place->host and returns how many.
 */
#define BT_THUNK_MAX 64
unsigned bt_compile_thunk(const struct bt_place *place, uint64_t gva, uint64_t body, unsigned *otherwise,
			  uint8_t *bytes);
/*
 * Where SYSCALL enters from user mode: interrupts are masked, CS and SS are the selectors, then as at `body`. At most
 * BT_THUNK_MAX bytes too.
 */
unsigned bt_compile_entry(const struct bt_place *place, uint16_t cs, uint16_t ss, uint64_t body, uint8_t *bytes);
/*
 * BT_NARROW, where kernel and user mode share a cell: what INT, IRET, SYSENTER and SYSEXIT lead to. R15 has RIP of the
 * instruction. INT: R9 that of the next one, R14 the vector. SYSENTER, SYSEXIT: R10 has RCX, R14 is not 0 behind STI.
 * Where anything is not as the monitor knows it, the way ends in a stub.
 */
enum bt_cross { BT_CROSS_IN, BT_CROSS_OUT, BT_CROSS_ENTER, BT_CROSS_EXIT, BT_CROSSES };
/* It goes from user mode. */
static inline bool bt_crosses_in(enum bt_cross way)
{
	return way == BT_CROSS_IN || way == BT_CROSS_ENTER;
}
#define BT_CROSSING_MAX 1024
/* `other`: of the code that the way leads to; its table, and its window. */
unsigned bt_compile_crossing(const struct bt_place *place, const struct bt_place *other, enum bt_cross way,
			     uint8_t *bytes);
/* Where the guest is when the host instruction at this offset of it is next. */
enum bt_stage {
	BT_BEFORE, /* RIP is R15 */
	BT_BORROW, /* likewise, and RSP R11 */
	BT_DECIDE, /* likewise, and RFLAGS with IF are R10 */
	BT_BEHIND, /* RIP is R8, RSP R13, RFLAGS with IF R12 */
	BT_REFUSE, /* as BT_DECIDE: the instruction is the monitor's */
	/* Of SYSENTER and SYSEXIT, which change no other flags. */
	BT_ASIDE,   /* RIP is R15, RCX R10; R14 is not 0: no interrupt before the instruction */
	BT_DENY,    /* RIP is R15: the instruction is the monitor's */
	BT_THROUGH, /* RIP is R8, RSP R13, IF as in R12 */
};
enum bt_stage bt_locate_crossing(const struct bt_place *place, const struct bt_place *other, enum bt_cross way,
				 unsigned offset);
/* A stub by itself, as it ends blocks. */
#define BT_STUB_MAX 16
unsigned bt_compile_stub(const struct bt_place *place, uint8_t *bytes);

/* How the guest's code is decoded. */
ZydisMachineMode bt_mode(unsigned flavour);

/* What becomes of an instruction; select.c. */
enum bt_class {
	BT_COPY,
	BT_JUMP,
	BT_BRANCH, /* on a condition */
	BT_COUNT,  /* LOOP, JRCXZ */
	BT_CALL,
	BT_RETURN,
	BT_JUMP_INDIRECT,
	BT_CALL_INDIRECT,
	BT_INSIDE, /* sensitive: perhaps it can be done in the cache */
	BT_LEAVE,  /* the monitor executes it */
};
enum bt_class bt_classify(const struct emu_insn *insn, unsigned flavour);
/* It is copied where the FPU may be used; where FS and GS have the guest's bases. */
bool bt_uses_fpu(const struct emu_insn *insn);
bool bt_uses_base(const struct emu_insn *insn);

#endif
