/*
 * The engine `interpret`: a processor in software. Guest code is decoded once into blocks of struct insn, each of which
 * carries the function that executes it and its operands as that function wants them; executing a block is a chain of
 * calls from each to the next. Private to engine/interpret/.
 */
#ifndef MONITOR_ENGINE_INTERPRET_INTERP_H
#define MONITOR_ENGINE_INTERPRET_INTERP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor/emulate/emulate.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/vcpu.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* ------------------------------------------------------------------------------------------------ decoded code */

/* Slots of the register file that are no registers, for addresses: 0, RIP of the block in execution, bases of FS and
 * GS. */
enum { GPR_ZERO = GPR_COUNT, GPR_RIP, GPR_FS, GPR_GS, GPR_SLOTS };

/* How an effective address is more than base + index + displacement. */
#define EA_FS	 2u
#define EA_GS	 4u
#define EA_32	 8u  /* in 64-bit mode; elsewhere it goes without saying */
#define EA_STACK 16u /* through SS: a non-canonical address is #SS, not #GP */
#define EA_16	 32u
#define EA_SEG	 64u /* in a segment whose base, limit and rights count: insn.within says which */
#define EA_OTHER (EA_FS | EA_GS | EA_32 | EA_16 | EA_SEG)

/* What an address outside of its segment is instead: it is not canonical, so that the access faults as it should. */
#define ADDRESS_NONE R3_BIT(63)

struct engine_vcpu;
struct insn;
struct integer_entry;
struct vector_entry;
struct x87_form;
typedef void insn_function(struct engine_vcpu *c, const struct insn *i);

/* What executing by table does not need: the whole instruction, and its copy that runs natively. */
struct insn_detail {
	struct emu_insn emu;
	uint64_t code;		 /* where the confined task has the native copy; 0: none */
	uint16_t size;		 /* bytes of its memory operand, 0: none */
	uint16_t align;		 /* that operand must be aligned so; 0: need not */
	bool reads, writes, fpu; /* memory is read, written; FPU state is used */
	bool x87;		 /* the x87's too, or MMX's */
	bool masked;		 /* a mask may leave out bytes of that operand */
	bool wide;		 /* works on registers that only AVX-512 has */
	/* What executes it here after all; enum width of its first operand, or bytes of a VEX vector (0: legacy). */
	const struct integer_entry *integer;
	const struct vector_entry *vector;
	const struct x87_form *x87_form;
	uint8_t width;
	bool immediate;		/* the last operand is one */
	uint8_t first, element; /* register of the first source, or of a count; bytes of the one element concerned */
	bool alone, ends;	/* runs by itself; may follow others in one hand-over, but ends it */
	insn_function *without_prefix; /* op_branch16: the branch as it is without its prefix */
	uint8_t stand_in;	       /* register that the copy uses for RSP; 0: none */
};

struct insn {
	insn_function *run;
	union {
		int64_t disp;
		/* With EA_SEG: an address has 32 bits at most, so what stands above the displacement does not count. */
		struct {
			int32_t disp;
			uint16_t len; /* bytes accessed */
			uint8_t sreg; /* enum vcpu_sreg */
			bool write;
		} within;
	};
	int64_t imm;
	uint8_t base, index, scale, ea; /* memory operand: register slots, log2, EA_* */
	uint8_t dst, src;		/* register operands: byte offsets into the register file */
	uint8_t start, end;		/* bytes from the start of the block */
	struct insn_detail *detail;	/* NULL: not needed */
};

/* Instructions that follow each other in one page, up to a transfer of control; the last ends the block. */
struct block {
	struct block *next; /* list of blocks to be freed */
	unsigned count;	    /* guest instructions */
	bool single;	    /* of code_single */
	uint8_t turn;	    /* which of `after` is replaced next */
	/* Where control went from here, the last two places: jump_is_good. */
	struct jump {
		uint64_t gva, generation;
		struct block *block;
	} after[2];
	struct insn insn[];
};

