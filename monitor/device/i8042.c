/*
 * The 8042 at ports 0x60 and 0x64 (IBM PS/2 Hardware Interface Technical Reference: keyboard and auxiliary device
 * controller), its keyboard and its mouse. Answers wait in a queue of fixed length: what finds no room is lost, as on
 * the wire.
 */
#include "monitor/device/i8042.h"

#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/device/ps2.h"

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM	   0x04
#define STATUS_COMMAND	   0x08
#define STATUS_UNLOCKED	   0x10
#define STATUS_MOUSE	   0x20 /* the byte in the output is the mouse's */

#define CONFIG_IRQ	 0x01
#define CONFIG_MOUSE_IRQ 0x02
#define CONFIG_SYSTEM	 0x04
#define CONFIG_DISABLED	 0x10 /* the keyboard's clock is held */
#define CONFIG_NO_MOUSE	 0x20 /* the mouse's is */
#define CONFIG_TRANSLATE 0x40 /* what the keyboard sends in set 2 comes out in set 1 */

#define OUTPUT_NO_RESET 0x01
#define OUTPUT_A20	0x02

enum controller_command {
	READ_CONFIG = 0x20,
	WRITE_CONFIG = 0x60,
	DISABLE_MOUSE = 0xa7,
	ENABLE_MOUSE = 0xa8,
	TEST_MOUSE = 0xa9,
	SELF_TEST = 0xaa,
	TEST_KEYBOARD = 0xab,
	DISABLE_KEYBOARD = 0xad,
	ENABLE_KEYBOARD = 0xae,
	READ_INPUT_PORT = 0xc0,
	READ_OUTPUT_PORT = 0xd0,
	WRITE_OUTPUT_PORT = 0xd1,
	ECHO_KEYBOARD = 0xd2, /* the datum comes back as if the keyboard had sent it */
	ECHO_MOUSE = 0xd3,    /* or the mouse */
	WRITE_MOUSE = 0xd4,
	PULSE = 0xf0, /* to 0xff: lines whose bit is clear go low for a moment */
};

#define SELF_TEST_PASSED 0x55
#define TEST_PASSED	 0x00
#define INPUT_PORT	 0x80 /* not locked */

enum keyboard_command {
	SET_LEDS = 0xed,
	ECHO = 0xee,
	SCAN_SET = 0xf0,
};

#define KEY_BREAK     0x80 /* set 1: the key was released */
#define SETS	      2	   /* of scan codes that it has */
#define RELEASED      0xf0 /* set 2: the prefix of that */
#define EXTENDED      0xe0 /* both: the prefix of keys that the first keyboards did not have */
#define KEY_SHIFT     0x2a
#define KEY_CTRL      0x1d
#define KEY_ALT	      0x38
#define LOOKS_TO_POLL 32 /* reads of the status in a row that a driver's waiting for the controller stays below */
#define KEY_EVENTS    14 /* a key and all modifiers, pressed and released, as set 2 has them */

static void update_irq(struct i8042 *kbd)
{
	bool mouse = kbd->mouse_bytes & 1;

	irq_set(&kbd->irq, kbd->queued && !mouse && (kbd->config & CONFIG_IRQ));
	irq_set(&kbd->mouse_irq, kbd->queued && mouse && (kbd->config & CONFIG_MOUSE_IRQ));
}

static void put_from(struct i8042 *kbd, uint8_t byte, bool mouse)
{
	if (kbd->queued == I8042_QUEUE)
		return;
	kbd->mouse_bytes |= (uint32_t)mouse << kbd->queued;
	kbd->queue[kbd->queued++] = byte;
	update_irq(kbd);
}

static void put(struct i8042 *kbd, uint8_t byte)
{
	put_from(kbd, byte, false);
}

/* A byte from the keyboard. Translated, the prefix of a release becomes a bit of what follows. */
static void send(struct i8042 *kbd, uint8_t byte)
{
	if (!(kbd->config & CONFIG_TRANSLATE)) {
		put(kbd, byte);
		return;
	}
	if (byte == RELEASED) {
		kbd->releasing = KEY_BREAK;
		return;
	}
	put(kbd, i8042_translate(byte) | kbd->releasing);
	kbd->releasing = 0;
}

