/*
 * The guest of nano.h: one image for ring3's engines, with privileged instructions and with hypercalls, and for other
 * hypervisors. Options: budget=MILLISECONDS a measure (100), only=NAME. It reports as bench_user does, a line a
 * measure:
 *
 *   bench: NAME median MEDIAN p10 TENTH p90 NINETIETH samples N count OPERATIONS_IN_A_SAMPLE
 *
 * in nanoseconds an operation, framed by "bench: start" and "bench: end NANOSECONDS_BETWEEN".
 */
#include <pvguest/pvguest.h>

#include "pvguest/traps.h"
#include "tests/bench/loops.h"
#include "tests/bench/nano.h"
#include "tests/bench/user.h"

bool pvg_guarded = false; /* pages of the kernel's map are as large as they can be */

#define WINDOW	      (PVG_SPACE_BASE + 2 * R3_BIT(39))
#define NOWHERE	      (WINDOW + X86_PAGE_SIZE)
#define SAMPLES	      101
#define SAMPLE_NS     500000
#define WARM_NS	      (20 * PVG_NS_PER_MS)
#define WARM_COUNT    (8 * NANO_STEP)
#define FRESH_BLOCKS  64
#define FRESH_COUNT   1024
#define FRESH_SAMPLES 32
#define RET	      0xc3
#define COUNT_MOST    R3_BIT(30)
#define RATE_NS	      (20 * PVG_NS_PER_MS)
#define SOFTWARE_BIT  R3_BIT(9) /* of a page-table entry */

extern const char pvg_trap_stubs[]; /* pvguest/traps.S */

/* --------------------------------------------------------------------------------------------------- the measures */

/* Traps go to the handlers of nano_traps.S, all others where they went. */
static void take_traps(void)
{
	static const uint64_t user[X86_VEC_COUNT / 64] = {R3_BIT(X86_VEC_BP)};
	static uint64_t entries[X86_VEC_COUNT];
	bool paravirt = pvg_is_paravirt();

	for (unsigned vector = 0; vector < X86_VEC_COUNT; vector++)
		entries[vector] = (uint64_t)pvg_trap_stubs + vector * PVG_TRAP_STUB_SIZE;
	entries[X86_VEC_DE] = (uint64_t)(paravirt ? nano_de_paravirt : nano_de_native);
	entries[X86_VEC_PF] = (uint64_t)(paravirt ? nano_pf_paravirt : nano_pf_native);
	pvg_ops->set_traps(entries, user);
}

static void give_traps_back(void)
{
	pvg_trap_allow_user(X86_VEC_BP); /* which it is already: the library sets its table anew */
}

static uint64_t syscall(uint64_t count)
{
	static char stack[X86_PAGE_SIZE] __attribute__((aligned(16)));
	static void *code;
	uint64_t start;

	if (!code) {
		code = pvg_page_alloc();
		pvg_assert(code);
		memcpy(code, user_code, (size_t)(user_code_end - user_code));
		pvg_assert(!pvg_map(pvg_space_boot(), WINDOW, pvg_ptr_to_gpa(code), 1, X86_PTE_U | X86_PTE_A));
	}
	pvg_set_kernel_stack((uint64_t)stack + sizeof(stack));
	if (pvg_is_paravirt())
		pvg_assert(!pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_DIRECT, 1));
	pvg_ops->set_syscall_entry((uint64_t)(pvg_is_paravirt() ? user_entry : nano_syscall_native));
	start = pvg_rdtsc();
	if (pvg_is_paravirt())
		user_run(WINDOW, count);
	else
		nano_user_run(WINDOW, count);
	return pvg_rdtsc() - start;
}

static uint64_t in(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	nano_in(count);
	return pvg_rdtsc() - start;
}

static uint64_t cr8wr(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	nano_cr8(count);
	return pvg_rdtsc() - start;
}

static uint64_t callret(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	nano_call_ret(count);
	return pvg_rdtsc() - start;
}

static uint64_t pgfault(uint64_t count)
{
	uint64_t start;

	take_traps();
	start = pvg_rdtsc();
	nano_touch(count, (const void *)NOWHERE);
	start = pvg_rdtsc() - start;
	give_traps_back();
	return start;
}

static uint64_t divzero(uint64_t count)
{
	uint64_t start;

	take_traps();
	start = pvg_rdtsc();
	nano_divide(count);
	start = pvg_rdtsc() - start;
	give_traps_back();
	return start;
}

