/*
 * The 16550A at 0x3f8, IRQ 4 (National Semiconductor PC16550D data sheet). The transmitter is always empty: a byte is
 * gone as soon as it is written. The console's input ring stands in for the wire and the receive FIFO together, so
 * that clearing the FIFO, as drivers do when they start, loses no input that was there before the guest.
 */
#include "monitor/device/uart.h"

#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/device/console.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCRATCH, REG_COUNT };

#define IER_RECEIVED 0x01
#define IER_THRE     0x02
#define IER_LINE     0x04
#define IER_MODEM    0x08
#define IER_ALL	     0x0f

#define IIR_MODEM    0x00
#define IIR_NONE     0x01
#define IIR_THRE     0x02
#define IIR_RECEIVED 0x04
#define IIR_LINE     0x06
#define IIR_TIMEOUT  0x0c
#define IIR_FIFOS    0xc0

#define FCR_ENABLE	  0x01
#define FCR_CLEAR_RECEIVE 0x02
#define FCR_TRIGGER(fcr)  ((fcr) >> 6)
#define FCR_STORED	  0xc1

#define LCR_DLAB 0x80

#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_ALL	 0x1f

#define LSR_DATA    0x01
#define LSR_OVERRUN 0x02
#define LSR_THRE    0x20
#define LSR_TEMT    0x40

#define MSR_DCTS 0x01
#define MSR_DDSR 0x02
#define MSR_TERI 0x04
#define MSR_DDCD 0x08
#define MSR_CTS	 0x10
#define MSR_DSR	 0x20
#define MSR_RI	 0x40
#define MSR_DCD	 0x80

#define DIVISOR_9600 12

/* A driver that prints reads LSR once or twice a byte; one that reads it this often in a row waits for input. */
#define POLLS_THAT_LISTEN 16

static const uint8_t trigger_level[4] = {1, 4, 8, 14};

static bool looped(const struct uart *uart)
{
	return uart->mcr & MCR_LOOP;
}

static bool fifos(const struct uart *uart)
{
	return uart->fcr & FCR_ENABLE;
}

/* Bytes in the receiver. */
static unsigned received(const struct uart *uart)
{
	unsigned room = (fifos(uart) ? UART_FIFO : 1) - uart->loop_count;
	size_t waiting = looped(uart) ? 0 : console_input_pending(uart->console);

	return uart->loop_count + (waiting < room ? (unsigned)waiting : room);
}

/* --------------------------------------------------------------------------------------------------- interrupts */

