/*
 * ACPI 6.4 chapter 4.8: PM1a event and control registers and the PM timer, 24 bits at 3.579545 MHz computed from host
 * time. The machine is in ACPI mode from the start, and no event ever comes: there is no button to press.
 *
 * Ports and sleep types are those of a PIIX4 as QEMU has it: kernels that read no ACPI tables switch off by 0x2000 at
 * port 0x604.
 */
#include "monitor/device/acpi_pm.h"

#include "monitor/host/clock.h"

#define TIMER_HZ   3579545u
#define TIMER_MASK 0xffffffu

#define CONTROL_SCI_EN	   0x0001
#define CONTROL_SLP_TYP(v) ((v) >> 10 & 7)
#define CONTROL_SLP_EN	   0x2000
#define STATUS		   0
#define ENABLE		   2

static uint32_t timer_now(const struct acpi_pm *pm)
{
	return (uint32_t)((unsigned __int128)pm->clock() * TIMER_HZ / CLOCK_NS_PER_SEC) & TIMER_MASK;
}

static void access_word(struct acpi_pm *pm, uint16_t offset, bool write, uint32_t *value)
{
	switch (offset) {
	case STATUS: /* writing a one clears */
		if (write)
			pm->status &= (uint16_t) ~*value;
		else
			*value = pm->status;
		return;
	case ENABLE:
		if (write)
			pm->enable = (uint16_t)*value;
		else
			*value = pm->enable;
		return;
	default:
		if (!write) {
			*value = pm->control | CONTROL_SCI_EN;
			return;
		}
		pm->control = (uint16_t)(*value & ~(uint32_t)CONTROL_SLP_EN);
		if ((*value & CONTROL_SLP_EN) && CONTROL_SLP_TYP(*value) == ACPI_PM_SLEEP_S5)
			pm->power_off(pm->arg);
		return;
	}
}

static void access_event(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	if (size == 2 && !(offset & 1)) {
		access_word(device, offset, write, value);
	} else if (!write) {
		uint32_t word = 0;

		access_word(device, offset & (uint16_t)~1u, false, &word);
		*value = word >> 8 * (offset & 1) & 0xff;
	}
}

static void access_timer(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	if (!write)
		*value = timer_now(device) >> 8 * offset;
}

void acpi_pm_init(struct acpi_pm *pm, struct bus *bus, uint64_t (*clock)(void), void (*power_off)(void *arg), void *arg)
{
	*pm = (struct acpi_pm){.clock = clock, .power_off = power_off, .arg = arg};
	bus_register(bus, ACPI_PM_BASE, ACPI_PM_TIMER, 2, access_event, pm, "acpi-pm");
	bus_register(bus, ACPI_PM_BASE + ACPI_PM_TIMER, 4, 4, access_timer, pm, "pm-timer");
}
