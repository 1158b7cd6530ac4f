/*
 * The 82077AA's commands that move no data (data sheet, section 5).
 */
#include <string.h>

#include "monitor/device/floppy_internal.h"

/* ------------------------------------------------------------------------------------------------------------ seeks */

static void end_seek(struct floppy *floppy, unsigned unit, uint8_t status)
{
	floppy->polls = 0;
	floppy->was_reset = false;
	floppy->sought |= (uint8_t)(1u << unit);
	floppy->seek_status[unit] = (uint8_t)(ST0_SEEK_END | status | unit);
	floppy_interrupt(floppy, true);
}

/* Without a drive no track 0 is found. */
static void recalibrate(struct floppy *floppy)
{
	unsigned unit = UNIT_OF(floppy->command[1]);

	floppy_step(floppy, unit, 0);
	end_seek(floppy, unit, floppy_selected(floppy) ? 0 : ST0_ABNORMAL | ST0_NO_TRACK_0);
}

static void seek(struct floppy *floppy)
{
	unsigned unit = UNIT_OF(floppy->command[1]);

	floppy_step(floppy, unit, floppy->command[2]);
	end_seek(floppy, unit, HEAD_OF(floppy->command[1]) ? ST0_HEAD : 0);
}

static void relative_seek(struct floppy *floppy)
{
	unsigned unit = UNIT_OF(floppy->command[1]);
	int steps = floppy->command[0] & CODE_UP ? floppy->command[2] : -floppy->command[2];
	int cylinder = floppy->cylinder[unit] + steps;

	floppy_step(floppy, unit, cylinder < 0 ? 0 : cylinder > UINT8_MAX ? UINT8_MAX : (unsigned)cylinder);
	end_seek(floppy, unit, HEAD_OF(floppy->command[1]) ? ST0_HEAD : 0);
}

/* ----------------------------------------------------------------------------------------------------------- status */

static void invalid(struct floppy *floppy)
{
	floppy_answer(floppy, (const uint8_t[]){ST0_INVALID}, 1, false);
}

/* Of seeks first; then what polling found after a reset, a drive at a time. */
static void sense_interrupt(struct floppy *floppy)
{
	unsigned unit = 0;
	uint8_t status;

	if (!floppy->sought && !floppy->polls) {
		invalid(floppy);
		return;
	}
	if (floppy->sought) {
		while (!(floppy->sought >> unit & 1))
			unit++;
		floppy->sought &= (uint8_t) ~(1u << unit);
		status = floppy->seek_status[unit];
	} else {
		unit = FLOPPY_UNITS - floppy->polls--;
		status = (uint8_t)(ST0_POLLED | unit);
	}
	floppy->was_reset = false;
	floppy_answer(floppy, (const uint8_t[]){status, floppy->cylinder[unit]}, 2, false);
	floppy_interrupt(floppy, true);
}

static void sense_drive(struct floppy *floppy)
{
	const struct floppy_drive *drive = floppy_selected(floppy);
	uint8_t status = ST3_ONES | (floppy->command[1] & 0x07);

	if (drive && disk_is_readonly(drive->file))
		status |= ST3_PROTECTED;
	if (drive && !floppy->cylinder[UNIT_OF(floppy->command[1])])
		status |= ST3_TRACK_0;
	floppy_answer(floppy, &status, 1, false);
}

static void version(struct floppy *floppy)
{
	floppy_answer(floppy, (const uint8_t[]){0x90}, 1, false);
}

static void dump_registers(struct floppy *floppy)
{
	const uint8_t bytes[FLOPPY_RESULT_MAX] = {
		floppy->cylinder[0],  floppy->cylinder[1],
		floppy->cylinder[2],  floppy->cylinder[3],
		floppy->specify[0],   floppy->specify[1],
		floppy->last_sector,  (uint8_t)(floppy->locked << 7 | floppy->perpendicular),
		floppy->configure[0], floppy->configure[1],
	};

	floppy_answer(floppy, bytes, sizeof(bytes), false);
}

/* --------------------------------------------------------------------------------------------------------- settings */

static void specify(struct floppy *floppy)
{
	memcpy(floppy->specify, floppy->command + 1, sizeof(floppy->specify));
}

static void configure(struct floppy *floppy)
{
	memcpy(floppy->configure, floppy->command + 2, sizeof(floppy->configure));
}

#define PERPENDICULAR_OVERWRITES 0x80 /* which drives it is for */
#define PERPENDICULAR_MODE	 0x03
#define PERPENDICULAR_ALL	 0x3f

static void perpendicular(struct floppy *floppy)
{
	uint8_t value = floppy->command[1],
		mask = value & PERPENDICULAR_OVERWRITES ? PERPENDICULAR_ALL : PERPENDICULAR_MODE;

	floppy->perpendicular = (floppy->perpendicular & (uint8_t)~mask) | (value & mask);
}

static void lock(struct floppy *floppy)
{
	floppy->locked = floppy->command[0] & 0x80;
	floppy_answer(floppy, (const uint8_t[]){(uint8_t)(floppy->locked << 4)}, 1, false);
}

/* --------------------------------------------------------------------------------------------------------- the list */

static const struct command {
	uint8_t code, mask; /* of the first byte, without its flags */
	uint8_t bytes;
	void (*execute)(struct floppy *floppy);
} commands[] = {
	{0x02, 0xbf, 9, floppy_read_track},
	{0x03, 0xff, 3, specify},
	{0x04, 0xff, 2, sense_drive},
	{0x05, 0x3f, 9, floppy_write},
	{0x06, 0x1f, 9, floppy_read},
	{0x07, 0xff, 2, recalibrate},
	{0x08, 0xff, 1, sense_interrupt},
	{0x09, 0x3f, 9, floppy_deleted}, /* written */
	{0x0a, 0xbf, 2, floppy_read_id},
	{0x0c, 0x1f, 9, floppy_deleted}, /* read */
	{0x0d, 0xbf, 6, floppy_format_track},
	{0x0e, 0xff, 1, dump_registers},
	{0x0f, 0xff, 3, seek},
	{0x10, 0xff, 1, version},
	{0x12, 0xff, 2, perpendicular},
	{0x13, 0xff, 4, configure},
	{0x14, 0x7f, 1, lock},
	{0x16, 0x1f, 9, floppy_verify},
	{0x8f, 0xbf, 3, relative_seek},
};

static const struct command *find(uint8_t code)
{
	static const struct command none = {.bytes = 1, .execute = invalid};

	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if ((code & commands[i].mask) == commands[i].code)
			return &commands[i];
	return &none;
}

unsigned floppy_command_bytes(uint8_t code)
{
	return find(code)->bytes;
}

void floppy_execute(struct floppy *floppy)
{
	find(floppy->command[0])->execute(floppy);
}
