/*
 * What of the host's memory the monitor spends on a guest beside its RAM: in proportion to RAM, with a base that lets a
 * small guest run at full speed, and an end beyond which taking it all back at once would take too long. Bytes.
 */
#ifndef MONITOR_VM_BUDGET_H
#define MONITOR_VM_BUDGET_H

#include <stdint.h>

#define BUDGET_BASE (UINT64_C(32) << 20)
#define BUDGET_MOST (UINT64_C(320) << 20)

static inline uint64_t budget(uint64_t share)
{
	return share < BUDGET_MOST - BUDGET_BASE ? BUDGET_BASE + share : BUDGET_MOST;
}

/* Shadow page tables, with the page tables of the host that they come to. */
static inline uint64_t budget_shadow(uint64_t ram)
{
	return budget(ram / 4);
}

/* Code as an interpreter keeps it. */
static inline uint64_t budget_code(uint64_t ram)
{
	return budget(ram / 2);
}

#endif
