/*
 * Characters of the console as keys of a US keyboard: scan codes of set 1.
 */
#include "monitor/device/i8042_keys.h"

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
