/*
 * ATA/ATAPI-6 (T13 1410D): the registers of a packet device, and the protocol of 9.8. As in ata.c a command is
 * complete, or has its block ready, when the write that asked for it returns.
 */
#include "monitor/device/atapi.h"

#include <string.h>

#include "monitor/device/ata.h"
#include "monitor/device/ata_identify.h"
#include "monitor/device/ata_registers.h"

#define ERROR_SENSE 4 /* shift of the sense key */

#define REASON_COMMAND 1 /* else data */
#define REASON_TO_HOST 2

#define FEATURE_DMA 0x01

#define SIGNATURE 0xeb14 /* in the byte count's registers */

#define CMD_DEVICE_RESET    0x08
#define CMD_PACKET	    0xa0
#define CMD_IDENTIFY_PACKET 0xa1

#define IDENTIFY 512

#define BLOCK_MAX 0xfffe /* also what a byte count of 0 means: a block of odd length can only be the last */

/* The second drive is not there: this one shows its registers, and no status. */
static bool is_selected(const struct atapi *atapi)
{
	return !(atapi->select & SELECT_DRIVE);
}

static void drive_line(struct atapi *atapi)
{
	irq_set(&atapi->irq, atapi->interrupt && !(atapi->control & CONTROL_SILENT));
}

static void interrupt(struct atapi *atapi)
{
	atapi->interrupt = true;
	drive_line(atapi);
}

/* ------------------------------------------------------------------------------------------------- a command's end */

static void finish(struct atapi *atapi, uint8_t status, uint8_t error)
{
	atapi->phase = ATAPI_IDLE;
	atapi->status = STATUS_READY | status;
	atapi->error = error;
	atapi->reason = REASON_COMMAND | REASON_TO_HOST;
	interrupt(atapi);
}

void atapi_done(struct atapi *atapi)
{
	finish(atapi, 0, 0);
}

void atapi_fail(struct atapi *atapi, uint8_t key, uint16_t code)
{
	atapi->sense_key = key;
	atapi->sense_code = code;
	finish(atapi, STATUS_ERROR, (uint8_t)(key << ERROR_SENSE | ERROR_ABORTED));
}

/* ----------------------------------------------------------------------------------------------------- data blocks */

/* What is left in the buffer is offered, as much as the host takes at once. */
static void offer(struct atapi *atapi)
{
	unsigned most = atapi->asked ? atapi->asked : BLOCK_MAX, left = atapi->filled - atapi->at;

	if (left > most)
		left = most & ~1u;
	if (!left) /* one byte at a time is none */
		left = 2;
	atapi->end = atapi->at + left;
	atapi->limit = (uint16_t)left;
	atapi->reason = REASON_TO_HOST;
	atapi->status = STATUS_READY | STATUS_DATA;
	atapi->phase = ATAPI_IN;
	interrupt(atapi);
}

uint32_t atapi_sectors(const struct atapi *atapi)
{
	const uint32_t per_sector = ATAPI_SECTOR / DISK_SECTOR;

	return disk_sectors(atapi->file) / per_sector + (disk_sectors(atapi->file) % per_sector != 0);
}

/* Sectors of the disc into the buffer: zeroes, where the file ends before. False: the host failed. */
static bool fill(struct atapi *atapi, unsigned count)
{
	const uint32_t first = atapi->sector * (ATAPI_SECTOR / DISK_SECTOR), there = disk_sectors(atapi->file) - first;
	uint32_t wanted = count * (ATAPI_SECTOR / DISK_SECTOR);

	if (wanted > there) {
		wanted = there;
		memset(atapi->buffer + wanted * DISK_SECTOR, 0, count * ATAPI_SECTOR - wanted * DISK_SECTOR);
	}
	return !disk_read(atapi->file, first, atapi->buffer, wanted);
}

static void next_sectors(struct atapi *atapi)
{
	unsigned count = atapi->left < ATAPI_SECTORS_MAX ? atapi->left : ATAPI_SECTORS_MAX;

	if (!fill(atapi, count)) {
		atapi_fail(atapi, SENSE_MEDIUM, CODE_UNREADABLE);
		return;
	}
	atapi->sector += count;
	atapi->left -= count;
	atapi->at = 0;
	atapi->filled = count * ATAPI_SECTOR;
	offer(atapi);
}

void atapi_read(struct atapi *atapi, uint32_t sector, uint32_t count)
{
	atapi->sector = sector;
	atapi->left = count;
	if (count)
		next_sectors(atapi);
	else
		atapi_done(atapi);
}

void atapi_answer(struct atapi *atapi, unsigned length, unsigned allocated)
{
	atapi->left = 0;
	atapi->at = 0;
	atapi->filled = length < allocated ? length : allocated;
	if (atapi->filled)
		offer(atapi);
	else
		atapi_done(atapi);
}

/* What ATA answers ends with its data, without a word: 9.5. */
static void end_identify(struct atapi *atapi)
{
	atapi->phase = ATAPI_IDLE;
	atapi->status = STATUS_READY;
}

/* The host has taken the block. */
static void block_through(struct atapi *atapi)
{
	if (atapi->at < atapi->filled)
		offer(atapi);
	else if (atapi->left)
		next_sectors(atapi);
	else if (atapi->by_packet)
		atapi_done(atapi);
	else
		end_identify(atapi);
}

/* ----------------------------------------------------------------------------------------------------- ATA commands */

/* What reset and diagnostic leave: 9.12. */
static void sign(struct atapi *atapi)
{
	atapi->phase = ATAPI_IDLE;
	atapi->reason = atapi->low = 1;
	atapi->limit = SIGNATURE;
	atapi->select = SELECT_FIXED;
	atapi->status = 0;
	atapi->error = ERROR_DIAGNOSTIC;
	atapi->sense_key = SENSE_NONE;
	atapi->sense_code = 0;
}

