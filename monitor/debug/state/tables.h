/*
 * Page tables as text: the guest's, and the shadow beneath them. They may be hostile (loops, millions of entries):
 * output and work are bounded, and what is left out is said.
 */
#ifndef MONITOR_DEBUG_GDB_TABLES_H
#define MONITOR_DEBUG_GDB_TABLES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct vcpu;

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
