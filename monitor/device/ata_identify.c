/*
 * IDENTIFY DEVICE and IDENTIFY PACKET DEVICE: ATA/ATAPI-6 tables 27 and 31.
 */
#include "monitor/device/ata_identify.h"

#include <string.h>

#include "monitor/device/ata.h"

#define WORDS	      256
#define CYLINDERS_MAX 16383u
/* Firmware takes a disk without a whole cylinder for none: the smallest has two, the end of which is missing. */
#define CYLINDERS_MIN 2u

enum {
	W_CONFIG = 0,
	W_CYLINDERS = 1,
	W_HEADS = 3,
	W_SECTORS = 6,
	W_SERIAL = 10,
	W_FIRMWARE = 23,
	W_MODEL = 27,
	W_MULTIPLE_MAX = 47,
	W_CAPABILITIES = 49,
	W_VALID = 53,
	W_NOW_CYLINDERS = 54,
	W_NOW_HEADS = 55,
	W_NOW_SECTORS = 56,
	W_NOW_CAPACITY = 57,
	W_MULTIPLE = 59,
	W_LBA_SECTORS = 60,
	W_PIO = 64,
	W_PIO_NS = 67,
	W_PIO_NS_FLOW = 68,
	W_VERSIONS = 80,
	W_SUPPORTED = 82,
	W_ENABLED = 85,
};

#define CONFIG_FIXED	 0x0040
#define CONFIG_CD_ROM	 0x85c0 /* a removable disc, packets of 12 bytes, which it takes within 50 us */
#define MULTIPLE_FIXED	 0x8000
#define CAPABILITY_LBA	 0x0200
#define CAPABILITIES_ONE 0x4000
#define VALID_BOTH	 0x0003
#define MULTIPLE_SET	 0x0100
#define PIO_3_AND_4	 0x0003
#define PIO_4_NS	 120
#define VERSIONS_TO_6	 0x007e
#define VALID_PIO	 0x0002
#define PACKETS		 0x0010
#define DEVICE_RESET	 0x0200
#define CACHE_AND_AHEAD	 0x0060
#define FLUSH_CACHE	 0x1000
#define WORDS_ARE_MEANT	 0x4000

/* Two characters a word, the first one above, blanks at the end. */
static void put_text(uint16_t *to, unsigned words, const char *text)
{
	size_t len = strlen(text);

	for (unsigned n = 0; n < 2 * words; n++) {
		uint8_t c = n < len ? (uint8_t)text[n] : ' ';
		to[n / 2] |= n % 2 ? c : (uint16_t)(c << 8);
	}
}

static void put_long(uint16_t *to, uint32_t value)
{
	to[0] = (uint16_t)value;
	to[1] = value >> 16;
}

static uint32_t cylinders(uint32_t sectors, unsigned heads, unsigned per_track)
{
	uint32_t all = sectors / heads / per_track;

	if (all < CYLINDERS_MIN)
		return CYLINDERS_MIN;
	return all < CYLINDERS_MAX ? all : CYLINDERS_MAX;
}

void ata_identify(uint8_t *to, uint32_t sectors, unsigned number, unsigned multiple, unsigned heads, unsigned per_track)
{
	uint16_t w[WORDS] = {
		[W_CONFIG] = CONFIG_FIXED,
		[W_CYLINDERS] = (uint16_t)cylinders(sectors, ATA_HEADS, ATA_SECTORS_PER_TRACK),
		[W_HEADS] = ATA_HEADS,
		[W_SECTORS] = ATA_SECTORS_PER_TRACK,
		[W_MULTIPLE_MAX] = MULTIPLE_FIXED | ATA_BLOCK_MAX,
		[W_CAPABILITIES] = CAPABILITY_LBA,
		[W_CAPABILITIES + 1] = CAPABILITIES_ONE,
		[W_VALID] = VALID_BOTH,
		[W_NOW_CYLINDERS] = (uint16_t)cylinders(sectors, heads, per_track),
		[W_NOW_HEADS] = (uint16_t)heads,
		[W_NOW_SECTORS] = (uint16_t)per_track,
		[W_MULTIPLE] = multiple ? (uint16_t)(MULTIPLE_SET | multiple) : 0,
		[W_PIO] = PIO_3_AND_4,
		[W_PIO_NS] = PIO_4_NS,
		[W_PIO_NS_FLOW] = PIO_4_NS,
		[W_VERSIONS] = VERSIONS_TO_6,
		[W_SUPPORTED] = CACHE_AND_AHEAD,
		[W_SUPPORTED + 1] = WORDS_ARE_MEANT | FLUSH_CACHE,
		[W_SUPPORTED + 2] = WORDS_ARE_MEANT,
		[W_ENABLED] = CACHE_AND_AHEAD,
		[W_ENABLED + 1] = FLUSH_CACHE,
		[W_ENABLED + 2] = WORDS_ARE_MEANT,
	};
	uint32_t addressed;

	put_text(w + W_SERIAL, 10, number ? "RING3-1" : "RING3-0");
	put_text(w + W_FIRMWARE, 4, "1");
	put_text(w + W_MODEL, 20, "RING3 DISK");
	addressed = cylinders(sectors, heads, per_track) * heads * per_track;
	put_long(w + W_NOW_CAPACITY, addressed < sectors ? addressed : sectors);
	put_long(w + W_LBA_SECTORS, sectors);
	memcpy(to, w, sizeof(w));
}

void atapi_identify(uint8_t *to)
{
	uint16_t w[WORDS] = {
		[W_CONFIG] = CONFIG_CD_ROM,
		[W_CAPABILITIES] = CAPABILITY_LBA,
		[W_CAPABILITIES + 1] = CAPABILITIES_ONE,
		[W_VALID] = VALID_PIO,
		[W_PIO] = PIO_3_AND_4,
		[W_PIO_NS] = PIO_4_NS,
		[W_PIO_NS_FLOW] = PIO_4_NS,
		[W_VERSIONS] = VERSIONS_TO_6,
		[W_SUPPORTED] = PACKETS | DEVICE_RESET,
		[W_SUPPORTED + 1] = WORDS_ARE_MEANT | FLUSH_CACHE,
		[W_SUPPORTED + 2] = WORDS_ARE_MEANT,
		[W_ENABLED] = PACKETS | DEVICE_RESET,
		[W_ENABLED + 1] = FLUSH_CACHE,
		[W_ENABLED + 2] = WORDS_ARE_MEANT,
	};

	put_text(w + W_SERIAL, 10, "RING3-2");
	put_text(w + W_FIRMWARE, 4, "1");
	put_text(w + W_MODEL, 20, "RING3 CD-ROM");
	memcpy(to, w, sizeof(w));
}
