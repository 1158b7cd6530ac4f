/*
 * What the two ways along the guest's call chain share: by unwind tables (unwind.c) and by frame pointers
 * (backtrace.c). Both run within jail_run, on a copy of the vCPU that they may change.
 */
#ifndef MONITOR_DEBUG_BACKTRACE_INTERNAL_H
#define MONITOR_DEBUG_BACKTRACE_INTERNAL_H

#include <libunwind-ptrace.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "monitor/vm/vcpu.h"

/* General registers and RIP by DWARF's numbers: System V ABI x86-64, figure 3.36. libunwind's are the same. */
enum { BT_REGS = UNW_X86_64_RIP + 1 };

/* Words of the stack that were read through the tracee. */
#define BT_WINDOW 1024

struct backtrace {
	struct vcpu *vcpu;
	uint64_t reg[BT_REGS]; /* of the innermost frame, or of where the latest exception came from */
	unsigned word;	       /* bytes of one on the stack */
	unsigned reads;	       /* of guest memory */
	unsigned frames;       /* printed */
	FILE *out;
	uint64_t window_gva;
	unsigned window_words;
	uint64_t window[BT_WINDOW];
};

bool bt_read(struct backtrace *bt, uint64_t gva, uint64_t *word);
/* A return address may lie just past its function: the call before it names the frame. */
void bt_print(struct backtrace *bt, uint64_t ip, bool is_return);

/* The exception frame that lies next above `low` and still says what it was made with, or NULL. */
const struct vcpu_frame *bt_exception_above(struct backtrace *bt, uint64_t low);
/*
 * Goes on in what was interrupted, whose saved RIP lies at gva: loads RIP and RSP into bt->reg, follows CS to user
 * mode, and prints where the chain crosses. False: it cannot be read.
 */
bool bt_cross(struct backtrace *bt, uint64_t gva);
/* No further above than this is an exception frame taken for the one that a chain led to without naming it. */
#define BT_REACH 0x10000

/* unwind.c. Why unwind tables do not help; NULL: they do. */
const char *unwind_impossible(struct backtrace *bt);
void unwind_walk(struct backtrace *bt);

#endif
