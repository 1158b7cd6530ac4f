/*
 * One timer with an absolute deadline, over whatever one-shot timer the machine has. The hardware may fire early (the
 * 8254 cannot count further than 55 ms, and a stale interrupt may be pending): the deadline is what counts.
 *
 * A handler may switch contexts and come back much later, or never. So before it is called the hardware is armed for
 * the next deadline, and which calls are still owed is known to all contexts, not to the one that was interrupted.
 */
#include "pvguest/internal.h"

static struct {
	uint64_t deadline, period; /* period 0: once */
	uint64_t owed;		   /* calls that are due and were not made yet */
	pvg_irq_handler handler;
	void *arg;
	bool bound;
} timer = {.deadline = PVG_TIMER_OFF};

uint64_t pvg_clock_ns(void)
{
	return pvg_ops->clock_ns();
}

/* Turns what is due into calls owed, and moves the deadline behind now. */
static void collect(uint64_t now)
{
	uint64_t periods = timer.period ? (now - timer.deadline) / timer.period + 1 : 1;

	timer.owed += periods;
	timer.deadline = timer.period ? timer.deadline + periods * timer.period : PVG_TIMER_OFF;
}

static void timer_interrupt(void *arg)
{
	uint64_t now = pvg_clock_ns();

	(void)arg;
	if (timer.deadline != PVG_TIMER_OFF && now >= timer.deadline)
		collect(now);
	if (timer.deadline != PVG_TIMER_OFF)
		pvg_ops->timer_arm(timer.deadline);
	while (timer.owed) {
		timer.owed--;
		timer.handler(timer.arg);
	}
}

static void set(uint64_t deadline, uint64_t period, pvg_irq_handler handler, void *arg)
{
	bool enabled = pvg_irq_save();

	if (!timer.bound) {
		timer.bound = true;
		if (pvg_irq_register(PVG_IRQ_TIMER, timer_interrupt, NULL))
			pvg_panic("no interrupt for the timer");
	}
	timer.deadline = deadline;
	timer.period = period;
	timer.owed = 0;
	timer.handler = handler;
	timer.arg = arg;
	pvg_ops->timer_arm(deadline);
	pvg_irq_restore(enabled);
}

void pvg_timer_at(uint64_t deadline_ns, pvg_irq_handler handler, void *arg)
{
	set(deadline_ns, 0, handler, arg);
}

void pvg_timer_every(uint64_t period_ns, pvg_irq_handler handler, void *arg)
{
	pvg_assert(period_ns);
	set(pvg_clock_ns() + period_ns, period_ns, handler, arg);
}

void pvg_timer_stop(void)
{
	set(PVG_TIMER_OFF, 0, NULL, NULL);
}

static void wake(void *arg)
{
	*(volatile bool *)arg = true;
}

void pvg_sleep_ns(uint64_t ns)
{
	volatile bool done = false;
	bool enabled = pvg_irq_save();

	pvg_timer_at(pvg_clock_ns() + ns, wake, (void *)&done);
	while (!done) {
		pvg_halt();
		pvg_irq_disable();
	}
	pvg_irq_restore(enabled);
}
