/*
 * Data breakpoints, of the guest's DR0 to DR3 and of a debugger's.
 */
#ifndef MONITOR_VM_WATCH_H
#define MONITOR_VM_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "hypercalls/x86.h"

/*
 * Which of the four addresses see this access, as bits; `control` is as DR7, `enabled` the bits of the first register's
 * enabling that count.
 */
unsigned watch_matches(const uint64_t *address, uint64_t control, unsigned enabled, uint64_t gva, uint64_t len,
		       bool write);

#endif
