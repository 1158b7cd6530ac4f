/*
 * The 16550A: every register, the probe that Linux's 8250 driver makes, and interrupts into a real 8259.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hypercalls/x86.h"
#include "monitor/device/console.h"
#include "monitor/device/pic.h"
#include "monitor/device/uart.h"
#include "tests/unit/ports.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

#define RDI  1
#define THRI 2
#define RLSI 4
#define MSI  8

static struct bus bus;
static struct pic pic;
static struct uart uart;

/* ------------------------------------------------------------------------------------ the console, recorded */

static char sent[256], input[256];
static size_t sent_len, input_len;
static bool listening, ended;

void console_write(struct console *console, const void *data, size_t len)
{
	memcpy(sent + sent_len, data, len);
	sent_len += len;
}

void console_listen(struct console *console)
{
	listening = true;
}

size_t console_input_pending(struct console *console)
{
	return input_len;
}

bool console_input_ended(struct console *console)
{
	return ended && !input_len;
}

size_t console_read(struct console *console, void *data, size_t len)
{
	if (len > input_len)
		len = input_len;
	memcpy(data, input, len);
	input_len -= len;
	memmove(input, input + len, input_len);
	return len;
}

static void type(const char *text)
{
	memcpy(input + input_len, text, strlen(text));
	input_len += strlen(text);
	uart_update(&uart);
}

/* --------------------------------------------------------------------------------------------------- access */

static uint8_t in(unsigned reg)
{
	return port_in(&bus, (uint16_t)(X86_PORT_COM1 + reg));
}

static void out(unsigned reg, uint8_t byte)
{
	port_out(&bus, (uint16_t)(X86_PORT_COM1 + reg), byte);
}

static void out_pic(uint16_t port, uint8_t byte)
{
	uint32_t value = byte;

	bus_io(&bus, port, 1, true, &value);
}

static int setup(void **state)
{
	static const uint8_t icw[] = {0x20, 4, 1, 0};

	bus = (struct bus){0};
	sent_len = input_len = 0;
	listening = ended = false;
	pic_init(&pic, &bus);
	uart_init(&uart, &bus, NULL, (struct irq_line){pic_set_line, &pic, 4});
	out_pic(X86_PORT_PIC1, 0x11);
	for (unsigned i = 0; i < 4; i++)
		out_pic(X86_PORT_PIC1 + 1, icw[i]);
	return 0;
}

/* Takes the interrupt as a kernel would. */
static bool interrupt(void)
{
	if (!pic_pending(&pic))
		return false;
	assert_int_equal(pic_ack(&pic), 0x24);
	out_pic(X86_PORT_PIC1, 0x20);
	return true;
}

/* ------------------------------------------------------------------------------------------------ registers */

static void reset_values(void **state)
{
	assert_int_equal(in(IER), 0);
	assert_int_equal(in(IIR), 1);
	assert_int_equal(in(LCR), 0);
	assert_int_equal(in(MCR), 0);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(MSR), 0xb0);
	assert_false(listening);
}

static void registers_hold_what_they_have_bits_for(void **state)
{
	for (unsigned v = 0; v < 256; v++) {
		out(SCR, (uint8_t)v);
		assert_int_equal(in(SCR), v);
		out(LCR, (uint8_t)v);
		assert_int_equal(in(LCR), v);
		out(LCR, 0);
		out(IER, (uint8_t)v);
		assert_int_equal(in(IER), v & 0x0f);
		out(MCR, (uint8_t)v);
		assert_int_equal(in(MCR), v & 0x1f);
	}
}

static void divisor_lies_behind_dlab(void **state)
{
	out(IER, THRI);
	out(LCR, 0x83);
	assert_int_equal(in(DATA), 12);
	assert_int_equal(in(IER), 0);
	out(DATA, 0x34);
	out(IER, 0x12);
	assert_int_equal(in(DATA), 0x34);
	assert_int_equal(in(IER), 0x12);
	out(LCR, 0x03);
	assert_int_equal(in(IER), THRI);
	assert_int_equal(sent_len, 0);
	out(DATA, 'x');
	assert_int_equal(sent_len, 1);
	out(LCR, 0x83);
	assert_int_equal(in(DATA), 0x34);
}

static void output_reaches_the_console(void **state)
{
	for (const char *c = "hello"; *c; c++) {
		assert_true(in(LSR)&0x20);
		out(DATA, (uint8_t)*c);
	}
	assert_int_equal(sent_len, 5);
	assert_memory_equal(sent, "hello", 5);
	assert_false(listening);
}

static void input_comes_in_order(void **state)
{
	type("abc");
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(DATA), 'a');
	assert_int_equal(in(DATA), 'b');
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(DATA), 'c');
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(DATA), 0);
}

static void a_driver_that_polls_is_listening(void **state)
{
	for (unsigned i = 0; i < 200; i++) {
		in(LSR);
		out(DATA, '.');
		in(LSR);
	}
	assert_false(listening);
	for (unsigned i = 0; i < 20; i++)
		in(LSR);
	assert_true(listening);
}

