/*
 * The floppy disk controller of a PC, an 82077AA in AT mode, with up to two drives. Each drive is of the kind that its
 * disk wants. Time does not pass in it: motors are at speed, heads where they are sent, and sectors under them at once.
 * Only without DMA there are gaps between sectors, as drivers expect it; and bytes that nobody takes or brings are an
 * overrun after a while.
 */
#ifndef MONITOR_DEVICE_FLOPPY_H
#define MONITOR_DEVICE_FLOPPY_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/host/disk_file.h"
#include "monitor/host/timer.h"
#include "monitor/vm/bus.h"

#define FLOPPY_DRIVES	   2
#define FLOPPY_UNITS	   4 /* that commands can name */
#define FLOPPY_HEADS	   2
#define FLOPPY_DMA	   2 /* channel */
#define FLOPPY_COMMAND_MAX 9
#define FLOPPY_RESULT_MAX  10

struct dma;

/* The kinds of disks; all have two sides. */
struct floppy_format {
	uint32_t sectors;
	uint8_t cylinders, per_track;
	uint8_t rates; /* a bit for each value of the rate register that its drive reads it at */
	uint8_t nvram; /* the drive's type, as the NVRAM has it */
};

/* By the length of the image. One shorter than 1.44M that is none of the others is a 1.44M disk. NULL: no floppy. */
const struct floppy_format *floppy_format_of(uint32_t sectors);

struct floppy_drive {
	struct disk_file *file;		    /* NULL: there is no such drive */
	const struct floppy_format *format; /* of its disk */
	bool changed;			    /* the change line: up from power-on until the heads are stepped */
};

enum floppy_phase { FLOPPY_COMMAND, FLOPPY_EXECUTION, FLOPPY_RESULT };

enum floppy_task { FLOPPY_READ, FLOPPY_WRITE, FLOPPY_VERIFY, FLOPPY_FORMAT };

struct floppy {
	struct floppy_drive drive[FLOPPY_DRIVES];
	uint8_t output;	      /* the digital output register */
	uint8_t tape, rate;   /* of registers that do no more than keep them */
	uint8_t specify[2];   /* of these commands, what they were given */
	uint8_t configure[2]; /* its second and third byte */
	uint8_t perpendicular;
	bool locked;
	uint8_t cylinder[FLOPPY_UNITS]; /* where the heads are */
	uint8_t last_sector;		/* of the last command that had one */
	uint8_t passing;		/* the sector under the heads, as READ ID shows them in turn */

	enum floppy_phase phase;
	uint8_t command[FLOPPY_COMMAND_MAX];
	unsigned given, wanted; /* bytes of it */
	uint8_t result[FLOPPY_RESULT_MAX];
	unsigned told, results; /* bytes of it */

	/* Reasons for an interrupt: the result or a byte waits; these units have ended a seek; after a reset. */
	bool ready;
	uint8_t sought, seek_status[FLOPPY_UNITS];
	bool was_reset;
	unsigned polls; /* statuses that are still to be told after it */

	/* The execution phase. */
	enum floppy_task task;
	uint8_t c, h, r, n; /* of the sector */
	unsigned left;	    /* sectors of those tasks that count them */
	unsigned at, filled;
	uint8_t buffer[DISK_SECTOR];
	struct timer timer; /* of a gap, or of its patience */
	unsigned seen;	    /* of `at`, when it was last looked at */

	uint64_t (*clock)(void); /* ns */
	struct dma *dma;
	struct irq_line irq;
};

/* `left`: the controller is as firmware leaves it, instead of being held in reset. */
void floppy_init(struct floppy *floppy, struct bus *bus, struct dma *dma, struct disk_file *const files[FLOPPY_DRIVES],
		 struct irq_line irq, struct timers *timers, uint64_t (*clock)(void), bool left);

#endif
