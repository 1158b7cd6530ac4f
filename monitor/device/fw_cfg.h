/*
 * QEMU's configuration device: what firmware and test kernels ask of the machine, by key.
 */
#ifndef MONITOR_DEVICE_FW_CFG_H
#define MONITOR_DEVICE_FW_CFG_H

#include "monitor/vm/bus.h"

#define FW_CFG_PORT 0x510

struct fw_cfg {
	uint16_t key;
	uint32_t at; /* the next byte of the item */
	uint64_t ram;
	uint16_t processors;
};

void fw_cfg_init(struct fw_cfg *fw, struct bus *bus, uint64_t ram, unsigned processors);

#endif
