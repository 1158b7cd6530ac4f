/*
 * The local APIC's registers, in memory as the xAPIC has them (SDM 3A table 10-1) and as MSRs as the x2APIC has them
 * (table 10-6): the same numbers, 16 bytes apart or one apart.
 */
#include "monitor/device/lapic_internal.h"

#include "monitor/vm/cpu.h"

#define STRIDE 16 /* of the offsets in memory */

enum {
	REG_ID = X86_APIC_ID / STRIDE,
	REG_VERSION = 0x03,
	REG_TASK = 0x08,
	REG_ARBITRATION = 0x09,
	REG_PROCESSOR = 0x0a,
	REG_EOI = X86_APIC_EOI / STRIDE,
	REG_REMOTE = 0x0c,
	REG_LOGICAL = 0x0d,
	REG_FORMAT = 0x0e,
	REG_SPURIOUS = 0x0f,
	REG_IN_SERVICE = 0x10,
	REG_LEVELS = 0x18,
	REG_REQUESTS = 0x20,
	REG_ERROR = 0x28,
	REG_COMMAND = 0x30,
	REG_COMMAND_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_LVT_LAST = REG_LVT + LAPIC_LVTS - 1,
	REG_INITIAL = 0x38,
	REG_CURRENT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF = 0x3f,
};

#define VERSION		  (LAPIC_VERSION | (LAPIC_LVTS - 1) << 16)
#define SPURIOUS_BITS	  0x3ffu
#define SPURIOUS_X2APIC	  0x1ffu
#define DIVIDE_BITS	  0xbu
#define COMMAND_BITS	  0x000ccfffu
#define COMMAND_PENDING	  0x1000u
#define FORMAT_FIXED	  0x0fffffffu
#define PAGE		  0x1000u
#define FIRMWARE_SPURIOUS (LAPIC_ENABLED | 0xff)
#define FIRMWARE_LINT0	  (APIC_EXTINT << 8 | APIC_LEVEL)
#define FIRMWARE_LINT1	  (APIC_NMI << 8 | APIC_LEVEL)

/* What of a local vector can be written. */
static const uint32_t lvt_bits[LAPIC_LVTS] = {
	[LAPIC_LVT_TIMER] = 0x700ff, [LAPIC_LVT_THERMAL] = 0x107ff, [LAPIC_LVT_COUNTERS] = 0x107ff,
	[LAPIC_LVT_LINT0] = 0x1a7ff, [LAPIC_LVT_LINT1] = 0x1a7ff,   [LAPIC_LVT_ERROR] = 0x100ff,
};

/* ------------------------------------------------------------------------------------------ both ways' registers */

/* False: there is no such register to read. */
static bool read_register(struct lapic *apic, unsigned reg, uint32_t *value)
{
	switch (reg) {
	case REG_VERSION:
		*value = VERSION;
		return true;
	case REG_TASK:
		*value = lapic_task_priority(apic);
		return true;
	case REG_PROCESSOR:
		*value = lapic_processor_priority(apic);
		return true;
	case REG_LOGICAL:
		*value = apic->logical;
		return true;
	case REG_SPURIOUS:
		*value = apic->spurious;
		return true;
	case REG_IN_SERVICE ... REG_IN_SERVICE + LAPIC_SET_WORDS - 1:
		*value = apic->in_service[reg - REG_IN_SERVICE];
		return true;
	case REG_LEVELS ... REG_LEVELS + LAPIC_SET_WORDS - 1:
		*value = apic->levels[reg - REG_LEVELS];
		return true;
	case REG_REQUESTS ... REG_REQUESTS + LAPIC_SET_WORDS - 1:
		*value = apic->requests[reg - REG_REQUESTS];
		return true;
	case REG_ERROR:
		*value = apic->error;
		return true;
	case REG_LVT ... REG_LVT_LAST:
		*value = apic->lvt[reg - REG_LVT];
		return true;
	case REG_INITIAL:
		*value = apic->initial;
		return true;
	case REG_CURRENT:
		*value = lapic_timer_count(apic);
		return true;
	case REG_DIVIDE:
		*value = apic->divide;
		return true;
	default:
		return false;
	}
}

