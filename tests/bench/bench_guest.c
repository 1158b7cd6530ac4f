/*
 * The guest of `ring3 bench`: measures one thing with the time stamp counter and reports it, as
 * monitor/cli/bench/shared.h says. Each measurement is one function and one line of the table at the end.
 */
#include <pvguest/pvguest.h>

#include "monitor/cli/bench/shared.h"
#include "tests/bench/user.h"

/* What is measured is one thing each: pages of the kernel's map are as large as they can be. */
bool pvg_guarded = false;

#define LARGE_SIZE R3_BIT(X86_LARGE_SHIFT)
#define WINDOW	   PVG_SPACE_BASE
#define MULTICALL  32

/* Sets up a round of `count` operations, makes it, and returns its ticks. */
typedef uint64_t (*measure)(uint64_t count);

/* ---------------------------------------------------------------------------------------- traps and hypercalls */

/* Innocuous instructions between two CLI, so that the monitor does not find the next one by looking on. */
static uint64_t cli_alone(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	for (uint64_t i = 0; i < count; i++)
		__asm__ volatile("cli\n\tnop\n\tnop" : : : "memory");
	return pvg_rdtsc() - start;
}

static uint64_t cli_run_16(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	for (uint64_t i = 0; i < count; i += 16)
		__asm__ volatile(".rept 16\n\tcli\n\t.endr" : : : "memory");
	return pvg_rdtsc() - start;
}

static uint64_t cli_run_64(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	for (uint64_t i = 0; i < count; i += 64)
		__asm__ volatile(".rept 64\n\tcli\n\t.endr" : : : "memory");
	return pvg_rdtsc() - start;
}

static uint64_t null_hypercall(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	for (uint64_t i = 0; i < count; i++)
		pvg_hypercall0(R3_HC_abi_version);
	return pvg_rdtsc() - start;
}

static uint64_t multicall(uint64_t count)
{
	static struct r3_multicall_entry calls[MULTICALL];
	uint64_t start;

	for (unsigned i = 0; i < MULTICALL; i++)
		calls[i] = (struct r3_multicall_entry){.nr = R3_HC_abi_version};
	start = pvg_rdtsc();
	for (uint64_t i = 0; i < count; i += MULTICALL)
		pvg_multicall(calls, MULTICALL);
	return pvg_rdtsc() - start;
}

/* ---------------------------------------------------------------------------------------------- the shared page */

static uint64_t mask_unmask(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	for (uint64_t i = 0; i < count; i++) {
		pvg_irq_disable();
		pvg_irq_enable();
	}
	return pvg_rdtsc() - start;
}

static uint64_t read_clock(uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	for (uint64_t i = 0; i < count; i++)
		pvg_clock_ns();
	return pvg_rdtsc() - start;
}

/* ------------------------------------------------------------------------------------------------- page faults */

/*
 * `count` pages of RAM that nobody has touched yet, taken downwards from the top; the allocator of pages takes upwards.
 */
static uint64_t fresh_ram(uint64_t count)
{
	static uint64_t next;
	const struct hvm_start_info *info = pvg_start_info();
	const struct hvm_memmap_entry *map = pvg_gpa_to_ptr(info->memmap_paddr);

	for (uint32_t i = 0; !next && i < info->memmap_entries; i++)
		if (map[i].type == HVM_MEMMAP_RAM && map[i].addr >= 0x100000)
			next = map[i].addr + map[i].size;
	next = (next - count * X86_PAGE_SIZE) & ~(LARGE_SIZE - 1);
	pvg_assert(next > (uint64_t)pvg_image_end + (16 << 20));
	return next;
}

/* The same pages in the window, mapped with prot, at an address not used before. */
static uint64_t fresh_window(uint64_t count, uint64_t prot)
{
	static uint64_t next = WINDOW;
	uint64_t gva = next;

	next += (count * X86_PAGE_SIZE + LARGE_SIZE - 1) & ~(LARGE_SIZE - 1);
	pvg_assert(!pvg_map(pvg_space_boot(), gva, fresh_ram(count), count, prot));
	return gva;
}

