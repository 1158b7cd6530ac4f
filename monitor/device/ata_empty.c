/*
 * A channel of an IDE controller that nothing is plugged into: its data lines are pulled down (ATA/ATAPI-6, 9.3 and
 * table 5), so nobody who waits for a drive to be ready waits.
 */
#include "monitor/device/ata.h"

#include <stddef.h>

static void access_nothing(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	if (!write)
		*value = 0;
}

void ata_attach_empty(struct bus *bus, uint16_t command, uint16_t control)
{
	bus_register(bus, command, 8, 4, access_nothing, NULL, "ata-empty");
	bus_register(bus, control, 1, 1, access_nothing, NULL, "ata-empty");
}
