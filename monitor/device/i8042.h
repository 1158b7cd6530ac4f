/*
 * The keyboard controller of a PC, an 8042, with a keyboard of 101 keys and no mouse.
 */
#ifndef MONITOR_DEVICE_I8042_H
#define MONITOR_DEVICE_I8042_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor/vm/bus.h"

#define I8042_QUEUE 32

struct i8042 {
	uint8_t config;		  /* the command byte */
	uint8_t command;	  /* of the controller, waits for its datum at port 0x60; 0: none */
	uint8_t keyboard_command; /* likewise of the keyboard */
	uint8_t output_port;
	uint8_t scan_set;	    /* 1, 2 or 3 */
	bool scanning;		    /* the keyboard sends keys */
	bool talking;		    /* somebody has talked to the keyboard or read it */
	uint8_t queue[I8042_QUEUE]; /* towards port 0x60, oldest first */
	unsigned queued;
	struct irq_line irq;
	void (*pull)(void *arg);  /* somebody looks for a key and there is none: have one typed, if there is one */
	void (*reset)(void *arg); /* the reset line was pulled */
	void *arg;
};

void i8042_init(struct i8042 *kbd, struct bus *bus, struct irq_line irq, void (*pull)(void *arg),
		void (*reset)(void *arg), void *arg);
/* Time may have brought a key. */
void i8042_update(struct i8042 *kbd);
/* Somebody reads the keyboard, and a whole key finds room: it can be typed. */
bool i8042_wants_key(const struct i8042 *kbd);
/* Presses and releases the key of a character, with Shift or Ctrl around it; one that no key has is dropped. */
void i8042_type(struct i8042 *kbd, uint8_t character);

#endif