static uint8_t take(struct i8042 *kbd)
{
	uint8_t byte = kbd->queue[0];

	if (!kbd->queued)
		return 0;
	memmove(kbd->queue, kbd->queue + 1, --kbd->queued);
	kbd->mouse_bytes >>= 1;
	/* Each byte is an edge of its own. */
	irq_set(&kbd->irq, false);
	irq_set(&kbd->mouse_irq, false);
	update_irq(kbd);
	return byte;
}

/* ----------------------------------------------------------------------------------------------------- the keyboard */

static void keyboard_defaults(struct i8042 *kbd)
{
	kbd->scan_set = 2;
	kbd->scanning = true;
}

static void keyboard_datum(struct i8042 *kbd, uint8_t datum)
{
	uint8_t command = kbd->keyboard_command;

	kbd->keyboard_command = 0;
	if (command == SCAN_SET && datum > SETS) {
		send(kbd, PS2_AGAIN);
		return;
	}
	send(kbd, PS2_ACK);
	if (command == SCAN_SET && datum)
		kbd->scan_set = datum;
	else if (command == SCAN_SET)
		send(kbd, kbd->scan_set);
}

static void keyboard_write(struct i8042 *kbd, uint8_t byte)
{
	kbd->talking = true;
	if (kbd->keyboard_command) {
		keyboard_datum(kbd, byte);
		return;
	}
	switch (byte) {
	case SET_LEDS:
	case SCAN_SET:
	case PS2_SET_RATE:
		kbd->keyboard_command = byte;
		send(kbd, PS2_ACK);
		return;
	case ECHO:
		send(kbd, ECHO);
		return;
	case PS2_IDENTIFY:
		send(kbd, PS2_ACK);
		send(kbd, 0xab); /* an MF2 keyboard */
		send(kbd, 0x83);
		return;
	case PS2_ENABLE:
	case PS2_DISABLE:
		kbd->scanning = byte == PS2_ENABLE;
		send(kbd, PS2_ACK);
		return;
	case PS2_SET_DEFAULTS:
		keyboard_defaults(kbd);
		send(kbd, PS2_ACK);
		return;
	case PS2_RESET:
		keyboard_defaults(kbd);
		send(kbd, PS2_ACK);
		send(kbd, PS2_TEST_DONE);
		return;
	default:
		send(kbd, PS2_AGAIN);
		return;
	}
}

/* --------------------------------------------------------------------------------------------------- the controller */

static void write_output_port(struct i8042 *kbd, uint8_t value)
{
	kbd->output_port = value;
	if (!(value & OUTPUT_NO_RESET))
		kbd->reset(kbd->arg);
}

static void controller_command(struct i8042 *kbd, uint8_t command)
{
	kbd->command = 0;
	switch (command) {
	case READ_CONFIG:
		put(kbd, kbd->config);
		return;
	case WRITE_CONFIG:
	case WRITE_OUTPUT_PORT:
	case ECHO_KEYBOARD:
	case ECHO_MOUSE:
	case WRITE_MOUSE:
		kbd->command = command;
		return;
	case DISABLE_MOUSE:
		kbd->config |= CONFIG_NO_MOUSE;
		return;
	case ENABLE_MOUSE:
		kbd->config &= (uint8_t)~CONFIG_NO_MOUSE;
		return;
	case SELF_TEST:
		kbd->config |= CONFIG_SYSTEM;
		put(kbd, SELF_TEST_PASSED);
		return;
	case TEST_KEYBOARD:
	case TEST_MOUSE:
		put(kbd, TEST_PASSED);
		return;
	case DISABLE_KEYBOARD:
		kbd->config |= CONFIG_DISABLED;
		return;
	case ENABLE_KEYBOARD:
		kbd->config &= (uint8_t)~CONFIG_DISABLED;
		return;
	case READ_INPUT_PORT:
		put(kbd, INPUT_PORT);
		return;
	case READ_OUTPUT_PORT:
		put(kbd, kbd->output_port);
		return;
	default:
		if (command >= PULSE && !(command & OUTPUT_NO_RESET))
			kbd->reset(kbd->arg);
		return;
	}
}

static void write_mouse(struct i8042 *kbd, uint8_t byte)
{
	uint8_t answer[MOUSE_ANSWER_MAX];
	unsigned count = i8042_mouse_write(&kbd->mouse, byte, answer);

	for (unsigned i = 0; i < count; i++)
		put_from(kbd, answer[i], true);
}

