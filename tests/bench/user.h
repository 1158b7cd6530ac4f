/*
 * User mode for the bench guest: a loop of SYSCALLs, and the kernel's entry that returns from each at once.
 */
#ifndef TESTS_BENCH_USER_H
#define TESTS_BENCH_USER_H

#include <stdint.h>

/* Code to be mapped at a user address, position-independent. */
extern const char user_code[], user_code_end[];
/* For R3_CALLBACK_SYSCALL. */
extern const char user_entry[];

/* Enters the code at gva in user mode and comes back when it has made `count` calls. */
void user_run(uint64_t gva, uint64_t count);

#endif
