/*
 * What is typed on the console as keys of a US keyboard, and their scan codes.
 */
#ifndef MONITOR_DEVICE_I8042_KEYS_H
#define MONITOR_DEVICE_I8042_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct i8042_key {
	uint8_t code;  /* make code of set 1, 0: no key types it */
	bool extended; /* it comes behind 0xe0 */
	bool shift, ctrl, alt;
};

struct i8042_key i8042_key_of(uint8_t character);
/* A key that has no character, by what terminals (ECMA-48, xterm) send for it, without its ESC. */
struct i8042_key i8042_key_of_sequence(const char *text);

/* The make code of set 2 for one of set 1; 0: there is none. */
uint8_t i8042_set_2(uint8_t code);
/* As the controller translates set 2, but for the prefix of releases. */
uint8_t i8042_translate(uint8_t code);

#endif