/* Bytes of code in a block and instructions in it: a block spans less than 256 bytes. */
#define BLOCK_INSNS 32

/*
 * What decoding depends on beside the bytes: what emu_mode says (enum ZydisMachineMode), and whether segments can be
 * ignored, c->flat.
 */
#define KEY_FLAT 0x80u

/* Most pages have code in a part of them. */
#define CODE_SPAN 256

/* Code of a page of guest RAM in one mode: blocks by the offset they begin at, and the bytes they cover. */
struct code_page {
	struct code_page *next; /* of the same page in another mode */
	unsigned key, count, room;
	bool used; /* looked up since the hand of code.c came by */
	struct block **block;
	uint16_t *at[X86_PAGE_SIZE / CODE_SPAN]; /* by offset: which of `block`, from 1; 0, or no span: none */
	uint8_t covered[X86_PAGE_SIZE / 8];
};

/* ---------------------------------------------------------------------------------------------------- the state */

/*
 * Translations: tags are the page's gva with the generation in the low bits, so that one step on drops all. Generations
 * are even. Under SMAP a kernel's translations of user pages have the lowest bit set, and are found the slow way, while
 * AC is: STAC and CLAC put nothing out of date. A kernel's translations of global pages outlive a load of CR3: an old
 * tag is made new, the slow way, as long as `global` is the vCPU's. Pages that hold decoded code, or are no RAM, are
 * never in `write`: stores there go the slow way.
 */
#define TLB_GUARDED  1u
#define TLB_ENTRIES  4096
#define JUMP_ENTRIES 8192
struct tlb_entry {
	uint64_t read, write;
	uintptr_t addend; /* host address minus gva */
	uint64_t global;  /* 0: of a page that is not, or of user mode */
};

#define GLOBAL_NONE UINT64_MAX /* in user mode no translation is global */

/* For pages that code was fetched from, by their numbers' lowest bits. */
#define FETCHED_BITS (1u << 15)

