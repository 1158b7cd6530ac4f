/*
 * Where two outputs part.
 */
#include <ctype.h>
#include <string.h>

#include "monitor/cli/compare/internal.h"

/* The line that begins at `start`, in printable characters, as far as there is room. */
static void show(const char *from, size_t len, size_t start, char *text, size_t size)
{
	size_t used = 0;
	for (size_t n = start; n < len && from[n] != '\n' && used + sizeof("\\xNN") <= size; n++) {
		unsigned char c = (unsigned char)from[n];
		if (c >= ' ' && c < 0x7f)
			text[used++] = (char)c;
		else
			used += (size_t)snprintf(text + used, size - used, "\\x%02x", c);
	}
	text[used] = '\0';
}

bool compare_outputs(const char *a, size_t a_len, const char *b, size_t b_len, struct compare_line *at)
{
	size_t start = 0, n = 0;
	*at = (struct compare_line){.number = 1};
	for (; n < a_len && n < b_len && a[n] == b[n]; n++) {
		if (a[n] == '\n') {
			at->number++;
			start = n + 1;
		}
	}
	if (n == a_len && n == b_len)
		return false;
	show(a, a_len, start, at->text[0], sizeof(at->text[0]));
	show(b, b_len, start, at->text[1], sizeof(at->text[1]));
	return true;
}
