/*
 * What differs between two machines: the state that the guest, or its manual, knows of.
 */
#ifndef MONITOR_DEBUG_STATE_DIFF_H
#define MONITOR_DEBUG_STATE_DIFF_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/vm/state.h"

struct vcpu;
struct vm;

/*
 * Compares two stopped virtual processors by the list of their state, and their flags (the virtual IF, not RF). Fills
 * at most `max` differences and returns how many.
 */
unsigned state_diff(struct vcpu *a, struct vcpu *b, struct state_difference *out, unsigned max);
/* The same for their machines' devices and paravirtual side; large buffers only if `bulk`. */
unsigned state_diff_devices(const struct vm *a, const struct vm *b, bool bulk, struct state_difference *out,
			    unsigned max);

/*
 * Compares two XSAVE images in standard form of `size` bytes (SDM 1 13.4); a component that an image leaves out is in
 * its initial state. The name of the first component that differs, or NULL. Where the last x87 instruction and its
 * operand lay (FIP, FDP, FOP) is left out: it is not kept from one instruction to the next on all processors.
 */
const char *state_diff_fpu(const uint8_t *a, const uint8_t *b, unsigned size);

#endif
