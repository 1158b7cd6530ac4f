/*
 * ATA disks (ATA/ATAPI-6, T13 1410D): registers, and the PIO protocols of chapter 9. A command is complete, or has its
 * block ready, when the write that asked for it returns: BSY is never seen but in reset.
 */
#include "monitor/device/ata.h"

#include "monitor/device/ata_identify.h"
#include "monitor/device/ata_registers.h"

#define STATUS_REST (STATUS_READY | STATUS_SEEK)

#define CMD_RECALIBRATE	   0x10
#define CMD_READ	   0x20
#define CMD_READ_ONCE	   0x21
#define CMD_WRITE	   0x30
#define CMD_WRITE_ONCE	   0x31
#define CMD_VERIFY	   0x40
#define CMD_VERIFY_ONCE	   0x41
#define CMD_SEEK	   0x70
#define CMD_GEOMETRY	   0x91
#define CMD_READ_MULTIPLE  0xc4
#define CMD_WRITE_MULTIPLE 0xc5
#define CMD_SET_MULTIPLE   0xc6
#define CMD_IDENTIFY	   0xec
#define CMD_NATIVE_MAX	   0xf8

#define FEATURE_CACHE_ON  0x02
#define FEATURE_CACHE_OFF 0x82
#define FEATURE_AHEAD_ON  0xaa
#define FEATURE_AHEAD_OFF 0x55

static struct ata_drive *selected(struct ata *ata)
{
	return &ata->drive[ata->select & SELECT_DRIVE ? 1 : 0];
}

/* ---------------------------------------------------------------------------------------------------- interrupts */

static void drive_line(struct ata *ata)
{
	irq_set(&ata->irq, ata->interrupt && !(ata->control & CONTROL_SILENT));
}

static void interrupt(struct ata *ata)
{
	ata->interrupt = true;
	drive_line(ata);
}

/* The command ends. */
static void finish(struct ata *ata, uint8_t status, uint8_t error)
{
	struct ata_drive *drive = selected(ata);

	ata->transfer = ATA_IDLE;
	drive->status = STATUS_REST | status;
	drive->error = error;
	interrupt(ata);
}

static void done(struct ata *ata)
{
	finish(ata, 0, 0);
}

static void abort_command(struct ata *ata)
{
	finish(ata, STATUS_ERROR, ERROR_ABORTED);
}

/* ------------------------------------------------------------------------------------------------------ addresses */

static bool by_lba(const struct ata *ata)
{
	return ata->select & SELECT_LBA;
}

/* Which sector the registers name; past the end if none. */
static uint32_t address(struct ata *ata)
{
	const struct ata_drive *drive = selected(ata);
	uint32_t high = ata->select & 15, cylinder = (uint32_t)ata->high << 8 | ata->mid;

	if (by_lba(ata))
		return high << 24 | cylinder << 8 | ata->low;
	if (!ata->low || ata->low > drive->sectors || high >= drive->heads)
		return DISK_SECTORS_MAX;
	return (cylinder * drive->heads + high) * drive->sectors + ata->low - 1;
}

/* The registers name this sector now. */
static void show_address(struct ata *ata, uint32_t sector)
{
	const struct ata_drive *drive = selected(ata);
	uint32_t high = sector >> 24, cylinder = sector >> 8;

	ata->low = (uint8_t)sector;
	if (!by_lba(ata)) {
		ata->low = (uint8_t)(sector % drive->sectors + 1);
		high = sector / drive->sectors % drive->heads;
		cylinder = sector / drive->sectors / drive->heads;
	}
	ata->mid = (uint8_t)cylinder;
	ata->high = (uint8_t)(cylinder >> 8);
	ata->select = (uint8_t)((ata->select & 0xf0) | (high & 15));
}

/* -------------------------------------------------------------------------------------------- transfers of sectors */

static unsigned block_sectors(const struct ata *ata)
{
	return ata->left < ata->per_block ? ata->left : ata->per_block;
}

/* The host failed: the registers name the sector, and how many are left. */
static void failed(struct ata *ata, uint8_t error)
{
	show_address(ata, ata->sector);
	ata->count = (uint8_t)ata->left;
	finish(ata, STATUS_ERROR | (error == ERROR_ABORTED ? STATUS_FAULT : 0), error);
}

/* The next block stands ready. */
static void offer(struct ata *ata, bool silent)
{
	selected(ata)->status = STATUS_REST | STATUS_DATA;
	ata->at = 0;
	ata->filled = block_sectors(ata) * DISK_SECTOR;
	if (!silent)
		interrupt(ata);
}

static void next_in(struct ata *ata)
{
	if (disk_read(selected(ata)->file, ata->sector, ata->buffer, block_sectors(ata)))
		failed(ata, ERROR_UNREADABLE);
	else
		offer(ata, false);
}

