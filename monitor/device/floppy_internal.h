/*
 * What the controller's files share: floppy.c has registers and phases, floppy_commands.c the commands, and
 * floppy_transfer.c those that read and write.
 */
#ifndef MONITOR_DEVICE_FLOPPY_INTERNAL_H
#define MONITOR_DEVICE_FLOPPY_INTERNAL_H

#include "monitor/device/floppy.h"

/* The digital output register. */
#define OUTPUT_SELECT 0x03
#define OUTPUT_RUN    0x04 /* else it is held in reset */
#define OUTPUT_DMA    0x08 /* lets interrupts and DMA requests through */

/* First byte of commands, and its flags. */
#define CODE_MULTITRACK 0x80
#define CODE_MFM	0x40
#define CODE_UP		0x40 /* of a relative seek */
/* The second byte. */
#define UNIT_OF(byte) ((byte)&0x03u)
#define HEAD_OF(byte) ((byte) >> 2 & 1u)
#define HEAD_BIT      0x04
#define BYTE_COUNT    0x80 /* of VERIFY: the last byte is a number of sectors */

#define SPECIFY_PIO    0x01 /* the second byte */
#define CONFIGURE_FIFO 0x2f /* FIFO off, its threshold */
#define FIFO_OFF       0x20

/* Status register 0. */
#define ST0_ABNORMAL   0x40
#define ST0_INVALID    0x80
#define ST0_POLLED     0xc0
#define ST0_SEEK_END   0x20
#define ST0_NO_TRACK_0 0x10
#define ST0_HEAD       0x04
/* 1 */
#define ST1_END	       0x80 /* of the cylinder, before the end of the transfer */
#define ST1_DATA       0x20 /* is damaged */
#define ST1_OVERRUN    0x10
#define ST1_NO_SECTOR  0x04
#define ST1_PROTECTED  0x02
#define ST1_NO_ADDRESS 0x01 /* mark */
/* 2 */
#define ST2_DATA    0x20 /* it is the data field */
#define ST2_NO_DATA 0x01 /* address mark */
/* 3 */
#define ST3_PROTECTED 0x40
#define ST3_ONES      0x28
#define ST3_TRACK_0   0x10

/* The drive that the command is for; NULL: there is none. */
struct floppy_drive *floppy_selected(struct floppy *floppy);
/* Heads go there. */
void floppy_step(struct floppy *floppy, unsigned unit, unsigned cylinder);
/* Reasons for an interrupt have come or gone. A new one is an edge. */
void floppy_interrupt(struct floppy *floppy, bool edge);
/* The command has a result, with an interrupt or without. */
void floppy_answer(struct floppy *floppy, const uint8_t *bytes, unsigned count, bool interrupt);

/* All bytes of a command are there. */
void floppy_execute(struct floppy *floppy);
/* How many bytes it has, by the first. */
unsigned floppy_command_bytes(uint8_t code);

/* Commands of floppy_transfer.c. */
void floppy_read(struct floppy *floppy);
void floppy_read_track(struct floppy *floppy);
void floppy_read_id(struct floppy *floppy);
void floppy_write(struct floppy *floppy);
void floppy_verify(struct floppy *floppy);
void floppy_format_track(struct floppy *floppy);
void floppy_deleted(struct floppy *floppy);
/* The execution phase goes as far as the DMA controller goes along. */
void floppy_run(void *floppy);
/* The timer's. */
void floppy_due(void *floppy, uint64_t now);
/* Its bytes come and go through the FIFO. */
bool floppy_by_pio(const struct floppy *floppy);
/* It takes bytes, and does not give them. */
bool floppy_wants_bytes(const struct floppy *floppy);
/* A byte can go by the FIFO now. */
bool floppy_is_ready(const struct floppy *floppy);
/* One byte by the FIFO. */
uint8_t floppy_take(struct floppy *floppy);
void floppy_give(struct floppy *floppy, uint8_t byte);

#endif
