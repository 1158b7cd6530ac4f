/*
 * The keyboard controller and its keyboard, as a driver meets them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hypercalls/x86.h"
#include "monitor/device/i8042.h"
#include "tests/unit/ports.h"

static struct bus bus;
static struct i8042 kbd;
static unsigned edges, resets, pulls;
static bool line, mouse_line;
static unsigned mouse_edges;
static const char *typed; /* what pull has typed, one character at a time */

static void set_line(void *controller, unsigned number, bool level)
{
	if (number == 12) {
		mouse_edges += level && !mouse_line;
		mouse_line = level;
		return;
	}
	edges += level && !line;
	line = level;
}

static void reset(void *arg)
{
	resets++;
}

static void type(uint8_t character)
{
	i8042_type(&kbd, i8042_key_of(character));
}

static void pull(void *arg)
{
	pulls++;
	if (typed && *typed && i8042_wants_key(&kbd))
		type((uint8_t)*typed++);
}

static int setup(void **state)
{
	bus = (struct bus){0};
	edges = resets = pulls = 0;
	line = mouse_line = false;
	mouse_edges = 0;
	typed = NULL;
	i8042_init(&kbd, &bus, (struct irq_line){.set = set_line, .line = 1},
		   (struct irq_line){.set = set_line, .line = 12}, pull, reset, NULL);
	return 0;
}

static void out(uint16_t port, uint8_t datum)
{
	port_out(&bus, port, datum);
}

static uint8_t in(uint16_t port)
{
	return port_in(&bus, port);
}

#define DATA   X86_PORT_KBD_DATA
#define STATUS X86_PORT_KBD_COMMAND

static void answers(const char *bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(in(STATUS)&1, 1);
		assert_int_equal(in(DATA), (uint8_t)bytes[i]);
	}
	assert_int_equal(in(STATUS)&1, 0);
}

static void test_self_test(void **state)
{
	out(STATUS, 0xaa);
	answers("\x55", 1);
	out(STATUS, 0xab);
	answers("\x00", 1);
	assert_int_equal(in(STATUS)&4, 4);
}

static void test_config(void **state)
{
	out(STATUS, 0x60);
	assert_int_equal(in(STATUS)&8, 8);
	out(DATA, 0x45);
	out(STATUS, 0x20);
	answers("\x45", 1);
	out(STATUS, 0xad);
	out(STATUS, 0x20);
	answers("\x55", 1);
	out(STATUS, 0xae);
	out(STATUS, 0x20);
	answers("\x45", 1);
}

static void test_keyboard(void **state)
{
	out(DATA, 0xff);
	answers("\xfa\xaa", 2);
	out(DATA, 0xf2);
	answers("\xfa\xab\x41", 3);
	out(DATA, 0xed);
	answers("\xfa", 1);
	out(DATA, 0x07);
	answers("\xfa", 1);
	out(DATA, 0xf0);
	answers("\xfa", 1);
	out(DATA, 0x00);
	answers("\xfa\x41", 2); /* 2, translated as all that comes from the keyboard */
	out(DATA, 0xee);
	answers("\xee", 1);
	out(DATA, 0x01);
	answers("\xfe", 1);
}

static void to_mouse(uint8_t byte)
{
	out(STATUS, 0xd4);
	out(DATA, byte);
}

static void mouse_answers(const char *bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(in(STATUS)&0x21, 0x21);
		assert_int_equal(in(DATA), (uint8_t)bytes[i]);
	}
	assert_int_equal(in(STATUS)&0x21, 0);
}

/* The controller's side: its port is tested, switched and echoed, and its bytes are told from the keyboard's. */
static void test_mouse_port(void **state)
{
	out(STATUS, 0xa9);
	answers("\x00", 1);
	out(STATUS, 0xa8);
	out(STATUS, 0x20);
	answers("\x44", 1);
	out(STATUS, 0xa7);
	out(STATUS, 0x20);
	answers("\x64", 1);
	out(STATUS, 0xd3);
	out(DATA, 0x5a);
	mouse_answers("\x5a", 1);
	to_mouse(0xf2);
	out(DATA, 0xee);
	assert_int_equal(in(STATUS)&0x21, 0x21);
	assert_int_equal(in(DATA), 0xfa);
	assert_int_equal(in(DATA), 0x00);
	assert_int_equal(in(STATUS)&0x21, 0x01);
	assert_int_equal(in(DATA), 0xee);
}