static uint64_t touch_in_order(uint64_t gva, uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	for (uint64_t i = 0; i < count; i++)
		*(volatile uint64_t *)(gva + i * X86_PAGE_SIZE) = i;
	return pvg_rdtsc() - start;
}

/* Each page once, in an order without a pattern: an odd factor permutes the residues of a power of two. */
static uint64_t touch_at_random(uint64_t gva, uint64_t count)
{
	uint64_t start = pvg_rdtsc();

	pvg_assert(!(count & (count - 1)));
	for (uint64_t i = 0; i < count; i++)
		*(volatile uint64_t *)(gva + ((i * 2654435761u + 12345) & (count - 1)) * X86_PAGE_SIZE) = i;
	return pvg_rdtsc() - start;
}

static uint64_t fill_large(uint64_t count)
{
	return touch_in_order(fresh_ram(count), count);
}

static uint64_t fill_large_random(uint64_t count)
{
	return touch_at_random(fresh_ram(count), count);
}

static uint64_t fill_small(uint64_t count)
{
	return touch_in_order(fresh_window(count, X86_PTE_W | X86_PTE_A | X86_PTE_D), count);
}

static uint64_t fill_small_random(uint64_t count)
{
	return touch_at_random(fresh_window(count, X86_PTE_W | X86_PTE_A | X86_PTE_D), count);
}

/* Over RAM that the host has provided already: what the monitor alone takes. */
static uint64_t fill_warm(uint64_t count)
{
	uint64_t gva = fresh_window(count, X86_PTE_W | X86_PTE_A | X86_PTE_D);

	touch_in_order(fresh_ram(0), count);
	return touch_in_order(gva, count);
}

/* The accessed bit is not set yet, so each page must be seen to be touched. */
static uint64_t fill_alone(uint64_t count)
{
	return touch_in_order(fresh_window(count, X86_PTE_W), count);
}

static uint64_t demand_ram;

static void demand_fault(struct pvg_frame *frame, void *arg)
{
	uint64_t gva = pvg_fault_address() & ~X86_PAGE_MASK;

	(void)arg;
	if (frame->error & X86_PF_P || pvg_map(pvg_space_boot(), gva, demand_ram, 1, X86_PTE_W | X86_PTE_A | X86_PTE_D))
		pvg_panic_frame(frame, "a page fault that is not part of the measurement, at 0x%lx", gva);
	demand_ram += X86_PAGE_SIZE;
}

static uint64_t demand_map(uint64_t count)
{
	static uint64_t next = WINDOW;
	uint64_t gva = next;

	next += count * X86_PAGE_SIZE;
	demand_ram = fresh_ram(count);
	pvg_trap_register(X86_VEC_PF, demand_fault, NULL);
	return touch_in_order(gva, count);
}

/* ---------------------------------------------------------------------------------------------- address spaces */

static uint64_t switch_among(unsigned spaces, uint64_t count)
{
	static struct pvg_space space[64];
	uint64_t start;

	for (unsigned i = 0; !space[spaces - 1].root && i < spaces; i++) {
		pvg_assert(!pvg_space_create(&space[i]));
		pvg_assert(!pvg_map(&space[i], WINDOW, pvg_ptr_to_gpa(pvg_page_alloc()), 1,
				    X86_PTE_W | X86_PTE_A | X86_PTE_D));
	}
	start = pvg_rdtsc();
	for (uint64_t i = 0; i < count; i++) {
		pvg_space_switch(&space[i % spaces]);
		++*(volatile uint64_t *)WINDOW;
	}
	start = pvg_rdtsc() - start;
	pvg_space_switch(pvg_space_boot());
	return start;
}

static uint64_t switch_2(uint64_t count)
{
	return switch_among(2, count);
}