/* A block went through. The end of what is read makes no interrupt of its own, that of what is written does. */
static void block_through(struct ata *ata)
{
	unsigned count = block_sectors(ata);

	if (ata->transfer == ATA_OUT && disk_write(selected(ata)->file, ata->sector, ata->buffer, count)) {
		failed(ata, ERROR_ABORTED);
		return;
	}
	ata->sector += count;
	ata->left -= count;
	if (ata->left && ata->transfer == ATA_IN) {
		next_in(ata);
	} else if (ata->left) {
		offer(ata, false);
	} else {
		if (ata->sector) /* IDENTIFY has no address */
			show_address(ata, ata->sector - 1);
		ata->count = 0;
		selected(ata)->status = STATUS_REST;
		if (ata->transfer == ATA_OUT)
			interrupt(ata);
		ata->transfer = ATA_IDLE;
	}
}

/* The sectors that a command is about. False: they are not there, and the command has ended. */
static bool find_sectors(struct ata *ata)
{
	uint32_t all = disk_sectors(selected(ata)->file);

	ata->sector = address(ata);
	ata->left = ata->count ? ata->count : 256;
	if (ata->sector < all && ata->left <= all - ata->sector)
		return true;
	finish(ata, STATUS_ERROR, ERROR_NOT_FOUND);
	return false;
}

static void start(struct ata *ata, enum ata_transfer transfer, unsigned per_block)
{
	if (!per_block) {
		abort_command(ata);
		return;
	}
	if (!find_sectors(ata))
		return;
	ata->per_block = per_block;
	ata->transfer = transfer;
	if (transfer == ATA_IN)
		next_in(ata);
	else
		offer(ata, true);
}

/* What is read is looked at, and goes nowhere. */
static void verify(struct ata *ata)
{
	if (!find_sectors(ata))
		return;
	for (; ata->left; ata->left--, ata->sector++) {
		if (disk_read(selected(ata)->file, ata->sector, ata->buffer, 1)) {
			failed(ata, ERROR_UNREADABLE);
			return;
		}
	}
	show_address(ata, ata->sector - 1);
	done(ata);
}

/* -------------------------------------------------------------------------------------------------- other commands */

static void identify(struct ata *ata)
{
	const struct ata_drive *drive = selected(ata);

	ata_identify(ata->buffer, disk_sectors(drive->file), ata->select & SELECT_DRIVE ? 1 : 0, drive->multiple,
		     drive->heads, drive->sectors);
	ata->transfer = ATA_IN;
	ata->sector = 0;
	ata->left = ata->per_block = 1;
	offer(ata, false);
	ata->sector = UINT32_MAX; /* none: block_through counts it to 0 */
}

static void set_multiple(struct ata *ata)
{
	bool power_of_two = !(ata->count & (ata->count - 1));

	if (ata->count > ATA_BLOCK_MAX || !power_of_two) {
		abort_command(ata);
		return;
	}
	selected(ata)->multiple = ata->count;
	done(ata);
}

static void set_features(struct ata *ata)
{
	switch (ata->features) {
	case FEATURE_MODE:
		if (ata->count > MODE_PIO)
			break;
		done(ata);
		return;
	case FEATURE_CACHE_ON:
	case FEATURE_CACHE_OFF:
	case FEATURE_AHEAD_ON:
	case FEATURE_AHEAD_OFF:
		done(ata);
		return;
	}
	abort_command(ata);
}

static void set_geometry(struct ata *ata)
{
	struct ata_drive *drive = selected(ata);

	if (!ata->count) {
		abort_command(ata);
		return;
	}
	drive->heads = (uint8_t)((ata->select & 15) + 1);
	drive->sectors = ata->count;
	done(ata);
}

static void flush(struct ata *ata)
{
	if (disk_flush(selected(ata)->file))
		finish(ata, STATUS_ERROR | STATUS_FAULT, ERROR_ABORTED);
	else
		done(ata);
}

/* What reset and diagnostic leave: the signature of a disk, and the first drive selected. */
static void sign(struct ata *ata)
{
	ata->transfer = ATA_IDLE;
	ata->count = ata->low = 1;
	ata->mid = ata->high = 0;
	ata->select = SELECT_FIXED;
	for (unsigned n = 0; n < ATA_DISKS; n++) {
		ata->drive[n].status = ata->drive[n].file ? STATUS_REST : 0;
		ata->drive[n].error = ERROR_DIAGNOSTIC;
	}
}

