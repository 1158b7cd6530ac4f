/*
 * A kernel whose local APIC's timer ticks by deadlines, as Linux's does: whatever a monitor lets it do by itself, no
 * tick comes early, none is lost, and EOI does what the manual says, wherever the register is seen and however it is
 * written.
 */
#include <pvguest/pvguest.h>

#define APIC	   0xfee00000u
#define SPURIOUS   0xf0 /* SDM 3A table 10-1: offsets */
#define IN_SERVICE 0x100
#define REQUESTS   0x200
#define COMMAND	   0x300
#define LVT_TIMER  0x320
#define ENABLED	   0x1ff
#define DEADLINE   (2u << 17)
#define SELF	   (1u << 18)
#define X2APIC(at) (X86_MSR_X2APIC_FIRST + (at) / 16)

#define TIMER	0x70
#define LOWER	0x60
#define HIGHER	0x90
#define TICKS	1500
#define STRANGE (R3_BIT(39) * 3) /* addresses that nobody else has */

static volatile uint32_t *apic;
static uint64_t rate; /* of the counter, a millisecond */

static struct {
	uint64_t interval, due;
	volatile unsigned count;
	unsigned most, early, unserved, left;
} tick;
static volatile unsigned lower, higher;
static bool x2apic;

/* By one instruction, wherever it leads. */
__attribute__((noinline)) static void store(volatile uint32_t *to, uint32_t value)
{
	__asm__ volatile("movl %1, (%0)" : : "r"(to), "r"(value) : "memory");
}

static uint32_t word(unsigned at)
{
	return x2apic ? (uint32_t)pvg_rdmsr(X2APIC(at)) : apic[at / 4];
}

static bool holds(unsigned at, unsigned vector)
{
	return word(at + vector / 32 * 16) >> vector % 32 & 1;
}

static void end(void)
{
	if (x2apic)
		pvg_wrmsr(X86_MSR_X2APIC_EOI, 0);
	else
		store(apic + X86_APIC_EOI / 4, 0);
}

static void send(unsigned vector)
{
	if (x2apic)
		pvg_wrmsr(X2APIC(COMMAND), SELF | vector);
	else
		apic[COMMAND / 4] = SELF | vector;
}

static void set(uint64_t due)
{
	tick.due = due;
	pvg_wrmsr(X86_MSR_TSC_DEADLINE, due);
}

/* The next one of those that are not over yet. */
static void set_next(void)
{
	uint64_t due = tick.due;

	do
		due += tick.interval;
	while (due <= pvg_rdtsc());
	set(due);
}

/* Every 16th looks at what others leave to the monitor. */
static void on_timer(struct pvg_frame *frame, void *arg)
{
	bool looks = tick.count % 16 == 15;

	(void)frame, (void)arg;
	tick.early += pvg_rdtsc() < tick.due;
	tick.unserved += looks && !holds(IN_SERVICE, TIMER);
	end();
	tick.left += looks && (holds(IN_SERVICE, TIMER) || holds(REQUESTS, TIMER));
	if (++tick.count < tick.most)
		set_next();
}

static void on_other(struct pvg_frame *frame, void *arg)
{
	(void)frame;
	++*(volatile unsigned *)arg;
	end();
}

static void wait_for(volatile unsigned *count, unsigned most)
{
	uint64_t start = pvg_rdtsc();

	while (*count < most && pvg_rdtsc() - start < 20000 * rate)
		;
}

static void run(unsigned ticks, uint64_t interval)
{
	tick.count = tick.early = tick.unserved = tick.left = 0;
	tick.most = ticks;
	tick.interval = interval;
	set(pvg_rdtsc() + interval);
	wait_for(&tick.count, ticks);
}

static void test_ticks(const char *how)
{
	run(TICKS, rate / 4);
	pvg_test_equal(tick.count, TICKS, "%s: all ticks come", how);
	pvg_test_equal(tick.early, 0, "%s: none before its time", how);
	pvg_test_equal(tick.unserved, 0, "%s: each is in service until EOI", how);
	pvg_test_equal(tick.left, 0, "%s: and neither there nor asked for behind it", how);
}

