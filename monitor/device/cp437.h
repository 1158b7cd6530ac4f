/*
 * Characters of the PC's text screen (code page 437, control characters as their pictures) in UTF-8.
 */
#ifndef MONITOR_DEVICE_CP437_H
#define MONITOR_DEVICE_CP437_H

#include <stdint.h>

#define CP437_UTF8_MAX 4 /* bytes, the final zero among them */

/* Writes a printable character, whatever byte it is: never a control character. A string. */
void cp437_to_utf8(uint8_t character, char text[CP437_UTF8_MAX]);

#endif
