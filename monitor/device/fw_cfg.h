/*
 * QEMU's configuration device: what firmware and test kernels ask of the machine, by key.
 */
#ifndef MONITOR_DEVICE_FW_CFG_H
#define MONITOR_DEVICE_FW_CFG_H

#include <stddef.h>

#include "monitor/vm/bus.h"

#define FW_CFG_PORT	 0x510
#define FW_CFG_NAME_MAX	 56 /* bytes of a file's name, the final zero among them */
#define FW_CFG_FILES_MAX 8

struct fw_cfg_file {
	const char *name;
	const void *data;
	uint32_t size;
};

struct fw_cfg {
	uint16_t key;
	uint32_t at; /* the next byte of the item */
	uint64_t ram;
	uint16_t processors;
	struct fw_cfg_file file[FW_CFG_FILES_MAX];
	uint32_t files;
};

void fw_cfg_init(struct fw_cfg *fw, struct bus *bus, uint64_t ram, unsigned processors);
/* Name and data stay the caller's. Too many abort. */
void fw_cfg_add(struct fw_cfg *fw, const char *name, const void *data, size_t size);

#endif
