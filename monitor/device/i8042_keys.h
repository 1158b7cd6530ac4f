/*
 * Characters of the console as keys of a US keyboard.
 */
#ifndef MONITOR_DEVICE_I8042_KEYS_H
#define MONITOR_DEVICE_I8042_KEYS_H

#include <stdbool.h>
#include <stdint.h>

struct i8042_key {
	uint8_t code; /* make code of set 1, 0: no key types it */
	bool shift, ctrl;
};

struct i8042_key i8042_key_of(uint8_t character);

#endif
