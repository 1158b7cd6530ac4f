/*
 * scheduler: kernel threads, and a timer that takes the processor from each in turn. Four threads count until all of
 * them have counted far, in more than one turn, and none gives way of its own accord; a fifth sleeps in between, since
 * a thread may wait as well as be interrupted.
 */
#include <pvguest/pvguest.h>

#define THREADS	    5
#define STACK_PAGES 4
#define SLICE_NS    (2 * PVG_NS_PER_MS)
#define FAR	    20000
#define NAPS	    3

enum state { READY, SLEEPING, ENDED };

struct thread {
	struct pvg_context context;
	enum state state;
	uint64_t wake_ns; /* SLEEPING */
	void *stack;
	void (*run)(struct thread *self);
	volatile unsigned long count;
	volatile unsigned turns;
};

/* All that follows belongs to whoever has interrupts masked. */
static struct thread threads[THREADS], idle, *current = &idle;
static unsigned alive;

/* -------------------------------------------------------------------------------------------------- the scheduler */

/* The next thread after the current one that can run; the idle thread if none can. */
static struct thread *pick(void)
{
	unsigned start = current == &idle ? 0 : (unsigned)(current - threads) + 1;

	for (unsigned i = 0; i < THREADS; i++) {
		struct thread *thread = &threads[(start + i) % THREADS];

		if (thread->state == READY)
			return thread;
	}
	return &idle;
}

/* Gives the processor to the next thread. Returns when the current one has its turn again. Interrupts masked. */
static void schedule(void)
{
	struct thread *from = current, *to = pick();

	if (to == from)
		return;
	current = to;
	to->turns++;
	pvg_context_switch(&from->context, &to->context);
}

/* The timer's handler: what it interrupts goes on when schedule() returns here, some slices later. */
static void tick(void *arg)
{
	uint64_t now = pvg_clock_ns();

	(void)arg;
	for (unsigned i = 0; i < THREADS; i++)
		if (threads[i].state == SLEEPING && now >= threads[i].wake_ns)
			threads[i].state = READY;
	schedule();
}

static void thread_sleep(uint64_t ns)
{
	bool enabled = pvg_irq_save();

	current->state = SLEEPING;
	current->wake_ns = pvg_clock_ns() + ns;
	schedule();
	pvg_irq_restore(enabled);
}

/* Every thread begins here, interrupts masked, on its own stack. */
static void thread_begin(void *arg)
{
	struct thread *self = arg;

	pvg_irq_enable();
	self->run(self);
	pvg_irq_disable();
	self->state = ENDED;
	alive--;
	schedule(); /* and never back: others free the stack */
}

static void thread_start(struct thread *thread, void (*run)(struct thread *self))
{
	bool enabled = pvg_irq_save();

	thread->run = run;
	thread->stack = pvg_stack_alloc(STACK_PAGES);
	pvg_assert(thread->stack);
	pvg_context_make(&thread->context, thread->stack, thread_begin, thread);
	thread->state = READY;
	alive++;
	pvg_irq_restore(enabled);
}

/* ---------------------------------------------------------------------------------------------------- the threads */

static bool all_are_far(void)
{
	for (unsigned i = 0; i < THREADS - 1; i++)
		if (threads[i].count < FAR || threads[i].turns < 2)
			return false;
	return true;
}

/* Never ends unless it is interrupted: the others have to get far, too. */
static void counts(struct thread *self)
{
	while (!all_are_far())
		self->count++;
}

static void naps(struct thread *self)
{
	for (; self->count < NAPS; self->count++)
		thread_sleep(3 * SLICE_NS);
}

int main(const char *cmdline)
{
	(void)cmdline;
	for (unsigned i = 0; i < THREADS; i++)
		thread_start(&threads[i], i < THREADS - 1 ? counts : naps);

	/* main() is the idle thread from here on. */
	pvg_timer_every(SLICE_NS, tick, NULL);
	pvg_irq_disable();
	while (alive) {
		pvg_halt();
		pvg_irq_disable();
	}
	pvg_timer_stop();
	pvg_irq_enable();

	for (unsigned i = 0; i < THREADS; i++) {
		pvg_printf("thread %u: %s, %s\n", i,
			   i < THREADS - 1	      ? threads[i].count >= FAR ? "counted far" : "NOT FAR"
			   : threads[i].count == NAPS ? "slept and woke"
						      : "OVERSLEPT",
			   threads[i].turns > 1 ? "had the processor more than once" : "RAN IN ONE PIECE");
		pvg_stack_free(threads[i].stack, STACK_PAGES);
	}
	return 0;
}