static uint64_t switch_64(uint64_t count)
{
	return switch_among(64, count);
}

/* --------------------------------------------------------------------------------------------------- user mode */

static void user_setup(void)
{
	static char stack[X86_PAGE_SIZE] __attribute__((aligned(16)));
	static void *code;

	if (code)
		return;
	code = pvg_page_alloc();
	pvg_assert(code);
	memcpy(code, user_code, (size_t)(user_code_end - user_code));
	pvg_assert(!pvg_map(pvg_space_boot(), WINDOW, pvg_ptr_to_gpa(code), 1, X86_PTE_U | X86_PTE_A));
	pvg_set_kernel_stack((uint64_t)stack + sizeof(stack));
	pvg_assert(!pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_SYSCALL, (uint64_t)user_entry));
}

static uint64_t user_syscall(uint64_t count)
{
	uint64_t start;

	user_setup();
	start = pvg_rdtsc();
	user_run(WINDOW, count);
	return pvg_rdtsc() - start;
}

/* The same without the monitor between the two modes. */
static uint64_t user_syscall_direct(uint64_t count)
{
	pvg_assert(!pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_DIRECT, 1));
	return user_syscall(count);
}

/* Saves and loads the state of a program that has just made a system call. */
static uint64_t fpu_direct(uint64_t count)
{
	static uint8_t image[16384] __attribute__((aligned(PVG_FPU_ALIGNMENT)));
	uint64_t start;

	user_syscall_direct(16);
	start = pvg_rdtsc();
	for (uint64_t i = 0; i < count; i++)
		pvg_assert(!pvg_hypercall2(R3_HC_fpu_switch, (uint64_t)image, (uint64_t)image));
	return pvg_rdtsc() - start;
}

static uint64_t compute(uint64_t count)
{
	static uint64_t table[BENCH_TABLE_WORDS];
	uint64_t start = pvg_rdtsc();

	bench_compute(table, count);
	return pvg_rdtsc() - start;
}

/* For tests/bench/idle.sh: nothing to do, for ever. */
static _Noreturn void idle(void)
{
	pvg_puts(BENCH_LINE " idle\n");
	pvg_console_flush();
	for (;;)
		pvg_halt();
}

static const struct {
	const char *name;
	measure run;
} benches[] = {
	{"cli", cli_alone},
	{"cli_run_16", cli_run_16},
	{"cli_run_64", cli_run_64},
	{"hypercall", null_hypercall},
	{"multicall", multicall},
	{"mask", mask_unmask},
	{"clock", read_clock},
	{"fill_large", fill_large},
	{"fill_large_random", fill_large_random},
	{"fill_small", fill_small},
	{"fill_small_random", fill_small_random},
	{"fill_warm", fill_warm},
	{"fill_alone", fill_alone},
	{"demand_map", demand_map},
	{"switch_2", switch_2},
	{"switch_64", switch_64},
	{"syscall", user_syscall},
	{"syscall_direct", user_syscall_direct},
	{"fpu_direct", fpu_direct},
	{"compute", compute},
};

static uint64_t number(const char *key)
{
	char text[24];
	uint64_t value = pvg_option(key, text, sizeof(text)) ? pvg_strtoul(text) : 0;

	if (!value)
		pvg_panic("the command line needs bench=NAME count=N rounds=N");
	return value;
}

int main(const char *cmdline)
{
	uint64_t count, rounds;
	char name[32];

	(void)cmdline;
	pvg_option("bench", name, sizeof(name));
	if (!pvg_strcmp(name, "idle"))
		idle();
	count = number("count");
	rounds = number("rounds");
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		if (pvg_strcmp(name, benches[i].name))
			continue;
		benches[i].run(count);
		for (uint64_t round = 0; round < rounds; round++)
			pvg_printf(BENCH_LINE " %s %lu %lu\n", name, benches[i].run(count), count);
		return 0;
	}
	pvg_panic("there is no measurement '%s'", name);
}
