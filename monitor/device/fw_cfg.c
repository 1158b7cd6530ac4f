/*
 * QEMU's fw_cfg by its two ports (QEMU, docs/specs/fw_cfg): a key is written to the first, the item is read from the
 * second, byte by byte, and then zeroes.
 */
#include "monitor/device/fw_cfg.h"

#include <string.h>

#define KEY_SIGNATURE	   0x00
#define KEY_ID		   0x01
#define KEY_RAM		   0x03
#define KEY_PROCESSORS	   0x05
#define KEY_PROCESSORS_MAX 0x0f
#define KEY_FILES	   0x19 /* a count, which is 0 */
#define ID_PORTS	   1	/* these two, and no DMA */
#define DATA		   1

/* The item's bytes, at most 8; how many there are. */
static unsigned item(const struct fw_cfg *fw, uint8_t bytes[8])
{
	uint32_t id = ID_PORTS;

	switch (fw->key) {
	case KEY_SIGNATURE:
		memcpy(bytes, "QEMU", 4);
		return 4;
	case KEY_ID:
		memcpy(bytes, &id, sizeof(id));
		return sizeof(id);
	case KEY_RAM:
		memcpy(bytes, &fw->ram, sizeof(fw->ram));
		return sizeof(fw->ram);
	case KEY_PROCESSORS:
	case KEY_PROCESSORS_MAX:
		memcpy(bytes, &fw->processors, sizeof(fw->processors));
		return sizeof(fw->processors);
	default:
		return 0;
	}
}

static uint8_t next_byte(struct fw_cfg *fw)
{
	uint8_t bytes[8] = {0};

	return fw->at < item(fw, bytes) ? bytes[fw->at++] : 0;
}

static void access_fw_cfg(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct fw_cfg *fw = device;

	if (offset == DATA) {
		if (!write)
			*value = next_byte(fw);
	} else if (write) {
		fw->key = (uint16_t)*value;
		fw->at = 0;
	} else {
		*value = fw->key;
	}
}

void fw_cfg_init(struct fw_cfg *fw, struct bus *bus, uint64_t ram, unsigned processors)
{
	*fw = (struct fw_cfg){.ram = ram, .processors = (uint16_t)processors};
	bus_register(bus, FW_CFG_PORT, 2, 2, access_fw_cfg, fw, "fw-cfg");
}
