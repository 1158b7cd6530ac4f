/*
 * The 82077AA's commands that read and write sectors, one sector at a time (data sheet, section 5.1). Heads go to the
 * cylinder that a command names by themselves, whatever CONFIGURE says of implied seeks: SeaBIOS counts on it.
 */
#include <string.h>

#include "monitor/device/dma.h"
#include "monitor/device/floppy_internal.h"

#define SIZE_512    2 /* the code of a sector's size */
#define GAP_NS	    UINT64_C(1000000)
#define PATIENCE_NS UINT64_C(200000000) /* a turn of the disk */
#define ID_BYTES    4			/* FORMAT takes so many for each sector: C, H, R, N */

static unsigned head_of(const struct floppy *floppy)
{
	return HEAD_OF(floppy->command[1]);
}

static void end(struct floppy *floppy, uint8_t st0, uint8_t st1, uint8_t st2)
{
	const uint8_t bytes[] = {
		st0 | (floppy->command[1] & 0x07), st1, st2, floppy->c, floppy->h, floppy->r, floppy->n};

	floppy->polls = 0;
	floppy->was_reset = false;
	floppy_answer(floppy, bytes, sizeof(bytes), true);
}

static void fail(struct floppy *floppy, uint8_t st1, uint8_t st2)
{
	end(floppy, ST0_ABNORMAL, st1, st2);
}

/* ---------------------------------------------------------------------------------------------------------- sectors */

/* There is a disk that can be read as the controller is set. */
static bool readable(struct floppy *floppy)
{
	const struct floppy_drive *drive = floppy_selected(floppy);

	return drive && (floppy->command[0] & CODE_MFM) && (drive->format->rates >> floppy->rate & 1);
}

/* The number of the sector under the head that C, H, R and N name. False: there is none, and the command has ended. */
static bool find_sector(struct floppy *floppy, uint32_t *sector)
{
	const struct floppy_format *format;

	if (!readable(floppy)) {
		fail(floppy, ST1_NO_ADDRESS, 0);
		return false;
	}
	format = floppy_selected(floppy)->format;
	if (floppy->c < format->cylinders)
		floppy_step(floppy, UNIT_OF(floppy->command[1]), floppy->c);
	if (floppy->c >= format->cylinders || floppy->h != head_of(floppy) || !floppy->r ||
	    floppy->r > format->per_track || floppy->n != SIZE_512) {
		fail(floppy, ST1_NO_SECTOR, 0);
		return false;
	}
	*sector = ((uint32_t)floppy->c * FLOPPY_HEADS + floppy->h) * format->per_track + floppy->r - 1;
	return true;
}

/* What an image is short of reads as zeroes, and cannot be written. */
static bool read_sector(struct floppy *floppy, uint32_t sector)
{
	struct disk_file *file = floppy_selected(floppy)->file;

	memset(floppy->buffer, 0, sizeof(floppy->buffer));
	return sector >= disk_sectors(file) || !disk_read(file, sector, floppy->buffer, 1);
}

static bool write_sector(struct floppy *floppy, uint32_t sector)
{
	struct disk_file *file = floppy_selected(floppy)->file;

	return sector < disk_sectors(file) && !disk_write(file, sector, floppy->buffer, 1);
}

/* ------------------------------------------------------------------------------------------------ the execution phase
 */

bool floppy_wants_bytes(const struct floppy *floppy)
{
	return floppy->task == FLOPPY_WRITE || floppy->task == FLOPPY_FORMAT;
}

bool floppy_by_pio(const struct floppy *floppy)
{
	return floppy->specify[1] & SPECIFY_PIO;
}

/* The next sector's bytes can go through. */
static void begin_sector(struct floppy *floppy)
{
	uint32_t sector;

	floppy->at = floppy->seen = 0;
	floppy->filled = floppy->task == FLOPPY_FORMAT ? ID_BYTES : DISK_SECTOR;
	if (floppy->task != FLOPPY_FORMAT && !find_sector(floppy, &sector))
		return;
	if (!floppy_wants_bytes(floppy) && !read_sector(floppy, sector)) {
		fail(floppy, ST1_DATA, ST2_DATA);
		return;
	}
	floppy->phase = FLOPPY_EXECUTION;
	timer_arm(&floppy->timer, floppy->clock() + PATIENCE_NS);
	floppy->ready = floppy_by_pio(floppy) && floppy->task != FLOPPY_VERIFY;
	floppy_interrupt(floppy, floppy->ready);
}

