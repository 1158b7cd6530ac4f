/*
 * Model-specific registers: memory types, whose reserved values are known, and what lies around all others. What is
 * refused has changed nothing, what is taken can be read.
 */
#include "tests/escape/pc/pc.h"

#define RANGES 8
#define FIXED  11

/* SDM 3A 11.11.2: 64 KiB, 16 KiB, 4 KiB. */
static const uint32_t fixed[FIXED] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
static uint64_t first_types[2 * RANGES + FIXED + 2], wrong;
static bool known;

bool read_msr(uint32_t number, uint64_t *value)
{
	uint64_t low = 0, high = 0;

	__asm__ volatile(TRY("rdmsr") : "+a"(low), "+d"(high) : "c"(number) : "memory");
	if (!raised)
		*value = high << 32 | (uint32_t)low;
	return !raised;
}

bool write_msr(uint32_t number, uint64_t value)
{
	__asm__ volatile(TRY("wrmsr") : : "a"((uint32_t)value), "d"(value >> 32), "c"(number) : "memory");
	return !raised;
}

/* --------------------------------------------------------------------------------------------------- memory types */

static uint32_t type_register(unsigned n)
{
	if (n < 2 * RANGES)
		return X86_MSR_MTRR_FIRST + n;
	n -= 2 * RANGES;
	return n < FIXED ? fixed[n] : n == FIXED ? X86_MSR_MTRR_DEFAULT : X86_MSR_PAT;
}

#define TYPES (sizeof(first_types) / sizeof(first_types[0]))

static uint64_t read_type(unsigned n)
{
	uint64_t value = ~0ull;

	return read_msr(type_register(n), &value) ? value : ~0ull;
}

static void set_types(void)
{
	for (unsigned n = 0; n < TYPES; n++)
		if (known)
			write_msr(type_register(n), first_types[n]);
		else
			first_types[n] = read_type(n);
	known = true;
}

static uint64_t look_at_types(void)
{
	uint64_t sum = wrong;

	for (unsigned n = 0; n < TYPES; n++)
		sum = mix(sum, read_type(n));
	return sum;
}

/* UC WC WT WP WB; UC- is one of PAT's alone. */
static bool is_type(uint8_t value, bool pat)
{
	return value <= 1 || (value >= 4 && value <= 6) || (pat && value == 7);
}

static bool are_types(uint64_t value, bool pat)
{
	for (unsigned n = 0; n < 64; n += 8)
		if (!is_type((uint8_t)(value >> n), pat))
			return false;
	return true;
}

/* Whether a processor takes the value: SDM 3A figures 11-6 and 11-7, table 11-10. The machine's width is not that of
 * CPUID, which is the host's where it is executed: what lies between the two is not asked for. */
static bool is_taken(uint32_t number, uint64_t value)
{
	if (number == X86_MSR_PAT)
		return are_types(value, true);
	if (number == X86_MSR_MTRR_DEFAULT)
		return !(value & ~0xcffull) && is_type((uint8_t)value, false);
	if (number >= fixed[0])
		return are_types(value, false);
	if (value >> 52)
		return false;
	return number & 1 ? !(value & 0x7ff) : !(value & 0xf00) && is_type((uint8_t)value, false);
}

static uint64_t any_types(uint32_t number)
{
	uint64_t value = any_value();

	if (number < fixed[0])
		value = below(4) ? value & (R3_BIT(36) - 1) : value | R3_BIT(52 + below(12));
	for (unsigned n = 0; n < 8 && below(16); n++)
		value = (value & ~(0xffull << 8 * n)) | (below(64) ? 6ull : below(9)) << 8 * n;
	if (number < fixed[0] && below(2))
		value &= number & 1 ? (R3_BIT(36) - 1) & ~0x7ffull : (R3_BIT(36) - 1) & ~0xff8ull;
	return value;
}

static void attack_types(void)
{
	for (unsigned n = 0; n < 300; n++) {
		unsigned which = (unsigned)below(TYPES);
		uint32_t number = type_register(which);
		uint64_t before = read_type(which), value = any_types(number);
		bool taken = write_msr(number, value);

		if (number < fixed[0] && value >> 36 && !(value >> 52))
			continue;
		if (taken != is_taken(number, value) || read_type(which) != (taken ? value : before)) {
			print("\n# %x: %x %x, %s\n", number, (uint32_t)(value >> 32), (uint32_t)value,
			      taken ? "taken" : "refused");
			wrong++;
		}
	}
	write_msr(X86_MSR_MTRR_CAP, luck());
}

/* --------------------------------------------------------------------------------------------------- all the others */

static const uint32_t kept[] = {X86_MSR_SYSENTER_CS, X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_EIP, X86_MSR_STAR,
				X86_MSR_LSTAR,	     X86_MSR_CSTAR,	   X86_MSR_SFMASK,	 X86_MSR_KERNEL_GS_BASE,
				X86_MSR_FS_BASE,     X86_MSR_GS_BASE};

static void set_others(void)
{
	for (unsigned n = 0; n < sizeof(kept) / sizeof(kept[0]); n++)
		write_msr(kept[n], n + 1);
}

static uint64_t look_at_others(void)
{
	uint64_t sum = 0, value = 0;

	for (unsigned n = 0; n < sizeof(kept) / sizeof(kept[0]); n++) {
		read_msr(kept[n], &value);
		sum = mix(sum, value);
	}
	return sum;
}

/* Whose writes are an attack of another device's, or decide how this kernel runs. */
static bool is_elsewhere(uint32_t number)
{
	return number == X86_MSR_EFER || number == X86_MSR_APIC_BASE || number == X86_MSR_PAT ||
	       (number >= X86_MSR_MTRR_FIRST && number <= X86_MSR_MTRR_DEFAULT) ||
	       (number >= X86_MSR_X2APIC_FIRST && number <= X86_MSR_X2APIC_LAST);
}

static void attack_others(void)
{
	static const uint32_t around[] = {0x00,	      0x10,	  0x48,	      0x79,	  0x8b,	     0x10a, 0x174,
					  0x179,      0x1a0,	  0x3a,	      0x345,	  0x480,     0x6e0, 0x9e0,
					  0xc0000080, 0xc0000100, 0xc0010000, 0xc0010114, 0xc0011020};

	for (unsigned n = 0; n < 300; n++) {
		uint32_t number = (uint32_t)(below(8) ? around[below(sizeof(around) / 4)] + below(24) - 4 : luck());
		uint64_t value = 0;

		read_msr(number, &value);
		if (!is_elsewhere(number))
			write_msr(number, below(2) ? any_value() : value ^ 1ull << below(64));
		if (!below(64))
			open_window();
	}
}

const struct device register_devices[] = {
	{"memory types", set_types, look_at_types, attack_types},
	{"other registers", set_others, look_at_others, attack_others},
	{0},
};
