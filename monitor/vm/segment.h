/*
 * Segment descriptors: reading them from the guest's GDT and LDT, and the checks of SDM 3A chapter 5 that loading a
 * segment register makes, in every mode that the machine has. Functions return false with *fault set (vector, error
 * code) and no register changed; error codes already carry the selector.
 */
#ifndef MONITOR_VM_SEGMENT_H
#define MONITOR_VM_SEGMENT_H

#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vcpu.h"

/* Selectors of the GDT the guest is entered with (flat, 64-bit), in the order SYSCALL and SYSRET count from STAR. */
#define BOOT_CS	     0x08
#define BOOT_DS	     0x10
#define BOOT_USER_DS 0x18
#define BOOT_USER_CS 0x20

/* Flat descriptors with limit 4 GiB, as SYSCALL and SYSRET load them without looking at memory. */
#define SEG_FLAT	      (X86_DESC_P | X86_DESC_S | X86_DESC_RW | X86_DESC_ACCESSED | X86_DESC_G | R3_U64(0x000f00000000ffff))
#define SEG_FLAT_CODE(dpl)    (SEG_FLAT | X86_DESC_CODE | X86_DESC_L | (uint64_t)(dpl) << X86_DESC_DPL_SHIFT)
#define SEG_FLAT_CODE_32(dpl) (SEG_FLAT | X86_DESC_CODE | X86_DESC_DB | (uint64_t)(dpl) << X86_DESC_DPL_SHIFT)
#define SEG_FLAT_DATA(dpl)    (SEG_FLAT | X86_DESC_DB | (uint64_t)(dpl) << X86_DESC_DPL_SHIFT)

static inline unsigned seg_dpl(uint64_t descriptor)
{
	return descriptor >> X86_DESC_DPL_SHIFT & 3;
}
/* The type field with the S bit above it: system types compare equal to X86_SYSTYPE_* and X86_GATE_*. */
static inline unsigned seg_type(uint64_t descriptor)
{
	return descriptor >> X86_DESC_TYPE_SHIFT & 0x1f;
}
static inline bool seg_is_code(uint64_t descriptor)
{
	return (descriptor & X86_DESC_S) && (descriptor & X86_DESC_CODE);
}
static inline bool seg_is_null(uint16_t selector)
{
	return (selector & ~X86_SEL_RPL) == 0;
}
/* A selector as error codes show it. */
static inline uint32_t seg_error(uint16_t selector)
{
	return selector & ~(uint32_t)X86_SEL_RPL;
}

/* A segment of all 4 GiB. */
static inline bool seg_is_all(const struct vcpu_segment *s)
{
	return s->present && !s->base && s->limit == UINT32_MAX;
}

static inline bool seg_is_readable_code(const struct vcpu_segment *s)
{
	const uint64_t type = X86_DESC_CODE | X86_DESC_RW;
	return s->present && (s->descriptor & type) == type;
}

/* Data that can be written; expand-down there would be nothing of all. */
static inline bool seg_is_writable_data(const struct vcpu_segment *s)
{
	const uint64_t type = X86_DESC_CODE | X86_DESC_EXPAND_DOWN | X86_DESC_RW;
	return s->present && (s->descriptor & type) == X86_DESC_RW;
}

/* Outside 64-bit code: CS, DS, ES and SS check nothing and change no address, and the stack pointer has 32 bits. */
static inline bool seg_are_flat(const struct vcpu *vcpu)
{
	const struct vcpu_segment *s = vcpu->sreg, *ds = &s[SREG_DS], *es = &s[SREG_ES], *ss = &s[SREG_SS];
	return vcpu_stack_bits(vcpu) == 32 && seg_is_all(&s[SREG_CS]) && seg_is_all(ds) && seg_is_all(es) &&
	       seg_is_all(ss) && seg_is_writable_data(ds) && seg_is_writable_data(es) && seg_is_writable_data(ss);
}

/* The segment register that a descriptor of the GDT or LDT makes. */
struct vcpu_segment seg_make(uint16_t selector, uint64_t descriptor);

