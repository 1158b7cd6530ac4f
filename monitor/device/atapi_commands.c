/*
 * The packets that a CD-ROM drive knows: SPC-2 and MMC-5 chapter 6. The disc has one session of one track of data.
 */
#include <string.h>

#include "monitor/device/atapi.h"

#define OP_TEST_UNIT_READY	 0x00
#define OP_REQUEST_SENSE	 0x03
#define OP_INQUIRY		 0x12
#define OP_START_STOP_UNIT	 0x1b
#define OP_PREVENT_ALLOW	 0x1e
#define OP_READ_CAPACITY	 0x25
#define OP_READ_10		 0x28
#define OP_SEEK			 0x2b
#define OP_READ_TOC		 0x43
#define OP_GET_CONFIGURATION	 0x46
#define OP_GET_EVENT_STATUS	 0x4a
#define OP_READ_DISC_INFORMATION 0x51
#define OP_MODE_SENSE		 0x5a
#define OP_READ_12		 0xa8
#define OP_SET_CD_SPEED		 0xbb
#define OP_MECHANISM_STATUS	 0xbd
#define OP_READ_CD		 0xbe

#define LEAD_OUT	0xaa
#define TRACK_OF_DATA	0x14		    /* ADR 1: a position; control: data */
#define FRAMES		75		    /* in a second */
#define LEAD_IN_FRAMES	150		    /* of the first sector's time */
#define SPEED		8467		    /* kB/s, 48 times a disc of sound */
#define CD_SECTORS_MAX	(90u * 60 * FRAMES) /* longer is a DVD */
#define PROFILE_CD_ROM	0x0008
#define PROFILE_DVD_ROM 0x0010

static uint32_t big(const uint8_t *from, unsigned bytes)
{
	uint32_t value = 0;

	for (unsigned n = 0; n < bytes; n++)
		value = value << 8 | from[n];
	return value;
}

static void put_big(uint8_t *to, uint32_t value, unsigned bytes)
{
	for (unsigned n = 0; n < bytes; n++)
		to[n] = (uint8_t)(value >> 8 * (bytes - 1 - n));
}

static void invalid_field(struct atapi *atapi)
{
	atapi_fail(atapi, SENSE_ILLEGAL, CODE_INVALID_FIELD);
}

/* The buffer, cleared as far as answers go. */
static uint8_t *answer(struct atapi *atapi)
{
	return memset(atapi->buffer, 0, ATAPI_SECTOR);
}

/* ---------------------------------------------------------------------------------------------- what the drive is */

#define INQUIRY_BYTES 36

static void inquiry(struct atapi *atapi)
{
	uint8_t *to = answer(atapi);

	if (atapi->packet[1] & 3) { /* vital product data, command support: optional */
		invalid_field(atapi);
		return;
	}
	to[0] = 5;    /* of MMC */
	to[1] = 0x80; /* removable */
	to[3] = 0x21; /* as ATAPI has it */
	to[4] = INQUIRY_BYTES - 5;
	memcpy(to + 8, "RING3   CD-ROM          1   ", INQUIRY_BYTES - 8);
	atapi_answer(atapi, INQUIRY_BYTES, (unsigned)big(atapi->packet + 3, 2));
}

#define SENSE_BYTES 18

static void request_sense(struct atapi *atapi)
{
	uint8_t *to = answer(atapi);

	to[0] = 0x70; /* of the last command, of fixed form */
	to[2] = atapi->sense_key;
	to[7] = SENSE_BYTES - 8;
	put_big(to + 12, atapi->sense_code, 2);
	atapi->sense_key = SENSE_NONE;
	atapi->sense_code = 0;
	atapi_answer(atapi, SENSE_BYTES, atapi->packet[4]);
}

static bool is_dvd(const struct atapi *atapi)
{
	return atapi_sectors(atapi) > CD_SECTORS_MAX;
}

/* MMC-5 5.3: features, all of them current, by number. */
static const struct {
	uint16_t number;
	uint8_t version, length, data[8];
} features[] = {
	{0x0000, 0x03, 8, {PROFILE_DVD_ROM >> 8, PROFILE_DVD_ROM, 0, 0, PROFILE_CD_ROM >> 8, PROFILE_CD_ROM, 0, 0}},
	{0x0001, 0x0b, 8, {0, 0, 0, 2, 1, 0, 0, 0}}, /* core: ATAPI, device busy event */
	{0x0003, 0x03, 4, {0x21, 0, 0, 0}},	     /* removable: a tray, locked */
	{0x0010, 0x01, 8, {0, 0, 8, 0, 0, 1, 0, 0}}, /* sectors of 2048 bytes, in any order */
	{0x001e, 0x09, 4, {0, 0, 0, 0}},	     /* reads CDs */
	{0x001f, 0x01, 0, {0}},			     /* reads DVDs */
};
#define FEATURE_PERSISTENT 0x02
#define FEATURE_CURRENT	   0x01
#define ASKED_ALL	   0
#define ASKED_CURRENT	   1
#define ASKED_ONE	   2

