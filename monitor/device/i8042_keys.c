/*
 * A US keyboard: characters, and what terminals send for keys without one, as scan codes of set 1; those of set 2 by
 * them (IBM PS/2 Hardware Interface Technical Reference, keyboards).
 */
#include "monitor/device/i8042_keys.h"

#include <string.h>

/* By scan code, from 2: what a key types by itself, and with Shift. */
static const char plain[] = "1234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] = "!@#$%^&*()_+\b\tQWERTYUIOP{}\n\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

#define FIRST_CODE  2
#define CODE_ESCAPE 1
#define CHAR_ESCAPE 0x1b
#define CHAR_DELETE 0x7f
#define CTRL(c)	    ((c)&0x1f)

static uint8_t find(const char *table, char wanted)
{
	for (unsigned i = 0; i < sizeof(plain) - 1; i++)
		if (table[i] == wanted)
			return (uint8_t)(FIRST_CODE + i);
	return 0;
}

struct i8042_key i8042_key_of(uint8_t character)
{
	char c = (char)character;
	uint8_t code;

	if (character == 0 || character > CHAR_DELETE)
		return (struct i8042_key){0};
	if (character == CHAR_ESCAPE)
		return (struct i8042_key){.code = CODE_ESCAPE};
	if (c == '\r')
		c = '\n';
	if (character == CHAR_DELETE)
		c = '\b';
	code = find(plain, c);
	if (code)
		return (struct i8042_key){.code = code};
	code = find(shifted, c);
	if (code)
		return (struct i8042_key){.code = code, .shift = true};
	for (char letter = 'a'; letter <= 'z'; letter++)
		if (CTRL(letter) == c)
			return (struct i8042_key){.code = find(plain, letter), .ctrl = true};
	return (struct i8042_key){0};
}

static const struct {
	char text[6];
	uint8_t code;
	bool extended;
} sequences[] = {
	{"[A", 0x48, true},    {"[B", 0x50, true},    {"[C", 0x4d, true},    {"[D", 0x4b, true},
	{"OA", 0x48, true},    {"OB", 0x50, true},    {"OC", 0x4d, true},    {"OD", 0x4b, true},
	{"[H", 0x47, true},    {"[F", 0x4f, true},    {"OH", 0x47, true},    {"OF", 0x4f, true},
	{"[1~", 0x47, true},   {"[2~", 0x52, true},   {"[3~", 0x53, true},   {"[4~", 0x4f, true},
	{"[5~", 0x49, true},   {"[6~", 0x51, true},   {"OP", 0x3b, false},   {"OQ", 0x3c, false},
	{"OR", 0x3d, false},   {"OS", 0x3e, false},   {"[11~", 0x3b, false}, {"[12~", 0x3c, false},
	{"[13~", 0x3d, false}, {"[14~", 0x3e, false}, {"[15~", 0x3f, false}, {"[17~", 0x40, false},
	{"[18~", 0x41, false}, {"[19~", 0x42, false}, {"[20~", 0x43, false}, {"[21~", 0x44, false},
	{"[23~", 0x57, false}, {"[24~", 0x58, false},
};

struct i8042_key i8042_key_of_sequence(const char *text)
{
	for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++)
		if (!strcmp(sequences[i].text, text))
			return (struct i8042_key){.code = sequences[i].code, .extended = sequences[i].extended};
	return (struct i8042_key){0};
}

/* By code of set 1. */
static const uint8_t set_2[] = {
	0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d, 0x15, 0x1d,
	0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b, 0x23, 0x2b, 0x34, 0x33,
	0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a, 0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a,
	0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03, 0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c,
	0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69, 0x72, 0x7a, 0x70, 0x71, 0x84, 0x60, 0x61, 0x78, 0x07,
};

uint8_t i8042_set_2(uint8_t code)
{
	return code < sizeof(set_2) ? set_2[code] : 0;
}

uint8_t i8042_translate(uint8_t code)
{
	static const uint8_t set_2_answer = 0x02; /* no key's: what the keyboard answers to the question for its set */

	if (code == set_2_answer)
		return i8042_translate(0x83);
	for (uint8_t key = 1; key < sizeof(set_2); key++)
		if (set_2[key] == code)
			return key;
	return code;
}
