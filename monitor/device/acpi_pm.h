/*
 * ACPI's fixed hardware: power-management events, sleep control and the PM timer.
 */
#ifndef MONITOR_DEVICE_ACPI_PM_H
#define MONITOR_DEVICE_ACPI_PM_H

#include <stdint.h>

#include "monitor/vm/bus.h"

#define ACPI_PM_BASE	 0x600 /* first port: event block, control, timer, as the FADT tells them */
#define ACPI_PM_CONTROL	 4     /* offsets from it */
#define ACPI_PM_TIMER	 8
#define ACPI_PM_PORTS	 12
#define ACPI_PM_SLEEP_S5 0 /* SLP_TYP that switches the machine off: a PIIX4's */
#define ACPI_PM_SCI	 9

struct acpi_pm {
	uint16_t status, enable, control;
	void (*power_off)(void *arg);
	void *arg;
	uint64_t (*clock)(void); /* ns; tests put their own */
};

void acpi_pm_init(struct acpi_pm *pm, struct bus *bus, uint64_t (*clock)(void), void (*power_off)(void *arg),
		  void *arg);

#endif
