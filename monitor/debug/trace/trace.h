/*
 * Traces as they are told: for people (text), for programs (JSON Lines) and for Perfetto; docs/traces.md describes the
 * formats. What the rings of monitor/trace/ hold is made into them in batches.
 */
#ifndef MONITOR_DEBUG_TRACE_TRACE_H
#define MONITOR_DEBUG_TRACE_TRACE_H

#include <stdbool.h>
#include <stdio.h>

#include "monitor/trace/trace.h"

/* The syntax of --trace alone. 0, or -EINVAL with a message printed. */
int trace_check_events(const char *text);
/* Opens what vm->config asks for. 0 or negative errno with a message printed. */
int trace_up(struct vm *vm);
/* The guest has ended and the machine is whole: writes the rest and the summary. */
void trace_finish(struct vm *vm);
void trace_down(struct vm *vm);

/* Text on stderr, from now on or no more. Any selection of events stays as it is. False: memory is out. */
bool trace_text_switch(struct vm *vm, bool on);
bool trace_text_is_on(const struct vm *vm);
/* Writes out what is gathered: the guest waits, or somebody looks. */
void trace_flush(struct vm *vm);

/* How many of them are worth a look. */
#define TRACE_LAST 32
/* Prints the last `count` events of the vCPU, oldest first, as text; returns how many there were. */
unsigned trace_last(struct vcpu *vcpu, unsigned count, FILE *out);

extern const char *const trace_kind_names[TRACE_KIND_COUNT];

#endif