/* Deadlines that are not where they were expected. */
static void test_changes(void)
{
	uint64_t now;
	unsigned late = 0;

	run(20, rate * 4);
	for (unsigned n = 0; n < 20; n++) {
		tick.count = 0;
		tick.most = 1;
		now = pvg_rdtsc();
		set(now + rate * 8);
		set(now + rate / 2);
		wait_for(&tick.count, 1);
		late += pvg_rdtsc() - now > rate * 4;
	}
	pvg_test(late < 15, "a deadline that is moved up is kept");
	pvg_test_equal(tick.early, 0, "and not what was there before");
	tick.count = 0;
	set(pvg_rdtsc() + rate * 4);
	pvg_test_equal(pvg_rdmsr(X86_MSR_TSC_DEADLINE), tick.due, "the deadline can be read");
	set(tick.due + rate * 2);
	pvg_test_equal(pvg_rdmsr(X86_MSR_TSC_DEADLINE), tick.due, "and moved back");
	wait_for(&tick.count, 1);
	pvg_test_equal(pvg_rdmsr(X86_MSR_TSC_DEADLINE), 0, "until it is over");
	pvg_test_equal(tick.early, 0, "which is not before its time");
	tick.count = 0;
	set(pvg_rdtsc() + rate * 4);
	set(0);
	for (now = pvg_rdtsc(); pvg_rdtsc() - now < rate * 12;)
		;
	pvg_test_equal(tick.count, 0, "a deadline that is taken back is none");
}

/* What waits comes behind the instruction after STI. */
static void let_in(void)
{
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
}

/* Others wait while it is in service: of EOI those come that it kept back. */
static void on_nested(struct pvg_frame *frame, void *arg)
{
	unsigned before = higher;

	(void)frame, (void)arg;
	send(LOWER);
	send(HIGHER);
	let_in();
	tick.left += higher != before + 1;
	before = lower;
	tick.left += lower != before;
	end();
	let_in();
	tick.left += lower != before + 1;
	if (++tick.count < tick.most)
		set_next();
}

static void test_priorities(const char *how)
{
	pvg_trap_register(TIMER, on_nested, NULL);
	run(100, rate / 4);
	pvg_test_equal(tick.count, 100, "%s: ticks come with others between", how);
	pvg_test_equal(tick.left, 0, "%s: higher ones at once, lower ones behind EOI", how);
	pvg_trap_register(TIMER, on_timer, NULL);
}

/* -------------------------------------------------------------------------------------- the page leads elsewhere */

static volatile uint32_t *where;
static uint64_t *entry;

static void point(uint64_t pte)
{
	*entry = pte;
	__asm__ volatile("invlpg (%0)" : : "r"(where) : "memory");
}

static void store_there(void *arg)
{
	store((volatile uint32_t *)arg, 1);
}

/* It stays in service. */
static void on_kept(struct pvg_frame *frame, void *arg)
{
	(void)frame, (void)arg;
	tick.count++;
}

static void wait_for_one(void)
{
	tick.count = 0;
	set(pvg_rdtsc() + rate / 4);
	wait_for(&tick.count, 1);
}

static unsigned refused(volatile uint32_t *at, uint64_t error)
{
	struct pvg_caught caught;

	return !pvg_catch(store_there, (void *)at, &caught) || caught.vector != X86_VEC_PF || caught.error != error ||
	       !holds(IN_SERVICE, TIMER);
}

static void store_elsewhere(void)
{
	static uint32_t page[X86_PAGE_SIZE / 4] __attribute__((aligned(4096)));
	const unsigned at = X86_APIC_EOI / 4;

	wait_for_one();
	page[at] = page[at + 1] = 0;
	point(pvg_ptr_to_gpa(page) | X86_PTE_P | X86_PTE_W);
	store(where + at, 7);
	store(where + at + 1, 8);
	tick.unserved += page[at] != 7 || page[at + 1] != 8 || !holds(IN_SERVICE, TIMER);
	point(APIC | X86_PTE_P | X86_PTE_PCD);
	tick.unserved += refused(where + at, X86_PF_P | X86_PF_W);
	point(0);
	tick.unserved += refused(where + at, X86_PF_W);
	point(APIC | X86_PTE_P | X86_PTE_W | X86_PTE_PCD);
	store(where + at, 0);
	tick.left += holds(IN_SERVICE, TIMER);
}

