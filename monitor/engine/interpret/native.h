/*
 * What native*.c and vector.c share.
 */
#ifndef MONITOR_ENGINE_INTERPRET_NATIVE_H
#define MONITOR_ENGINE_INTERPRET_NATIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "monitor/emulate/emulate.h"
#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/native_task.h"

/* The longest instruction, its displacement grown to 32 bits, and RET. */
#define NATIVE_SLOT_SIZE  32
#define NATIVE_SLOT_COUNT (TASK_CODE_SIZE / NATIVE_SLOT_SIZE)

/* Components that instructions work on. Not the protection keys of user pages: the monitor would run with them. */
#define NATIVE_COMPONENTS (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX | X86_XCR0_AVX512)

#define NATIVE_ALL_BYTES UINT64_MAX

struct native {
	struct task task;
	unsigned used;			/* slots; the first is code_single's */
	unsigned size;			/* of the memory operand of the instruction that runs */
	uint32_t pkru;			/* what XRSTOR leaves of it */
	uint64_t enabled;		/* its bytes that a mask lets through, if it could not be accessed as a whole */
	uint8_t buffer[ENGINE_FPU_MAX]; /* that operand, on its way to and from the task */
};

/* native_rules.c */

/* Not to be run natively; works on general registers and flags; works on FPU state too. */
enum native_kind { NATIVE_FORBIDDEN, NATIVE_INTEGER, NATIVE_VECTOR };

enum native_kind native_kind_of(const struct emu_insn *emu);
/* Instructions of the FPU by what they ask of the control registers. */
enum native_class {
	NATIVE_CLASS_X87,
	NATIVE_CLASS_MMX, /* with the SSE instructions that work on MMX registers alone */
	NATIVE_CLASS_SSE,
	NATIVE_CLASS_FXSAVE,
	NATIVE_CLASS_XSAVE,
	NATIVE_CLASS_VEX,
};
enum native_class native_class_of(const struct emu_insn *emu);
/* XSAVE, XRSTOR and their like. */
bool native_is_state(const struct emu_insn *emu);
/* Works on the x87's registers, as MMX does. */
bool native_is_x87(const struct emu_insn *emu);
bool native_is_mmx(const ZydisDecodedOperand *op);
/* Of an extension that is not known to keep to XMM registers. */
bool native_is_unsorted(const struct emu_insn *emu);
/* FXSAVE, FXRSTOR. */
bool native_is_fxsave(const struct emu_insn *emu);
/* FNSTENV, FNSAVE, FLDENV, FRSTOR: they store or load where the x87's last instruction lay. */
bool native_is_environment(const struct emu_insn *emu);
/* MASKMOVQ and its like, which write to where RDI points. */
bool native_is_through_rdi(const struct emu_insn *emu);
/* A mask says which elements of the memory operand are accessed; what it leaves out does not fault. */
bool native_is_masked(const struct emu_insn *emu);
/* A register that native code runs with the guest's value of, and may change. */
bool native_register_allowed(ZydisRegister reg);
/* What a memory operand of `size` bytes must be aligned to; 0: nothing. */
uint16_t native_alignment(const struct emu_insn *emu, uint16_t size);

/*
 * native_code.c: a copy of d->emu decodes to the same instruction on the same registers, with its operand in memory at
 * `operand` if it runs at `at`, and reaches nothing else.
 */
bool native_copy_is_sound(const struct insn_detail *d, const uint8_t *bytes, unsigned len, uint64_t at,
			  uint64_t operand);

/* Where the task has the operand of the copy in this slot. */
uint64_t native_operand_address(const struct insn_detail *d, unsigned slot);

/* native_image.c: state for the copies, and from them; the image is up to date. */
uint64_t native_components(const struct engine_vcpu *c, const struct insn_detail *d);
void native_image_put(struct engine_vcpu *c, uint64_t mask);
void native_image_take(struct engine_vcpu *c, uint64_t mask);

/*
 * native_pointers.c: the x87's pointers, as the image has them; what an instruction leaves of them, which is through,
 * whose operand lay at gva and, if it is larger than a number, is in the buffer; and what FNSTENV and FNSAVE store.
 */
