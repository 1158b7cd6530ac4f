/*
 * The small machine of the unit tests outside long mode: GDT, IDT and task-state segments of protected mode, no paging.
 */
#ifndef TESTS_UNIT_LEGACY_FIXTURE_H
#define TESTS_UNIT_LEGACY_FIXTURE_H

#include "tests/unit/machine_fixture.h"

#define TSS_A	0x7000
#define TSS_B	0x7800
#define TSS_C16 0x8800
#define STACK0	0x34000 /* of privilege 0 in TSS_A */
#define STACK_B 0x36000
#define VECTOR	0x40

enum {
	CODE0 = 0x08,
	DATA0 = 0x10,
	CODE3 = 0x18 | 3,
	DATA3 = 0x20 | 3,
	TASK_A = 0x28,
	TASK_B = 0x30,
	TASK_C = 0x38,
	CALL_GATE = 0x40, /* to CODE0:FIX_HANDLER with two parameters */
	TASK_GATE = 0x48, /* to TASK_B */
	CODE16 = 0x50,
	DATA16 = 0x58,
	DOWN = 0x60,   /* expand-down data above 0xfff */
	ABSENT = 0x68, /* data that is not present */
	LAST = 0x68,
};

#define DESC32(base, limit, type, dpl)                                                                                 \
	((uint64_t)((limit)&0xffff) | (uint64_t)((base)&0xffffff) << 16 | (uint64_t)(type) << X86_DESC_TYPE_SHIFT |    \
	 (uint64_t)(dpl) << X86_DESC_DPL_SHIFT | X86_DESC_P | (uint64_t)((limit) >> 16 & 15) << 48)

/* Of a fresh fixture: a vCPU in 32-bit protected mode without paging, at CODE0:FIX_CODE, in task A. */
void legacy_make(struct machine_fixture *m);
/* cmocka's setup of it. */
int legacy_setup(void **state);
void legacy_to_16(struct vcpu *c);
void legacy_to_user(struct vcpu *c);
void legacy_to_v86(struct vcpu *c);
void legacy_to_real(struct vcpu *c);

uint32_t legacy_get32(struct machine_fixture *m, uint64_t gpa);
void legacy_put32(struct machine_fixture *m, uint64_t gpa, uint32_t value);
void legacy_put_gate(struct machine_fixture *m, uint64_t at, uint16_t selector, uint32_t offset, unsigned type,
		     unsigned dpl, unsigned parameters);
void legacy_put_idt_gate(struct machine_fixture *m, unsigned vector, uint16_t selector, unsigned type, unsigned dpl);

/* Delivers an event that cannot be: vector and error code of what must come of it. */
void legacy_expect_second(struct vcpu *c, uint8_t vector, uint32_t error);

/* Executes one instruction of `bits`, which is nowhere in memory. */
enum emu_result legacy_run(struct vcpu *c, unsigned bits, const uint8_t *bytes, size_t len);
#define RUN(c, bits, ...)                                                                                              \
	({                                                                                                             \
		static const uint8_t code_[] = {__VA_ARGS__};                                                          \
		legacy_run(c, bits, code_, sizeof(code_));                                                             \
	})
#define DONE(c, bits, ...) assert_int_equal(RUN(c, bits, __VA_ARGS__), EMU_DONE)
#define FAULTS(c, number, code, bits, ...)                                                                             \
	do {                                                                                                           \
		assert_int_equal(RUN(c, bits, __VA_ARGS__), EMU_RAISED);                                               \
		assert_int_equal((c)->event.vector, number);                                                           \
		assert_int_equal((c)->event.error, code);                                                              \
		(c)->event_pending = false;                                                                            \
	} while (0)

#define IRET	     0xcf
#define FAR16(op, s) 0x66, op, 0x00, 0x08, (s)&0xff, (s) >> 8	    /* to s:0x800, 16-bit offset in 32-bit code */
#define FAR32(op, s) op, 0x00, 0x08, 0x01, 0x00, (s)&0xff, (s) >> 8 /* to s:0x10800 */
#define JMP_FAR	     0xea
#define CALL_FAR     0x9a
#define FIX_CODE_800 (FIX_CODE + 0x800)

#endif
