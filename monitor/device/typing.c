/*
 * Control sequences as ECMA-48 builds them: ESC [ parameters final; and ESC O final, for keys of the VT100.
 */
#include "monitor/device/typing.h"

#include "monitor/device/console.h"

#define ESC	     0x1b
#define SEQUENCE_MAX 8
#define FINAL_FIRST  0x40
#define FINAL_LAST   0x7e

static bool take(struct console *console, uint8_t *character)
{
	return console_read(console, character, 1) == 1;
}

/* The rest of a sequence that began with ESC and `kind`. One that is too long is no key. */
static struct i8042_key read_sequence(struct console *console, uint8_t kind)
{
	char text[SEQUENCE_MAX + 1] = {(char)kind};
	uint8_t character = 0;

	for (unsigned length = 1; take(console, &character); length++) {
		if (length < SEQUENCE_MAX)
			text[length] = (char)character;
		if (character >= FINAL_FIRST && character <= FINAL_LAST)
			break;
	}
	return i8042_key_of_sequence(text);
}

bool typing_read(struct console *console, struct i8042_key *key)
{
	uint8_t character;

	if (!take(console, &character))
		return false;
	*key = i8042_key_of(character);
	if (character != ESC || !take(console, &character))
		return true;
	if (character == '[' || character == 'O') {
		*key = read_sequence(console, character);
		return true;
	}
	*key = i8042_key_of(character);
	key->alt = true;
	return true;
}