/* What has taken a byte gets those behind it, whatever it sends in between. */
static void a_driver_that_has_read_is_listening(void **state)
{
	in(DATA);
	assert_false(uart_listens(&uart));
	type("i");
	assert_int_equal(in(DATA), 'i');
	out(DATA, 'i');
	assert_true(uart_listens(&uart));
}

static void enabling_receive_interrupts_listens(void **state)
{
	out(IER, THRI);
	assert_false(listening);
	out(IER, RDI);
	assert_true(listening);
}

/* ------------------------------------------------------------------------------------------ Linux's probe */

/* drivers/tty/serial/8250/8250_port.c, autoconfig(): the order of accesses, and what each must show. */
static void linux_8250_finds_a_16550a(void **state)
{
	uint8_t save_mcr, save_lcr, status1, status2;

	out(IER, 0);
	assert_int_equal(in(IER)&0x0f, 0);
	out(IER, 0x0f);
	assert_int_equal(in(IER)&0x0f, 0x0f);
	out(IER, 0);

	save_mcr = in(MCR);
	save_lcr = in(LCR);
	out(MCR, 0x10 | 0x0a);
	assert_int_equal(in(MSR)&0xf0, 0x90);
	out(MCR, save_mcr);

	out(LCR, 0xbf);
	out(FCR, 0); /* EFR, where there is one */
	out(LCR, 0);
	out(FCR, 1);
	assert_int_equal(in(IIR) >> 6, 3); /* autoconfig_16550a follows */

	out(LCR, 0x80);
	assert_int_not_equal(in(IIR), 0); /* 0: a 16650 */
	out(LCR, 0xbf);
	assert_int_not_equal(in(IIR), 0); /* 0: a 16650V2 */

	out(LCR, 0);
	status1 = in(MCR);
	out(LCR, 0xe0);
	status2 = in(IIR);
	if (!((status2 ^ status1) & 0x10)) {
		out(LCR, 0);
		out(MCR, status1 ^ 0x10);
		out(LCR, 0xe0);
		status2 = in(IIR);
		out(LCR, 0);
		out(MCR, status1);
		assert_int_equal((status2 ^ status1) & 0x10, 0); /* else a National superchip */
	}

	out(LCR, 0);
	out(FCR, 1);
	status1 = in(IIR)&0xe0;
	out(LCR, 0x80);
	out(FCR, 0x21);
	out(LCR, 0);
	status2 = in(IIR)&0xe0;
	out(FCR, 1);
	assert_int_equal(status1, 0xc0);
	assert_int_equal(status2, 0xc0); /* 0xe0: a 16750 */

	out(IER, 0x40);
	assert_int_equal(in(IER)&0x40, 0); /* else an XScale */
	out(IER, 0);
	out(LCR, save_lcr);
}

/* serial8250_do_startup() and serial8250_THRE_test(): neither workaround may be found necessary. */
static void linux_startup_finds_no_bugs(void **state)
{
	uint8_t iir1, iir2;

	out(FCR, 1);
	out(FCR, 7);
	out(FCR, 0);
	in(LSR);
	in(DATA);
	in(IIR);
	in(MSR);
	assert_int_not_equal(in(LSR), 0xff);

	out(IER, THRI);
	iir1 = in(IIR);
	out(IER, 0);
	out(IER, THRI);
	iir2 = in(IIR);
	out(IER, 0);
	assert_int_equal(iir1 & 1, 0);
	assert_int_equal(iir2 & 1, 0);

	out(LCR, 3);
	out(MCR, 0x08);
	out(IER, THRI);
	assert_true(in(LSR)&0x40);
	assert_int_equal(in(IIR)&1, 0);
	out(IER, 0);
	assert_int_equal(in(IIR), 1);
}

static void iir_shows_fifos_only_when_enabled(void **state)
{
	assert_int_equal(in(IIR), 0x01);
	out(FCR, 0x01);
	assert_int_equal(in(IIR), 0xc1);
	out(FCR, 0xc6); /* without the enable bit all else is ignored */
	assert_int_equal(in(IIR), 0x01);
}

/* ----------------------------------------------------------------------------------------------- interrupts */

static void thre_interrupt_semantics(void **state)
{
	assert_false(interrupt());
	out(IER, THRI);
	assert_true(interrupt());
	assert_int_equal(in(IIR), 0x02);
	assert_int_equal(in(IIR), 0x01); /* reading it told the driver */
	assert_false(interrupt());
	out(DATA, 'a');
	assert_true(interrupt());
	/* Writing on without reading IIR makes a new edge each time. */
	out(DATA, 'b');
	assert_true(interrupt());
	out(DATA, 'c');
	assert_true(interrupt());
	assert_int_equal(in(IIR), 0x02);
	/* Not reported while something of higher rank is: it waits. */
	out(DATA, 'd');
	out(IER, THRI | RDI);
	type("x");
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(DATA), 'x');
	assert_int_equal(in(IIR), 0x02);
	out(IER, 0);
	out(DATA, 'e');
	interrupt();
	assert_false(interrupt());
}