static void controller_datum(struct i8042 *kbd, uint8_t datum)
{
	uint8_t command = kbd->command;

	kbd->command = 0;
	switch (command) {
	case WRITE_CONFIG:
		kbd->config = datum;
		update_irq(kbd);
		return;
	case WRITE_OUTPUT_PORT:
		write_output_port(kbd, datum);
		return;
	case ECHO_KEYBOARD:
	case ECHO_MOUSE:
		put_from(kbd, datum, command == ECHO_MOUSE);
		return;
	default:
		write_mouse(kbd, datum);
		return;
	}
}

static void access_data(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct i8042 *kbd = device;

	if (!write) {
		kbd->talking = true;
		i8042_update(kbd);
		*value = take(kbd);
	} else if (kbd->command) {
		controller_datum(kbd, (uint8_t)*value);
	} else {
		kbd->config &= (uint8_t)~CONFIG_DISABLED;
		keyboard_write(kbd, (uint8_t)*value);
	}
}

static void access_command(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct i8042 *kbd = device;

	if (write) {
		kbd->looks = 0;
		controller_command(kbd, (uint8_t)*value);
		return;
	}
	i8042_update(kbd);
	/* Who asks again and again whether there is a key, and has not talked to the keyboard, polls it. */
	if (!kbd->queued && !kbd->talking && ++kbd->looks == LOOKS_TO_POLL)
		kbd->talking = true;
	*value = STATUS_UNLOCKED | (kbd->config & CONFIG_SYSTEM ? STATUS_SYSTEM : 0u) |
		 (kbd->command ? STATUS_COMMAND : 0u) | (kbd->queued ? STATUS_OUTPUT_FULL : 0u) |
		 (kbd->mouse_bytes & 1 ? STATUS_MOUSE : 0u);
}

/* Port A: A20, which is always on here, and a reset line of its own. */
static void access_port_a(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct i8042 *kbd = device;

	if (!write)
		*value = OUTPUT_A20;
	else if (*value & 1)
		kbd->reset(kbd->arg);
}

/* ------------------------------------------------------------------------------------------------------------- keys */

bool i8042_wants_key(const struct i8042 *kbd)
{
	return kbd->talking && kbd->scanning && !(kbd->config & CONFIG_DISABLED) && !kbd->command &&
	       kbd->queued + KEY_EVENTS <= I8042_QUEUE;
}

void i8042_update(struct i8042 *kbd)
{
	if (!kbd->queued)
		kbd->pull(kbd->arg);
}

static void press(struct i8042 *kbd, uint8_t code, bool extended, bool released)
{
	if (extended)
		send(kbd, EXTENDED);
	if (kbd->scan_set == 1) {
		send(kbd, code | (released ? KEY_BREAK : 0));
		return;
	}
	if (released)
		send(kbd, RELEASED);
	send(kbd, i8042_set_2(code));
}

void i8042_type(struct i8042 *kbd, struct i8042_key key)
{
	const uint8_t modifiers[] = {key.shift ? KEY_SHIFT : 0, key.ctrl ? KEY_CTRL : 0, key.alt ? KEY_ALT : 0};

	if (!key.code)
		return;
	for (size_t i = 0; i < sizeof(modifiers); i++)
		if (modifiers[i])
			press(kbd, modifiers[i], false, false);
	press(kbd, key.code, key.extended, false);
	press(kbd, key.code, key.extended, true);
	for (size_t i = sizeof(modifiers); i--;)
		if (modifiers[i])
			press(kbd, modifiers[i], false, true);
}

void i8042_init(struct i8042 *kbd, struct bus *bus, struct irq_line irq, struct irq_line mouse_irq,
		void (*pull)(void *arg), void (*reset)(void *arg), void *arg)
{
	*kbd = (struct i8042){.config = CONFIG_SYSTEM | CONFIG_NO_MOUSE | CONFIG_TRANSLATE,
			      .output_port = OUTPUT_NO_RESET | OUTPUT_A20,
			      .irq = irq,
			      .mouse_irq = mouse_irq,
			      .pull = pull,
			      .reset = reset,
			      .arg = arg};
	keyboard_defaults(kbd);
	i8042_mouse_init(&kbd->mouse);
	bus_register(bus, X86_PORT_KBD_DATA, 1, 1, access_data, kbd, "keyboard");
	bus_register(bus, X86_PORT_KBD_COMMAND, 1, 1, access_command, kbd, "keyboard");
	bus_register(bus, X86_PORT_SYSA, 1, 1, access_port_a, kbd, "port-a");
}
