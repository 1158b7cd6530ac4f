/*
 * The interrupt flag and interrupt sources, the same for pv=on and pv=off. Handlers run with interrupts masked.
 */
#ifndef PVGUEST_IRQ_H
#define PVGUEST_IRQ_H

#include <stdbool.h>

#include <pvguest/language.h>
#include <pvguest/ops.h>

PVG_BEGIN

/* Sources that both ways have. */
#define PVG_IRQ_TIMER	0
#define PVG_IRQ_CONSOLE 1 /* console input waits */

/* Lines: inputs of the 8259 pair with pv=off (0 to 15), event ports with pv=on (0 to R3_EVTCHN_PORTS - 1). */
#define PVG_IRQ_LINES 64

/* Vectors, from the first of a run of 16 (pv=off), and for all events (pv=on). */
#define PVG_VEC_PIC   32
#define PVG_VEC_EVENT 48

typedef void (*pvg_irq_handler)(void *arg);

/* Binds a source and unmasks it. 0 or -R3_E*. */
int pvg_irq_register(unsigned source, pvg_irq_handler handler, void *arg);
/* The same for a line by number. A NULL handler masks the line. */
int pvg_irq_register_line(unsigned line, pvg_irq_handler handler, void *arg);

static inline void pvg_irq_enable(void)
{
	pvg_ops->irq_enable();
}

static inline void pvg_irq_disable(void)
{
	pvg_ops->irq_disable();
}

static inline bool pvg_irq_enabled(void)
{
	return pvg_ops->irq_enabled();
}

/* Masks interrupts; the result goes to pvg_irq_restore. Nests. */
static inline bool pvg_irq_save(void)
{
	bool enabled = pvg_ops->irq_enabled();

	if (enabled)
		pvg_ops->irq_disable();
	return enabled;
}

static inline void pvg_irq_restore(bool enabled)
{
	if (enabled)
		pvg_ops->irq_enable();
}

/*
 * Enables interrupts and waits for one. To wait for a condition without losing its wake-up:
 *	pvg_irq_disable();
 *	while (!condition) {
 *		pvg_halt();
 *		pvg_irq_disable();
 *	}
 *	pvg_irq_enable();
 */
static inline void pvg_halt(void)
{
	pvg_ops->halt();
}

PVG_END

#endif
