/*
 * Time since boot and one timer. pv=on: the shared page's clock and the timer hypercall. pv=off: the time stamp counter
 * and channel 0 of the 8254; the first use takes a few ms to measure one against the other.
 */
#ifndef PVGUEST_TIME_H
#define PVGUEST_TIME_H

#include <stdint.h>

#include <pvguest/irq.h>
#include <pvguest/language.h>

PVG_BEGIN

#define PVG_NS_PER_SEC 1000000000ull
#define PVG_NS_PER_MS  1000000ull
#define PVG_NS_PER_US  1000ull

/* ns since some fixed point near boot; never goes back. */
uint64_t pvg_clock_ns(void);

/* Calls handler(arg) once, in interrupt context, when the clock has reached deadline_ns. Replaces what was set. */
void pvg_timer_at(uint64_t deadline_ns, pvg_irq_handler handler, void *arg);
/*
 * Calls handler(arg) every period_ns, in interrupt context. Late calls are made up for: after n periods there have been
 * n, or there will be by the next interrupt of the timer that is let in. The handler may switch contexts: the next call
 * interrupts whoever runs then, and late ones are made in whichever context takes the interrupt.
 */
void pvg_timer_every(uint64_t period_ns, pvg_irq_handler handler, void *arg);
void pvg_timer_stop(void);

/* Waits, idle, with interrupts enabled. Uses the timer: not while one is set. */
void pvg_sleep_ns(uint64_t ns);

PVG_END

#endif
