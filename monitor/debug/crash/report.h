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

/*
 * How the guest ended, or that it runs, and where each vCPU is: the title and the place; with the backtrace; with all
 * there is to see. The backtrace takes patience_ns at most. Precondition: the machine is complete, its vCPUs are
 * stopped.
 */
enum report_size { REPORT_PLACE, REPORT_SHORT, REPORT_WHOLE };
void report_write(struct vm *vm, enum report_size size, uint64_t patience_ns, FILE *out);

/* Parts of it; each prints whole lines and changes no guest state, as those of state.h do. */
void report_title(struct vm *vm, FILE *out); /* also of a machine that is not complete */
void report_cause(struct vcpu *vcpu, FILE *out);
void report_chain(struct vcpu *vcpu, FILE *out);
void report_instruction(struct vcpu *vcpu, FILE *out);
void report_exits(struct vcpu *vcpu, FILE *out);

/*
 * The call chain from RIP outwards, at most REPORT_FRAMES frames: by the image's unwind tables, or along frame pointers
 * where it has none. tracee: the stopped task of this vCPU when it is under this thread's ptrace, else 0; it only helps
 * reading. It takes patience_ns at most.
 */
#define REPORT_FRAMES 32
void report_backtrace(struct vcpu *vcpu, pid_t tracee, uint64_t patience_ns, FILE *out);

#endif
