/*
 * QEMU's fw_cfg by its two ports (QEMU, docs/specs/fw_cfg): a key is written to the first, the item is read from the
 * second, byte by byte, and then zeroes. Files have keys too, by which the directory lists them.
 */
#include "monitor/device/fw_cfg.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIGNATURE	   0x00
#define KEY_ID		   0x01
#define KEY_RAM		   0x03
#define KEY_PROCESSORS	   0x05
#define KEY_PROCESSORS_MAX 0x0f
#define KEY_DIRECTORY	   0x19
#define KEY_FIRST_FILE	   0x20
#define KEY_PIT_OVERRIDE   0x8002 /* whether the 8254 has another pin of the I/O APIC than its number says */
#define ID_PORTS	   1	  /* these two, and no DMA */
#define DATA		   1

/* Of the directory; numbers are big-endian. */
struct entry {
	uint32_t size;
	uint16_t key, reserved;
	char name[FW_CFG_NAME_MAX];
};
_Static_assert(sizeof(struct entry) == 64, "fw_cfg's specification");

/* The bytes of a small item, at most 8; how many there are. */
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
	case KEY_PIT_OVERRIDE:
		bytes[0] = 1;
		return 1;
	default:
		return 0;
	}
}

/* Byte `at` of the directory: how many files, then an entry for each. */
static uint8_t directory(const struct fw_cfg *fw, uint32_t at)
{
	uint32_t count = htonl(fw->files), index;
	struct entry entry = {0};

	if (at < sizeof(count))
		return ((const uint8_t *)&count)[at];
	index = (at - (uint32_t)sizeof(count)) / (uint32_t)sizeof(entry);
	if (index >= fw->files)
		return 0;
	entry.size = htonl(fw->file[index].size);
	entry.key = htons((uint16_t)(KEY_FIRST_FILE + index));
	strncpy(entry.name, fw->file[index].name, sizeof(entry.name) - 1);
	return ((const uint8_t *)&entry)[(at - sizeof(count)) % sizeof(entry)];
}

static uint8_t next_byte(struct fw_cfg *fw)
{
	uint8_t bytes[8] = {0};
	uint32_t file = fw->key - (uint32_t)KEY_FIRST_FILE, at = fw->at;

	fw->at += fw->at < UINT32_MAX;
	if (fw->key == KEY_DIRECTORY)
		return directory(fw, at);
	if (file < fw->files)
		return at < fw->file[file].size ? ((const uint8_t *)fw->file[file].data)[at] : 0;
	return at < item(fw, bytes) ? bytes[at] : 0;
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

void fw_cfg_add(struct fw_cfg *fw, const char *name, const void *data, size_t size)
{
	if (fw->files == FW_CFG_FILES_MAX || strlen(name) >= FW_CFG_NAME_MAX)
		abort();
	fw->file[fw->files++] = (struct fw_cfg_file){.name = name, .data = data, .size = (uint32_t)size};
}

void fw_cfg_init(struct fw_cfg *fw, struct bus *bus, uint64_t ram, unsigned processors)
{
	*fw = (struct fw_cfg){.ram = ram, .processors = (uint16_t)processors};
	bus_register(bus, FW_CFG_PORT, 2, 2, access_fw_cfg, fw, "fw-cfg");
}
