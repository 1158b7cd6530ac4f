/*
 * The engine's state, shared by its files.
 */
#ifndef MONITOR_ENGINE_TRAP_TRAP_H
#define MONITOR_ENGINE_TRAP_TRAP_H

#include <stdatomic.h>

#include "monitor/engine/trap/cell.h"
#include "monitor/engine/trap/direct.h"
#include "monitor/engine/trap/placement.h"
#include "monitor/engine/trap/transport.h"
#include "monitor/engine/trap/watch.h"

struct trap {
	struct cells cells;
	const struct transport *transport;
	struct placement placement;
	struct direct direct;

	_Atomic(struct cell *) inside; /* the cell being waited for; read by kick */
	uint64_t entries;
	unsigned refusals; /* flushes the host refused in a row */
	unsigned children; /* of events_children, when the cells were looked after last */
	unsigned fpu_size; /* bytes of the XSAVE image, from the processor */
	struct watch watch;

	/* An engine that stands on this one and executes translated code in kernel cells: its own state, and where in
	 * the code cache the guest's code at gva is; 0: nowhere yet. */
	struct translate *translate;
	uint64_t (*translated)(struct vcpu *vcpu, uint64_t gva);
	/* Kernel cells show guest memory elsewhere than the guest has it: the vCPU's registers are no guest addresses.
	 */
	bool elsewhere;
	/* The kernel's cell is that of its upper half, whatever the root. Whether it shows the memory of user mode that
	 * it has by the root in force as well. */
	bool upper, lower;
	/* Code is of 32 bits, and cells of both modes execute its translation alone. */
	bool narrow;
	/* Then both modes of an address space have one cell, which has a place for each. */
	bool one_cell;
	/* An image that comes out of a cell shows where the guest's code is, not its translation. */
	void (*show_fpu)(struct trap *trap, void *image);

	/* What the FPU was set to while no runner held its state: the first one gets it. */
	bool fpu_kept;
	uint8_t fpu[GATE_FPU_SIZE];
};

struct trap *trap_of(struct vm *vm);

/* The vCPU's FPU state lies in the cell's GATE_FPU: the monitor has it from now on. */
void trap_keep_fpu(struct trap *trap, struct cell *cell);
/* Moves the vCPU's FPU state to the cell that is to run next. */
void trap_hold_fpu(struct trap *trap, struct cell *cell, const struct vcpu *vcpu);

#endif
