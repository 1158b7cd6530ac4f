/*
 * Exceptions, INT n and interrupts: 256 vectors, one handler each. Every vector arrives with interrupts masked, in both
 * ways of running; what no handler takes ends in a panic that shows the registers.
 */
#ifndef PVGUEST_TRAP_H
#define PVGUEST_TRAP_H

/* Selectors. User ones are where SYSRET expects them: base 0x10 in STAR (SDM 3A 5.8.8). */
#define PVG_SEL_KERNEL_CODE 0x08
#define PVG_SEL_KERNEL_DATA 0x10
#define PVG_SEL_USER_DATA   0x1b
#define PVG_SEL_USER_CODE   0x23
#define PVG_SEL_TSS	    0x28
#define PVG_SEL_FREE	    0x38 /* two free slots of the GDT, for the guest's own descriptors */
#define PVG_STAR	    (R3_U64(0x13) << 48 | R3_U64(0x08) << 32)

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stdint.h>

#include <pvguest/language.h>

#include "hypercalls/x86.h"

PVG_BEGIN

/* The interrupted context, on the stack that the trap arrived on. A handler may change it; it is loaded on return. */
struct pvg_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error; /* 0 for vectors that have none */
	uint64_t rip, cs, rflags, rsp, ss;
};

typedef void (*pvg_trap_handler)(struct pvg_frame *frame, void *arg);

/* Sets the vector's handler; NULL takes it away. Vectors that irq.h uses (32 to 47, and 48 for events) belong to it. */
void pvg_trap_register(unsigned vector, pvg_trap_handler handler, void *arg);
/* Lets user mode raise the vector with INT n. INT3 and INTO are allowed from the start. */
void pvg_trap_allow_user(unsigned vector);
/* Takes away every handler the processor knows: the next exception is a triple fault. */
void pvg_traps_clear(void);

/* In a #PF handler, before anything else can fault: the address that faulted. */
uint64_t pvg_fault_address(void);

/* "#GP", "#PF" and so on; "vector" for those that have no name. */
const char *pvg_vector_name(unsigned vector);
/* True if the processor pushes an error code for this exception. */
bool pvg_vector_has_error(unsigned vector);

/* Prints the frame to the console. */
void pvg_frame_print(const struct pvg_frame *frame);

/* The GDT of pv=off, for guests that add descriptors of their own at PVG_SEL_FREE. */
extern uint64_t pvg_gdt[];

PVG_END

#endif
#endif
