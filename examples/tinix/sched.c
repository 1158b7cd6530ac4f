/*
 * Who runs: the run queue, sleeping and waking, timers, and the switch from one process to the next. Round robin; user
 * mode is preempted when its slice is over or a sleeper's time has come, the kernel never.
 */
#include "examples/tinix/core.h"

#define SLICE		(10 * PVG_NS_PER_MS)
#define FIRST_INTERRUPT 32 /* vectors below are exceptions */

struct proc *current;
uint64_t idle_ns;
struct waitq poll_queue = WAITQ_INIT(poll_queue);

static struct list run_queue = LIST_INIT(run_queue);
static struct list timers = LIST_INIT(timers); /* by deadline */
static uint64_t slice_end, armed = NO_DEADLINE;
static bool reschedule;
static struct proc *loaded;  /* whose user context the processor holds */
static struct proc *to_free; /* ended on the stack that we have just left, perhaps */

uint64_t now(void)
{
	return pvg_clock_ns();
}

uint64_t wall_offset(void)
{
	return pvg_shared_info ? pvg_shared_info->clock.wall_ns : 0;
}

void account(bool user)
{
	uint64_t time = now(), *spent = user ? &current->usage.user_ns : &current->usage.system_ns;

	*spent += time - current->core->entered;
	current->core->entered = time;
}

/* ------------------------------------------------------------------------------------------------------- timers */

static void tick(void *arg);

/* An earlier deadline than needed stays armed: it fires for nothing, which costs less than to arm at every switch. */
static void arm(void)
{
	uint64_t wanted = list_empty(&run_queue) ? NO_DEADLINE : slice_end;

	if (current) /* not while idle */
		wanted = min_u64(wanted, limit_cpu_deadline());
	if (!list_empty(&timers))
		wanted = min_u64(wanted, list_entry(timers.next, struct timer, link)->deadline);
	if (wanted >= armed)
		return;
	armed = wanted;
	pvg_timer_at(wanted, tick, NULL);
}

static void tick(void *arg)
{
	uint64_t time = now();

	armed = NO_DEADLINE;
	while (!list_empty(&timers)) {
		struct timer *timer = list_entry(timers.next, struct timer, link);

		if (timer->deadline > time)
			break;
		list_remove(&timer->link);
		timer->fire(timer);
		reschedule = true;
	}
	if (!list_empty(&run_queue) && time >= slice_end) {
		reschedule = true;
		slice_end = time + SLICE;
	}
	arm();
}

void timer_start(struct timer *timer, uint64_t deadline, void (*fire)(struct timer *timer))
{
	struct list *at = timers.next;

	timer->deadline = deadline;
	timer->fire = fire;
	while (at != &timers && list_entry(at, struct timer, link)->deadline <= deadline)
		at = at->next;
	list_add(at, &timer->link);
	arm();
}

void timer_stop(struct timer *timer)
{
	list_remove(&timer->link);
}

/* ---------------------------------------------------------------------------------------------------- switching */

void make_runnable(struct proc *p)
{
	p->state = PROC_RUNNABLE;
	if (list_empty(&run_queue))
		slice_end = now() + SLICE;
	list_add(&run_queue, &p->core->queue);
	if (!current) /* woken by an interrupt while idle */
		return;
	arm();
}

static void idle(void)
{
	struct proc *before = current;
	uint64_t start = now();

	current = NULL;
	while (list_empty(&run_queue)) {
		pvg_console_flush();
		pvg_halt();
		pvg_irq_disable();
	}
	current = before;
	idle_ns += now() - start;
}

static void free_ended(void)
{
	if (to_free && to_free != current) {
		proc_free(to_free);
		to_free = NULL;
	}
}

void schedule(void)
{
	struct proc *before = current;
	uint64_t time;

	account(false);
	if (list_empty(&run_queue))
		idle();
	current = list_entry(run_queue.next, struct proc_core, queue)->self;
	list_remove(&current->core->queue);
	reschedule = false;
	time = now();
	current->core->entered = time;
	slice_end = time + SLICE;
	arm();
	if (current == before)
		return;
	current->usage.switches++;
	pvg_context_switch(&before->core->context, &current->core->context);
	free_ended();
}

