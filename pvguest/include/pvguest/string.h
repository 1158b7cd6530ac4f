/*
 * Memory and strings. Those without pvg_ are the ones that compilers of C, C++ and Rust call by name; they are weak.
 */
#ifndef PVGUEST_STRING_H
#define PVGUEST_STRING_H

#include <stddef.h>

#include <pvguest/language.h>

PVG_BEGIN

void *memcpy(void *PVG_RESTRICT to, const void *PVG_RESTRICT from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
int bcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *text);

size_t pvg_strlen(const char *text);
int pvg_strcmp(const char *a, const char *b);
int pvg_strncmp(const char *a, const char *b, size_t len);
const char *pvg_strchr(const char *text, char c);
/* Copies, cut to size and terminated; returns the length of `from`. */
size_t pvg_strlcpy(char *to, const char *from, size_t size);
/* Unsigned number in decimal, or hexadecimal after 0x; stops at the first other character. */
unsigned long pvg_strtoul(const char *text);

PVG_END

#endif