static void test_mouse(void **state)
{
	to_mouse(0xff);
	mouse_answers("\xfa\xaa\x00", 3);
	to_mouse(0xe9);
	mouse_answers("\xfa\x00\x02\x64", 4); /* stream mode, not reporting, 4 counts a millimetre, 100 a second */
	to_mouse(0xf3);
	mouse_answers("\xfa", 1);
	to_mouse(200);
	mouse_answers("\xfa", 1);
	to_mouse(0xe8);
	mouse_answers("\xfa", 1);
	to_mouse(3);
	mouse_answers("\xfa", 1);
	to_mouse(0xf4);
	mouse_answers("\xfa", 1);
	to_mouse(0xe7);
	mouse_answers("\xfa", 1);
	to_mouse(0xe9);
	mouse_answers("\xfa\x30\x03\xc8", 4);
	to_mouse(0xf0);
	mouse_answers("\xfa", 1);
	to_mouse(0xeb);
	mouse_answers("\xfa\x08\x00\x00", 4);
	to_mouse(0xe9);
	mouse_answers("\xfa\x70\x03\xc8", 4);
	to_mouse(0xf6);
	mouse_answers("\xfa", 1);
	to_mouse(0xe9);
	mouse_answers("\xfa\x00\x02\x64", 4);
	to_mouse(0xfe); /* once more, its last byte */
	mouse_answers("\x64", 1);
	to_mouse(0x01);
	mouse_answers("\xfe", 1);
	to_mouse(0xf3);
	mouse_answers("\xfa", 1);
	to_mouse(0xff); /* no rate: a datum is no command */
	mouse_answers("\xfe", 1);
	/* The knock that a mouse with a wheel opens to, and this one does not. */
	for (const char *rate = "\xc8\x64\x50"; *rate; rate++) {
		to_mouse(0xf3);
		to_mouse((uint8_t)*rate);
		mouse_answers("\xfa\xfa", 2);
	}
	to_mouse(0xf2);
	mouse_answers("\xfa\x00", 2);
}

static void test_mouse_wraps(void **state)
{
	to_mouse(0xee);
	mouse_answers("\xfa", 1);
	to_mouse(0xf4);
	mouse_answers("\xf4", 1);
	to_mouse(0xec);
	mouse_answers("\xfa", 1);
	to_mouse(0xe9);
	mouse_answers("\xfa\x00\x02\x64", 4);
}

static void test_mouse_interrupts(void **state)
{
	out(STATUS, 0x60);
	out(DATA, 0x43);
	to_mouse(0xf2);
	assert_int_equal(mouse_edges, 1);
	in(DATA);
	assert_int_equal(mouse_edges, 2);
	in(DATA);
	assert_false(mouse_line);
	assert_int_equal(edges, 0);
	out(DATA, 0xee);
	assert_int_equal(edges, 1);
	in(DATA);
	assert_int_equal(mouse_edges, 2);
}

static void test_keys(void **state)
{
	out(DATA, 0xf4);
	answers("\xfa", 1);
	type('a');
	answers("\x1e\x9e", 2);
	type('A');
	answers("\x2a\x1e\x9e\xaa", 4);
	type(3); /* Ctrl-C */
	answers("\x1d\x2e\xae\x9d", 4);
	type('\r');
	answers("\x1c\x9c", 2);
	type(0x1b);
	answers("\x01\x81", 2);
	type(0x7f);
	answers("\x0e\x8e", 2);
	type(0xc3); /* no key has it */
	assert_int_equal(in(STATUS)&1, 0);
	type('~');
	answers("\x2a\x29\xa9\xaa", 4);
}

/* What terminals send for them; behind 0xe0 those that the first PC's keyboard had not. */
static void test_sequences(void **state)
{
	i8042_type(&kbd, i8042_key_of_sequence("[A"));
	answers("\xe0\x48\xe0\xc8", 4);
	i8042_type(&kbd, i8042_key_of_sequence("[3~"));
	answers("\xe0\x53\xe0\xd3", 4);
	i8042_type(&kbd, i8042_key_of_sequence("[18~"));
	answers("\x41\xc1", 2); /* F7, whose code of set 2 has bit 7 */
	i8042_type(&kbd, i8042_key_of_sequence("OP"));
	answers("\x3b\xbb", 2);
	assert_int_equal(i8042_key_of_sequence("").code, 0);
	assert_int_equal(i8042_key_of_sequence("[99~").code, 0);
	i8042_type(&kbd, (struct i8042_key){.code = 0x10, .alt = true});
	answers("\x38\x10\x90\xb8", 4);
}

