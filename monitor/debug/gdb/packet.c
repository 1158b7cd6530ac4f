/*
 * Packets of the remote protocol: $body#checksum, acknowledged until both sides agree not to.
 */
#include <stdarg.h>
#include <string.h>

#include "monitor/debug/gdb/internal.h"

#define CTRL_C	    0x03
#define ESCAPE	    '}'
#define ESCAPE_FLIP 0x20

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void packet_to_hex(char *to, const void *from, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = from;

	for (size_t i = 0; i < len; i++) {
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 15];
	}
}

size_t packet_from_hex(void *to, const char *from, size_t digits)
{
	uint8_t *bytes = to;
	size_t n = 0;

	for (; n < digits / 2; n++) {
		int high = digit(from[2 * n]), low = digit(from[2 * n + 1]);
		if (high < 0 || low < 0)
			break;
		bytes[n] = (uint8_t)(high << 4 | low);
	}
	return n;
}

bool packet_number(const char **at, uint64_t *value, char end)
{
	const char *start = *at;

	*value = 0;
	while (digit(**at) >= 0 && *at - start < 16)
		*value = *value << 4 | (uint64_t)digit(*(*at)++);
	if (*at == start || **at != end)
		return false;
	if (end)
		(*at)++;
	return true;
}

/* ------------------------------------------------------------------------------------------------------- receiving */

static void acknowledge(struct gdb *gdb, bool good)
{
	if (!gdb->no_ack)
		link_write(&gdb->link, good ? "+" : "-", 1);
}

static void add(struct gdb_parser *p, char c)
{
	if (p->len < GDB_PACKET)
		p->body[p->len++] = c;
	else
		p->too_long = true;
}

static void feed_idle(struct gdb *gdb, uint8_t byte)
{
	struct gdb_parser *p = &gdb->parser;

	if (byte == '$')
		*p = (struct gdb_parser){.state = PARSE_BODY};
	else if (byte == CTRL_C)
		gdb->stop_asked = true;
	else if (byte == '-' && !gdb->no_ack && gdb->sent_len)
		link_write(&gdb->link, gdb->sent, gdb->sent_len);
}

static void feed_body(struct gdb_parser *p, uint8_t byte)
{
	if (p->state == PARSE_ESCAPE) {
		p->sum += byte;
		add(p, (char)(byte ^ ESCAPE_FLIP));
		p->state = PARSE_BODY;
	} else if (byte == '#') {
		p->state = PARSE_SUM1;
	} else if (byte == '$') {
		/* The rest of the one before was lost. */
		*p = (struct gdb_parser){.state = PARSE_BODY};
	} else {
		p->sum += byte;
		if (byte == ESCAPE)
			p->state = PARSE_ESCAPE;
		else
			add(p, (char)byte);
	}
}

static bool finish(struct gdb *gdb, uint8_t byte)
{
	struct gdb_parser *p = &gdb->parser;
	int high = digit((char)p->wanted), low = digit((char)byte);
	bool good = high >= 0 && low >= 0 && (high << 4 | low) == p->sum;

	p->state = PARSE_IDLE;
	acknowledge(gdb, good || gdb->no_ack);
	if (!good && !gdb->no_ack)
		return false;
	if (p->too_long) {
		packet_send(gdb, "E.packet longer than PacketSize");
		return false;
	}
	p->body[p->len] = '\0';
	return true;
}

bool packet_feed(struct gdb *gdb, uint8_t byte)
{
	struct gdb_parser *p = &gdb->parser;

	switch (p->state) {
	case PARSE_IDLE:
		feed_idle(gdb, byte);
		return false;
	case PARSE_BODY:
	case PARSE_ESCAPE:
		feed_body(p, byte);
		return false;
	case PARSE_SUM1:
		p->wanted = byte;
		p->state = PARSE_SUM2;
		return false;
	case PARSE_SUM2:
		return finish(gdb, byte);
	}
	return false;
}

/* --------------------------------------------------------------------------------------------------------- sending */

void packet_send_data(struct gdb *gdb, const void *data, size_t len)
{
	const uint8_t *from = data;
	uint8_t sum = 0;
	size_t n = 0;

	gdb->sent[n++] = '$';
	for (size_t i = 0; i < len && n < sizeof(gdb->sent) - 5; i++) {
		uint8_t c = from[i];
		if (c == '$' || c == '#' || c == ESCAPE || c == '*') {
			gdb->sent[n++] = ESCAPE;
			sum += ESCAPE;
			c ^= ESCAPE_FLIP;
		}
		gdb->sent[n++] = (char)c;
		sum += c;
	}
	gdb->sent[n++] = '#';
	packet_to_hex(gdb->sent + n, &sum, 1);
	gdb->sent_len = n + 2;
	link_write(&gdb->link, gdb->sent, gdb->sent_len);
}

void packet_send(struct gdb *gdb, const char *format, ...)
{
	char text[GDB_PACKET];
	va_list args;

	va_start(args, format);
	int len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	packet_send_data(gdb, text, len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1);
}
