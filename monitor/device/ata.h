/*
 * The primary ATA channel of a PC: two disks, PIO, 28-bit addresses (ATA/ATAPI-6).
 */
#ifndef MONITOR_DEVICE_ATA_H
#define MONITOR_DEVICE_ATA_H

#include "monitor/host/disk_file.h"
#include "monitor/vm/bus.h"

#define ATA_PORT	 0x1f0
#define ATA_PORT_CONTROL 0x3f6
/* Those of the second channel. */
#define ATA_PORT_2	   0x170
#define ATA_PORT_2_CONTROL 0x376
#define ATA_DISKS	   2
#define ATA_BLOCK_MAX	   16 /* sectors of one block of READ and WRITE MULTIPLE */

enum ata_transfer { ATA_IDLE, ATA_IN, ATA_OUT };

struct ata_drive {
	struct disk_file *file; /* NULL: there is no such drive */
	uint8_t status, error;
	uint8_t multiple;	/* sectors; 0: not set */
	uint8_t heads, sectors; /* of the geometry that addresses by cylinder are in */
};

struct ata {
	struct ata_drive drive[ATA_DISKS];
	/* Registers, which both drives take. */
	uint8_t features, count, low, mid, high, select, control;
	bool interrupt;

	/* The transfer of the selected drive's command: a block of `filled` bytes of which `at` are through. */
	enum ata_transfer transfer;
	uint32_t sector;    /* the block's first */
	unsigned left;	    /* sectors, with those of the block */
	unsigned per_block; /* sectors */
	unsigned at, filled;
	uint8_t buffer[ATA_BLOCK_MAX * DISK_SECTOR];
	struct irq_line irq;
};

/* A channel without drives, at its command and control registers. */
void ata_attach_empty(struct bus *bus, uint16_t command, uint16_t control);
void ata_init(struct ata *ata, struct bus *bus, struct disk_file *const files[ATA_DISKS], struct irq_line irq);

#endif
