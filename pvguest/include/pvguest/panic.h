/*
 * The end of a guest that cannot go on: a message, the registers, exit status PVG_STATUS_PANIC.
 */
#ifndef PVGUEST_PANIC_H
#define PVGUEST_PANIC_H

#include <pvguest/language.h>

PVG_BEGIN

struct pvg_frame;

PVG_NORETURN void pvg_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* With the registers of a trap frame. */
PVG_NORETURN void pvg_panic_frame(const struct pvg_frame *frame, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Always compiled in. */
#define pvg_assert(condition)                                                                                          \
	((condition) ? (void)0 : pvg_panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition))

PVG_END

#endif
