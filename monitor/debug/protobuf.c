/*
 * Messages in the wire format of Protocol Buffers.
 */
#include "monitor/debug/protobuf.h"

#include <string.h>

#define WIRE_VARINT 0
#define WIRE_BYTES  2
#define VARINT_MAX  10

/* Room for a key or a number, whatever it is. */
static uint8_t *room(struct proto *proto, size_t len)
{
	if (PROTO_SIZE - proto->len < len)
		proto->overflow = true;
	return proto->overflow ? NULL : proto->data + proto->len;
}

static void put_varint(struct proto *proto, uint64_t value)
{
	uint8_t *at = room(proto, VARINT_MAX);
	size_t n = 0;

	if (!at)
		return;
	for (; value >= 0x80; value >>= 7)
		at[n++] = (uint8_t)(value | 0x80);
	at[n++] = (uint8_t)value;
	proto->len += n;
}

static void put_key(struct proto *proto, unsigned field, unsigned wire)
{
	put_varint(proto, (uint64_t)field << 3 | wire);
}

void proto_varint(struct proto *proto, unsigned field, uint64_t value)
{
	put_key(proto, field, WIRE_VARINT);
	put_varint(proto, value);
}

void proto_string(struct proto *proto, unsigned field, const char *text)
{
	size_t len = strnlen(text, PROTO_STRING);
	uint8_t *at;

	put_key(proto, field, WIRE_BYTES);
	put_varint(proto, len);
	at = room(proto, len);
	if (!at)
		return;
	memcpy(at, text, len);
	proto->len += len;
}

size_t proto_begin(struct proto *proto, unsigned field)
{
	put_key(proto, field, WIRE_BYTES);
	if (!room(proto, PROTO_LENGTH))
		return 0;
	proto->len += PROTO_LENGTH;
	return proto->len;
}

/* The length takes its two bytes even where one would do, so that nothing has to move. */
void proto_end(struct proto *proto, size_t mark)
{
	size_t len = proto->len - mark;

	if (proto->overflow)
		return;
	proto->data[mark - 2] = (uint8_t)(len | 0x80);
	proto->data[mark - 1] = (uint8_t)(len >> 7);
}
