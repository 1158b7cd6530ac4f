/*
 * The console. Output is gathered by line and written when a line ends, the buffer is full, or the guest waits for
 * input or ends. May be used with interrupts on, and from handlers. From the first call of pvg_getc on a terminal on
 * the host is raw, and shows what it gets: each '\n' is written as "\r\n" then, but those of pvg_write, which are
 * bytes.
 */
#ifndef PVGUEST_CONSOLE_H
#define PVGUEST_CONSOLE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <pvguest/language.h>

PVG_BEGIN

void pvg_putc(char c);
void pvg_puts(const char *text); /* adds no newline */
void pvg_write(const char *bytes, size_t len);
void pvg_console_flush(void);

/*
 * %d %i %u %x %X %p %s %c %% with flags 0 - +, width, precision for %s, and l, ll, z. Returns the bytes that the whole
 * text has; pvg_snprintf cuts to size and terminates.
 */
int pvg_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int pvg_vprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
int pvg_snprintf(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int pvg_vsnprintf(char *to, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

#define PVG_NO_INPUT	(-1) /* none waits */
#define PVG_INPUT_ENDED (-2) /* none waits, and none will come */

/* A byte of input, or one of the above. */
int pvg_getc(void);
/*
 * The size of the terminal that the console is; false if it is none, and with pv=off, where a serial line does not
 * tell. PVG_IRQ_CONSOLE comes when it changes.
 */
bool pvg_console_size(unsigned *rows, unsigned *columns);
/* A byte of input, or PVG_INPUT_ENDED; waits for it, idle, with interrupts enabled. */
int pvg_getc_wait(void);

PVG_END

#endif