_Noreturn void run_first(void)
{
	struct pvg_context boot;

	current = list_entry(run_queue.next, struct proc_core, queue)->self;
	list_remove(&current->core->queue);
	pvg_context_switch(&boot, &current->core->context);
	pvg_panic("back on the boot stack");
}

void yield(void)
{
	make_runnable(current);
	schedule();
}

void proc_free_later(struct proc *p)
{
	if (to_free)
		proc_free(to_free);
	to_free = p;
}

void forget_user(struct proc *p)
{
	if (loaded != p)
		return;
	pvg_user_unload();
	loaded = NULL;
}

void save_user(void)
{
	if (loaded == current)
		pvg_user_save(&current->core->user);
}

void save_fpu(void)
{
	if (loaded == current)
		pvg_user_save_fpu(&current->core->user);
}

void load_fpu(void)
{
	if (loaded == current)
		pvg_user_load_fpu(&current->core->user);
}

void return_to_user(struct pvg_frame *frame)
{
	if (frame->vector >= FIRST_INTERRUPT && frame->vector != PVG_TRAP_SYSCALL)
		account(true); /* exceptions and calls did when they came in */
	limit_cpu_check();
	for (;;) {
		if (reschedule && !list_empty(&run_queue))
			yield();
		else if (signal_is_pending(current))
			signal_deliver(frame);
		else
			break;
	}
	signal_settle(frame);
	if (loaded != current) {
		pvg_user_switch(loaded ? &loaded->core->user : NULL, &current->core->user);
		loaded = current;
	}
	account(false);
}

/* ----------------------------------------------------------------------------------------------------- sleeping */

struct alarm_clock {
	struct timer timer;
	struct proc *sleeper;
};

static void wake(struct proc *p)
{
	list_remove(&p->core->queue);
	p->core->waiting = NULL;
	make_runnable(p);
}

static void alarm_rings(struct timer *timer)
{
	struct proc *p = ((struct alarm_clock *)timer)->sleeper;

	if (!p->core->waiting)
		return;
	p->core->timed_out = true;
	wake(p);
}

static void sleep(struct waitq *queue)
{
	struct proc_core *me = current->core;

	me->interrupted = me->timed_out = false;
	me->waiting = queue;
	current->state = PROC_SLEEPING;
	list_add(&queue->sleepers, &me->queue);
	schedule();
}

int sleep_on(struct waitq *queue, uint64_t deadline)
{
	struct alarm_clock clock = {.sleeper = current};

	if (signal_is_pending(current))
		return -ERESTARTSYS;
	if (deadline != NO_DEADLINE) {
		if (deadline <= now())
			return -ETIMEDOUT;
		timer_start(&clock.timer, deadline, alarm_rings);
	}
	sleep(queue);
	if (deadline != NO_DEADLINE)
		timer_stop(&clock.timer);
	if (current->core->interrupted)
		return -ERESTARTSYS;
	return current->core->timed_out ? -ETIMEDOUT : 0;
}

void sleep_uninterruptible(struct waitq *queue)
{
	current->core->uninterruptible = true;
	sleep(queue);
	current->core->uninterruptible = false;
}

void interrupt_sleep(struct proc *p)
{
	if (!p->core->waiting || p->core->uninterruptible)
		return;
	p->core->interrupted = true;
	wake(p);
}

void waitq_init(struct waitq *queue)
{
	list_init(&queue->sleepers);
}

void wake_one(struct waitq *queue)
{
	if (!list_empty(&queue->sleepers))
		wake(list_entry(queue->sleepers.next, struct proc_core, queue)->self);
}

void wake_all(struct waitq *queue)
{
	while (!list_empty(&queue->sleepers))
		wake_one(queue);
}
