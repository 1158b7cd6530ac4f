/*
 * Inside compile.h: the compiler at work, and what its files share.
 */
#ifndef MONITOR_ENGINE_TRANSLATE_INTERNAL_H
#define MONITOR_ENGINE_TRANSLATE_INTERNAL_H

#include "monitor/engine/translate/compile.h"
#include "monitor/engine/translate/emit.h"
#include "monitor/vm/vcpu.h"

/* What is known of an instruction without decoding it. */
struct quick {
	enum bt_class class;
	uint8_t segment;	/* the prefix to copy it with, 0: none */
	bool relative, address; /* the operand is relative to RIP; LEA, which accesses nothing */
};

struct compiler {
	struct emit e;
	const struct bt_source *source;
	struct bt_code *code;
	uint64_t rip, next;  /* of the instruction being compiled, and behind it */
	unsigned start;	     /* of its sequence */
	bool followed;	     /* it is STI, and another instruction of the block comes behind it */
	bool user;	     /* its operand is user memory */
	bool device;	     /* it reads or writes a device's register */
	bool divides;	     /* it is a division that comes to #DE */
	bool sti, shadow;    /* it is STI; it follows STI: no interrupt before it */
	unsigned literal_at; /* of the displacement that leads to it; 0: there is none */
	uint64_t literal;    /* behind the stubs: what the last instruction pushes */
	bool is_quick;	     /* `quick` and `insn` are what quick_decode says */
	struct quick quick;
	struct emu_insn insn;

	/* Looked for by bt_locate: the last mark at or before `offset`. */
	unsigned offset;
	struct bt_locus *locus;
};

/* What came of an instruction. */
enum outcome {
	GOES_ON,
	ENDS,	/* the block, with control elsewhere */
	LEAVES, /* nothing was emitted */
};

/* compile.c: from here on in the code, the state is as `locus` says, or exactly that of the guest at rip. */
void compiler_mark(struct compiler *c, struct bt_locus locus);
void compiler_mark_exact(struct compiler *c, uint64_t rip);
struct bt_exit *compiler_exit(struct compiler *c, enum bt_exit_kind kind, uint64_t target);
/* The displacement just emitted leads to the exit. */
void compiler_patch(struct compiler *c, struct bt_exit *exit);
/* A jump to where the guest's `target` is. */
void compiler_link(struct compiler *c, uint64_t target);

/* The instruction as it is, but for where its operands lie. False: nothing was emitted, it has to leave. */
bool compiler_copy(struct compiler *c);

/* The instruction is sensitive and done in the cache. */
void compiler_done_inside(struct compiler *c);

/* An address that a sign-extended 32-bit displacement or immediate holds. */
static inline bool compiler_fits(uint64_t value)
{
	return (uint64_t)(int32_t)value == value;
}

/* narrow.c: an instruction of BT_NARROW; narrow_flow.c: as bt_compile_thunk. */
enum outcome compile_narrow(struct compiler *c);
unsigned narrow_thunk(struct emit *e, uint64_t gva, uint64_t body, unsigned *otherwise);

/*
 * quick.c: an instruction at the offset that is copied as it is, and no operand is user memory, or that goes to a known
 * place; and of *insn what compilation of such asks for. False: Zydis is to say.
 */
bool quick_decode(const struct bt_source *source, unsigned at, struct emu_insn *insn, struct quick *quick);

/* copy.c: false: nothing was emitted, the instruction has to leave. */
bool compile_copy(struct compiler *c);
bool compiler_is_rip_relative(const struct emu_insn *insn);
uint64_t compiler_operand_address(const struct compiler *c);
/* One of the low eight registers that the instruction has nothing to do with, nor `used` names; -1: none. */
int compiler_free_register(const struct emu_insn *insn, unsigned used);
/* Likewise, or RBP, which is no base where there is no displacement. */
int compiler_free_index(const struct emu_insn *insn, unsigned used);
/* The first `len` bytes; with a segment's prefix if there is one. True. */
bool compiler_copy_head(struct compiler *c, unsigned len, uint8_t segment);
/* The instruction, its operand relative to RIP as [disp32] without base and index. False, as has: there is no such. */
bool compiler_has_absolute(const struct compiler *c);
bool compiler_copy_absolute(struct compiler *c, uint8_t segment);
/* Likewise as [register], which holds the address meanwhile. False: none is free. */
bool compiler_copy_through_register(struct compiler *c, uint8_t segment);
/*
 * The instruction with [base + index + disp], two of the low eight registers, for its operand in memory, whatever
 * segment it names; RSP is no index.
 */
