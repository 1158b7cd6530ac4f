/*
 * The real-time clock of a PC with its NVRAM: an MC146818 of 128 bytes.
 */
#ifndef MONITOR_DEVICE_RTC_H
#define MONITOR_DEVICE_RTC_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/host/timer.h"
#include "monitor/vm/bus.h"

#define RTC_BYTES 128

struct rtc {
	uint8_t index;		  /* the byte that the data port shows */
	uint8_t bytes[RTC_BYTES]; /* clock bytes here hold what was written while the clock was stopped */
	int64_t offset;		  /* the guest's clock in s since 1970 less that of `clock` */
	uint64_t period_start;	  /* ns: when the periodic interrupt began */
	struct timer second;	  /* the next full second, if somebody wants to know */
	struct timer period;
	struct irq_line irq;
	uint64_t (*clock)(void); /* ns; tests put their own */
};

/* wall_ns: the time of day at this moment, ns since 1970. */
void rtc_init(struct rtc *rtc, struct bus *bus, struct timers *timers, struct irq_line irq, uint64_t (*clock)(void),
	      uint64_t wall_ns);

#endif
