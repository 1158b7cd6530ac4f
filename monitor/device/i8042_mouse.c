/*
 * The mouse's commands (IBM PS/2 Hardware Interface Technical Reference, mouse).
 */
#include "monitor/device/i8042_mouse.h"

#include <string.h>

#include "monitor/device/ps2.h"

enum command {
	SET_SCALING_1 = 0xe6, /* one to one */
	SET_SCALING_2 = 0xe7,
	SET_RESOLUTION = 0xe8,
	READ_STATUS = 0xe9,
	SET_STREAM = 0xea,
	READ_DATA = 0xeb,
	END_WRAP = 0xec,
	SET_WRAP = 0xee,
	SET_REMOTE = 0xf0,
};

#define ID	       0x00
#define STATUS_REMOTE  0x40
#define STATUS_ENABLED 0x20
#define STATUS_SCALING 0x10
#define DATA_ALWAYS    0x08 /* of a report's first byte; no button is down, and nothing moved */
#define DEFAULT_RATE   100
#define DEFAULT_COUNTS 2 /* 4 a millimetre */
#define RESOLUTIONS    4

static void defaults(struct i8042_mouse *mouse)
{
	*mouse = (struct i8042_mouse){.rate = DEFAULT_RATE, .resolution = DEFAULT_COUNTS, .last = mouse->last};
}

static bool is_rate(uint8_t rate)
{
	static const uint8_t rates[] = {10, 20, 40, 60, 80, 100, 200};

	return memchr(rates, rate, sizeof(rates));
}

static unsigned say(uint8_t answer[MOUSE_ANSWER_MAX], const uint8_t *bytes, unsigned count)
{
	memcpy(answer, bytes, count);
	return count;
}
#define SAY(...) say(answer, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static unsigned take_datum(struct i8042_mouse *mouse, uint8_t datum, uint8_t answer[MOUSE_ANSWER_MAX])
{
	uint8_t command = mouse->command;

	mouse->command = 0;
	if (command == PS2_SET_RATE && is_rate(datum))
		mouse->rate = datum;
	else if (command == SET_RESOLUTION && datum < RESOLUTIONS)
		mouse->resolution = datum;
	else
		return SAY(PS2_AGAIN);
	return SAY(PS2_ACK);
}

static uint8_t status_of(const struct i8042_mouse *mouse)
{
	return (mouse->remote ? STATUS_REMOTE : 0) | (mouse->reporting ? STATUS_ENABLED : 0) |
	       (mouse->scaling ? STATUS_SCALING : 0);
}

static unsigned execute(struct i8042_mouse *mouse, uint8_t command, uint8_t answer[MOUSE_ANSWER_MAX])
{
	switch (command) {
	case SET_SCALING_1:
	case SET_SCALING_2:
		mouse->scaling = command == SET_SCALING_2;
		break;
	case SET_RESOLUTION:
	case PS2_SET_RATE:
		mouse->command = command;
		break;
	case SET_STREAM:
	case SET_REMOTE:
		mouse->remote = command == SET_REMOTE;
		break;
	case SET_WRAP:
	case END_WRAP:
		mouse->wrapping = command == SET_WRAP;
		break;
	case PS2_ENABLE:
	case PS2_DISABLE:
		mouse->reporting = command == PS2_ENABLE;
		break;
	case PS2_SET_DEFAULTS:
		defaults(mouse);
		break;
	case READ_STATUS:
		return SAY(PS2_ACK, status_of(mouse), mouse->resolution, mouse->rate);
	case READ_DATA:
		return SAY(PS2_ACK, DATA_ALWAYS, 0, 0);
	case PS2_IDENTIFY:
		return SAY(PS2_ACK, ID);
	case PS2_RESEND:
		return SAY(mouse->last);
	case PS2_RESET:
		defaults(mouse);
		return SAY(PS2_ACK, PS2_TEST_DONE, ID);
	default:
		return SAY(PS2_AGAIN);
	}
	return SAY(PS2_ACK);
}

unsigned i8042_mouse_write(struct i8042_mouse *mouse, uint8_t byte, uint8_t answer[MOUSE_ANSWER_MAX])
{
	unsigned count;

	if (mouse->wrapping && byte != PS2_RESET && byte != END_WRAP)
		count = SAY(byte);
	else if (mouse->command)
		count = take_datum(mouse, byte, answer);
	else
		count = execute(mouse, byte, answer);
	mouse->last = answer[count - 1];
	return count;
}

void i8042_mouse_init(struct i8042_mouse *mouse)
{
	*mouse = (struct i8042_mouse){0};
	defaults(mouse);
}
