/*
 * What the groups of sensitive instructions share, private to emulate/: the shape of a group's function, and access to
 * the operands Zydis decoded.
 */
#ifndef MONITOR_EMULATE_GROUP_H
#define MONITOR_EMULATE_GROUP_H

#include "monitor/emulate/emulate.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vcpu.h"

enum emu_step {
	STEP_NEXT,    /* executed; dispatch.c moves RIP to the next instruction */
	STEP_STAYS,   /* executed; RIP is already where it belongs */
	STEP_FAULT,   /* an exception is queued, nothing changed, RIP at the instruction */
	STEP_TRAPPED, /* an exception is queued, RIP is already after the instruction */
};

typedef enum emu_step emu_function(struct vcpu *vcpu, const struct emu_insn *insn);

/* flags.c */
emu_function emu_cli, emu_sti, emu_hlt, emu_clac, emu_stac;
/* control.c */
emu_function emu_mov_cr, emu_clts, emu_lmsw, emu_xsetbv;
emu_function emu_rdpkru, emu_wrpkru;
/* debug.c */
emu_function emu_mov_dr;
/* tables.c */
emu_function emu_lgdt, emu_lidt, emu_lldt, emu_ltr, emu_sgdt, emu_sidt, emu_sldt, emu_str, emu_smsw;
/* tlb.c */
emu_function emu_invlpg, emu_invpcid, emu_invd;
/* io.c */
emu_function emu_in, emu_out, emu_ins, emu_outs;
/* msr.c */
emu_function emu_rdmsr, emu_wrmsr, emu_rdtsc;
/* mtrr.c: false for what is no such register, and for values that it does not take. */
bool emu_read_mtrr(struct vcpu *vcpu, uint32_t number, uint64_t *value);
bool emu_write_mtrr(struct vcpu *vcpu, uint32_t number, uint64_t value);
/* syscall.c */
emu_function emu_swapgs, emu_sysret, emu_sysenter, emu_sysexit, emu_undefined;
/* return.c */
emu_function emu_iret;
/* interrupt.c */
emu_function emu_int, emu_int3, emu_into, emu_icebp;
/* segment.c */
emu_function emu_mov_sreg, emu_push_sreg, emu_pop_sreg, emu_load_far;
/* inspect.c */
emu_function emu_lar, emu_lsl, emu_verr, emu_verw;
/* far.c */
emu_function emu_far_jump, emu_far_call, emu_far_return;

/*
 * return.c, for far.c too: a return to less privilege with *stack behind what was popped so far: pops SP and SS,
 * checked for the code that cs is, and makes *stack of them. Then, CS loaded, goes there.
 */
struct stack;
bool emu_outer_stack(struct vcpu *vcpu, unsigned width, const struct vcpu_segment *cs, struct stack *stack,
		     struct gm_fault *fault);
void emu_to_outer(struct vcpu *vcpu, unsigned cpl, const struct stack *stack);

/* Run directly in ring 3 it always traps. */
bool emu_always_traps(const struct emu_insn *insn);

/* Queue an exception and name the step that leads to. */
enum emu_step emu_raise(struct vcpu *vcpu, uint8_t vector);
enum emu_step emu_raise_gp(struct vcpu *vcpu, uint32_t error);
enum emu_step emu_raise_fault(struct vcpu *vcpu, const struct gm_fault *fault);

/* A shadow page-table call's result: the host refusing to drop a translation ends the guest. */
enum emu_step emu_shadow(struct vcpu *vcpu, int error);

/* General registers of 16, 32 or 64 bits; a 32-bit write clears the upper half (SDM 1 3.4.1.1). */
uint64_t emu_gpr(const struct vcpu *vcpu, ZydisRegister reg);
void emu_set_gpr(struct vcpu *vcpu, ZydisRegister reg, uint64_t value);

/* Linear address of a memory operand, with no look at its segment's limit and rights. */
uint64_t emu_address(const struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand);

/*
 * [offset, offset+len) of a segment to a linear address (SDM 3A 5.3, 5.5). False: an exception is queued, #SS(0) or
 * #GP(0). In 64-bit mode `offset` is the linear address, but for the bases of FS and GS.
 */
bool emu_linear(struct vcpu *vcpu, enum vcpu_sreg sreg, uint64_t offset, unsigned len, bool write, uint64_t *gva);

/*
 * Copy a memory operand of len bytes, or read or write an operand of either kind in its own size. False: an exception
 * is queued.
 */
bool emu_load(struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand, void *to, unsigned len);
bool emu_store(struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand, const void *from, unsigned len);
bool emu_read_operand(struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand, uint64_t *value);
bool emu_write_operand(struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand, uint64_t value);

#endif
