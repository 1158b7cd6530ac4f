/*
 * The crash report: everything a person needs to see why a guest died, from a stopped machine whose engine is still
 * there. All that is shown comes from the guest: it is escaped or bounded before it reaches the terminal.
 */
#ifndef MONITOR_DEBUG_REPORT_H
#define MONITOR_DEBUG_REPORT_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct vm;
struct vcpu;

/* The whole report of vCPU 0. Precondition: vm->reason says why it died. */
void report_crash(struct vm *vm, FILE *out);

/* Its parts, in order; each prints whole lines and changes no guest state. */
void report_reason(struct vm *vm, FILE *out);
void report_cause(struct vcpu *vcpu, FILE *out);
void report_chain(struct vcpu *vcpu, FILE *out);
void report_instruction(struct vcpu *vcpu, FILE *out);
void report_registers(struct vcpu *vcpu, FILE *out);
void report_stack(struct vcpu *vcpu, FILE *out);
void report_walks(struct vcpu *vcpu, FILE *out);
void report_exits(struct vcpu *vcpu, FILE *out);

/*
 * The call chain from RIP outwards, at most REPORT_FRAMES frames: by the image's unwind tables, or along frame pointers
 * where it has none. tracee: the stopped task of this vCPU when it is under this thread's ptrace, else 0; it only helps
 * reading.
 */
#define REPORT_FRAMES 32
void report_backtrace(struct vcpu *vcpu, pid_t tracee, FILE *out);

/* The walk of the guest's tables for gva, level by level. */
void report_walk(struct vcpu *vcpu, uint64_t gva, FILE *out);

/*
 * What an access by the processor itself or by the kernel meets at gva, by the tables of CR3 as they are now; access is
 * made of X86_PF_W and X86_PF_I. *gpa is set for REACH_RAM.
 */
enum report_reach {
	REACH_RAM,
	REACH_NOT_CANONICAL,
	REACH_NOT_MAPPED,
	REACH_READ_ONLY,
	REACH_NO_EXECUTE,
	REACH_USER_PAGE,
	REACH_NO_RAM,
};
enum report_reach report_reach(struct vcpu *vcpu, uint64_t gva, uint32_t access, uint64_t *gpa);

/* Writes " <name+0x..>" if the address has a symbol. */
void report_symbol(struct vm *vm, uint64_t addr, FILE *out);

/* The names of the set bits among count named ones, lowest first, each after a blank. */
struct report_flag {
	uint64_t bit;
	const char *name;
};
void report_flags(uint64_t value, const struct report_flag *flags, unsigned count, FILE *out);
#define REPORT_FLAGS(value, flags, out) report_flags(value, flags, sizeof(flags) / sizeof((flags)[0]), out)

#endif