/* The segment register as real mode and virtual 8086 mode load it; `user`: with the DPL 3 of the latter. */
struct vcpu_segment seg_make_8086(uint16_t selector, bool user);

/*
 * The linear address of [offset, offset+len) in a data or stack segment outside 64-bit mode, len > 0 (SDM 3A 5.3, 5.5).
 * False, for #SS(0) if the segment is SS, else #GP(0): it is null, or rights or limit forbid it.
 */
bool seg_linear(const struct vcpu_segment *segment, uint32_t offset, unsigned len, bool write, uint32_t *linear);

/* Sets *fault to vector(error) and returns false, for the end of a check. */
static inline bool seg_fail(struct gm_fault *fault, uint8_t vector, uint32_t error)
{
	*fault = (struct gm_fault){.vector = vector, .error = error};
	return false;
}

/* Reads the descriptor of a selector that is not null. #GP(selector) beyond the table. */
bool seg_read(struct vcpu *vcpu, uint16_t selector, uint64_t *descriptor, struct gm_fault *fault);
/*
 * Reads a system descriptor, which only the GDT holds (but for gates: seg_read_gate): 16 bytes in long mode, else 8 and
 * descriptor[1] is 0.
 */
bool seg_read_system(struct vcpu *vcpu, uint16_t selector, uint64_t descriptor[2], struct gm_fault *fault);
bool seg_read_gate(struct vcpu *vcpu, uint16_t selector, uint64_t descriptor[2], struct gm_fault *fault);
/* Writes a changed descriptor back (accessed, busy). */
bool seg_write(struct vcpu *vcpu, uint16_t selector, uint64_t descriptor, struct gm_fault *fault);

/* Loads DS, ES, FS or GS. */
bool seg_load_data(struct vcpu *vcpu, enum vcpu_sreg sreg, uint16_t selector, struct gm_fault *fault);
/* The same where segments are selectors times 16; CS and SS too. In real mode limit and D bit stay (SDM 3A 9.9.2). */
void seg_load_8086(struct vcpu *vcpu, enum vcpu_sreg sreg, uint16_t selector);

/* Whose stack a stack segment is to be: what its faults are, and whether it may be null. */
struct seg_stack_use {
	unsigned cpl;
	unsigned bits;	/* of the code that uses it: 64 permits null below privilege 3 */
	uint8_t vector; /* X86_VEC_GP, or X86_VEC_TS for one out of a task-state segment */
	uint32_t ext;	/* X86_SELERR_EXT or 0 */
};
/* Checks SS and makes *segment. */
bool seg_check_stack(struct vcpu *vcpu, uint16_t selector, const struct seg_stack_use *use,
		     struct vcpu_segment *segment, struct gm_fault *fault);

/*
 * Checks a code segment whose descriptor was read: the target of a far JMP or CALL at the present CPL; of a gate,
 * which may raise privilege, `call`: also for the caller (else for jumps); of a far return (IRET, RETF) to the RPL of
 * the selector. Makes *segment with RPL as CS will have it. #GP(selector) for code of a mode that the machine lacks.
 */
bool seg_check_jump(struct vcpu *vcpu, uint16_t selector, uint64_t descriptor, struct vcpu_segment *segment,
		    struct gm_fault *fault);
bool seg_check_gate_target(struct vcpu *vcpu, uint16_t selector, bool call, uint32_t ext, struct vcpu_segment *segment,
			   struct gm_fault *fault);
bool seg_check_return(struct vcpu *vcpu, uint16_t selector, struct vcpu_segment *segment, struct gm_fault *fault);

/* Code bits (16, 32, 64) that a code segment gives, in the vCPU's present mode. */
unsigned seg_code_bits(const struct vcpu *vcpu, const struct vcpu_segment *segment);
/* An offset that control may go to: canonical in 64-bit code, within the limit elsewhere; #GP(0 | ext). */
bool seg_check_offset(const struct vcpu *vcpu, const struct vcpu_segment *cs, uint64_t offset, uint32_t ext,
		      struct gm_fault *fault);

/* A return to less privilege takes data segments away that it may not use (SDM 3A 5.8.6). */
void seg_drop_privileged(struct vcpu *vcpu, unsigned cpl);

#endif