/* The highest-ranking cause that is enabled, as IIR shows it. */
static uint8_t interrupt_cause(const struct uart *uart)
{
	unsigned count;

	if ((uart->ier & IER_LINE) && uart->overrun)
		return IIR_LINE;
	/* Below the trigger level a FIFO reports at its time-out, four characters long; here it is over at once. */
	if ((uart->ier & IER_RECEIVED) && (count = received(uart)) > 0)
		return !fifos(uart) || count >= trigger_level[FCR_TRIGGER(uart->fcr)] ? IIR_RECEIVED : IIR_TIMEOUT;
	if ((uart->ier & IER_THRE) && uart->thre_interrupt)
		return IIR_THRE;
	if ((uart->ier & IER_MODEM) && uart->modem_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

/* A PC gates this line with OUT2; xv6 leaves OUT2 clear and wants interrupts all the same. */
static void update_irq(struct uart *uart)
{
	irq_set(&uart->irq, interrupt_cause(uart) != IIR_NONE);
}

bool uart_listens(const struct uart *uart)
{
	return (uart->ier & IER_RECEIVED) || uart->heard || uart->idle_polls >= POLLS_THAT_LISTEN;
}

static uint8_t read_iir(struct uart *uart)
{
	uint8_t cause = interrupt_cause(uart);

	if (cause == IIR_THRE)
		uart->thre_interrupt = false;
	return fifos(uart) ? cause | IIR_FIFOS : cause;
}

/* ---------------------------------------------------------------------------------------------------------- data */

static void loop_back(struct uart *uart, uint8_t byte)
{
	if (uart->loop_count < (fifos(uart) ? UART_FIFO : 1)) {
		uart->loop[uart->loop_count++] = byte;
		return;
	}
	uart->overrun = true;
	if (!fifos(uart))
		uart->loop[0] = byte;
}

static void send(struct uart *uart, uint8_t byte)
{
	uart->idle_polls = 0;
	/* Full for no time at all, which the interrupt controller must see as an edge. */
	uart->thre_interrupt = false;
	update_irq(uart);
	uart->thre_interrupt = true;
	if (looped(uart))
		loop_back(uart, byte);
	else
		console_write(uart->console, &byte, 1);
}

static uint8_t receive(struct uart *uart)
{
	uint8_t byte = 0;

	if (uart->loop_count) {
		byte = uart->loop[0];
		memmove(uart->loop, uart->loop + 1, --uart->loop_count);
	} else if (!looped(uart)) {
		console_listen(uart->console);
		uart->heard |= console_read(uart->console, &byte, 1);
	}
	return byte;
}

/* ------------------------------------------------------------------------------------------- control and status */

static void write_ier(struct uart *uart, uint8_t value)
{
	uint8_t enabled = value & IER_ALL & ~uart->ier;

	/* Enabling it while the transmitter is empty raises it: drivers start their output so, and test for it. */
	if (enabled & IER_THRE)
		uart->thre_interrupt = true;
	uart->ier = value & IER_ALL;
	if (enabled & IER_RECEIVED)
		console_listen(uart->console);
}

static void write_fcr(struct uart *uart, uint8_t value)
{
	if ((value ^ uart->fcr) & FCR_ENABLE)
		uart->loop_count = 0;
	if (!(value & FCR_ENABLE)) {
		uart->fcr = 0;
		return;
	}
	uart->fcr = value & FCR_STORED;
	if (value & FCR_CLEAR_RECEIVE)
		uart->loop_count = 0;
}

/* MSR bits 7 to 4: a peer, with a carrier until the console's input ends; in loopback the outputs of MCR. */
static uint8_t modem_lines(const struct uart *uart)
{
	uint8_t lines = 0;

	if (!looped(uart))
		return (uart->hung_up ? 0 : MSR_DCD) | MSR_DSR | MSR_CTS;
	if (uart->mcr & MCR_RTS)
		lines |= MSR_CTS;
	if (uart->mcr & MCR_DTR)
		lines |= MSR_DSR;
	if (uart->mcr & MCR_OUT1)
		lines |= MSR_RI;
	if (uart->mcr & MCR_OUT2)
		lines |= MSR_DCD;
	return lines;
}

static void note_changes(struct uart *uart, uint8_t before)
{
	uint8_t changed = before ^ modem_lines(uart);

	if (changed & MSR_CTS)
		uart->modem_delta |= MSR_DCTS;
	if (changed & MSR_DSR)
		uart->modem_delta |= MSR_DDSR;
	if (changed & before & MSR_RI) /* only its end counts */
		uart->modem_delta |= MSR_TERI;
	if (changed & MSR_DCD)
		uart->modem_delta |= MSR_DDCD;
}

static void write_mcr(struct uart *uart, uint8_t value)
{
	uint8_t before = modem_lines(uart);

	uart->mcr = value & MCR_ALL;
	note_changes(uart, before);
}

static void look_for_carrier(struct uart *uart)
{
	uint8_t before = modem_lines(uart);

	uart->hung_up = console_input_ended(uart->console);
	note_changes(uart, before);
}

static uint8_t read_lsr(struct uart *uart)
{
	uint8_t lsr = LSR_THRE | LSR_TEMT;

	if (++uart->idle_polls == POLLS_THAT_LISTEN)
		console_listen(uart->console);
	if (received(uart))
		lsr |= LSR_DATA;
	if (uart->overrun)
		lsr |= LSR_OVERRUN;
	uart->overrun = false;
	return lsr;
}

static uint8_t read_msr(struct uart *uart)
{
	uint8_t msr = modem_lines(uart) | uart->modem_delta;

	uart->modem_delta = 0;
	return msr;
}

static bool divisor_access(const struct uart *uart, uint16_t offset)
{
	return (uart->lcr & LCR_DLAB) && offset <= REG_IER;
}

static uint8_t read_register(struct uart *uart, uint16_t offset)
{
	if (divisor_access(uart, offset))
		return (uint8_t)(uart->divisor >> (8 * offset));
	switch (offset) {
	case REG_DATA:
		return receive(uart);
	case REG_IER:
		return uart->ier;
	case REG_IIR_FCR:
		return read_iir(uart);
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		return read_lsr(uart);
	case REG_MSR:
		return read_msr(uart);
	default:
		return uart->scratch;
	}
}

static void write_register(struct uart *uart, uint16_t offset, uint8_t value)
{
	if (divisor_access(uart, offset)) {
		uart->divisor = (uint16_t)((uart->divisor & ~(0xff << (8 * offset))) | value << (8 * offset));
		return;
	}
	switch (offset) {
	case REG_DATA:
		send(uart, value);
		return;
	case REG_IER:
		write_ier(uart, value);
		return;
	case REG_IIR_FCR:
		write_fcr(uart, value);
		return;
	case REG_LCR:
		uart->lcr = value;
		return;
	case REG_MCR:
		write_mcr(uart, value);
		return;
	case REG_SCRATCH:
		uart->scratch = value;
		return;
	default: /* LSR and MSR: for factory tests */
		return;
	}
}

static void access_uart(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct uart *uart = device;

	if (write)
		write_register(uart, offset, (uint8_t)*value);
	else
		*value = read_register(uart, offset);
	uart_update(uart); /* the last byte of input may have been taken */
}

void uart_update(struct uart *uart)
{
	look_for_carrier(uart);
	update_irq(uart);
}

void uart_init(struct uart *uart, struct bus *bus, struct console *console, struct irq_line irq)
{
	*uart = (struct uart){.console = console, .irq = irq, .divisor = DIVISOR_9600};
	bus_register(bus, X86_PORT_COM1, REG_COUNT, 1, access_uart, uart, "uart");
}