static void get_configuration(struct atapi *atapi)
{
	uint8_t *to = answer(atapi), *next = to + 8;
	uint32_t asked = atapi->packet[1] & 3, first = big(atapi->packet + 2, 2);

	if (asked > ASKED_ONE) {
		invalid_field(atapi);
		return;
	}
	put_big(to + 6, is_dvd(atapi) ? PROFILE_DVD_ROM : PROFILE_CD_ROM, 2);
	for (unsigned n = 0; n < sizeof(features) / sizeof(features[0]); n++) {
		bool current = features[n].number != (is_dvd(atapi) ? 0x001e : 0x001f);

		if (features[n].number < first || (asked == ASKED_ONE && features[n].number != first) ||
		    (asked == ASKED_CURRENT && !current))
			continue;
		put_big(next, features[n].number, 2);
		next[2] = (uint8_t)((features[n].version & ~FEATURE_CURRENT) | (current ? FEATURE_CURRENT : 0));
		next[3] = features[n].length;
		memcpy(next + 4, features[n].data, features[n].length);
		if (!features[n].number)
			next[is_dvd(atapi) ? 6 : 10] = 1; /* this profile is current */
		next += 4 + features[n].length;
	}
	put_big(to, (uint32_t)(next - to - 4), 4);
	atapi_answer(atapi, (unsigned)(next - to), (unsigned)big(atapi->packet + 7, 2));
}

/* MMC-5 annex E.3: what was a mode page once, and drivers still ask for; and error recovery. */
#define PAGE_RECOVERY	  0x01
#define PAGE_CAPABILITIES 0x2a
#define PAGE_ALL	  0x3f
#define MODE_HEADER	  8
enum { VALUES_CURRENT, VALUES_CHANGEABLE, VALUES_DEFAULT, VALUES_SAVED };

static uint8_t *put_recovery(uint8_t *to, bool values)
{
	to[0] = PAGE_RECOVERY;
	to[1] = 6;
	to[3] = values ? 1 : 0; /* retries */
	return to + 8;
}

static uint8_t *put_capabilities(uint8_t *to, bool values)
{
	to[0] = PAGE_CAPABILITIES;
	to[1] = 18;
	if (values) {
		to[2] = 0x0b; /* reads CD-R, CD-RW, DVD-ROM; writes nothing */
		to[4] = 0x70; /* mode 2, forms 1 and 2, sessions */
		to[6] = 0x21; /* a tray, which can be locked */
		put_big(to + 8, SPEED, 2);
		put_big(to + 12, ATAPI_SECTORS_MAX * ATAPI_SECTOR / 1024, 2);
		put_big(to + 14, SPEED, 2);
	}
	return to + 20;
}

static void mode_sense(struct atapi *atapi)
{
	uint8_t page = atapi->packet[2] & 0x3f, kind = atapi->packet[2] >> 6;
	uint8_t *to = answer(atapi), *next = to + MODE_HEADER;

	if (kind == VALUES_SAVED) {
		atapi_fail(atapi, SENSE_ILLEGAL, CODE_NOTHING_SAVED);
		return;
	}
	if (page == PAGE_RECOVERY || page == PAGE_ALL)
		next = put_recovery(next, kind != VALUES_CHANGEABLE);
	if (page == PAGE_CAPABILITIES || page == PAGE_ALL)
		next = put_capabilities(next, kind != VALUES_CHANGEABLE);
	if (next == to + MODE_HEADER) {
		invalid_field(atapi);
		return;
	}
	put_big(to, (uint32_t)(next - to - 2), 2);
	atapi_answer(atapi, (unsigned)(next - to), (unsigned)big(atapi->packet + 7, 2));
}

/* --------------------------------------------------------------------------------------------- what is on the disc */

static void read_capacity(struct atapi *atapi)
{
	uint8_t *to = answer(atapi);

	put_big(to, atapi_sectors(atapi) - 1, 4);
	put_big(to + 4, ATAPI_SECTOR, 4);
	atapi_answer(atapi, 8, 8);
}

/* A sector's address: as it is, or as minutes, seconds and frames. */
static void put_address(uint8_t *to, uint32_t sector, bool by_time)
{
	uint32_t frames = sector + LEAD_IN_FRAMES, minutes = frames / FRAMES / 60;

	if (!by_time) {
		put_big(to, sector, 4);
		return;
	}
	to[1] = (uint8_t)(minutes < UINT8_MAX ? minutes : UINT8_MAX);
	to[2] = (uint8_t)(frames / FRAMES % 60);
	to[3] = (uint8_t)(frames % FRAMES);
}

static uint8_t *put_track(uint8_t *to, uint8_t track, uint32_t sector, bool by_time)
{
	to[1] = TRACK_OF_DATA;
	to[2] = track;
	put_address(to + 4, sector, by_time);
	return to + 8;
}

