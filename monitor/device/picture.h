/*
 * Graphics as an image.
 */
#ifndef MONITOR_DEVICE_PICTURE_H
#define MONITOR_DEVICE_PICTURE_H

#include "monitor/device/vbe.h"
#include "monitor/device/vga.h"

/*
 * Writes what is shown as PPM (P6): modes of `vbe`, and mode 13h of `vga`, whose planes are not kept. False, and
 * nothing written, if it is text or another mode.
 */
bool picture_write(const struct vga *vga, const struct vbe *vbe, const struct guest_mem *mem, FILE *out);

#endif
