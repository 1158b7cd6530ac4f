/*
 * Devices among the addresses of memory: HPET, I/O APIC, local APIC. In all sizes that instructions have, at all
 * offsets, between two of them and beyond their ends; executed, and as the stack.
 */
#include "tests/escape/pc/pc.h"

#define HPET	   0xfed00000u
#define IOAPIC	   0xfec00000u
#define LAPIC	   ((uint32_t)X86_APIC_BASE_RESET)
#define PINS	   24
#define PAGE	   0x1000
#define ENTRIES	   0x10 /* of the I/O APIC's index */
#define VECTOR	   0x30
#define MASKED	   0x10000u
#define LVT	   0x320
#define LVTS	   6
#define SPURIOUS   0xf0
#define PRIORITY   0x80
#define COMMAND	   0x300
#define SHORTHANDS 0xc0000u

static void write4(uint32_t at, uint32_t value)
{
	*(volatile uint32_t *)(uint64_t)at = value;
}

static uint32_t read4(uint32_t at)
{
	return *(volatile uint32_t *)(uint64_t)at;
}

/* An access of any kind; `value` where it is one of a register's size. */
static void any_memory(uint64_t at, uint64_t value)
{
	static uint8_t image[8192] __attribute__((aligned(64)));

	switch (below(14)) {
	case 0:
		__asm__ volatile(TRY("movb %b0, (%1)") : : "q"(value), "r"(at) : "memory");
		break;
	case 1:
		__asm__ volatile(TRY("movw %w0, (%1)") : : "r"(value), "r"(at) : "memory");
		break;
	case 2:
		__asm__ volatile(TRY("mov %0, (%1)") : : "r"(value), "r"(at) : "memory");
		break;
	case 3:
		__asm__ volatile(TRY("movdqu (%0), %%xmm1\n\tmovdqu %%xmm1, (%0)") : : "r"(at) : "memory");
		break;
	case 4:
		__asm__ volatile(TRY("fxsave64 (%0)") : : "r"(at & ~15ull) : "memory");
		break;
	case 5:
		__asm__ volatile(TRY("lock xaddl %k0, (%1)") : "+r"(value) : "r"(at) : "memory", "cc");
		break;
	case 6:
		__asm__ volatile(TRY("lock cmpxchg16b (%0)")
				 :
				 : "r"(at & ~15ull), "a"(value), "d"(0ull), "b"(value), "c"(1ull)
				 : "memory", "cc");
		break;
	case 7: {
		uint64_t to = (uint64_t)image, count = below(sizeof(image));

		__asm__ volatile(TRY("rep movsb") : "+D"(to), "+S"(at), "+c"(count) : : "memory");
		break;
	}
	case 8: {
		uint64_t count = below(200);

		__asm__ volatile(TRY("rep stosl") : "+D"(at), "+c"(count) : "a"(value & MASKED) : "memory");
		break;
	}
	case 9: /* as the stack */
		__asm__ volatile(TRY("mov %%rsp, %%rbx\n\tmov %0, %%rsp\n\tpop %%rcx\n\tpush %%rcx\n\tmov %%rbx, %%rsp")
				 :
				 : "r"(at & ~7ull)
				 : "rbx", "rcx", "memory");
		break;
	case 10: /* executed: all ones are no instruction */
		__asm__ volatile(TRY("jmp *%0") : : "r"(at) : "memory");
		break;
	case 11:
		__asm__ volatile(TRY("bts %0, (%1)") : : "r"(value & 0x7fff), "r"(at) : "memory", "cc");
		break;
	default:
		__asm__ volatile(TRY("movl %k0, (%1)\n\tmovl (%1), %%ecx")
				 :
				 : "r"(value), "r"(at & ~3ull)
				 : "rcx", "memory");
	}
}

static void attack_region(uint32_t base, uint32_t registers, unsigned count)
{
	while (count--) {
		uint32_t offset = below(4) ? (uint32_t)below(registers) & ~3u : (uint32_t)below(PAGE + 16) - 8;

		any_memory(base + offset, any_value());
		if (!below(32))
			open_window();
	}
}

