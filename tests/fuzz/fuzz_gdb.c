/*
 * libFuzzer target: whatever bytes the debugger sends, the framing layer stays within its buffers, a packet that it
 * hands on is one that was sent, and what is answered is a packet again.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/debug/gdb/internal.h"

static struct gdb gdb;
static unsigned numbers;

static unsigned digit_of(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

/* What goes out is an acknowledgement, or one whole packet with the right sum. */
void link_write(struct gdb_link *link, const void *data, size_t len)
{
	const char *text = data;
	uint8_t sum = 0;

	if (len == 1 && (*text == '+' || *text == '-'))
		return;
	if (len < 4 || text[0] != '$' || text[len - 3] != '#' || len > sizeof(gdb.sent))
		abort();
	for (size_t i = 1; i < len - 3; i++) {
		if (text[i] == '$' || text[i] == '#')
			abort();
		sum += (uint8_t)text[i];
	}
	if (digit_of(text[len - 2]) << 4 != (sum & 0xf0u) || digit_of(text[len - 1]) != (sum & 15u))
		abort();
}

/* Sends the body back, once escaped and once in digits, and reads numbers from it. */
static void answer(const struct gdb_parser *p)
{
	uint8_t bytes[GDB_PACKET];
	char hex[GDB_PACKET + 2];
	const char *at = p->body;
	uint64_t number;

	if (p->len > GDB_PACKET || p->body[p->len])
		abort();
	packet_send_data(&gdb, p->body, p->len);
	size_t n = packet_from_hex(bytes, p->body, p->len);
	if (n > p->len / 2)
		abort();
	packet_to_hex(hex, bytes, n);
	for (size_t i = 0; i < 2 * n; i++)
		if ((hex[i] | 0x20) != (p->body[i] | 0x20))
			abort();
	while (packet_number(&at, &number, ','))
		numbers++;
	if (at < p->body || at > p->body + p->len)
		abort();
	packet_send(&gdb, "%s", p->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&gdb, 0, sizeof(gdb));
	for (size_t i = 0; i < size; i++) {
		if (packet_feed(&gdb, data[i]))
			answer(&gdb.parser);
		/* Now and then the two agree to do without acknowledgements. */
		if (data[i] == 0xff)
			gdb.no_ack = true;
	}
	return 0;
}
