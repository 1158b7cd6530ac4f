/*
 * What a PC's set-up program leaves in the clock's NVRAM: memory sizes and disks, where BIOSes and teaching kernels
 * look for them.
 */
#ifndef MONITOR_DEVICE_NVRAM_H
#define MONITOR_DEVICE_NVRAM_H

struct vm;
struct rtc;

void nvram_fill(struct rtc *rtc, const struct vm *vm);

#endif
