/*
 * The debug port of PC firmware: what SeaBIOS and others say of what they do, kept for reports.
 */
#ifndef MONITOR_DEVICE_FIRMWARE_LOG_H
#define MONITOR_DEVICE_FIRMWARE_LOG_H

#include <stdbool.h>
#include <stdio.h>

#include "monitor/vm/bus.h"

#define FIRMWARE_LOG_PORT  0x402
#define FIRMWARE_LOG_BYTES 32768u

struct firmware_log {
	uint64_t written;
	char text[FIRMWARE_LOG_BYTES]; /* the last ones, in a ring */
};

void firmware_log_init(struct firmware_log *log, struct bus *bus);
/* Prints its last lines, at most so many, each behind two blanks; what is not printable as a dot. False: there are
 * none. */
bool firmware_log_print(const struct firmware_log *log, unsigned lines, FILE *out);

#endif
