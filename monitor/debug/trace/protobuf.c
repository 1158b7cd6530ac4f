/*
 * Messages in the wire format of Protocol Buffers.
 */
#include "monitor/debug/trace/protobuf.h"

#include <string.h>

#define WIRE_VARINT 0
#define WIRE_BYTES  2
#define VARINT_MAX  10

/* The end of what is written, if `len` more bytes fit behind it. */
static uint8_t *room(struct proto *proto, size_t len)
{
	if (PROTO_SIZE - proto->len < len)
		proto->overflow = true;
	return proto->overflow ? NULL : proto->data + proto->len;
}

static inline uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

static inline uint8_t *put_key(uint8_t *at, unsigned field, unsigned wire)
{
	return put_varint(at, (uint64_t)field << 3 | wire);
}

static void written(struct proto *proto, const uint8_t *end)
{
	proto->len = (size_t)(end - proto->data);
}

void proto_varint(struct proto *proto, unsigned field, uint64_t value)
{
	uint8_t *at = room(proto, 2 * VARINT_MAX);

	if (at)
		written(proto, put_varint(put_key(at, field, WIRE_VARINT), value));
}

void proto_string(struct proto *proto, unsigned field, const char *text)
{
	size_t len = strnlen(text, PROTO_STRING);
	uint8_t *at = room(proto, 2 * VARINT_MAX + len);

	if (!at)
		return;
	at = put_varint(put_key(at, field, WIRE_BYTES), len);
	memcpy(at, text, len);
	written(proto, at + len);
}

size_t proto_begin(struct proto *proto, unsigned field)
{
	uint8_t *at = room(proto, VARINT_MAX + PROTO_LENGTH);

	if (!at)
		return 0;
	written(proto, put_key(at, field, WIRE_BYTES) + PROTO_LENGTH);
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
