/*
 * The console: a line buffer before pvg_ops->console_write, and input. A line goes out in one exit, not a byte each.
 */
#include "pvguest/internal.h"

#define BUFFER_SIZE 1024

static char buffer[BUFFER_SIZE];
static size_t used;
/* Where input is wanted, a terminal on the host is raw: lines end as terminals want it. */
static bool listened;

static void flush_masked(void)
{
	size_t len = used;

	used = 0;
	if (len)
		pvg_ops->console_write(buffer, len);
}

static void put_byte(char c)
{
	buffer[used++] = c;
	if (c == '\n' || used == BUFFER_SIZE)
		flush_masked();
}

static void put_masked(void *arg, char c)
{
	(void)arg;
	if (c == '\n' && listened)
		put_byte('\r');
	put_byte(c);
}

void pvg_console_flush(void)
{
	bool enabled = pvg_irq_save();

	flush_masked();
	pvg_irq_restore(enabled);
}

void pvg_write(const char *bytes, size_t len)
{
	bool enabled = pvg_irq_save();

	for (; len; len--)
		put_byte(*bytes++);
	pvg_irq_restore(enabled);
}

void pvg_putc(char c)
{
	bool enabled = pvg_irq_save();

	put_masked(NULL, c);
	pvg_irq_restore(enabled);
}

void pvg_puts(const char *text)
{
	bool enabled = pvg_irq_save();

	while (*text)
		put_masked(NULL, *text++);
	pvg_irq_restore(enabled);
}

int pvg_vprintf(const char *format, va_list args)
{
	bool enabled = pvg_irq_save();
	int count = pvg_format(put_masked, NULL, format, args);

	pvg_irq_restore(enabled);
	return count;
}

int pvg_printf(const char *format, ...)
{
	va_list args;
	int count;

	va_start(args, format);
	count = pvg_vprintf(format, args);
	va_end(args);
	return count;
}

int pvg_getc(void)
{
	listened = true;
	return pvg_ops->console_read();
}

bool pvg_console_size(unsigned *rows, unsigned *columns)
{
	int64_t size = pvg_ops->console_size ? pvg_ops->console_size() : 0;

	if (size <= 0)
		return false;
	*rows = (unsigned)size >> 16;
	*columns = (unsigned)size & 0xffff;
	return true;
}

/* The interrupt itself is the message: it ends pvg_halt. */
static void input_arrived(void *arg)
{
	(void)arg;
}

int pvg_getc_wait(void)
{
	static bool listening;
	bool enabled = pvg_irq_save();
	int c;

	pvg_console_flush();
	if (!listening) {
		listening = true;
		if (pvg_irq_register(PVG_IRQ_CONSOLE, input_arrived, NULL))
			pvg_panic("no interrupt for console input");
	}
	while ((c = pvg_getc()) == PVG_NO_INPUT) {
		pvg_halt();
		pvg_irq_disable();
	}
	pvg_irq_restore(enabled);
	return c;
}
