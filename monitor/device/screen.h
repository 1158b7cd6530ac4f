/*
 * What the guest shows on its VGA, painted on a terminal of the host: in colour, with the cursor, as text that this
 * file alone composes. At a fixed rate, and then only what has changed.
 */
#ifndef MONITOR_DEVICE_SCREEN_H
#define MONITOR_DEVICE_SCREEN_H

#include "monitor/device/vbe.h"
#include "monitor/device/vga.h"
#include "monitor/host/timer.h"

struct vm;
struct screen;

/*
 * Paints on the terminal fd, which stays the caller's, from now on. console_restore_terminal leaves the last picture
 * where it is. NULL: no memory.
 */
struct screen *screen_open(struct vm *vm, const struct vga *vga, const struct vbe *vbe, int fd);
void screen_close(struct screen *screen);
/* Paints what has changed, out of turn. */
void screen_paint(struct screen *screen);

#endif
