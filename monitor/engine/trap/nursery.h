/*
 * The nursery: a small process, made early of the monitor, that further cells are made of. It holds nothing but the
 * gate's text and data, its own code (nursery.S) and a page of orders, so a fork of it costs the same however much the
 * monitor and its guest have grown. What it makes are children of the monitor, as if the monitor had made them.
 */
#ifndef MONITOR_ENGINE_TRAP_NURSERY_H
#define MONITOR_ENGINE_TRAP_NURSERY_H

#include "monitor/vm/layout.h"

/* Where its pages are in it. A cell gives them up, with all else that lies there, before it runs guest code. */
#define NURSERY_TEXT  LAYOUT_GATE_END
#define NURSERY_ORDER (NURSERY_TEXT + 0x1000)
#define NURSERY_SIZE  0x2000
#define NURSERY_END   (NURSERY_TEXT + NURSERY_SIZE)

#define NURSERY_OPS 12

#ifndef __ASSEMBLER__

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "monitor/engine/trap/gate.h"

/* An order: one child. */
struct nursery_order {
	_Atomic uint32_t asked; /* monitor writes: changes when the order is complete; the nursery sleeps on it */
	_Atomic uint32_t done;	/* nursery writes: the order that was carried out; the monitor sleeps on it */
	uint32_t pid;		/* the kernel writes: the child's number */
	int32_t error;		/* nursery writes: what clone returned, if negative */
	uint32_t parent;	/* monitor writes: its number */
	uint32_t count;
	uint64_t boot;			 /* gate_boot */
	struct gate_op ops[NURSERY_OPS]; /* what the child does before it boots as a cell */
};

_Static_assert(NURSERY_ORDER + sizeof(struct nursery_order) <= NURSERY_END, "orders fit their page");

/* nursery.S; copied into the arena, never run in the monitor. */
extern const char nursery_text[], nursery_text_end[];

struct nursery {
	pid_t pid; /* 0: there is none */
	struct nursery_order *order;
};

#endif
#endif