struct engine_vcpu {
	union {
		uint64_t gpr[GPR_SLOTS]; /* the register file */
		struct {
			uint64_t registers[GPR_COUNT], zero;
			uint64_t base; /* RIP of the block being executed */
			uint64_t fs, gs;
		};
	};
	/* The six arithmetic flags as LAHF and SETO leave them in AX: OF in bit 0, SF ZF AF PF CF in the upper byte. */
	uint32_t flags;
	uint32_t tag; /* generation modulo the page size */
	/* What ends the run of blocks, each by itself or, `stop`, any. */
	union {
		struct {
			bool leave;  /* `exit` is set: back to the run loop */
			bool broken; /* decoded code was dropped: finish the instruction, look the next one up again */
			bool yield;  /* the instruction is complete; then back to the run loop, which may have something
					to deliver */
			bool never;
		};
		uint32_t stop;
	};
	bool one;      /* for interpret_one: never more than one instruction */
	bool single;   /* one iteration of string instructions at a time */
	bool watching; /* `watch` or the guest's debug registers name addresses: nothing goes the fast way, instructions
			  one at a time */
	bool aligned;  /* alignment is checked: nothing goes the fast way */
	bool sse, avx; /* the control registers let such instructions execute */
	/* vector_forms.c: XMM registers are good as they stand in `fpu`, and nothing stops instructions on them; MXCSR
	   is the host's instead of that in `fpu` */
	bool xmm_ready, rounding;
	/* interp_load: 64-bit mode, or CS, DS, ES and SS are writable, or code, and all of 4 GiB from 0, with a stack
	   of 32 bits: offsets in them are linear addresses. */
	bool flat;
	bool wide;		   /* 64-bit mode */
	unsigned key;		   /* KEY_* */
	uint64_t offsets;	   /* bits that an address has: all, or 32 */
	uint64_t stack;		   /* bits of RSP that stack accesses use */
	uint64_t kept;		   /* bits of RSP that they leave alone when they move it */
	uint32_t cs_limit;	   /* 64-bit mode: not looked at */
	uint64_t cs_base;	   /* 64-bit mode: 0 */
	uint64_t rip;		   /* outside 64-bit mode good as interp_rip says */
	const struct block *block; /* being executed, or the last one */
	uintptr_t deepest;	   /* quick.h: no block follows another below there */
	struct vcpu *vcpu;
	struct vm *vm;
	struct vm_exit *exit;
	struct spt_cpu paging;
	uint32_t user; /* X86_PF_U at CPL 3 */
	bool smap;     /* CR4.SMAP guards user pages, unless AC is set: then paging.smap is not */
	/* Of the translations in use; those of both modes, kernel and user, of which one may be to come (0); the
	 * newest. */
	uint64_t generation, of_mode[2], newest;
	/* Of a kernel's translations of global pages; the same in kernel mode, GLOBAL_NONE in user mode. */
	uint64_t global, global_here;
	/* What stands in the way of dropping a page's translations alone: there may be jumps to it, local or global,
	   and where large pages have been used, in each half of the addresses, it may be part of one. */
	uint64_t fetched[2][FETCHED_BITS / 64], written[FETCHED_BITS / 64]; /* frames that translations store to */
	struct {
		uint64_t first, last;
	} large[2];
	/* What the present generation of translations was made for. */
	struct {
		struct spt_cpu paging; /* smap as CR4 has it: AC changes all the time */
		uint32_t user;
		unsigned key;
		bool slow; /* watched or checked for alignment: they are not used at all */
		struct spt_remaps remaps;
		uint64_t locks; /* of frames, which no translation stores to any more */
	} valid;
	uint64_t executed; /* instructions */
	/* interpret_on: of `executed`, where it ends; by so much each sensitive instruction moves it. */
	uint64_t limit, patience;
	bool visits;	/* interpret_visit: what only cells execute ends it */
	uint64_t draws; /* RDRAND and RDSEED, where time stands still */
	unsigned met;	/* what would have been exits, since then */

	uint64_t operand[2]; /* of a vector instruction, from memory */
	/* A read-modify-write that cannot be done in place, for memory_commit. */
	struct {
		uint64_t gva;
		uint8_t bytes[64];
		unsigned size; /* 0: none */
		bool lost;     /* no RAM there */
	} bounce;

	/* For a debugger; hits as bits, of the instruction being executed or, outside, since they were asked for. */
	struct engine_watch watch;
	unsigned watch_hits;
	unsigned stops; /* of `watch`, as bits: instructions to stop before; blocks end there */
	uint64_t told;	/* address of the stop that was told last and not passed yet; INTERP_NOT_TOLD: none */

	struct code *code;
	struct native *native;
	/* The state of another engine that FPU instructions are to work on, NULL: the image here; it is here, until the
	   interpreter is left; the image is not as it was. */
	const struct engine_ops *fpu_of;
	bool borrowed, changed;
	unsigned fpu_size;
	struct tlb_entry tlb[TLB_ENTRIES];
	struct jump jump[JUMP_ENTRIES];
	uint8_t fpu[ENGINE_FPU_MAX] __attribute__((aligned(64)));
};

/* The translation is one that a load of CR3 leaves. */
static inline bool interp_is_global(const struct engine_vcpu *c, const struct spt_translation *at)
{
	return at->global && !at->user && !c->user;
}
/* What `jump` says of gva is still so: its generation is that of the translations in use, or of global ones. */
static inline bool jump_is_good(const struct engine_vcpu *c, const struct jump *jump, uint64_t gva)
{
	return jump->gva == gva && (jump->generation == c->generation || jump->generation == c->global_here);
}

static inline struct jump *jump_of(struct engine_vcpu *c, uint64_t gva)
{
	return &c->jump[gva % JUMP_ENTRIES];
}

