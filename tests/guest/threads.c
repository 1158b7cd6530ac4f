/*
 * The timer's handler switches contexts: whoever runs is interrupted, whether new or interrupted before, and no event
 * is left with a context that does not run.
 */
#include <pvguest/pvguest.h>

#define THREADS	    4
#define STACK_PAGES 2
#define PERIOD	    PVG_NS_PER_MS
#define FAR	    1000
#define PATIENCE    (20 * PVG_NS_PER_SEC)
#define LATE	    10

static struct thread {
	struct pvg_context context;
	volatile unsigned long count;
	unsigned turns;
} threads[THREADS];

static struct pvg_context main_context;
static struct thread *current;
static volatile unsigned ticks;
static volatile bool over;

static void to_main(void)
{
	struct thread *from = current;

	pvg_timer_stop();
	current = NULL;
	pvg_context_switch(&from->context, &main_context);
}

/* Round and round among the threads; to main() when the test is over. */
static void tick(void *arg)
{
	struct thread *from = current, *to;

	(void)arg;
	ticks++;
	if (over && from)
		to_main();
	if (over)
		return;
	to = from ? &threads[(unsigned)(from - threads + 1) % THREADS] : threads;
	current = to;
	to->turns++;
	pvg_context_switch(from ? &from->context : &main_context, &to->context);
}

static void count(void *arg)
{
	struct thread *self = arg;
	uint64_t start = pvg_clock_ns();

	pvg_irq_enable();
	for (;;) {
		unsigned far = 0;

		self->count++;
		for (unsigned i = 0; i < THREADS; i++)
			far += threads[i].count >= FAR && threads[i].turns > 2;
		if (far == THREADS || pvg_clock_ns() - start > PATIENCE)
			over = true;
	}
}

static void start_threads(void (*run)(void *arg))
{
	over = false;
	ticks = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i].turns = 0;
		threads[i].count = 0;
		pvg_context_make(&threads[i].context, pvg_stack_alloc(STACK_PAGES), run, &threads[i]);
	}
}

static void test_preemption(void)
{
	unsigned far = 0;

	start_threads(count);
	pvg_irq_disable();
	pvg_timer_every(PERIOD, tick, NULL);
	while (!over) {
		pvg_halt();
		pvg_irq_disable();
	}
	pvg_irq_enable();
	for (unsigned i = 0; i < THREADS; i++)
		far += threads[i].count >= FAR && threads[i].turns > 2;
	pvg_test_equal(far, THREADS, "threads that never give way all get far");
}

/* Ticks that came while masked: the first switches away from what was interrupted, the rest is not lost with it. */
static void late(void *arg)
{
	uint64_t start = pvg_clock_ns();

	(void)arg;
	pvg_irq_enable();
	while (ticks < LATE && pvg_clock_ns() - start < PATIENCE)
		;
	over = true;
	for (;;)
		;
}

static void test_late(void)
{
	uint64_t start;

	start_threads(late);
	pvg_irq_disable();
	start = pvg_clock_ns();
	pvg_timer_every(PERIOD, tick, NULL);
	while (pvg_clock_ns() - start < LATE * PERIOD + PERIOD / 2)
		;
	while (!over) {
		pvg_halt();
		pvg_irq_disable();
	}
	pvg_irq_enable();
	pvg_test(ticks >= LATE && ticks <= (pvg_clock_ns() - start) / PERIOD,
		 "late ticks are made up for, and no more");
}

/* Two events in one upcall: the handler of the first to be served switches away, and the second arrives all the same.
 */
static volatile bool served;
static struct pvg_context other;

static void switches(void *arg)
{
	struct pvg_context *mine = arg;

	pvg_context_switch(mine, &other);
}

static void serve(void *arg)
{
	(void)arg;
	served = true;
}

static void look(void *arg)
{
	static struct pvg_context here;
	uint64_t start = pvg_clock_ns();

	(void)arg;
	pvg_irq_enable();
	while (!served && pvg_clock_ns() - start < PVG_NS_PER_SEC)
		;
	pvg_irq_disable();
	pvg_test(served, "an event that came with another reaches whoever runs");
	pvg_context_switch(&here, &main_context);
}

static void test_events(void)
{
	int first = pvg_event_alloc(), second = pvg_event_alloc();

	pvg_assert(first >= 0 && second > first);
	pvg_irq_register_line((unsigned)first, switches, &main_context);
	pvg_irq_register_line((unsigned)second, serve, NULL);
	pvg_context_make(&other, pvg_stack_alloc(STACK_PAGES), look, NULL);
	pvg_irq_disable();
	pvg_event_send((unsigned)first);
	pvg_event_send((unsigned)second);
	pvg_irq_enable();
}

static void touch_guard(void *arg)
{
	*(volatile char *)arg = 1;
}

static void test_stacks(void)
{
	size_t before = pvg_pages_available();
	struct pvg_caught caught;
	char *top, *below;
	bool trapped;

	/* A table may be made for the first guard page of a stretch, and stays. */
	pvg_stack_free(pvg_stack_alloc(1), 1);
	before = pvg_pages_available();
	top = pvg_stack_alloc(STACK_PAGES);
	pvg_assert(top);
	below = top - STACK_PAGES * X86_PAGE_SIZE;
	pvg_test(!pvg_catch(touch_guard, below, &caught), "the last byte of a stack is there");
	trapped = pvg_catch(touch_guard, below - 1, &caught);
	pvg_test(trapped && caught.vector == X86_VEC_PF && caught.cr2 == (uint64_t)below - 1, "what is below is not");
	pvg_stack_free(top, STACK_PAGES);
	pvg_test_equal(pvg_pages_available(), before, "all of it is given back");
	memset(below - X86_PAGE_SIZE, 1, (STACK_PAGES + 1) * X86_PAGE_SIZE);
	pvg_test(below[-1] == 1, "and is memory again");
}

int main(const char *cmdline)
{
	(void)cmdline;
	test_stacks();
	test_preemption();
	test_late();
	if (pvg_is_paravirt())
		test_events();
	return pvg_test_finish();
}