static void command(struct ata *ata, uint8_t code)
{
	struct ata_drive *drive = selected(ata);

	ata->interrupt = false;
	drive_line(ata);
	if (code == CMD_DIAGNOSTIC) { /* for both drives, whichever is selected */
		sign(ata);
		interrupt(ata);
		return;
	}
	if (!drive->file)
		return;
	drive->error = 0;
	switch (code) {
	case CMD_READ:
	case CMD_READ_ONCE:
		start(ata, ATA_IN, 1);
		return;
	case CMD_WRITE:
	case CMD_WRITE_ONCE:
		start(ata, ATA_OUT, 1);
		return;
	case CMD_READ_MULTIPLE:
		start(ata, ATA_IN, drive->multiple);
		return;
	case CMD_WRITE_MULTIPLE:
		start(ata, ATA_OUT, drive->multiple);
		return;
	case CMD_VERIFY:
	case CMD_VERIFY_ONCE:
		verify(ata);
		return;
	case CMD_IDENTIFY:
		identify(ata);
		return;
	case CMD_SET_MULTIPLE:
		set_multiple(ata);
		return;
	case CMD_FEATURES:
		set_features(ata);
		return;
	case CMD_GEOMETRY:
		set_geometry(ata);
		return;
	case CMD_FLUSH:
		flush(ata);
		return;
	case CMD_NATIVE_MAX:
		ata->select |= SELECT_LBA;
		show_address(ata, disk_sectors(drive->file) - 1);
		done(ata);
		return;
	case CMD_CHECK_POWER:
		ata->count = POWER_ACTIVE;
		done(ata);
		return;
	case CMD_RECALIBRATE ... CMD_RECALIBRATE + 15:
	case CMD_SEEK ... CMD_SEEK + 15:
	case CMD_STANDBY_NOW:
	case CMD_IDLE_NOW:
	case CMD_STANDBY:
	case CMD_IDLE:
		done(ata);
		return;
	default:
		abort_command(ata);
	}
}

/* ------------------------------------------------------------------------------------------------------ registers */

/* A stream of bytes, in accesses of any size; without a transfer it reads as ones. */
static void access_data(struct ata *ata, unsigned size, bool write, uint32_t *value)
{
	uint32_t word = 0;

	for (unsigned n = 0; n < size; n++) {
		bool open = ata->transfer == (write ? ATA_OUT : ATA_IN) && ata->at < ata->filled;
		uint8_t byte = (uint8_t)(*value >> 8 * n);

		if (open && write)
			ata->buffer[ata->at++] = byte;
		else
			byte = open ? ata->buffer[ata->at++] : 0xff;
		word |= (uint32_t)byte << 8 * n;
		if (open && ata->at == ata->filled)
			block_through(ata);
	}
	if (!write)
		*value = word;
}

static uint8_t read_register(void *device, unsigned reg)
{
	struct ata *ata = device;
	const struct ata_drive *drive = selected(ata);

	switch (reg) {
	case REG_ERROR:
		return drive->error;
	case REG_COUNT:
		return ata->count;
	case REG_LOW:
		return ata->low;
	case REG_MID:
		return ata->mid;
	case REG_HIGH:
		return ata->high;
	case REG_SELECT:
		return ata->select;
	default: /* a drive that is not there shows nothing; the other one answers for it */
		ata->interrupt = false;
		drive_line(ata);
		return drive->status;
	}
}

static void write_register(void *device, unsigned reg, uint8_t value)
{
	struct ata *ata = device;

	if (ata->control & CONTROL_RESET)
		return;
	switch (reg) {
	case REG_ERROR:
		ata->features = value;
		return;
	case REG_COUNT:
		ata->count = value;
		return;
	case REG_LOW:
		ata->low = value;
		return;
	case REG_MID:
		ata->mid = value;
		return;
	case REG_HIGH:
		ata->high = value;
		return;
	case REG_SELECT:
		if ((ata->select ^ value) & SELECT_DRIVE) { /* a transfer of the other drive would be torn */
			if (ata->transfer != ATA_IDLE)
				selected(ata)->status = STATUS_REST;
			ata->transfer = ATA_IDLE;
		}
		ata->select = value | SELECT_FIXED;
		return;
	default:
		command(ata, value);
	}
}

static void access_ata(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	if (offset == REG_DATA)
		access_data(device, size, write, value);
	else
		ata_access_bytes(device, offset, size, write, value, read_register, write_register);
}

/* Reset lasts as long as the bit is set. */
static void write_control(struct ata *ata, uint8_t value)
{
	bool was = ata->control & CONTROL_RESET, is = value & CONTROL_RESET;

	ata->control = value;
	if (is && !was) {
		sign(ata);
		ata->interrupt = false;
		for (unsigned n = 0; n < ATA_DISKS; n++)
			ata->drive[n].status = ata->drive[n].file ? STATUS_BUSY : 0;
	} else if (was && !is) {
		sign(ata);
	}
	drive_line(ata);
}

static void access_control(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct ata *ata = device;

	if (write)
		write_control(ata, (uint8_t)*value);
	else
		*value = selected(ata)->status; /* without a word about the interrupt */
}

void ata_init(struct ata *ata, struct bus *bus, struct disk_file *const files[ATA_DISKS], struct irq_line irq)
{
	*ata = (struct ata){.irq = irq};
	for (unsigned n = 0; n < ATA_DISKS; n++)
		ata->drive[n] =
			(struct ata_drive){.file = files[n], .heads = ATA_HEADS, .sectors = ATA_SECTORS_PER_TRACK};
	sign(ata);
	bus_register(bus, ATA_PORT, REGISTERS, 4, access_ata, ata, "ata");
	bus_register(bus, ATA_PORT_CONTROL, 1, 1, access_control, ata, "ata-control");
}
