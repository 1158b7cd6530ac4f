/*
 * A kernel with paging and a program in user mode, for guests that look at what lies between the two: tables, gates,
 * and how a program is run. The program lies in section .user; all else is the kernel's.
 */
#ifndef TESTS_MODES_CALLS_H
#define TESTS_MODES_CALLS_H

#include "tests/modes/console.h"

#define USER	 __attribute__((section(".user")))
#define USER_ASM ".section .user_text, \"ax\"\n"

#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_CS	  0x1b /* as SYSEXIT has them after SYSENTER to those above */
#define USER_DS	  0x23
#define TSS	  0x28
#define OTHER_DS  0x33 /* data of DPL 3 with a base */

#define OTHER_BASE 0x2000u

struct frame {
	uint32_t gs, fs, es, ds;
	uint32_t edi, esi, ebp, esp_of_pusha, ebx, edx, ecx, eax;
	uint32_t vector, error, eip, cs, eflags, esp, ss;
};

/* The guest's: what comes by a gate that `set_gate` made of a stub of calls.S. */
void handle(struct frame *frame);

extern uint64_t gdt[], idt[];
extern uint32_t tss[], page_directory[], page_table[];
extern char user_start[], user_end[], kernel_stack_top[], user_stack_top[];
/* Entries to `handle`, by vector; and two that return at once. */
extern char stub_db[], stub_ud[], stub_ss[], stub_pf[], stub_gp[], stub_timer[], stub_call[], stub_other[], stub_end[],
	stub_null[], stub_leaky[];
/* Where SYSENTER leads: `handle` is told VECTOR_FAST, and SYSEXIT takes ECX and EDX from the frame; one that returns at
 * once. */
extern char entry_fast[], entry_null[];

void set_gate(unsigned vector, const void *entry, unsigned type, unsigned dpl);
void out(uint16_t port, uint8_t value);
/* SYSENTER leads there on that stack; CS 0 makes it fault. */
void set_sysenter(uint16_t cs, const void *entry, uint32_t stack);
/* Sets up all of the above, paging included. */
void start_tables(void);
/* Runs the program from `entry` with EFLAGS, all other registers zero, until it calls INT 41h, whose EAX is returned.
 */
uint32_t run_user(const void *entry, uint32_t flags);

#define GATE_INTERRUPT 0xe
#define GATE_TRAP      0xf

#define VECTOR_CALL 0x40
#define VECTOR_END  0x41
#define VECTOR_NULL 0x42
#define VECTOR_LEAK 0x44
#define VECTOR_FAST 0x45
#define VECTOR_TIME 0x20
/* What `handle` is told where another stub than the gate's own led to it. */
#define OTHER_STUB 0x43

#endif
