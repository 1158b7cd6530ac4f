/*
 * The state of a stopped machine as text: registers, stack, page tables. All of it is the guest's and may be hostile
 * (loops, millions of entries): output and work are bounded, what is left out is said, and nothing is changed.
 */
#ifndef MONITOR_DEBUG_STATE_STATE_H
#define MONITOR_DEBUG_STATE_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct vm;
struct vcpu;

/* Whole lines each: the registers, the top of the stack, the walks to where the guest stands and accessed. */
void report_registers(struct vcpu *vcpu, FILE *out);
void report_stack(struct vcpu *vcpu, FILE *out);
void report_walks(struct vcpu *vcpu, FILE *out);

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

/* ------------------------------------------------------------------------------------------------- page tables */

/* Pages in a row, virtually and physically, that permit the same; rights such as "urwx" or "-r--". */
struct tables_range {
	uint64_t gva, len, gpa;
	char rights[5];
};
typedef void tables_range_visit(void *arg, const struct tables_range *range);
/* What the guest's tables map from this root, at most so many ranges. False: there was more. */
bool tables_each_range(struct vcpu *vcpu, uint64_t root, unsigned most, tables_range_visit *visit, void *arg);

/* Of the root in force: ranges of equal permission, single pages, the tree of entries. */
void tables_ranges(struct vcpu *vcpu, FILE *out);
void tables_pages(struct vcpu *vcpu, FILE *out);
void tables_tree(struct vcpu *vcpu, FILE *out);
/* What the spaces of the root really map, each run with what the guest's tables say about its first page. */
void tables_shadow(struct vcpu *vcpu, FILE *out);

#endif
