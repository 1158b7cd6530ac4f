/*
 * Spaces of the shadow page tables and the cells that hold them.
 */
#ifndef MONITOR_ENGINE_TRAP_SPACE_H
#define MONITOR_ENGINE_TRAP_SPACE_H

#include <stdbool.h>

#include "monitor/engine/trap/cell.h"
#include "shadowpt/shadowpt.h"

struct vm;
struct vcpu;

/* The engine's ops: orders are queued for the cell that owns the space. */
extern const struct spt_ops space_ops;

/* As engine_ops.space_lost and space_drop. */
void space_lost(struct vm *vm, struct spt_space *space, int error);
void space_drop(struct vm *vm, struct spt_space *space);
/* The cell's own space is that of user or kernel mode under this root, and the vCPU has 4-level paging. */
bool space_shown(const struct cell *cell, const struct vcpu *vcpu, uint64_t cr3, enum spt_mode mode);
/* Empties a space that lives in the cell of another one, and takes it out of there. */
void space_leave(struct vm *vm, struct spt_space *space);
/* All cells of kernel mode lose what they have, before guest memory is to lie elsewhere in them. */
void space_drop_kernels(struct vm *vm);
/* Has the mapper carry out what is queued for the cell. False: the host refused, and the cell lost its space. */
bool space_flush(struct vm *vm, struct cell *cell);
/* As engine_ops.settle. */
void space_settle_all(struct vm *vm);
/*
 * An order has to go to the cell: what the vCPU's first instruction needs goes with it, where it is known. Each page by
 * itself would cost a fault and an order of its own. The cell may lose its space.
 */
void space_prefill(struct vcpu *vcpu, struct cell *cell);

#endif
