/*
 * The bases of FS and GS, between the vCPU and the exchange page of a cell whose exits are signals.
 */
#ifndef MONITOR_ENGINE_TRAP_BASES_H
#define MONITOR_ENGINE_TRAP_BASES_H

#include <stdbool.h>
#include <stdint.h>

struct cell;
struct cells;
struct vcpu;

/* GATE_BASES_*, as this host wants it. Asks the processor once, by executing RDFSBASE. */
uint32_t bases_mode(void);
/*
 * What stands for a base on a host that is asked to load it: it gives tasks none in its own half, where code could not
 * use it anyway. Such a one stays virtual, and 0 is loaded.
 */
uint64_t bases_loadable(uint64_t base);
/* Code in cells may change them by instructions, to whatever is canonical. */
bool bases_are_free(const struct cells *cells);
/* Code in cells runs with the vCPU's bases, and none of them stays virtual. */
bool bases_are_real(const struct cells *cells, const struct vcpu *vcpu);
/* For the cell's next run. */
void bases_give(struct cell *cell, uint64_t fs_base, uint64_t gs_base);
/*
 * From the cell's last run, out of memory that the guest can write. What the processor would refuse to load, and what
 * the guest left as it was given, changes nothing.
 */
void bases_take(const struct cell *cell, struct vcpu *vcpu);

#endif