/* Where code runs directly, this would have been an exit: see interpret_on. */
static inline void interp_met(struct engine_vcpu *c)
{
	c->met++;
	if (c->limit != UINT64_MAX)
		c->limit = c->executed + c->patience;
}

/* interpret.c: brings registers and flags from and to the vCPU. */
void interp_load(struct engine_vcpu *c);
void interp_store(struct engine_vcpu *c);
/* The linear address of RIP. */
static inline uint64_t code_address(const struct engine_vcpu *c, uint64_t rip)
{
	return likely(c->wide) ? rip : (uint32_t)(c->cs_base + rip);
}
/* RIP as the processor has it: running on beyond 4 GiB comes to 0. */
static inline uint64_t interp_rip(const struct engine_vcpu *c)
{
	return likely(c->wide) ? c->rip : (uint32_t)c->rip;
}
/* Leaves with an exception at instruction i, which has changed nothing. */
void interp_raise(struct engine_vcpu *c, const struct insn *i, uint8_t vector, uint32_t error);
/* Makes the state for a vCPU that has none. False: memory is out. */
bool interp_create(struct vcpu *vcpu);
void interp_destroy(struct vcpu *vcpu);

#define INTERP_NOT_TOLD UINT64_MAX

/* code.c */
struct code *code_create(struct engine_vcpu *c);
void code_destroy(struct engine_vcpu *c);
/* The block at c->rip; NULL after an exit was set (page fault on fetch and its like). */
const struct block *code_find(struct engine_vcpu *c);
/* The same, where control came from the end of `from`, which nothing has dropped since; NULL: from elsewhere. */
const struct block *code_find_after(struct engine_vcpu *c, const struct block *from);
/* The same of one instruction; valid until the next call. */
const struct block *code_single(struct engine_vcpu *c);
/* Drops all blocks: where they end has changed. */
void code_drop_all(struct engine_vcpu *c);
/* Frees what was dropped; no block may be in execution. */
void code_collect(struct engine_vcpu *c);
/* The page of gpa holds decoded code. */
bool code_is_at(const struct code *code, uint64_t gpa);
/*
 * Around a store of [gpa, gpa+len) that stays within a page: what is decoded from those bytes is dropped, and the
 * page's other code outlives it. `begin` before shadowpt is asked to translate for the write, `end` in any case; len 0
 * if nothing is stored. True: stores there need not be seen from now on.
 */
void code_store_begin(struct code *code);
bool code_store_end(struct engine_vcpu *c, uint64_t gpa, uint64_t len);

/*
 * decode.c: makes *i of the instruction, but for start and end; detail is allocated where it is needed. `single`: for
 * code_single, whose native copy lives in a place of its own. True: it ends the block.
 */
bool decode_insn(struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu, bool single);

/*
 * decode_quick.c: the same of bytes, without Zydis, for the commonest instructions of 64-bit code: how long it is, and
 * whether it ends the block. 0: another one.
 */
unsigned decode_quick(const struct engine_vcpu *c, struct insn *i, const uint8_t *bytes, unsigned len, bool *ends);

/* memory.c: the slow way of every access. False: the exit is set. */
void memory_flush(struct engine_vcpu *c);
/* Flushes if the registers in use, or the guest, have put translations out of date; of the other mode are others. */
void memory_revalidate(struct engine_vcpu *c);
/* What is to be known to drop it alone: code was looked up there. */
void memory_note_fetch(struct engine_vcpu *c, uint64_t gva, const struct spt_translation *at);
/* Has shadowpt watch the page, of which no translation here lets it be stored to: none is out of date by that. */
void memory_watch(struct engine_vcpu *c, uint64_t gpa);
/* Stores to the page go the slow way from now on. */
void memory_protect(struct engine_vcpu *c, uint64_t gpa);
bool memory_read(struct engine_vcpu *c, uint64_t gva, void *to, unsigned len, unsigned ea);
bool memory_write(struct engine_vcpu *c, uint64_t gva, const void *from, unsigned len, unsigned ea);
/* Host memory to change in place, or a copy that memory_commit writes back; NULL: the exit is set. */
void *memory_modify(struct engine_vcpu *c, uint64_t gva, unsigned len, unsigned ea);
void memory_commit(struct engine_vcpu *c);
/* What can be accessed at gva at once, for string instructions: *len is cut to it. NULL: use single accesses. */
void *memory_span(struct engine_vcpu *c, uint64_t gva, uint64_t *len, bool write);

