/*
 * Panic: the last words of a guest.
 */
#include "pvguest/internal.h"

static _Noreturn void finish(const struct pvg_frame *frame, const char *format, va_list args)
{
	static bool again;

	pvg_irq_disable();
	if (!again) {
		again = true;
		pvg_puts("pvguest: panic: ");
		pvg_vprintf(format, args);
		pvg_putc('\n');
		if (frame)
			pvg_frame_print(frame);
	}
	pvg_exit(PVG_STATUS_PANIC);
}

_Noreturn void pvg_panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	finish(NULL, format, args);
}

_Noreturn void pvg_panic_frame(const struct pvg_frame *frame, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	finish(frame, format, args);
}