/* Without translation set 2 comes as it is; or set 1, if the keyboard is asked for it. */
static void test_sets(void **state)
{
	out(STATUS, 0x60);
	out(DATA, 0x01);
	out(DATA, 0xf2);
	answers("\xfa\xab\x83", 3);
	type('A');
	answers("\x12\x1c\xf0\x1c\xf0\x12", 6);
	i8042_type(&kbd, i8042_key_of_sequence("[D"));
	answers("\xe0\x6b\xe0\xf0\x6b", 5);
	out(DATA, 0xf0);
	answers("\xfa", 1);
	out(DATA, 0x03); /* a set that it has not */
	answers("\xfe", 1);
	out(DATA, 0xf0);
	answers("\xfa", 1);
	out(DATA, 0x01);
	answers("\xfa", 1);
	type('a');
	answers("\x1e\x9e", 2);
	out(DATA, 0xf0);
	answers("\xfa", 1);
	out(DATA, 0x00);
	answers("\xfa\x01", 2);
}

/* Each key has a code of its own in set 2, from which the controller makes that of set 1 again. */
static void test_translation(void **state)
{
	for (uint8_t code = 1; code <= 0x58; code++) {
		assert_int_not_equal(i8042_set_2(code), 0);
		assert_int_equal(i8042_translate(i8042_set_2(code)), code);
	}
	assert_int_equal(i8042_set_2(0), 0);
	assert_int_equal(i8042_set_2(0xff), 0);
	assert_int_equal(i8042_translate(0xfa), 0xfa);
}

static void test_pulled(void **state)
{
	typed = "ok";
	assert_int_equal(in(STATUS)&1, 0); /* nobody has talked to it: it may not be there for the guest at all */
	out(DATA, 0xf4);
	assert_int_equal(in(DATA), 0xfa);
	answers("\x18\x98\x25\xa5", 4);
	out(DATA, 0xf5);
	assert_int_equal(in(DATA), 0xfa);
	typed = "x";
	assert_int_equal(in(STATUS)&1, 0);
}

/* Who reads the status again and again polls; a driver that waits for the controller between commands does not. */
static void test_polled(void **state)
{
	typed = "k";
	for (unsigned i = 0; i < 100; i++) {
		if (i % 10 == 0)
			out(STATUS, 0xae);
		assert_int_equal(in(STATUS)&1, 0);
	}
	for (unsigned i = 0; i < 40 && !(in(STATUS)&1); i++)
		;
	answers("\x25\xa5", 2);
}

/* Each byte is an edge, as long as the command byte lets it through. */
static void test_interrupts(void **state)
{
	out(DATA, 0xf2);
	assert_int_equal(edges, 0);
	out(STATUS, 0x60);
	out(DATA, 0x41);
	assert_int_equal(edges, 1);
	for (unsigned i = 2; i <= 3; i++) {
		in(DATA);
		assert_int_equal(edges, i);
	}
	in(DATA);
	assert_int_equal(edges, 3);
	assert_false(line);
}

static void test_reset(void **state)
{
	out(STATUS, 0xfe);
	assert_int_equal(resets, 1);
	out(STATUS, 0xff); /* no line goes low */
	assert_int_equal(resets, 1);
	out(STATUS, 0xd1);
	out(DATA, 0xfe);
	assert_int_equal(resets, 2);
	out(X86_PORT_SYSA, 3);
	assert_int_equal(resets, 3);
	out(X86_PORT_SYSA, 2);
	assert_int_equal(resets, 3);
	assert_int_equal(in(X86_PORT_SYSA), 2);
}

/* Whatever is written, in whatever order: the queue has its bound. */
static void test_flood(void **state)
{
	uint32_t seed = 1;

	for (unsigned i = 0; i < 200000; i++) {
		seed = seed * 1103515245 + 12345;
		out(seed >> 8 & 1 ? DATA : STATUS, (uint8_t)(seed >> 16));
		if ((seed >> 9 & 7) == 0)
			in(DATA);
		type((uint8_t)(seed >> 24));
		assert_true(kbd.queued <= I8042_QUEUE);
		assert_int_equal((uint64_t)kbd.mouse_bytes >> kbd.queued, 0);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(test_##name, setup)
	const struct CMUnitTest tests[] = {
		T(self_test),	     T(config), T(keyboard), T(mouse_port),  T(mouse),	    T(mouse_wraps),
		T(mouse_interrupts), T(keys),	T(pulled),   T(reset),	     T(interrupts), T(flood),
		T(sequences),	     T(polled), T(sets),     T(translation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
