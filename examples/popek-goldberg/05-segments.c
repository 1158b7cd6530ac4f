/*
 * 05-segments: the ring that a kernel sees. The two low bits of CS and SS are the privilege level. Whoever reads them
 * directly sees the processor's; the frame of a trap, which the monitor writes, shows the virtual ones. Then a kernel
 * that trusts the processor: it saves its data segment, loads another and restores it.
 */
#include <pvguest/pvguest.h>

#define RING(selector) ((unsigned)((selector)&X86_SEL_RPL))

static void breakpoint(void *arg)
{
	(void)arg;
	__asm__ volatile("int3");
}

static void show_rings(void)
{
	struct pvg_caught frame;
	uint64_t cs, ss;

	pvg_catch(breakpoint, NULL, &frame);
	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	__asm__ volatile("mov %%ss, %0" : "=r"(ss));
	pvg_printf("frame of a trap    ring %u\n", RING(frame.cs));
	pvg_printf("MOV from CS        ring %u\n", RING(cs));
	pvg_printf("MOV from SS        ring %u\n", RING(ss));
}

/* The questions about a descriptor, put about this kernel's own segments. */
static void show_descriptors(void)
{
	uint64_t rights = 0;
	uint32_t limit = 0;
	bool known, bounded, readable, writable;

	__asm__ volatile("lar %2, %0\n\tsetz %1"
			 : "+r"(rights), "=q"(known)
			 : "r"((uint64_t)PVG_SEL_KERNEL_CODE)
			 : "cc");
	__asm__ volatile("lsl %2, %0\n\tsetz %1" : "+r"(limit), "=q"(bounded) : "r"(PVG_SEL_KERNEL_CODE) : "cc");
	__asm__ volatile("verr %w1\n\tsetz %0" : "=q"(readable) : "r"(PVG_SEL_KERNEL_DATA) : "cc");
	__asm__ volatile("verw %w1\n\tsetz %0" : "=q"(writable) : "r"(PVG_SEL_KERNEL_DATA) : "cc");
	pvg_printf("LAR of kernel code %s\n", known ? "a segment of ring 0" : "no such segment");
	pvg_printf("LSL of kernel code %s\n", bounded ? "has a limit" : "no such segment");
	pvg_printf("VERR, VERW of data %s, %s\n", readable ? "readable" : "not readable",
		   writable ? "writable" : "not writable");
}

static void report(const char *segment, uint64_t saved, uint64_t restored)
{
	pvg_printf("%s loaded with %02xh, saved as %s, restored as %s\n", segment, PVG_SEL_KERNEL_DATA,
		   saved == PVG_SEL_KERNEL_DATA ? "the same" : "SOMETHING ELSE",
		   restored == PVG_SEL_KERNEL_DATA ? "the same" : "SOMETHING ELSE");
}

static void save_and_restore(void)
{
	uint64_t saved, restored;

	__asm__ volatile("mov %0, %%ds" : : "r"((uint64_t)PVG_SEL_KERNEL_DATA) : "memory");
	__asm__ volatile("mov %%ds, %0" : "=r"(saved));
	__asm__ volatile("mov %0, %%ds" : : "r"((uint64_t)PVG_SEL_USER_DATA) : "memory");
	__asm__ volatile("mov %0, %%ds" : : "r"(saved) : "memory");
	__asm__ volatile("mov %%ds, %0" : "=r"(restored));
	report("DS", saved, restored);

	__asm__ volatile("mov %0, %%fs" : : "r"((uint64_t)PVG_SEL_KERNEL_DATA) : "memory");
	__asm__ volatile("push %%fs\n\tpop %0" : "=r"(saved) : : "memory");
	__asm__ volatile("push %0\n\tpop %%fs" : : "r"(saved) : "memory");
	__asm__ volatile("mov %%fs, %0" : "=r"(restored));
	report("FS", saved, restored);
}

int main(const char *cmdline)
{
	(void)cmdline;
	show_rings();
	show_descriptors();
	save_and_restore();
	return 0;
}
