/*
 * The nanobenchmarks of Adams and Agesen ("A comparison of software and hardware techniques for x86 virtualization",
 * ASPLOS 2006), and more of their kind: a guest (nano_guest.c), and a program for what a process can do
 * (nano_native.c). Each routine does `count` operations, a multiple of NANO_STEP.
 */
#ifndef TESTS_BENCH_NANO_H
#define TESTS_BENCH_NANO_H

#define NANO_STEP 8

#ifndef __ASSEMBLER__
#include <stdint.h>

/* nano.S: what needs no privilege */
void nano_call_ret(uint64_t count);
void nano_flags(uint64_t count); /* PUSHF and POPF of what was pushed */
void nano_store(uint64_t count, volatile uint64_t *entry, uint64_t flip);

/* nano_traps.S: a kernel's */
void nano_mask(uint64_t count); /* CLI and STI */
void nano_in(uint64_t count);	/* of the interrupt controller's mask */
void nano_cr8(uint64_t count);
void nano_divide(uint64_t count);
void nano_touch(uint64_t count, const void *nowhere);

/* Entry points, those of #DE and #PF go on behind the instruction; with privileged instructions and with hypercalls. */
extern const char nano_de_native[], nano_pf_native[], nano_de_paravirt[], nano_pf_paravirt[], nano_syscall_native[];

/* As user_run of user.h, with privileged instructions. */
void nano_user_run(uint64_t gva, uint64_t count);

/* nano_fork.c: ticks of that many forks, each waited for. */
uint64_t nano_forkwait(uint64_t count);
#endif

#endif
