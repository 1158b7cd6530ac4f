/*
 * The 8254 interval timer of a PC and the system control port B that shows and gates its channel 2.
 */
#ifndef MONITOR_DEVICE_PIT_H
#define MONITOR_DEVICE_PIT_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/host/timer.h"
#include "monitor/vm/bus.h"

#define PIT_HZ	     1193182u
#define PIT_CHANNELS 3

/* How bytes reach the 16-bit counter: bits 5 and 4 of the control word. */
enum pit_access { PIT_LATCH_COMMAND, PIT_LOW, PIT_HIGH, PIT_LOW_HIGH };

struct pit_channel {
	uint8_t mode; /* 0 to 5 */
	bool bcd;
	enum pit_access access;
	bool write_high, read_high; /* the next byte of a PIT_LOW_HIGH access is the high one */
	uint8_t low;		    /* the low byte written, until the high one follows */
	bool loaded;		    /* a count was written since the control word */
	bool triggered;		    /* modes 1 and 5: the gate rose since */
	bool gate;
	uint32_t count;	     /* 1 to 65536, in decimal modes to 10000 */
	uint64_t start;	     /* tick at which counting down from `count` began */
	uint64_t held;	     /* ticks counted when the gate went down */
	bool status_latched; /* read-back command */
	uint8_t status;
	bool count_latched;
	uint16_t latch;
};

struct pit {
	struct pit_channel channel[PIT_CHANNELS];
	struct timer timer;	 /* next interrupt of channel 0 */
	struct irq_line irq;	 /* channel 0 */
	uint8_t speaker;	 /* bit 1 of port B */
	uint64_t (*clock)(void); /* host time in ns; tests put their own */
	uint64_t epoch;		 /* host time of tick 0 */
};

void pit_init(struct pit *pit, struct bus *bus, struct timers *timers, struct irq_line irq, uint64_t (*clock)(void));

#endif
