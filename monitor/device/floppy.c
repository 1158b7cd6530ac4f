/*
 * The 82077AA's registers and the phases of its commands (Intel 82077AA data sheet, sections 2 and 4 to 6).
 */
#include "monitor/device/floppy.h"

#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/device/dma.h"
#include "monitor/device/floppy_internal.h"

/* Offsets from X86_PORT_FLOPPY. In AT mode the first two are not there; 0x3f6 is the disk controller's. */
enum { OUTPUT = 2, TAPE, STATUS, FIFO, INPUT = 7 };

#define STATUS_READY   0x80
#define STATUS_TO_HOST 0x40
#define STATUS_PIO     0x20
#define STATUS_BUSY    0x10

#define INPUT_CHANGED	     0x80
#define INPUT_FLOATS	     0x7f
#define TAPE_BITS	     0x03
#define RATE_BITS	     0x03
#define RATE_RESET	     0x02
#define SOFT_RESET	     0x80 /* of the data rate select register */
#define PERPENDICULAR_DRIVES 0x3c

/* Rates: 0 is 500 kbit/s, 1 300, 2 250, 3 1000. */
static const struct floppy_format formats[] = {
	{.sectors = 2880, .cylinders = 80, .per_track = 18, .rates = 1 << 0, .nvram = 4},
	{.sectors = 720, .cylinders = 40, .per_track = 9, .rates = 1 << 1 | 1 << 2, .nvram = 1},
	{.sectors = 1440, .cylinders = 80, .per_track = 9, .rates = 1 << 2, .nvram = 3},
	{.sectors = 2400, .cylinders = 80, .per_track = 15, .rates = 1 << 0, .nvram = 2},
	{.sectors = 5760, .cylinders = 80, .per_track = 36, .rates = 1 << 3, .nvram = 5},
};

const struct floppy_format *floppy_format_of(uint32_t sectors)
{
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i].sectors == sectors)
			return &formats[i];
	return sectors < formats[0].sectors ? &formats[0] : NULL;
}

struct floppy_drive *floppy_selected(struct floppy *floppy)
{
	unsigned unit = UNIT_OF(floppy->command[1]);

	return unit < FLOPPY_DRIVES && floppy->drive[unit].file ? &floppy->drive[unit] : NULL;
}

void floppy_step(struct floppy *floppy, unsigned unit, unsigned cylinder)
{
	if (unit < FLOPPY_DRIVES && floppy->cylinder[unit] != cylinder)
		floppy->drive[unit].changed = false;
	floppy->cylinder[unit] = (uint8_t)cylinder;
}

/* ------------------------------------------------------------------------------------------------------- interrupts */

void floppy_interrupt(struct floppy *floppy, bool edge)
{
	bool reason = floppy->ready || floppy->sought || floppy->was_reset;

	if (edge)
		irq_set(&floppy->irq, false);
	irq_set(&floppy->irq, reason && (floppy->output & OUTPUT_DMA));
}

/* ----------------------------------------------------------------------------------------------------------- phases */

static void await_command(struct floppy *floppy)
{
	floppy->phase = FLOPPY_COMMAND;
	floppy->given = floppy->wanted = 0;
}

void floppy_answer(struct floppy *floppy, const uint8_t *bytes, unsigned count, bool interrupt)
{
	memcpy(floppy->result, bytes, count);
	floppy->phase = FLOPPY_RESULT;
	floppy->told = 0;
	floppy->results = count;
	floppy->ready = interrupt;
	floppy_interrupt(floppy, interrupt);
}

static void write_fifo(struct floppy *floppy, uint8_t byte)
{
	if (floppy->phase == FLOPPY_EXECUTION && floppy_is_ready(floppy) && floppy_wants_bytes(floppy)) {
		floppy_give(floppy, byte);
		return;
	}
	if (floppy->phase != FLOPPY_COMMAND)
		return;
	if (!floppy->given)
		floppy->wanted = floppy_command_bytes(byte);
	floppy->command[floppy->given++] = byte;
	if (floppy->given < floppy->wanted)
		return;
	await_command(floppy);
	floppy_execute(floppy);
}

static uint8_t read_fifo(struct floppy *floppy)
{
	uint8_t byte;

	if (floppy->phase == FLOPPY_EXECUTION && floppy_is_ready(floppy) && !floppy_wants_bytes(floppy))
		return floppy_take(floppy);
	if (floppy->phase != FLOPPY_RESULT)
		return 0;
	byte = floppy->result[floppy->told++];
	floppy->ready = false;
	floppy_interrupt(floppy, false);
	if (floppy->told == floppy->results)
		await_command(floppy);
	return byte;
}

/* ------------------------------------------------------------------------------------------------------------ reset */