/* Format 0: the tracks, from one on; format 1: the last session, which is the first. */
static void read_toc(struct atapi *atapi)
{
	uint8_t *to = answer(atapi), *next = to + 4, first = atapi->packet[6];
	/* Where it was before MMC. */
	unsigned format = atapi->packet[2] & 15 ? atapi->packet[2] & 15 : atapi->packet[9] >> 6;
	bool by_time = atapi->packet[1] & 2;

	if (format > 1 || (format == 0 && first > 1 && first != LEAD_OUT)) {
		invalid_field(atapi);
		return;
	}
	if (format == 1 || first <= 1)
		next = put_track(next, 1, 0, by_time);
	if (format == 0)
		next = put_track(next, LEAD_OUT, atapi_sectors(atapi), by_time);
	put_big(to, (uint32_t)(next - to - 2), 2);
	to[2] = to[3] = 1; /* first and last of the tracks, or sessions */
	atapi_answer(atapi, (unsigned)(next - to), (unsigned)big(atapi->packet + 7, 2));
}

#define DISC_BYTES 34

static void read_disc_information(struct atapi *atapi)
{
	uint8_t *to = answer(atapi);

	if (atapi->packet[1] & 7) {
		invalid_field(atapi);
		return;
	}
	put_big(to, DISC_BYTES - 2, 2);
	to[2] = 0x0e;			   /* the disc and its last session are complete */
	to[3] = to[4] = to[5] = to[6] = 1; /* one track, one session */
	memset(to + 16, 0xff, 8);	   /* nowhere to write on */
	atapi_answer(atapi, DISC_BYTES, (unsigned)big(atapi->packet + 7, 2));
}

#define EVENT_POLLED 1
#define EVENT_MEDIA  4
#define EVENT_NONE   0x80

static void get_event_status(struct atapi *atapi)
{
	uint8_t *to = answer(atapi);
	bool media = atapi->packet[4] & 1 << EVENT_MEDIA;

	if (!(atapi->packet[1] & EVENT_POLLED)) {
		invalid_field(atapi);
		return;
	}
	put_big(to, media ? 6 : 2, 2);
	to[2] = media ? EVENT_MEDIA : EVENT_NONE;
	to[3] = 1 << EVENT_MEDIA;
	to[5] = 2; /* nothing new; there is a disc, and the tray is closed */
	atapi_answer(atapi, media ? 8 : 4, (unsigned)big(atapi->packet + 7, 2));
}

static void mechanism_status(struct atapi *atapi)
{
	answer(atapi);
	atapi_answer(atapi, 8, (unsigned)big(atapi->packet + 8, 2));
}

static void read_sectors(struct atapi *atapi, uint32_t sector, uint32_t count)
{
	uint32_t all = atapi_sectors(atapi);

	if (sector > all || count > all - sector)
		atapi_fail(atapi, SENSE_ILLEGAL, CODE_OUT_OF_RANGE);
	else
		atapi_read(atapi, sector, count);
}

/* Of sectors of any kind their data alone. */
#define CD_PARTS     0xf8
#define CD_USER_DATA 0x10

static void read_cd(struct atapi *atapi, uint32_t sector)
{
	uint8_t parts = atapi->packet[9] & CD_PARTS;

	if (parts && parts != CD_USER_DATA)
		invalid_field(atapi);
	else
		read_sectors(atapi, sector, parts ? big(atapi->packet + 6, 3) : 0);
}

static void seek(struct atapi *atapi, uint32_t sector)
{
	read_sectors(atapi, sector, 0);
}

#define START_EJECT 2

/* The tray stays as it is. */
static void start_stop(struct atapi *atapi)
{
	if (atapi->packet[4] & START_EJECT)
		invalid_field(atapi);
	else
		atapi_done(atapi);
}

void atapi_execute(struct atapi *atapi)
{
	const uint8_t *packet = atapi->packet;
	uint32_t sector = big(packet + 2, 4);

	if (packet[0] != OP_REQUEST_SENSE) {
		atapi->sense_key = SENSE_NONE;
		atapi->sense_code = 0;
	}
	switch (packet[0]) {
	case OP_TEST_UNIT_READY:
	case OP_PREVENT_ALLOW:
	case OP_SET_CD_SPEED:
		atapi_done(atapi);
		return;
	case OP_REQUEST_SENSE:
		request_sense(atapi);
		return;
	case OP_INQUIRY:
		inquiry(atapi);
		return;
	case OP_START_STOP_UNIT:
		start_stop(atapi);
		return;
	case OP_READ_CAPACITY:
		read_capacity(atapi);
		return;
	case OP_READ_10:
		read_sectors(atapi, sector, big(packet + 7, 2));
		return;
	case OP_READ_12:
		read_sectors(atapi, sector, big(packet + 6, 4));
		return;
	case OP_READ_CD:
		read_cd(atapi, sector);
		return;
	case OP_SEEK:
		seek(atapi, sector);
		return;
	case OP_READ_TOC:
		read_toc(atapi);
		return;
	case OP_GET_CONFIGURATION:
		get_configuration(atapi);
		return;
	case OP_GET_EVENT_STATUS:
		get_event_status(atapi);
		return;
	case OP_READ_DISC_INFORMATION:
		read_disc_information(atapi);
		return;
	case OP_MODE_SENSE:
		mode_sense(atapi);
		return;
	case OP_MECHANISM_STATUS:
		mechanism_status(atapi);
		return;
	default:
		atapi_fail(atapi, SENSE_ILLEGAL, CODE_NO_COMMAND);
	}
}
