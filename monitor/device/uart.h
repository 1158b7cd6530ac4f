/*
 * A 16550A UART on the console.
 */
#ifndef MONITOR_DEVICE_UART_H
#define MONITOR_DEVICE_UART_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/vm/bus.h"

struct console;

#define UART_FIFO 16

struct uart {
	struct console *console;
	struct irq_line irq;
	uint8_t ier, fcr, lcr, mcr, scratch;
	uint16_t divisor;
	uint8_t modem_delta; /* MSR bits 3 to 0 */
	bool hung_up;	     /* the console's input has ended: no carrier any more */
	bool overrun;
	bool thre_interrupt;	 /* the transmitter became empty and nobody was told yet */
	uint8_t loop[UART_FIFO]; /* received in loopback mode */
	unsigned loop_count;
	unsigned idle_polls; /* reads of LSR since anything was sent */
	bool heard;	     /* the guest has taken what was typed: what follows is for it too */
};

void uart_init(struct uart *uart, struct bus *bus, struct console *console, struct irq_line irq);
/* The guest listens to the line: what is typed is for it. */
bool uart_listens(const struct uart *uart);
/* Console input may have come, gone or ended: brings the interrupt line up to date. */
void uart_update(struct uart *uart);

#endif