static void test_elsewhere(void)
{
	uint64_t *table[3] = {pvg_gpa_to_ptr(pvg_read_cr3() & X86_PTE_ADDR)};
	volatile uint32_t *before = apic;

	for (unsigned n = 0; n < 2; n++) {
		table[n + 1] = pvg_page_alloc();
		table[n][n ? 0 : STRANGE / R3_BIT(39)] = pvg_ptr_to_gpa(table[n + 1]) | X86_PTE_P | X86_PTE_W;
	}
	entry = pvg_page_alloc();
	table[2][0] = pvg_ptr_to_gpa(entry) | X86_PTE_P | X86_PTE_W;
	apic = where = (volatile uint32_t *)STRANGE;
	point(APIC | X86_PTE_P | X86_PTE_W | X86_PTE_PCD);
	run(100, rate / 4);
	pvg_test(tick.count == 100 && !tick.left, "another address of it does as well");
	apic = before;
	pvg_trap_register(TIMER, on_kept, NULL);
	for (unsigned n = 0; n < 100; n++)
		store_elsewhere();
	pvg_test_equal(tick.unserved, 0, "what goes elsewhere, or nowhere, is no EOI");
	pvg_test_equal(tick.left, 0, "and what comes to it is one");
	pvg_trap_register(TIMER, on_timer, NULL);
}

/* ----------------------------------------------------------------------------------------------------- x2APIC */

static void end_wrongly(void *arg)
{
	(void)arg;
	pvg_wrmsr(X86_MSR_X2APIC_EOI, 1);
}

static void store_wrongly(void)
{
	struct pvg_caught caught;

	wait_for_one();
	tick.unserved += !pvg_catch(end_wrongly, NULL, &caught) || caught.vector != X86_VEC_GP;
	store(apic + X86_APIC_EOI / 4, 0);
	tick.unserved += !holds(IN_SERVICE, TIMER);
	end();
	tick.left += holds(IN_SERVICE, TIMER);
}

static void test_x2apic(void)
{
	pvg_wrmsr(X86_MSR_APIC_BASE, pvg_rdmsr(X86_MSR_APIC_BASE) | X86_APIC_BASE_X2APIC);
	x2apic = true;
	test_ticks("x2APIC");
	test_priorities("x2APIC");
	pvg_trap_register(TIMER, on_kept, NULL);
	for (unsigned n = 0; n < 100; n++)
		store_wrongly();
	pvg_test_equal(tick.unserved, 0, "there neither a bit too many nor a store is EOI");
	pvg_test_equal(tick.left, 0, "and the MSR is");
}

static uint64_t measure(void)
{
	uint64_t from = pvg_clock_ns(), tsc = pvg_rdtsc(), ns;

	while ((ns = pvg_clock_ns() - from) < 5 * PVG_NS_PER_MS)
		;
	return (pvg_rdtsc() - tsc) * PVG_NS_PER_MS / ns;
}

int main(const char *cmdline)
{
	apic = pvg_gpa_to_ptr(APIC);
	rate = measure();
	pvg_trap_register(TIMER, on_timer, NULL);
	pvg_trap_register(LOWER, on_other, (void *)&lower);
	pvg_trap_register(HIGHER, on_other, (void *)&higher);
	apic[SPURIOUS / 4] = ENABLED;
	apic[LVT_TIMER / 4] = DEADLINE | TIMER;
	pvg_sti();
	test_ticks("xAPIC");
	if (!pvg_strcmp(cmdline, "ticks"))
		return pvg_test_finish();
	test_changes();
	test_priorities("xAPIC");
	test_elsewhere();
	test_x2apic();
	return pvg_test_finish();
}