static void abort_command(struct atapi *atapi)
{
	finish(atapi, STATUS_ERROR, ERROR_ABORTED);
}

/* The packet is waited for. There is no DMA. */
static void await_packet(struct atapi *atapi)
{
	if (atapi->features & FEATURE_DMA) {
		abort_command(atapi);
		return;
	}
	atapi->asked = atapi->limit;
	atapi->got = 0;
	atapi->by_packet = true;
	atapi->reason = REASON_COMMAND;
	atapi->status = STATUS_READY | STATUS_DATA;
	atapi->phase = ATAPI_COMMAND;
}

static void identify(struct atapi *atapi)
{
	atapi_identify(atapi->buffer);
	atapi->left = 0;
	atapi->at = 0;
	atapi->filled = atapi->end = IDENTIFY;
	atapi->reason = REASON_COMMAND;
	atapi->status = STATUS_READY | STATUS_DATA;
	atapi->phase = ATAPI_IN;
	atapi->by_packet = false;
	interrupt(atapi);
}

static void command(struct atapi *atapi, uint8_t code)
{
	atapi->interrupt = false;
	drive_line(atapi);
	if (code == CMD_DIAGNOSTIC) { /* for both drives, whichever is selected */
		sign(atapi);
		interrupt(atapi);
		return;
	}
	if (!is_selected(atapi))
		return;
	switch (code) {
	case CMD_DEVICE_RESET:
		sign(atapi);
		return;
	case CMD_PACKET:
		await_packet(atapi);
		return;
	case CMD_IDENTIFY_PACKET:
		identify(atapi);
		return;
	case CMD_FEATURES:
		if (atapi->features == FEATURE_MODE && atapi->reason <= MODE_PIO)
			atapi_done(atapi);
		else
			abort_command(atapi);
		return;
	case CMD_CHECK_POWER:
		atapi_done(atapi);
		atapi->reason = POWER_ACTIVE;
		return;
	case CMD_STANDBY_NOW:
	case CMD_IDLE_NOW:
	case CMD_STANDBY:
	case CMD_IDLE:
	case CMD_FLUSH:
		atapi_done(atapi);
		return;
	default: /* a disk's, by which drivers are told what this is: 6.9.1 */
		sign(atapi);
		abort_command(atapi);
		atapi->reason = 1;
	}
}

/* ------------------------------------------------------------------------------------------------------ registers */

/* A stream of bytes, in accesses of any size; without a transfer it reads as ones. */
static void access_data(struct atapi *atapi, unsigned size, bool write, uint32_t *value)
{
	uint32_t word = 0;

	for (unsigned n = 0; n < size; n++) {
		uint8_t byte = 0xff;

		if (write && atapi->phase == ATAPI_COMMAND) {
			atapi->packet[atapi->got++] = (uint8_t)(*value >> 8 * n);
			if (atapi->got == ATAPI_PACKET)
				atapi_execute(atapi);
		} else if (!write && atapi->phase == ATAPI_IN) {
			byte = atapi->buffer[atapi->at++];
			if (atapi->at == atapi->end)
				block_through(atapi);
		}
		word |= (uint32_t)byte << 8 * n;
	}
	if (!write)
		*value = word;
}

static uint8_t read_register(void *device, unsigned reg)
{
	struct atapi *atapi = device;
	switch (reg) {
	case REG_ERROR:
		return atapi->error;
	case REG_REASON:
		return atapi->reason;
	case REG_LOW:
		return atapi->low;
	case REG_MID:
		return (uint8_t)atapi->limit;
	case REG_HIGH:
		return (uint8_t)(atapi->limit >> 8);
	case REG_SELECT:
		return atapi->select;
	default:
		if (!is_selected(atapi))
			return 0;
		atapi->interrupt = false;
		drive_line(atapi);
		return atapi->status;
	}
}

static void write_register(void *device, unsigned reg, uint8_t value)
{
	struct atapi *atapi = device;

	if (atapi->control & CONTROL_RESET)
		return;
	switch (reg) {
	case REG_ERROR:
		atapi->features = value;
		return;
	case REG_REASON:
		atapi->reason = value;
		return;
	case REG_LOW:
		atapi->low = value;
		return;
	case REG_MID:
		atapi->limit = (uint16_t)((atapi->limit & 0xff00) | value);
		return;
	case REG_HIGH:
		atapi->limit = (uint16_t)((atapi->limit & 0xff) | value << 8);
		return;
	case REG_SELECT:
		atapi->select = value | SELECT_FIXED;
		return;
	default:
		command(atapi, value);
	}
}

static void access_atapi(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	if (offset == REG_DATA)
		access_data(device, size, write, value);
	else
		ata_access_bytes(device, offset, size, write, value, read_register, write_register);
}

/* Reset lasts as long as the bit is set. */
static void access_control(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct atapi *atapi = device;
	bool was = atapi->control & CONTROL_RESET, is = *value & CONTROL_RESET;

	if (!write) {
		*value = is_selected(atapi) ? atapi->status : 0;
		return;
	}
	atapi->control = (uint8_t)*value;
	if (is != was) {
		sign(atapi);
		atapi->interrupt = false;
		atapi->status = is ? STATUS_BUSY : 0;
	}
	drive_line(atapi);
}

void atapi_init(struct atapi *atapi, struct bus *bus, struct disk_file *file, struct irq_line irq)
{
	*atapi = (struct atapi){.file = file, .irq = irq};
	sign(atapi);
	bus_register(bus, ATA_PORT_2, REGISTERS, 4, access_atapi, atapi, "atapi");
	bus_register(bus, ATA_PORT_2_CONTROL, 1, 1, access_control, atapi, "atapi-control");
}
