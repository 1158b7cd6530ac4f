/*
 * A PS/2 mouse of two buttons that nobody moves: it answers all that drivers ask of one, and has nothing to report.
 */
#ifndef MONITOR_DEVICE_I8042_MOUSE_H
#define MONITOR_DEVICE_I8042_MOUSE_H

#include <stdbool.h>
#include <stdint.h>

#define MOUSE_ANSWER_MAX 4

struct i8042_mouse {
	uint8_t command; /* waits for its datum; 0: none */
	uint8_t rate;	 /* samples a second */
	uint8_t resolution;
	bool remote, reporting, scaling;
	bool wrapping; /* it sends back what it is sent */
	uint8_t last;  /* what it has sent, to be sent again */
};

void i8042_mouse_init(struct i8042_mouse *mouse);
/* A byte reaches it. How many it sends back. */
unsigned i8042_mouse_write(struct i8042_mouse *mouse, uint8_t byte, uint8_t answer[MOUSE_ANSWER_MAX]);

#endif
