/*
 * The registers of an ATA channel, and what disks and packet devices have in common (ATA/ATAPI-6, T13 1410D).
 */
#ifndef MONITOR_DEVICE_ATA_REGISTERS_H
#define MONITOR_DEVICE_ATA_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	REG_DATA,
	REG_ERROR, /* written: features */
	REG_COUNT,
	REG_REASON = REG_COUNT, /* of a packet's interrupt */
	REG_LOW,
	REG_MID,
	REG_HIGH,
	REG_SELECT,
	REG_STATUS, /* written: command */
	REGISTERS
};

#define STATUS_ERROR 0x01
#define STATUS_DATA  0x08
#define STATUS_SEEK  0x10 /* complete */
#define STATUS_FAULT 0x20
#define STATUS_READY 0x40
#define STATUS_BUSY  0x80

#define ERROR_DIAGNOSTIC 0x01 /* all is well */
#define ERROR_ABORTED	 0x04
#define ERROR_NOT_FOUND	 0x10
#define ERROR_UNREADABLE 0x40

#define SELECT_DRIVE   0x10
#define SELECT_LBA     0x40
#define SELECT_FIXED   0xa0
#define CONTROL_SILENT 0x02
#define CONTROL_RESET  0x04

#define CMD_DIAGNOSTIC	0x90
#define CMD_STANDBY_NOW 0xe0
#define CMD_IDLE_NOW	0xe1
#define CMD_STANDBY	0xe2
#define CMD_IDLE	0xe3
#define CMD_CHECK_POWER 0xe5
#define CMD_FLUSH	0xe7
#define CMD_FEATURES	0xef

#define FEATURE_MODE 0x03
#define MODE_PIO     0x0f /* the count register of FEATURE_MODE: flow-control modes 0 to 4, or the default */
#define POWER_ACTIVE 0xff

/* All but the data register are bytes: a wider access is one to each, the lowest first. */
static inline void ata_access_bytes(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value,
				    uint8_t (*read_register)(void *device, unsigned reg),
				    void (*write_register)(void *device, unsigned reg, uint8_t value))
{
	uint32_t word = 0;

	for (unsigned n = 0; n < size; n++) {
		if (write)
			write_register(device, offset + n, (uint8_t)(*value >> 8 * n));
		else
			word |= (uint32_t)read_register(device, offset + n) << 8 * n;
	}
	if (!write)
		*value = word;
}

#endif
