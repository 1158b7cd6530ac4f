/*
 * The pair of 8259A interrupt controllers of a PC, with the ELCR registers that make lines level-triggered.
 */
#ifndef MONITOR_DEVICE_PIC_H
#define MONITOR_DEVICE_PIC_H

#include <stdbool.h>
#include <stdint.h>

struct bus;

#define PIC_LINES 16

/* What the next write to the data port of a chip is. */
enum pic_init { PIC_READY, PIC_WANTS_ICW2, PIC_WANTS_ICW3, PIC_WANTS_ICW4 };

struct pic_chip {
	uint8_t lines; /* levels of the inputs */
	uint8_t irr, imr, isr;
	uint8_t elcr;	 /* 1: level-triggered */
	uint8_t base;	 /* vector of input 0 */
	uint8_t highest; /* input of highest priority, moved by rotation */
	enum pic_init init;
	bool single, wants_icw4;
	bool auto_eoi, rotate_on_auto_eoi, special_fully_nested;
	bool special_mask, read_isr, poll;
	bool master;
};

struct pic {
	struct pic_chip chip[2]; /* master, slave */
};

void pic_init(struct pic *pic, struct bus *bus);
/* Drives input `line` (0 to 15, not 2). Fits struct irq_line. */
void pic_set_line(void *pic, unsigned line, bool level);
/* The INT output of the master. */
bool pic_pending(const struct pic *pic);
/* The two INTA cycles: the vector. Without a request it is the spurious one: input 7 of the chip that was asked. */
uint8_t pic_ack(struct pic *pic);
/* The input that raises the vector, as the guest has programmed the chips; the vector itself if none does. */
unsigned pic_line_of(const struct pic *pic, uint8_t vector);

#endif
