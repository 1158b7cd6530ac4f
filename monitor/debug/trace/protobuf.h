/*
 * Messages in the wire format of Protocol Buffers (protobuf.dev/programming-guides/encoding): varints, byte strings,
 * and messages in messages. Writing only, into a buffer of fixed size.
 */
#ifndef MONITOR_DEBUG_PROTOBUF_H
#define MONITOR_DEBUG_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message within has a length of PROTO_LENGTH bytes, which hold up to 16383: the buffer is no larger. */
#define PROTO_SIZE   4096
#define PROTO_LENGTH 2

struct proto {
	size_t len;
	bool overflow; /* something did not fit: the message is not to be used */
	uint8_t data[PROTO_SIZE];
};

static inline void proto_reset(struct proto *proto)
{
	proto->len = 0;
	proto->overflow = false;
}

void proto_varint(struct proto *proto, unsigned field, uint64_t value);
/* At most PROTO_STRING bytes of text are taken. */
#define PROTO_STRING 255
void proto_string(struct proto *proto, unsigned field, const char *text);
/* A message within: what is written up to proto_end is in it. proto_begin returns what proto_end wants. */
size_t proto_begin(struct proto *proto, unsigned field);
void proto_end(struct proto *proto, size_t mark);

#endif
