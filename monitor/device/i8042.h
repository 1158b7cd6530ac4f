/*
 * The keyboard controller of a PC, an 8042, with a keyboard of 101 keys and a mouse.
 */
#ifndef MONITOR_DEVICE_I8042_H
#define MONITOR_DEVICE_I8042_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor/device/i8042_keys.h"
#include "monitor/device/i8042_mouse.h"
#include "monitor/vm/bus.h"

#define I8042_QUEUE 32 /* as many as bits in mouse_bytes */

struct i8042 {
	uint8_t config;		  /* the command byte */
	uint8_t command;	  /* of the controller, waits for its datum at port 0x60; 0: none */
	uint8_t keyboard_command; /* likewise of the keyboard */
	uint8_t output_port;
	uint8_t scan_set;	    /* 1 or 2 */
	uint8_t releasing;	    /* the controller has seen the prefix of a release: a bit for what follows */
	bool scanning;		    /* the keyboard sends keys */
	bool talking;		    /* somebody has talked to the keyboard, read it, or polls it */
	unsigned looks;		    /* reads of the status in a row that found nothing, up to the first key */
	uint8_t queue[I8042_QUEUE]; /* towards port 0x60, oldest first */
	unsigned queued;
	uint32_t mouse_bytes; /* those of them that come from the mouse, by bits */
	struct i8042_mouse mouse;
	struct irq_line irq, mouse_irq;
	void (*pull)(void *arg);  /* somebody looks for a key and there is none: have one typed, if there is one */
	void (*reset)(void *arg); /* the reset line was pulled */
	void *arg;
};

void i8042_init(struct i8042 *kbd, struct bus *bus, struct irq_line irq, struct irq_line mouse_irq,
		void (*pull)(void *arg), void (*reset)(void *arg), void *arg);
/* Time may have brought a key. */
void i8042_update(struct i8042 *kbd);
/* Somebody reads the keyboard, and a whole key finds room: it can be typed. */
bool i8042_wants_key(const struct i8042 *kbd);
/* Presses and releases the key, with its modifiers around it; what is no key is dropped. */
void i8042_type(struct i8042 *kbd, struct i8042_key key);

#endif
