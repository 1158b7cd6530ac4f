/*
 * QEMU's pc-testdev, which kvm-unit-tests drive: a port that keeps what is written, interrupt lines, and a window of
 * memory that every access of is a device's.
 */
#ifndef MONITOR_DEVICE_TESTDEV_H
#define MONITOR_DEVICE_TESTDEV_H

#include "monitor/vm/bus.h"

struct vm;

#define TESTDEV_PORT	   0xe0
#define TESTDEV_FLUSH	   0xe4
#define TESTDEV_LINES	   0x2000
#define TESTDEV_LINE_COUNT 24
#define TESTDEV_MEMORY	   0xff000000u
#define TESTDEV_BYTES	   0x10000u

struct testdev {
	uint32_t port;
	struct irq_line irq; /* the first of the lines */
	uint8_t bytes[TESTDEV_BYTES];
};

void testdev_init(struct testdev *dev, struct bus *bus, struct irq_line irq);
/*
 * What QEMU's firmware leaves behind, and tests in real mode take for granted: the 8259s at vectors 8 and 70h, the
 * timer's tick of 55 ms let through, and a vector table that answers it and returns from all else.
 */
void testdev_leave_firmware(struct vm *vm);

#endif
