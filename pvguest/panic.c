/*
 * Panic: the last words of a guest, on its console and to the monitor.
 */
#include "pvguest/internal.h"

static _Noreturn void finish(const struct pvg_frame *frame, const char *format, va_list args)
{
	static char why[R3_PANIC_MAX + 1] = "panic in a panic";
	static bool again;

	pvg_irq_disable();
	if (!again) {
		again = true;
		pvg_vsnprintf(why, sizeof(why), format, args);
		pvg_printf("pvguest: panic: %s\n", why);
		if (frame)
			pvg_frame_print(frame);
	}
	pvg_console_flush();
	pvg_ops->panic(why);
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
