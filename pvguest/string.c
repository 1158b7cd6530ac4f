/*
 * Memory and strings. The functions that compilers call by name are weak: a guest may bring better ones.
 */
#include "pvguest/internal.h"

#define WEAK __attribute__((weak))

WEAK void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	void *result = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len) : : "memory");
	return result;
}

WEAK void *memset(void *to, int byte, size_t len)
{
	void *result = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(byte) : "memory");
	return result;
}

WEAK void *memmove(void *to, const void *from, size_t len)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if (d <= s || d >= s + len)
		return memcpy(to, from, len);
	d += len - 1;
	s += len - 1;
	__asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(len) : : "memory", "cc");
	return to;
}

WEAK int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	for (; len; len--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

WEAK int bcmp(const void *a, const void *b, size_t len)
{
	return memcmp(a, b, len);
}

WEAK size_t strlen(const char *text)
{
	return pvg_strlen(text);
}

size_t pvg_strlen(const char *text)
{
	size_t len = 0;

	while (text[len])
		len++;
	return len;
}

int pvg_strcmp(const char *a, const char *b)
{
	return pvg_strncmp(a, b, SIZE_MAX);
}

int pvg_strncmp(const char *a, const char *b, size_t len)
{
	for (; len; len--, a++, b++)
		if (*a != *b || !*a)
			return (uint8_t)*a - (uint8_t)*b;
	return 0;
}

const char *pvg_strchr(const char *text, char c)
{
	for (; *text != c; text++)
		if (!*text)
			return NULL;
	return text;
}

size_t pvg_strlcpy(char *to, const char *from, size_t size)
{
	size_t len = pvg_strlen(from);

	if (size) {
		size_t part = len < size - 1 ? len : size - 1;

		memcpy(to, from, part);
		to[part] = '\0';
	}
	return len;
}

unsigned long pvg_strtoul(const char *text)
{
	unsigned base = 10;
	unsigned long value = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	for (;; text++) {
		unsigned digit;

		if (*text >= '0' && *text <= '9')
			digit = (unsigned)(*text - '0');
		else if (base == 16 && (*text | 0x20) >= 'a' && (*text | 0x20) <= 'f')
			digit = (unsigned)((*text | 0x20) - 'a') + 10;
		else
			return value;
		value = value * base + digit;
	}
}