static void write_lvt(struct lapic *apic, enum lapic_lvt which, uint32_t value)
{
	value &= lvt_bits[which];
	if (!(apic->spurious & LAPIC_ENABLED))
		value |= APIC_MASKED;
	if (which == LAPIC_LVT_TIMER)
		lapic_timer_set_mode(apic, value);
	else
		apic->lvt[which] = value;
}

static void write_spurious(struct lapic *apic, uint32_t value)
{
	apic->spurious = value & SPURIOUS_BITS;
	for (unsigned n = 0; !(value & LAPIC_ENABLED) && n < LAPIC_LVTS; n++)
		apic->lvt[n] |= APIC_MASKED;
	lapic_timer_arm(apic);
}

/* False: there is no such register to write. */
static bool write_register(struct lapic *apic, unsigned reg, uint32_t value)
{
	switch (reg) {
	case REG_TASK:
		apic->vcpu->cr8 = value >> 4 & 15;
		apic->task_low = value & 15;
		return true;
	case REG_EOI:
		lapic_end(apic);
		return true;
	case REG_SPURIOUS:
		write_spurious(apic, value);
		return true;
	case REG_ERROR:
		apic->error = apic->error_next;
		apic->error_next = 0;
		return true;
	case REG_LVT ... REG_LVT_LAST:
		write_lvt(apic, reg - REG_LVT, value);
		return true;
	case REG_INITIAL:
		lapic_timer_load(apic, value);
		return true;
	case REG_DIVIDE:
		lapic_timer_divide(apic, value & DIVIDE_BITS);
		return true;
	default:
		return false;
	}
}

/* --------------------------------------------------------------------------------------------------- xAPIC: memory */

static bool read_memory(struct lapic *apic, unsigned reg, uint32_t *value)
{
	switch (reg) {
	case REG_ID:
		*value = apic->id << 24;
		return true;
	case REG_ARBITRATION:
	case REG_EOI:
	case REG_REMOTE:
		*value = 0;
		return true;
	case REG_FORMAT:
		*value = apic->format;
		return true;
	case REG_COMMAND:
		*value = (uint32_t)apic->command;
		return true;
	case REG_COMMAND_HIGH:
		*value = apic->command >> 32;
		return true;
	default:
		return read_register(apic, reg, value);
	}
}

static bool write_memory(struct lapic *apic, unsigned reg, uint32_t value)
{
	switch (reg) {
	case REG_ID:
		apic->id = value >> 24;
		return true;
	case REG_LOGICAL:
		apic->logical = value & 0xff000000u;
		return true;
	case REG_FORMAT:
		apic->format = value | FORMAT_FIXED;
		return true;
	case REG_COMMAND:
		apic->command = (apic->command & ~(uint64_t)UINT32_MAX) | (value & COMMAND_BITS);
		lapic_send(apic);
		return true;
	case REG_COMMAND_HIGH:
		apic->command = (uint32_t)apic->command | (uint64_t)(value & 0xff000000u) << 32;
		return true;
	default:
		return write_register(apic, reg, value);
	}
}

/* Registers are 32 bits wide, at multiples of 16. Parts of one can be read; other accesses mean nothing. */
static void access_lapic(void *device, uint32_t offset, unsigned size, bool write, uint64_t *value)
{
	struct lapic *apic = device;
	unsigned reg = offset / STRIDE;
	uint32_t whole = 0;
	bool known = offset % STRIDE < 4 && (!write || size == 4) &&
		     (write ? write_memory(apic, reg, (uint32_t)*value) : read_memory(apic, reg, &whole));

	if (!known)
		lapic_error(apic, LAPIC_ERROR_REGISTER);
	if (!write)
		*value = whole >> 8 * (offset & 3);
}

/* ---------------------------------------------------------------------------------------------------- x2APIC: MSRs */

bool lapic_read_msr(struct lapic *apic, unsigned index, uint64_t *value)
{
	uint32_t low;

	if (!lapic_is_on(apic) || !lapic_is_x2apic(apic))
		return false;
	if (index == REG_ID)
		*value = apic->id;
	else if (index == REG_COMMAND)
		*value = apic->command;
	else if (read_register(apic, index, &low))
		*value = low;
	else
		return false;
	return true;
}