/* An entry of a table that is in use, and was used since the last sample. */
static uint64_t *used_entry(void)
{
	static uint64_t *entry;
	uint64_t gva = WINDOW + R3_BIT(X86_LARGE_SHIFT);
	unsigned level;

	if (!entry) {
		pvg_assert(!pvg_map(pvg_space_boot(), gva, pvg_ptr_to_gpa(pvg_page_alloc()), 1,
				    X86_PTE_W | X86_PTE_A | X86_PTE_D));
		entry = pvg_lookup(pvg_space_boot(), gva, &level);
	}
	pvg_ops->invlpg(gva);
	++*(volatile uint64_t *)gva;
	return entry;
}

static uint64_t ptemod(uint64_t count)
{
	uint64_t *entry = used_entry(), start = pvg_rdtsc();

	if (!pvg_is_paravirt()) {
		nano_store(count, entry, SOFTWARE_BIT);
		return pvg_rdtsc() - start;
	}
	for (uint64_t i = 0; i < count; i++) {
		pvg_ops->pte_write(entry, *entry ^ SOFTWARE_BIT);
		pvg_ops->pte_sync();
	}
	return pvg_rdtsc() - start;
}

/* The same as a kernel needs it: the entry goes to another page and back, and what it leads to is used each time. */
static uint64_t remap(uint64_t count)
{
	static uint64_t other;
	uint64_t gva = WINDOW + R3_BIT(X86_LARGE_SHIFT), *entry = used_entry(), values[2] = {*entry}, start;

	if (!other)
		other = pvg_ptr_to_gpa(pvg_page_alloc());
	values[1] = other | (*entry & ~X86_PTE_ADDR);
	start = pvg_rdtsc();
	for (uint64_t i = 0; i < count; i++) {
		pvg_ops->pte_write(entry, values[~i & 1]);
		pvg_ops->pte_sync();
		pvg_ops->pte_replaced(gva);
		++*(volatile uint64_t *)gva;
	}
	return pvg_rdtsc() - start;
}

static uint64_t mask(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	if (!pvg_is_paravirt()) {
		nano_mask(count);
		return pvg_rdtsc() - start;
	}
	for (uint64_t i = 0; i < count; i++) {
		pvg_ops->irq_enable();
		pvg_ops->irq_disable();
	}
	return pvg_rdtsc() - start;
}

static uint64_t flags(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	nano_flags(count);
	return pvg_rdtsc() - start;
}

static uint64_t hypercall(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	for (uint64_t i = 0; i < count; i++)
		pvg_hypercall0(R3_HC_abi_version);
	return pvg_rdtsc() - start;
}

static uint64_t integer(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	loop_integer(count);
	return pvg_rdtsc() - start;
}

static uint64_t memory(uint64_t count)
{
	static uint64_t table[LOOPS_TABLE_WORDS];
	uint64_t start = pvg_rdtsc();

	loop_memory(count, table);
	return pvg_rdtsc() - start;
}

/* `count` blocks of five instructions and a jump, FRESH_BLOCKS a page, where nothing was ever executed. */
static uint64_t fresh(uint64_t count)
{
	static const uint8_t block[] = {0x48, 0x83, 0xc0, 0x01,	      /* add $1, %rax */
					0x48, 0x8d, 0x54, 0x42, 0x03, /* lea 3(%rdx,%rax,2), %rdx */
					0x48, 0x31, 0xc2,	      /* xor %rax, %rdx */
					0x48, 0xd1, 0xe2,	      /* shl %rdx */
					0xa8, 0x01,		      /* test $1, %al */
					0xe9};			      /* jmp, over the rest of the block's place */
	const uint32_t size = X86_PAGE_SIZE / FRESH_BLOCKS, ahead = size - sizeof(block) - sizeof(ahead);
	uint8_t *code = pvg_pages_alloc(count / FRESH_BLOCKS + 1, 1);
	uint64_t start;

	pvg_assert(code);
	for (uint64_t i = 0; i < count; i++) {
		memcpy(code + i * size, block, sizeof(block));
		memcpy(code + i * size + sizeof(block), &ahead, sizeof(ahead));
	}
	code[count * size] = RET;
	start = pvg_rdtsc();
	__asm__ volatile("call *%0" : : "r"(code) : "rax", "rdx", "memory", "cc");
	return pvg_rdtsc() - start;
}