static void set_hpet(void)
{
	write4(HPET + 0x10, 0);
	write4(HPET + 0x20, ~0u);
	for (uint32_t n = 0; n < 3; n++) {
		write4(HPET + 0x100 + 0x20 * n, 0);
		write4(HPET + 0x108 + 0x20 * n, ~0u);
		write4(HPET + 0x10c + 0x20 * n, ~0u);
	}
	write4(HPET + 0xf0, 0x1234);
	write4(HPET + 0xf4, 0);
}

static uint64_t look_at_hpet(void)
{
	uint64_t sum = 0;

	for (uint32_t at = 0; at < 0x160; at += 4)
		sum = mix(sum, read4(HPET + at));
	return sum;
}

static void attack_hpet(void)
{
	attack_region(HPET, 0x160, 200);
}

static void write_ioapic(uint32_t index, uint32_t value)
{
	write4(IOAPIC, index);
	write4(IOAPIC + 0x10, value);
}

static void set_ioapic(void)
{
	write_ioapic(0, 0);
	for (uint32_t n = 0; n < PINS; n++) {
		write_ioapic(ENTRIES + 2 * n, MASKED | (VECTOR + n));
		write_ioapic(ENTRIES + 2 * n + 1, n << 24);
	}
}

static uint64_t look_at_ioapic(void)
{
	uint64_t sum = 0;

	for (uint32_t n = 0; n < 256; n++) {
		write4(IOAPIC, n);
		sum = mix(sum, read4(IOAPIC + 0x10));
	}
	return sum;
}

static void attack_ioapic(void)
{
	for (unsigned n = 0; n < 60; n++)
		write_ioapic((uint32_t)(below(4) ? ENTRIES + below(2 * PINS) : luck()), (uint32_t)luck());
	attack_region(IOAPIC, 0x20, 150);
	open_window();
}

static void set_lapic(void)
{
	const uint64_t base = LAPIC | X86_APIC_BASE_BSP;

	write_msr(X86_MSR_APIC_BASE, base); /* off, which is a reset */
	write_msr(X86_MSR_APIC_BASE, base | X86_APIC_BASE_ENABLE);
	write4(LAPIC + X86_APIC_ID, 0);
	write4(LAPIC + SPURIOUS, 0x1ff);
	for (uint32_t n = 0; n < LVTS; n++)
		write4(LAPIC + LVT + 0x10 * n, MASKED | (VECTOR + n));
	write4(LAPIC + PRIORITY, 0);
}

static uint64_t look_at_lapic(void)
{
	uint64_t sum = 0;

	read_msr(X86_MSR_APIC_BASE, &sum);
	for (uint32_t at = 0; at < PAGE; at += 0x10)
		sum = at >= COMMAND && at < LVT ? sum : mix(sum, read4(LAPIC + at));
	return sum;
}

/* Messages to itself of all kinds, a base that lies on other devices or on memory, and the other mode's registers. */
static void attack_lapic(void)
{
	for (unsigned n = 0; n < 60; n++) {
		write4(LAPIC + COMMAND + 0x10, (uint32_t)luck());
		write4(LAPIC + COMMAND, (uint32_t)luck() & (below(2) ? ~0u : ~SHORTHANDS));
		write4(LAPIC + LVT + 0x10 * (uint32_t)below(LVTS + 1), (uint32_t)luck());
		if (!below(16))
			open_window();
	}
	attack_region(LAPIC, 0x400, 150);
	for (unsigned n = 0; n < 40; n++) {
		static const uint32_t bases[] = {LAPIC, HPET, IOAPIC, AREA, 0xfffff000u};
		uint64_t value;

		write_msr(X86_MSR_APIC_BASE,
			  bases[below(5)] | (luck() & 0xfff) | (below(8) ? 0 : any_value() & ~0xfffull));
		write_msr(X86_MSR_X2APIC_FIRST + (uint32_t)below(0x40), any_value());
		read_msr(X86_MSR_X2APIC_FIRST + (uint32_t)below(0x100), &value);
		any_memory(LAPIC + below(0x400), any_value());
	}
	open_window();
}

const struct device memory_devices[] = {
	{"HPET", set_hpet, look_at_hpet, attack_hpet},
	{"I/O APIC", set_ioapic, look_at_ioapic, attack_ioapic},
	{"local APIC", set_lapic, look_at_lapic, attack_lapic},
	{0},
};
