/*
 * The CD-ROM drive of a PC: the first and only drive of the second ATA channel, by packets and PIO (ATA/ATAPI-6,
 * MMC-5). Its disc is in it from the start, and stays.
 */
#ifndef MONITOR_DEVICE_ATAPI_H
#define MONITOR_DEVICE_ATAPI_H

#include "monitor/host/disk_file.h"
#include "monitor/vm/bus.h"

#define ATAPI_PACKET	  12
#define ATAPI_SECTOR	  2048u
#define ATAPI_SECTORS_MAX 16 /* that are read ahead of the host's taking them */

enum atapi_phase { ATAPI_IDLE, ATAPI_COMMAND, ATAPI_IN };

struct atapi {
	struct disk_file *file;
	/* Registers; `limit` is the byte count's. */
	uint8_t features, reason, low, select, control, status, error;
	uint16_t limit;
	bool interrupt;

	/* Why the last command failed. */
	uint8_t sense_key;
	uint16_t sense_code;

	enum atapi_phase phase;
	bool by_packet; /* the command came as one */
	uint8_t packet[ATAPI_PACKET];
	unsigned got;	  /* bytes of the packet */
	uint16_t asked;	  /* byte count of each block, as the host set it */
	unsigned at, end; /* the block that is being taken, in the buffer */
	unsigned filled;  /* bytes of the buffer */
	uint32_t sector;  /* the next one of the disc */
	uint32_t left;	  /* sectors from there on */
	uint8_t buffer[ATAPI_SECTORS_MAX * ATAPI_SECTOR];
	struct irq_line irq;
};

void atapi_init(struct atapi *atapi, struct bus *bus, struct disk_file *file, struct irq_line irq);

/* ------------------------------------------------------------------------------------- atapi.c and atapi_commands.c */

/* Sense keys and additional codes: MMC-5 annex F. */
#define SENSE_NONE	   0
#define SENSE_MEDIUM	   3
#define SENSE_ILLEGAL	   5
#define CODE_UNREADABLE	   0x1100
#define CODE_NO_COMMAND	   0x2000
#define CODE_OUT_OF_RANGE  0x2100
#define CODE_INVALID_FIELD 0x2400
#define CODE_NOTHING_SAVED 0x3900

/* Executes the packet. Ends in exactly one of those below. */
void atapi_execute(struct atapi *atapi);

void atapi_done(struct atapi *atapi);
void atapi_fail(struct atapi *atapi, uint8_t key, uint16_t code);
/* The buffer holds an answer of `length` bytes, of which the host wants no more than `allocated`. */
void atapi_answer(struct atapi *atapi, unsigned length, unsigned allocated);
/* The disc's sectors [sector, sector + count), which are there. */
void atapi_read(struct atapi *atapi, uint32_t sector, uint32_t count);
/* Sectors of the disc; of the last one some may be missing in the file. */
uint32_t atapi_sectors(const struct atapi *atapi);

#endif
