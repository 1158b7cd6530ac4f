/*
 * What the files of the cause share: sentences without a full stop.
 */
#ifndef MONITOR_DEBUG_CAUSE_INTERNAL_H
#define MONITOR_DEBUG_CAUSE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "monitor/debug/state/state.h"
#include "monitor/vm/vcpu.h"

/* "which the page tables do not map" and its like; NULL of REACH_RAM. */
const char *cause_reach_words(enum report_reach reach);
/* Reads a table of the processor's own: descriptors, gates, the TSS. False: says why not, about `what`. */
bool cause_read_table(struct vcpu *vcpu, const char *what, uint64_t gva, void *to, size_t len, FILE *out);
/* A frame of `bytes` cannot be written below gva, the stack called `name`: says so and is false. */
bool cause_stack_is_fine(struct vcpu *vcpu, uint64_t gva, const char *name, unsigned bytes, unsigned step, FILE *out);

/* cause_legacy.c: outside long mode, why the event cannot be delivered; false: nothing stands in the way now. */
bool cause_legacy(struct vcpu *vcpu, const struct vcpu_event *event, FILE *out);

#endif