void compiler_copy_with_operand(struct compiler *c, unsigned base, unsigned index, uint32_t disp);
/* LEA of an address relative to RIP. */
bool compiler_copy_lea(struct compiler *c);

/* upper.c: LEA reg, [op]; op is the instruction's operand in memory. */
void compiler_operand_lea(struct compiler *c, unsigned reg, const ZydisDecodedOperand *op);
/* As compile_copy, for BT_UPPER. user: the operand in memory is user memory. */
bool upper_copy(struct compiler *c, bool user);
/* The address of user memory becomes that which the cell has; scratch is lost. Both are of the low eight registers. */
void upper_reach_user(struct compiler *c, unsigned address, unsigned scratch);
/* The operand in memory, if there is one, is based on RSP. */
bool upper_is_relocated(const struct emu_insn *insn);
/* The prefix that the instruction needs, 0: none. False: it cannot be had so. */
bool upper_segment(const struct compiler *c, uint8_t *segment);

/* transfer.c */
uint64_t compiler_branch_target(const struct compiler *c);
void compile_branch(struct compiler *c);
void compile_count(struct compiler *c);
void compile_call(struct compiler *c);
void compile_return(struct compiler *c);
void compile_indirect(struct compiler *c, bool call);

/* bt_state holds what an indirect jump keeps there, RCX is free: goes on at the target. */
void compiler_look_up(struct compiler *c);

/* inside.c: sensitive instructions done in the cache, on the state there. False: nothing was emitted. */
bool compile_inside(struct compiler *c);

/*
 * virtual.c: sequences that need the arithmetic flags, which wait in AX meanwhile; RCX is free in them. What is not
 * the plain case jumps, by virtual_unless, to where the monitor executes the instruction after all.
 */
#define VIRTUAL_CHECKS 12
struct virtual
{
	unsigned check[VIRTUAL_CHECKS], count;
	unsigned leap; /* 0, or where a jump of 32 bits ends that is not the plain case */
};
/* load: emits what sets RCX, with RAX still the guest's; NULL: nothing. */
void virtual_begin(struct compiler *c, struct virtual *v, void (*load)(struct compiler *));
/* Where the condition of the short jump holds it is not the plain case. */
void virtual_unless(struct compiler *c, struct virtual *v, unsigned jump);
/* The plain case goes on here. */
void virtual_plain(struct compiler *c, struct virtual *v);
/* The flags again; AX stays. */
void virtual_flags(struct compiler *c);
/* The instruction is done, or not begun: all registers again. */
void virtual_end(struct compiler *c, uint64_t rip);
/* CMP RCX, [slot]: it is not the plain case where they differ. MOV RCX, [RCX + disp] */
void virtual_compare(struct compiler *c, struct virtual *v, size_t slot);
void virtual_follow(struct compiler *c, unsigned disp);
/* Unless RCX is canonical; it is kept in the slot `scratch`. */
void virtual_canonical(struct compiler *c, struct virtual *v);
/* Unless the descriptor of what the segment register holds is what it was loaded from. */
void virtual_descriptor(struct compiler *c, struct virtual *v, unsigned sreg);
/* reg = the base of GS as the cell has it, or is to; of the low eight registers. */
void virtual_read_gs(struct compiler *c, unsigned reg);
/* RCX becomes the base of FS, of GS, as the guest has it. */
void virtual_load_fs(struct compiler *c);
void virtual_load_gs(struct compiler *c);
/* As compile_inside, for 64-bit code. */
bool compile_virtual(struct compiler *c);
/* msr.c: WRMSR */
bool compile_write_msr(struct compiler *c);

/* show.c, of the same: which slot has a table's limit, followed by its base. */
bool show_identity(struct compiler *c);
bool show_msr(struct compiler *c);
bool show_table(struct compiler *c, size_t slot);
bool show_segment(struct compiler *c);

/* end.c: a store of 64-bit code to the local APIC's EOI, or elsewhere after all. False: nothing was emitted. */
bool compile_end(struct compiler *c);

/* ask.c, likewise: VERR, VERW, LAR and LSL. */
bool ask_readable(struct compiler *c);
bool ask_writable(struct compiler *c);
bool ask_descriptor(struct compiler *c);

/* lent.c: as compile_inside, where the FPU is left to user mode. */
bool compile_lent(struct compiler *c);

/* deliver.c */
/* IRETQ to where the kernel was: false: nothing was emitted. */
bool compile_iret(struct compiler *c);
/* DIV or IDIV that comes to #DE, with the exception delivered in the cache; likewise. */
bool compile_division(struct compiler *c);

#endif
