/*
 * The high precision event timers of a PC (IA-PC HPET specification 1.0a): one counter at 15.625 MHz and three
 * comparators.
 */
#ifndef MONITOR_DEVICE_HPET_H
#define MONITOR_DEVICE_HPET_H

#include "monitor/host/timer.h"
#include "monitor/vm/bus.h"

#define HPET_BASE   0xfed00000u
#define HPET_TIMERS 3
/* General capabilities, lower half: revision 1, the counter has 64 bits, can take the 8254's and the clock's lines. */
#define HPET_CAPABILITIES (0x8086a001u | (HPET_TIMERS - 1) << 8)
#define HPET_TICK_NS	  64

struct hpet;

struct hpet_comparator {
	struct hpet *hpet;
	unsigned index;
	uint64_t config;
	uint64_t match;	 /* the count that it interrupts at */
	uint64_t period; /* counts; periodic mode */
	struct timer timer;
};

struct hpet {
	uint64_t config, status;
	uint64_t counter;	 /* as it stood when it was started, or stands */
	uint64_t start;		 /* clock() at that moment */
	uint64_t (*clock)(void); /* ns; tests put their own */
	struct hpet_comparator comparator[HPET_TIMERS];
	/* The line that a comparator drives: an ISA line where it replaces another timer, else a pin of the I/O APIC.
	 */
	void (*set)(void *arg, bool isa, unsigned line, bool level);
	void *arg;
};

void hpet_init(struct hpet *hpet, struct bus *bus, struct timers *timers, uint64_t (*clock)(void),
	       void (*set)(void *arg, bool isa, unsigned line, bool level), void *arg);
/* It has taken the lines of the 8254's channel 0 and of the real-time clock. */
bool hpet_replaces(const struct hpet *hpet);

#endif