/*
 * With both sides, a last sector that no track has: by the data sheet there is an error at the track's end, but boot
 * sectors that read more than a track at once have SeaBIOS ask so, and go on from side to side, and cylinder to
 * cylinder.
 */
static bool runs_on(struct floppy *floppy)
{
	return (floppy->command[0] & CODE_MULTITRACK) &&
	       floppy->last_sector > floppy_selected(floppy)->format->per_track;
}

/* The one after: the data sheet's table of what a result names. */
static void step_sector(struct floppy *floppy)
{
	bool both = floppy->command[0] & CODE_MULTITRACK, on = runs_on(floppy);

	if (floppy->r != (on ? floppy_selected(floppy)->format->per_track : floppy->last_sector)) {
		floppy->r++;
		return;
	}
	floppy->r = 1;
	if (both && !floppy->h) {
		floppy->h = 1;
		floppy->command[1] |= HEAD_BIT;
		return;
	}
	floppy->h = both ? 0 : floppy->h;
	floppy->c++;
	if (on)
		floppy->command[1] &= (uint8_t)~HEAD_BIT;
}

/* ended: by the DMA controller, which alone can say that all is well. Otherwise the last sector stays the last. */
static void sector_through(struct floppy *floppy, bool ended)
{
	bool both = floppy->command[0] & CODE_MULTITRACK;
	bool last = floppy->r == floppy->last_sector && (!both || floppy->h);

	if (floppy->task == FLOPPY_VERIFY)
		ended = floppy->command[1] & BYTE_COUNT ? !--floppy->left : last;
	if (last && !ended) {
		fail(floppy, ST1_END, 0);
		return;
	}
	step_sector(floppy);
	if (ended)
		end(floppy, 0, 0, 0);
	else
		begin_sector(floppy);
}

static void format_sector(struct floppy *floppy, bool ended)
{
	unsigned cylinder = floppy->cylinder[UNIT_OF(floppy->command[1])];
	uint32_t sector;

	floppy->c = floppy->buffer[0];
	floppy->h = floppy->buffer[1];
	floppy->r = floppy->buffer[2];
	floppy->n = floppy->buffer[3];
	if (floppy->c != cylinder) { /* an image has sectors only where they belong */
		fail(floppy, ST1_NO_SECTOR, 0);
		return;
	}
	if (!find_sector(floppy, &sector))
		return;
	memset(floppy->buffer, floppy->command[5], sizeof(floppy->buffer));
	if (!write_sector(floppy, sector))
		fail(floppy, ST1_DATA, ST2_DATA);
	else if (!--floppy->left || ended)
		end(floppy, 0, 0, 0);
	else
		begin_sector(floppy);
}

/* All bytes of a sector are through, or as many as were to be. */
static void block_through(struct floppy *floppy, bool ended)
{
	uint32_t sector;

	if (floppy->task == FLOPPY_FORMAT) {
		format_sector(floppy, ended);
		return;
	}
	if (floppy->task == FLOPPY_WRITE) {
		if (!find_sector(floppy, &sector))
			return;
		memset(floppy->buffer + floppy->at, 0, DISK_SECTOR - floppy->at);
		if (!write_sector(floppy, sector)) {
			fail(floppy, ST1_DATA, ST2_DATA);
			return;
		}
	}
	sector_through(floppy, ended);
}

void floppy_run(void *device)
{
	struct floppy *floppy = device;

	while (floppy->phase == FLOPPY_EXECUTION) {
		uint8_t *next = floppy->buffer + floppy->at;
		size_t len = floppy->filled - floppy->at, moved = len;
		bool ended = false;

		if (floppy->task != FLOPPY_VERIFY) {
			if (floppy_by_pio(floppy) || !(floppy->output & OUTPUT_DMA))
				return;
			moved = floppy_wants_bytes(floppy) ? dma_from_memory(floppy->dma, FLOPPY_DMA, next, len, &ended)
							   : dma_to_memory(floppy->dma, FLOPPY_DMA, next, len, &ended);
		}
		if (!moved)
			return;
		floppy->at += (unsigned)moved;
		if (floppy->at == floppy->filled || ended)
			block_through(floppy, ended);
	}
}