/* native.c */
struct native *native_create(void);
void native_destroy(struct native *native);
/* Makes the native copy of d->emu. False: the instruction is not one that may run natively. */
bool native_prepare(struct engine_vcpu *c, struct insn_detail *d, bool single);
/* Forgets all native copies; no block refers to one. */
void native_reset(struct native *native);
/* A block may not find room any more. */
bool native_is_full(const struct native *native);
insn_function native_run_insn;

/* When the interpreter is left: gives the host its own MXCSR back, which is the guest's (c->rounding), and the cell the
 * FPU state that is borrowed. */
void vector_settle(struct engine_vcpu *c);
void native_fpu_return(struct engine_vcpu *c);

/* ------------------------------------------------------------------------------------------- for instructions */

#define NEXT return i[1].run(c, i + 1)
/* After a store, which may have hit decoded code. */
#define NEXT_STORED                                                                                                    \
	do {                                                                                                           \
		if (unlikely(c->broken)) {                                                                             \
			c->rip = c->base + i->end;                                                                     \
			return;                                                                                        \
		}                                                                                                      \
		NEXT;                                                                                                  \
	} while (0)
/* A memory access has set the exit: the instruction has not happened. */
#define FAULT                                                                                                          \
	do {                                                                                                           \
		c->rip = c->base + i->start;                                                                           \
		return;                                                                                                \
	} while (0)

uint64_t address_other(const struct engine_vcpu *c, const struct insn *i, uint64_t address);
/* The linear address of [offset, offset+len) outside 64-bit mode, or ADDRESS_NONE. */
uint64_t address_within(const struct engine_vcpu *c, enum vcpu_sreg sreg, uint64_t offset, unsigned len, bool write);

/* The linear address of the memory operand, or ADDRESS_NONE; `more` is added to its offset. */
static inline uint64_t address_beyond(const struct engine_vcpu *c, const struct insn *i, uint64_t more)
{
	uint64_t address = c->gpr[i->base] + (c->gpr[i->index] << i->scale) + (uint64_t)i->disp + more;
	address &= c->offsets;
	return unlikely(i->ea & EA_OTHER) ? address_other(c, i, address) : address;
}

static inline uint64_t address_of(const struct engine_vcpu *c, const struct insn *i)
{
	return address_beyond(c, i, 0);
}

/* Stacks, known where the code is decoded: 64-bit mode's, c->flat outside it, and any. */
enum stack_kind { STACK_WIDE, STACK_FLAT, STACK_NARROW, STACK_KINDS };

static inline enum stack_kind stack_kind(const struct engine_vcpu *c)
{
	return c->wide ? STACK_WIDE : c->flat ? STACK_FLAT : STACK_NARROW;
}

static inline uint64_t stack_address(const struct engine_vcpu *c, uint64_t rsp, unsigned len, bool write,
				     enum stack_kind kind)
{
	if (kind == STACK_WIDE)
		return rsp;
	return kind == STACK_FLAT ? (uint32_t)rsp : address_within(c, SREG_SS, rsp & c->stack, len, write);
}

/* RSP once it has moved to `rsp`. */
static inline uint64_t stack_moved(const struct engine_vcpu *c, uint64_t rsp, enum stack_kind kind)
{
	if (kind == STACK_WIDE)
		return rsp;
	return kind == STACK_FLAT ? (uint32_t)rsp : (c->gpr[RSP] & c->kept) | (rsp & c->stack);
}