/*
 * What commands have set is kept, but for the perpendicular mode and what CONFIGURE has set: the lock is for the FIFO's
 * settings, and drives are polled again.
 */
static void enter_reset(struct floppy *floppy)
{
	await_command(floppy);
	floppy->ready = floppy->was_reset = false;
	floppy->sought = 0;
	floppy->polls = 0;
	floppy->perpendicular &= PERPENDICULAR_DRIVES;
	floppy->configure[0] = floppy->locked ? floppy->configure[0] & CONFIGURE_FIFO : FIFO_OFF;
	floppy->configure[1] = floppy->locked ? floppy->configure[1] : 0;
	floppy_interrupt(floppy, false);
}

/* It polls its drives, of which each is found to have become ready. */
static void leave_reset(struct floppy *floppy)
{
	floppy->was_reset = true;
	floppy->polls = FLOPPY_UNITS;
	floppy_interrupt(floppy, true);
}

static void write_output(struct floppy *floppy, uint8_t value)
{
	bool ran = floppy->output & OUTPUT_RUN, runs = value & OUTPUT_RUN;

	floppy->output = value;
	if (ran && !runs)
		enter_reset(floppy);
	else if (!ran && runs)
		leave_reset(floppy);
	floppy_interrupt(floppy, false);
	floppy_run(floppy);
}

static void write_rate_select(struct floppy *floppy, uint8_t value)
{
	floppy->rate = value & RATE_BITS;
	if (!(value & SOFT_RESET))
		return;
	enter_reset(floppy);
	if (floppy->output & OUTPUT_RUN)
		leave_reset(floppy);
}

/* -------------------------------------------------------------------------------------------------------- registers */

static uint8_t status_of(const struct floppy *floppy)
{
	if (!(floppy->output & OUTPUT_RUN))
		return 0;
	switch (floppy->phase) {
	case FLOPPY_COMMAND:
		return STATUS_READY | (floppy->given ? STATUS_BUSY : 0);
	case FLOPPY_RESULT:
		return STATUS_READY | STATUS_TO_HOST | STATUS_BUSY;
	default:
		if (!floppy_by_pio(floppy))
			return STATUS_BUSY;
		return STATUS_PIO | STATUS_BUSY | (floppy_is_ready(floppy) ? STATUS_READY : 0) |
		       (floppy_wants_bytes(floppy) ? 0 : STATUS_TO_HOST);
	}
}

static uint8_t input_of(const struct floppy *floppy)
{
	unsigned unit = floppy->output & OUTPUT_SELECT;
	bool changed = unit < FLOPPY_DRIVES && floppy->drive[unit].file && floppy->drive[unit].changed;

	return INPUT_FLOATS | (changed ? INPUT_CHANGED : 0);
}

static void access_floppy(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct floppy *floppy = device;

	switch (offset + OUTPUT) {
	case OUTPUT:
		if (write)
			write_output(floppy, (uint8_t)*value);
		else
			*value = floppy->output;
		return;
	case TAPE:
		if (write)
			floppy->tape = *value & TAPE_BITS;
		else
			*value = floppy->tape | (uint8_t)~TAPE_BITS;
		return;
	case STATUS:
		if (write)
			write_rate_select(floppy, (uint8_t)*value);
		else
			*value = status_of(floppy);
		return;
	default:
		if (!write)
			*value = read_fifo(floppy);
		else if (floppy->output & OUTPUT_RUN)
			write_fifo(floppy, (uint8_t)*value);
	}
}

static void access_input(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct floppy *floppy = device;

	if (write)
		floppy->rate = *value & RATE_BITS;
	else
		*value = input_of(floppy);
}

void floppy_init(struct floppy *floppy, struct bus *bus, struct dma *dma, struct disk_file *const files[FLOPPY_DRIVES],
		 struct irq_line irq, struct timers *timers, uint64_t (*clock)(void), bool left)
{
	*floppy = (struct floppy){.output = left ? OUTPUT_RUN | OUTPUT_DMA : 0,
				  .rate = RATE_RESET,
				  .configure = {FIFO_OFF},
				  .dma = dma,
				  .clock = clock,
				  .irq = irq};
	for (unsigned n = 0; n < FLOPPY_DRIVES; n++)
		if (files[n])
			floppy->drive[n] = (struct floppy_drive){
				.file = files[n], .format = floppy_format_of(disk_sectors(files[n])), .changed = true};
	timer_add(timers, &floppy->timer, floppy_due, floppy);
	dma_connect(dma, FLOPPY_DMA, floppy_run, floppy);
	bus_register(bus, X86_PORT_FLOPPY + OUTPUT, FIFO - OUTPUT + 1, 1, access_floppy, floppy, "floppy");
	bus_register(bus, X86_PORT_FLOPPY + INPUT, 1, 1, access_input, floppy, "floppy");
}