static void receive_interrupt_and_trigger_levels(void **state)
{
	static const uint8_t level[] = {1, 4, 8, 14};

	out(IER, RDI);
	type("q");
	assert_true(interrupt());
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(DATA), 'q');
	assert_int_equal(in(IIR), 0x01);
	assert_false(interrupt());
	for (unsigned i = 0; i < 4; i++) {
		out(FCR, (uint8_t)(i << 6 | 1));
		for (unsigned n = 1; n < level[i]; n++) {
			type("z");
			assert_int_equal(in(IIR), 0xcc); /* time-out */
		}
		type("z");
		assert_int_equal(in(IIR), 0xc4);
		while (in(LSR)&1)
			in(DATA);
	}
}

/* More input than the FIFO holds: nothing is lost, and clearing the FIFO does not touch it. */
static void input_waits_outside_the_fifo(void **state)
{
	char got[41] = {0};

	out(FCR, 1);
	type("0123456789012345678901234567890123456789");
	out(FCR, 3);
	for (unsigned i = 0; in(LSR)&1; i++)
		got[i] = (char)in(DATA);
	assert_string_equal(got, "0123456789012345678901234567890123456789");
	assert_false(in(LSR)&2);
}

static void causes_come_by_rank(void **state)
{
	out(MCR, 0x10);
	out(MCR, 0x1f);
	out(DATA, 'a');
	out(DATA, 'b'); /* no FIFO: overrun */
	out(IER, 0x0f);
	assert_int_equal(in(IIR), 0x06);
	assert_int_equal(in(LSR), 0x63);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(DATA), 'b');
	assert_int_equal(in(IIR), 0x02);
	assert_int_equal(in(IIR), 0x00);
	assert_int_equal(in(MSR)&0x0f, 0x0b);
	assert_int_equal(in(IIR), 0x01);
}

static void end_of_input_drops_the_carrier(void **state)
{
	out(IER, 0x08);
	type("x");
	ended = true;
	uart_update(&uart);
	assert_int_equal(in(MSR), 0xb0); /* the last byte comes first */
	assert_int_equal(in(IIR), 0x01);
	assert_int_equal(in(DATA), 'x');
	assert_true(interrupt());
	assert_int_equal(in(IIR), 0x00);
	assert_int_equal(in(MSR), 0x38);
	assert_int_equal(in(MSR), 0x30);
	assert_int_equal(in(IIR), 0x01);
}

/* ------------------------------------------------------------------------------------------------- loopback */

static void loopback_keeps_to_itself(void **state)
{
	out(MCR, 0x10);
	type("outside");
	assert_false(in(LSR)&1);
	out(FCR, 1);
	for (unsigned i = 0; i < 17; i++)
		out(DATA, (uint8_t)('A' + i));
	assert_int_equal(sent_len, 0);
	assert_int_equal(in(LSR), 0x63);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in(DATA), 'A' + i);
	assert_int_equal(in(LSR), 0x60);
	out(DATA, '!');
	out(FCR, 3);
	assert_int_equal(in(LSR), 0x60);
	out(MCR, 0);
	assert_int_equal(in(DATA), 'o');
}

static void loopback_turns_outputs_into_inputs(void **state)
{
	static const struct {
		uint8_t mcr, msr;
	} cases[] = {{0x10, 0x00}, {0x11, 0x20}, {0x12, 0x10}, {0x14, 0x40}, {0x18, 0x80}, {0x1f, 0xf0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		out(MCR, cases[i].mcr);
		assert_int_equal(in(MSR)&0xf0, cases[i].msr);
		assert_int_equal(in(MSR)&0x0f, 0);
	}
	/* RI counts only when it ends. */
	out(MCR, 0x10);
	in(MSR);
	out(MCR, 0x14);
	assert_int_equal(in(MSR), 0x40);
	out(MCR, 0x10);
	assert_int_equal(in(MSR), 0x04);
	out(IER, MSI);
	assert_false(interrupt());
	out(MCR, 0x12);
	assert_true(interrupt());
	assert_int_equal(in(IIR), 0x00);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(reset_values),
		T(registers_hold_what_they_have_bits_for),
		T(divisor_lies_behind_dlab),
		T(output_reaches_the_console),
		T(input_comes_in_order),
		T(a_driver_that_polls_is_listening),
		T(a_driver_that_has_read_is_listening),
		T(enabling_receive_interrupts_listens),
		T(linux_8250_finds_a_16550a),
		T(linux_startup_finds_no_bugs),
		T(iir_shows_fifos_only_when_enabled),
		T(thre_interrupt_semantics),
		T(receive_interrupt_and_trigger_levels),
		T(input_waits_outside_the_fifo),
		T(causes_come_by_rank),
		T(end_of_input_drops_the_carrier),
		T(loopback_keeps_to_itself),
		T(loopback_turns_outputs_into_inputs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
