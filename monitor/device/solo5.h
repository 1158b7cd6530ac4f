/*
 * Solo5's hypercalls: the console, the time, waiting, block devices and the end of a unikernel.
 */
#ifndef MONITOR_DEVICE_SOLO5_H
#define MONITOR_DEVICE_SOLO5_H

#include "monitor/host/timer.h"

struct vm;

struct solo5 {
	struct vm *vm;
	struct timer timer; /* the end of a poll */
};

/* MACHINE_SOLO5 only; before the guest runs. */
void solo5_init(struct solo5 *solo5, struct vm *vm);

#endif
