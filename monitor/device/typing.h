/*
 * Keys out of what a terminal sends.
 */
#ifndef MONITOR_DEVICE_TYPING_H
#define MONITOR_DEVICE_TYPING_H

#include <stdbool.h>

#include "monitor/device/i8042_keys.h"

struct console;

/*
 * Takes one key from the console's input; false: nothing waits. Terminals send a sequence at once: an ESC behind which
 * nothing waits is the key itself, one with a character behind it is Alt.
 */
bool typing_read(struct console *console, struct i8042_key *key);

#endif