void floppy_due(void *device, uint64_t now)
{
	struct floppy *floppy = device;

	if (floppy->phase != FLOPPY_EXECUTION)
		return;
	if (floppy->at == floppy->filled) {
		block_through(floppy, false);
	} else if (floppy->at == floppy->seen) {
		fail(floppy, ST1_OVERRUN, 0);
	} else {
		floppy->seen = floppy->at;
		timer_arm(&floppy->timer, now + PATIENCE_NS);
	}
}

bool floppy_is_ready(const struct floppy *floppy)
{
	return floppy_by_pio(floppy) && floppy->at < floppy->filled;
}

/* A byte went by the FIFO. The next sector, or the result, is an interrupt of its own. */
static void byte_through(struct floppy *floppy)
{
	floppy->ready = false;
	floppy_interrupt(floppy, false);
	if (++floppy->at == floppy->filled)
		timer_arm(&floppy->timer, floppy->clock() + GAP_NS);
}

uint8_t floppy_take(struct floppy *floppy)
{
	uint8_t byte = floppy->buffer[floppy->at];

	byte_through(floppy);
	return byte;
}

void floppy_give(struct floppy *floppy, uint8_t byte)
{
	floppy->buffer[floppy->at] = byte;
	byte_through(floppy);
}

/* --------------------------------------------------------------------------------------------------------- commands */

static void take_address(struct floppy *floppy)
{
	floppy->c = floppy->command[2];
	floppy->h = floppy->command[3];
	floppy->r = floppy->command[4];
	floppy->n = floppy->command[5];
	floppy->last_sector = floppy->command[6];
}

static void start(struct floppy *floppy, enum floppy_task task)
{
	const struct floppy_drive *drive = floppy_selected(floppy);

	floppy->task = task;
	if (drive && floppy_wants_bytes(floppy) && disk_is_readonly(drive->file)) {
		fail(floppy, ST1_PROTECTED, 0);
		return;
	}
	begin_sector(floppy);
	floppy_run(floppy);
}

void floppy_read(struct floppy *floppy)
{
	take_address(floppy);
	start(floppy, FLOPPY_READ);
}

/* From the first sector behind the index hole, whichever was named. */
void floppy_read_track(struct floppy *floppy)
{
	take_address(floppy);
	floppy->r = 1;
	start(floppy, FLOPPY_READ);
}

void floppy_write(struct floppy *floppy)
{
	take_address(floppy);
	start(floppy, FLOPPY_WRITE);
}

void floppy_verify(struct floppy *floppy)
{
	take_address(floppy);
	floppy->left = floppy->command[8] ? floppy->command[8] : UINT8_MAX + 1;
	start(floppy, FLOPPY_VERIFY);
}

/* No sector of an image has a mark of deleted data, nor place for one. */
void floppy_deleted(struct floppy *floppy)
{
	take_address(floppy);
	fail(floppy, ST1_NO_ADDRESS, ST2_NO_DATA);
}

void floppy_format_track(struct floppy *floppy)
{
	floppy->left = floppy->last_sector = floppy->command[3];
	floppy->c = floppy->cylinder[UNIT_OF(floppy->command[1])];
	floppy->h = (uint8_t)head_of(floppy);
	floppy->r = 1;
	floppy->n = floppy->command[2];
	if (!readable(floppy))
		fail(floppy, ST1_NO_ADDRESS, 0);
	else if (!floppy->left)
		end(floppy, 0, 0, 0);
	else
		start(floppy, FLOPPY_FORMAT);
}

void floppy_read_id(struct floppy *floppy)
{
	unsigned cylinder = floppy->cylinder[UNIT_OF(floppy->command[1])];

	floppy->c = (uint8_t)cylinder;
	floppy->h = (uint8_t)head_of(floppy);
	floppy->r = 1;
	floppy->n = SIZE_512;
	if (!readable(floppy) || cylinder >= floppy_selected(floppy)->format->cylinders) {
		fail(floppy, ST1_NO_ADDRESS, 0);
		return;
	}
	floppy->passing = (uint8_t)(floppy->passing % floppy_selected(floppy)->format->per_track + 1);
	floppy->r = floppy->passing;
	end(floppy, 0, 0, 0);
}
