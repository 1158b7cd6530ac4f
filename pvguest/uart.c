/*
 * The console of pv=off: a 16550 at COM1, and for output the debug console port where there is one, since REP OUTSB
 * sends it a whole line in one exit.
 */
#include "pvguest/internal.h"
#include "pvguest/pc.h"

static bool has_debugcon(void)
{
	static enum { UNKNOWN, ABSENT, PRESENT } debugcon;

	if (debugcon == UNKNOWN)
		debugcon = pvg_inb(X86_PORT_DEBUGCON) == X86_PORT_DEBUGCON ? PRESENT : ABSENT;
	return debugcon == PRESENT;
}

void pvg_uart_write(const char *bytes, size_t len)
{
	if (has_debugcon()) {
		pvg_outsb(X86_PORT_DEBUGCON, bytes, len);
		return;
	}
	for (; len; len--) {
		while (!(pvg_inb(X86_PORT_COM1 + UART_LSR) & UART_LSR_THR_EMPTY))
			__asm__ volatile("pause");
		pvg_outb(X86_PORT_COM1 + UART_DATA, (uint8_t)*bytes++);
	}
}

int pvg_uart_read(void)
{
	if (pvg_inb(X86_PORT_COM1 + UART_LSR) & UART_LSR_RECEIVED)
		return pvg_inb(X86_PORT_COM1 + UART_DATA);
	return pvg_inb(X86_PORT_COM1 + UART_MSR) & UART_MSR_CARRIER ? PVG_NO_INPUT : PVG_INPUT_ENDED;
}

void pvg_uart_listen(void)
{
	pvg_outb(X86_PORT_COM1 + UART_FCR, UART_FCR_ENABLE);
	pvg_outb(X86_PORT_COM1 + UART_MCR, UART_MCR_OUT2);
	pvg_outb(X86_PORT_COM1 + UART_IER, UART_IER_RECEIVED | UART_IER_MODEM);
}