static inline void set_stack(struct engine_vcpu *c, uint64_t rsp, enum stack_kind kind)
{
	c->gpr[RSP] = stack_moved(c, rsp, kind);
}

static inline struct tlb_entry *tlb_entry(struct engine_vcpu *c, uint64_t gva)
{
	return &c->tlb[(gva >> X86_PAGE_SHIFT) % TLB_ENTRIES];
}

/* The tag that an access of `size` bytes must find; one that crosses a page finds none. */
static inline uint64_t tlb_tag(const struct engine_vcpu *c, uint64_t gva, unsigned size)
{
	return ((gva + size - 1) & ~X86_PAGE_MASK) | c->tag;
}

#define MEMORY(n)                                                                                                      \
	static inline bool load##n(struct engine_vcpu *c, uint64_t gva, unsigned ea, uint##n##_t *value)               \
	{                                                                                                              \
		const struct tlb_entry *e = tlb_entry(c, gva);                                                         \
		if (unlikely(e->read != tlb_tag(c, gva, n / 8)))                                                       \
			return memory_read(c, gva, value, n / 8, ea);                                                  \
		__builtin_memcpy(value, (void *)(gva + e->addend), n / 8);                                             \
		return true;                                                                                           \
	}                                                                                                              \
	static inline bool store##n(struct engine_vcpu *c, uint64_t gva, unsigned ea, uint##n##_t value)               \
	{                                                                                                              \
		const struct tlb_entry *e = tlb_entry(c, gva);                                                         \
		if (unlikely(e->write != tlb_tag(c, gva, n / 8)))                                                      \
			return memory_write(c, gva, &value, n / 8, ea);                                                \
		__builtin_memcpy((void *)(gva + e->addend), &value, n / 8);                                            \
		return true;                                                                                           \
	}                                                                                                              \
	static inline void *modify##n(struct engine_vcpu *c, uint64_t gva, unsigned ea)                                \
	{                                                                                                              \
		const struct tlb_entry *e = tlb_entry(c, gva);                                                         \
		if (unlikely(e->write != tlb_tag(c, gva, n / 8)))                                                      \
			return memory_modify(c, gva, n / 8, ea);                                                       \
		return (void *)(gva + e->addend);                                                                      \
	}
MEMORY(8)
MEMORY(16)
MEMORY(32)
MEMORY(64)
#undef MEMORY

/* Registers by byte offset. A 32-bit result clears the upper half (SDM 1 3.4.1.1). */
typedef uint8_t __attribute__((may_alias)) part8;
typedef uint16_t __attribute__((may_alias)) part16;
typedef uint32_t __attribute__((may_alias)) part32;
typedef uint64_t __attribute__((may_alias)) part64;
#define REG(n, offset)	     (*(part##n *)((char *)c->gpr + (offset)))
#define SET8(offset, value)  (REG(8, offset) = (value))
#define SET16(offset, value) (REG(16, offset) = (value))
#define SET32(offset, value) (REG(64, offset) = (uint32_t)(value))
#define SET64(offset, value) (REG(64, offset) = (value))

#define FLAG_OF	  0x0001u
#define FLAG_CF	  0x0100u
#define FLAG_PF	  0x0400u
#define FLAG_ZF	  0x4000u
#define FLAG_SF	  0x8000u
#define FLAGS_ALL 0xd501u

/* breakpoint.c */
/* The guest has an instruction breakpoint here (SDM 3B 17.2.4, 17.3.1.1): raised before the instruction. */
bool breakpoint_here(struct engine_vcpu *c);
/* Data breakpoints are told behind the instruction, after a load of SS behind the next one (SDM 3A 6.8.3). */
bool breakpoint_due(const struct vcpu *vcpu);
/*
 * They join a #DB that the same instruction has come to. Another event goes before them: they are told at the first
 * instruction of its handler.
 */
void breakpoint_tell(struct vcpu *vcpu, struct vm_exit *exit);

#endif
