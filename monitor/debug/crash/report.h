/*
 * The crash report: everything a person needs to see why a guest died, from a stopped machine whose engine is still
 * there. All that is shown comes from the guest: it is escaped or bounded before it reaches the terminal.
 */
#ifndef MONITOR_DEBUG_CRASH_REPORT_H
#define MONITOR_DEBUG_CRASH_REPORT_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct vm;
struct vcpu;

/* The whole report of vCPU 0. Precondition: vm->reason says why it died. */
void report_crash(struct vm *vm, FILE *out);

/* Parts of it; each prints whole lines and changes no guest state, as those of state.h do. */
void report_reason(struct vm *vm, FILE *out);
void report_cause(struct vcpu *vcpu, FILE *out);
void report_chain(struct vcpu *vcpu, FILE *out);
void report_instruction(struct vcpu *vcpu, FILE *out);
void report_exits(struct vcpu *vcpu, FILE *out);

/*
 * The call chain from RIP outwards, at most REPORT_FRAMES frames: by the image's unwind tables, or along frame pointers
 * where it has none. tracee: the stopped task of this vCPU when it is under this thread's ptrace, else 0; it only helps
 * reading.
 */
#define REPORT_FRAMES 32
void report_backtrace(struct vcpu *vcpu, pid_t tracee, FILE *out);

#endif
