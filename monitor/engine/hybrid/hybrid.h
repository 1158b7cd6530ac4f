/*
 * What engines share that run user mode in the cells of `trap` and keep the interpreter beside it. As in engine_ops.
 */
#ifndef MONITOR_ENGINE_HYBRID_HYBRID_H
#define MONITOR_ENGINE_HYBRID_HYBRID_H

#include <stdbool.h>

#include "monitor/vm/engine.h"

/* The guest has set what a cell cannot show its user mode, or a debugger watches: it is interpreted too. */
bool hybrid_interprets_user(const struct vcpu *vcpu);

void hybrid_space_lost(struct vm *vm, struct spt_space *space, int error);
void hybrid_space_drop(struct vm *vm, struct spt_space *space);
void hybrid_kick(struct vcpu *vcpu);
unsigned hybrid_cells(struct vm *vm);
unsigned hybrid_fpu_size(struct vm *vm);
void hybrid_fpu_get(struct vcpu *vcpu, void *image, unsigned size);
void hybrid_fpu_set(struct vcpu *vcpu, void *image, unsigned size);

#endif