static const struct measure {
	const char *name;
	uint64_t (*run)(uint64_t count);
	uint64_t count; /* of a sample of what happens once; 0: found out, and warmed up */
} measures[] = {
	{"syscall", syscall, 0},
	{"in", in, 0},
	{"cr8wr", cr8wr, 0},
	{"callret", callret, 0},
	{"pgfault", pgfault, 0},
	{"divzero", divzero, 0},
	{"ptemod", ptemod, 0},
	{"remap", remap, 0},
	{"mask", mask, 0},
	{"flags", flags, 0},
	{"integer", integer, 0},
	{"memory", memory, 0},
	{"hypercall", hypercall, 0},
	{"forkwait", nano_forkwait, 0},
	{"fresh", fresh, FRESH_COUNT},
};

/* ------------------------------------------------------------------------------------------------------ the figures */

static uint64_t ticks_per_ms;

static uint64_t picoseconds(uint64_t ticks, uint64_t count)
{
	return ticks * 1000 / count * PVG_NS_PER_MS / ticks_per_ms;
}

/* The machine's clock, and the time stamp counter then: of several readings the one that took the least. */
static uint64_t read_clock(uint64_t *tsc)
{
	uint64_t ns = 0, least = UINT64_MAX;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t before = pvg_rdtsc(), now = pvg_clock_ns(), took = pvg_rdtsc() - before;

		if (took < least) {
			least = took;
			ns = now;
			*tsc = before + took / 2;
		}
	}
	return ns;
}

static void measure_rate(void)
{
	uint64_t start, end, ns = read_clock(&start), now;

	do
		now = read_clock(&end);
	while (now - ns < RATE_NS);
	ticks_per_ms = (end - start) * PVG_NS_PER_MS / (now - ns);
}

/* Operations that fill a sample: doubled until they do, once engines that watch what is run often have seen enough. */
static uint64_t calibrate(const struct measure *measure)
{
	uint64_t count = NANO_STEP, sample = ticks_per_ms * SAMPLE_NS / PVG_NS_PER_MS, start = pvg_clock_ns();

	while (pvg_clock_ns() - start < WARM_NS)
		measure->run(WARM_COUNT);
	while (count < COUNT_MOST && (measure->run(count) < sample || measure->run(count) < sample))
		count *= 2;
	return count;
}

static void sort(uint64_t *values, unsigned count)
{
	for (unsigned i = 1; i < count; i++)
		for (unsigned j = i; j && values[j - 1] > values[j]; j--) {
			uint64_t value = values[j];

			values[j] = values[j - 1];
			values[j - 1] = value;
		}
}

static void print_ns(const char *what, uint64_t picoseconds)
{
	pvg_printf(" %s %lu.%03lu", what, picoseconds / 1000, picoseconds % 1000);
}

static void take(const struct measure *measure, uint64_t budget_ns)
{
	static uint64_t samples[SAMPLES];
	uint64_t count = measure->count ? measure->count : calibrate(measure), start = pvg_clock_ns();
	unsigned n = 0;

	while (n < (measure->count ? FRESH_SAMPLES : SAMPLES) && (n < 3 || pvg_clock_ns() - start < budget_ns))
		samples[n++] = picoseconds(measure->run(count), count);
	sort(samples, n);
	pvg_printf("bench: %s", measure->name);
	print_ns("median", samples[n / 2]);
	print_ns("p10", samples[n / 10]);
	print_ns("p90", samples[n - 1 - n / 10]);
	pvg_printf(" samples %u count %lu\n", n, count);
}

/* There is no hypercall where no monitor of ours is. */
static bool applies(const struct measure *measure, const char *only)
{
	if (*only)
		return !pvg_strcmp(only, measure->name);
	return measure->run != hypercall || pvg_hypercall0(R3_HC_abi_version) == R3_ABI_VERSION;
}

int main(const char *cmdline)
{
	char text[24], only[24];
	uint64_t budget_ns = 100, start, ticks;

	(void)cmdline;
	pvg_irq_disable();
	if (pvg_option("budget", text, sizeof(text)))
		budget_ns = pvg_strtoul(text);
	budget_ns *= PVG_NS_PER_MS;
	pvg_option("only", only, sizeof(only));
	measure_rate();
	pvg_printf("bench: start\n");
	start = pvg_rdtsc();
	for (unsigned i = 0; i < sizeof(measures) / sizeof(measures[0]); i++)
		if (applies(&measures[i], only))
			take(&measures[i], budget_ns);
	ticks = pvg_rdtsc() - start;
	pvg_printf("bench: end %lu\n", ticks / ticks_per_ms * PVG_NS_PER_MS);
	return 0;
}