struct x87_pointers {
	uint16_t fop;
	uint64_t fip, fdp;
	/* Of the last instruction: they become fop and fdp if it raised an exception. last_fop 0: none was executed. */
	uint16_t last_fop;
	uint64_t last_fdp;
};
void native_pointers_get(const struct engine_vcpu *c, struct x87_pointers *p);
void native_pointers_put(struct engine_vcpu *c, const struct x87_pointers *p);
void native_pointers_after(struct engine_vcpu *c, struct x87_pointers *p, const struct insn *i, uint64_t gva);
void native_pointers_store(const struct engine_vcpu *c, const struct x87_pointers *p, const struct emu_insn *emu,
			   uint8_t *operand);

/* native_state.c: bytes that XSAVE, XRSTOR and their like access of their image at gva; 0: the exit is set. */
unsigned native_state_size(struct engine_vcpu *c, const struct insn *i, uint64_t gva);
/* Components that the instruction is asked for, as far as XCR0 has them. */
uint64_t native_state_asked(const struct engine_vcpu *c);
/* The header of the image in the buffer is one that XRSTOR takes. */
bool native_state_is_good(const struct engine_vcpu *c);
/* Where component n lies in an image with this XCOMP_BV. */
unsigned native_state_place(uint64_t layout, unsigned n);
/* Of an instruction that saves: without what is in its initial state, without gaps. */
struct native_saving {
	bool part, compacted;
};
struct native_saving native_state_saving(const struct emu_insn *emu);
/* Such an instruction done without the task, between the buffer and the FPU image, which is up to date. False: it is
 * the task's, and nothing was done. */
bool native_state_done(struct engine_vcpu *c, const struct insn *i);
/* Of the x87 in an image: no exception waits, and what was loaded reads as it is. */
static inline bool native_x87_is_plain(const uint8_t *image)
{
	uint16_t fcw, fsw;
	memcpy(&fcw, image + X86_FPU_FCW, sizeof(fcw));
	memcpy(&fsw, image + X86_FPU_FSW, sizeof(fsw));
	return (fcw & X86_FCW_FIXED) == X86_FCW_AS_FIXED && !(fsw & X86_FSW_SUMMARY) &&
	       !(fsw & ~fcw & X86_FSW_EXCEPTIONS);
}
/* The same of FWAIT, which kernels have at each process's end: no exception waits. */
bool native_wait_done(const struct engine_vcpu *c, const struct insn *i);

/* native_keys.c: around such an instruction, whose image is in the buffer. */
void native_keys_before(struct engine_vcpu *c, const struct insn *i);
void native_keys_after(struct engine_vcpu *c, const struct insn *i);

/*
 * native.c: brings the FPU image up to date, borrowing it, until the interpreter is left, from where it lives; says
 * that it was changed; and both for instructions that work on it as it stands.
 */
void native_fpu_get(struct engine_vcpu *c);
void native_fpu_set(struct engine_vcpu *c);
static inline void native_fpu_borrow(struct engine_vcpu *c)
{
	if (unlikely(c->fpu_of && !c->borrowed))
		native_fpu_get(c);
	c->changed = true;
}
/* What the control registers forbid: the exception's vector, 0: nothing. */
uint8_t native_forbidden(const struct engine_vcpu *c, const struct insn_detail *d);

/* native_memory.c: the memory operand, to the buffer and back. False: the exit is set. */
bool native_operand_in(struct engine_vcpu *c, const struct insn *i, uint64_t gva);
bool native_operand_out(struct engine_vcpu *c, const struct insn *i, uint64_t gva);
/* Without an exit: only what the translation buffer holds and nothing checks, to `to`. */
bool native_operand_at_hand(struct engine_vcpu *c, const struct insn_detail *d, uint64_t gva, void *to);
/* The exit for a failed access. */
void native_fault_raise(struct engine_vcpu *c, const struct insn *i, uint8_t vector, uint32_t error, uint64_t gva);

/* integer.c, vector_pick.c, x87_pick.c: what executes the instruction i->detail without the task; NULL: nothing. */
insn_function *integer_pick(struct insn *i);
insn_function *x87_pick(struct insn *i);
insn_function *vector_pick(struct insn *i);

/* vector.c */

/* As cpu_component. */
struct cpu_component vector_component(unsigned n);
/* The bytes of the memory operand that its mask enables, bit by bit; the FPU image is up to date. */
uint64_t vector_enabled(struct engine_vcpu *c, const struct insn_detail *d);
/* Gathers and scatters. */
bool vector_is_indexed(const struct emu_insn *emu);
insn_function vector_gather, vector_scatter;

#endif