/* The bits of a register that may be set; 0 also for what is no register. */
static uint32_t x2apic_bits(unsigned index)
{
	switch (index) {
	case REG_TASK:
	case REG_SELF:
		return 0xff;
	case REG_SPURIOUS:
		return SPURIOUS_X2APIC;
	case REG_LVT ... REG_LVT_LAST:
		return lvt_bits[index - REG_LVT] | COMMAND_PENDING;
	case REG_INITIAL:
		return UINT32_MAX;
	case REG_DIVIDE:
		return DIVIDE_BITS;
	default:
		return 0;
	}
}

bool lapic_write_msr(struct lapic *apic, unsigned index, uint64_t value)
{
	if (!lapic_is_on(apic) || !lapic_is_x2apic(apic))
		return false;
	if (index == REG_COMMAND) {
		if ((uint32_t)value & ~COMMAND_BITS)
			return false;
		apic->command = value;
		lapic_send(apic);
		return true;
	}
	if (value & ~(uint64_t)x2apic_bits(index))
		return false;
	if (index == REG_SELF) {
		apic->command = 1u << 18 | value;
		lapic_send(apic);
		return true;
	}
	return write_register(apic, index, (uint32_t)value);
}

/* ----------------------------------------------------------------------------------------- reset, IA32_APIC_BASE */

static void reset(struct lapic *apic)
{
	apic->task_low = apic->logical = apic->error = apic->error_next = 0;
	apic->format = UINT32_MAX;
	apic->spurious = 0xff;
	apic->command = apic->deadline = apic->initial = apic->divide = 0;
	apic->nmi = false;
	for (unsigned n = 0; n < LAPIC_LVTS; n++)
		apic->lvt[n] = APIC_MASKED;
	for (unsigned n = 0; n < LAPIC_SET_WORDS; n++)
		apic->in_service[n] = apic->requests[n] = apic->levels[n] = 0;
	lapic_timer_arm(apic);
}

static void place(struct lapic *apic)
{
	bool memory = lapic_is_on(apic) && !lapic_is_x2apic(apic);

	apic->region->base = memory ? apic->vcpu->apic_base & ~(uint64_t)X86_PAGE_MASK : BUS_NOWHERE;
}

bool lapic_write_base(struct lapic *apic, uint64_t value)
{
	const uint64_t address = (R3_BIT(CPU_PHYSICAL_BITS) - 1) & ~(uint64_t)X86_PAGE_MASK;
	const uint64_t modes = X86_APIC_BASE_ENABLE | X86_APIC_BASE_X2APIC;
	uint64_t before = apic->vcpu->apic_base & modes, after = value & modes;

	if (value & ~(address | modes | X86_APIC_BASE_BSP))
		return false;
	/* Figure 10-27: x2APIC mode is entered from xAPIC mode, and left to none but off. */
	if (after == X86_APIC_BASE_X2APIC || (before == modes && after == X86_APIC_BASE_ENABLE) ||
	    (before == 0 && after == modes))
		return false;
	apic->vcpu->apic_base = value;
	if (before && !after)
		reset(apic);
	if (before != modes && after == modes) {
		apic->id = apic->vcpu->id;
		apic->logical = apic->id >> 4 << 16 | 1u << (apic->id & 15);
		apic->command &= UINT32_MAX;
	}
	place(apic);
	return true;
}

void lapic_init(struct lapic *apic, struct vcpu *vcpu, struct bus *bus, struct timers *timers, uint64_t (*clock)(void),
		void (*ended)(void *arg, uint8_t vector), void *arg)
{
	*apic = (struct lapic){.vcpu = vcpu, .id = vcpu->id, .clock = clock, .ended = ended, .arg = arg};
	lapic_timer_init(apic, timers);
	reset(apic);
	apic->spurious = FIRMWARE_SPURIOUS;
	apic->lvt[LAPIC_LVT_LINT0] = FIRMWARE_LINT0;
	apic->lvt[LAPIC_LVT_LINT1] = FIRMWARE_LINT1;
	apic->region = bus_map(bus, BUS_NOWHERE, PAGE, 4, access_lapic, apic, "lapic");
	place(apic);
}
