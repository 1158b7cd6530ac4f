/*
 * What the library's files share among themselves and guests do not see.
 */
#ifndef PVGUEST_INTERNAL_H
#define PVGUEST_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pvguest/pvguest.h>

/* By entry.S: what RDI and RSI were. */
_Noreturn void pvg_start_c(const struct hvm_start_info *info, uint64_t bare);

/* traps.c */
void pvg_traps_init(void);
void pvg_trap_c(struct pvg_frame *frame);
extern const char pvg_trap_stubs[]; /* traps.S: X86_VEC_COUNT stubs of PVG_TRAP_STUB_SIZE bytes */
void pvg_trap_return_iretq(void);
void pvg_trap_return_hypercall(void);
_Noreturn void pvg_trap_leave(struct pvg_frame *frame);

/* user.S, user.c */
extern const char pvg_syscall_native[], pvg_syscall_paravirt[];
extern uint64_t pvg_syscall_stack;
void pvg_user_return(struct pvg_frame *frame);

/* fpu.c: by XSAVE and XRSTOR */
void pvg_fpu_store(void *image);
void pvg_fpu_load(const void *image);

/* catch.c: redirects the frame to the innermost pvg_catch; false if there is none. */
bool pvg_catch_trap(struct pvg_frame *frame);

/* irq.c: runs the handler of a line. */
void pvg_irq_dispatch(unsigned line);

/* tables.c: descriptor tables of pv=off */
void pvg_tables_init(void);
void pvg_tables_set_idt(const uint64_t *entries, const uint64_t *user);
void pvg_tables_set_rsp0(uint64_t rsp0);

/* pic.c: the 8259 pair of pv=off */
void pvg_pic_init(void);
void pvg_pic_mask(unsigned line, bool masked);

/* pit.c: the 8254 of pv=off, and the time stamp counter measured against it */
uint64_t pvg_pit_clock_ns(void);
void pvg_pit_arm(uint64_t deadline_ns);

/* uart.c: console of pv=off */
void pvg_uart_write(const char *bytes, size_t len);
int pvg_uart_read(void);
void pvg_uart_listen(void);

/* event.c: event channels of pv=on */
void pvg_event_init(void);
int pvg_event_bind(unsigned source);

/* printf.c: formats through emit(arg, byte); returns the length of the text. */
int pvg_format(void (*emit)(void *arg, char c), void *arg, const char *format, va_list args);

/* cxx.c: before and after main(), what .init_array, __cxa_atexit and .fini_array hold */
void pvg_constructors(void);
void pvg_destructors(void);

/* page.c, map.c */
void pvg_page_init(const struct hvm_start_info *info);
void pvg_map_init(void);

/* The entry for gva at `level` (1 to 3), present or not; NULL if the tables do not go down so far. */
uint64_t *pvg_entry_find(struct pvg_space *space, uint64_t gva, unsigned level);

/* protect.c, and the pages that it takes away: below the stack of entry.S and that of the double fault */
void pvg_protect_init(void);
/* Takes a page of RAM away so that a stack above it cannot overflow unseen, and gives it back. 0 or -R3_ENOSPC. */
int pvg_guard_set(void *page);
void pvg_guard_clear(void *page);
extern char pvg_boot_stack_guard[];
extern char *const pvg_double_fault_guard;
extern void *const pvg_double_fault_stack_top; /* tables.c */
extern char pvg_rodata_start[], pvg_data_start[];
/* What an address is that faulted, in words for a panic; NULL: nothing special. */
const char *pvg_protect_name(uint64_t gva, uint64_t error);

#endif
