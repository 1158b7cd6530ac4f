/*
 * What core.c and core_notes.c share.
 */
#ifndef MONITOR_DEBUG_CORE_INTERNAL_H
#define MONITOR_DEBUG_CORE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

struct vm;

/* Bytes to become part of the file. */
struct core_buffer {
	uint8_t *data;
	size_t len, room;
};

/* 0 or -ENOMEM. */
int core_append(struct core_buffer *to, const void *data, size_t len);

/* All notes, as a PT_NOTE segment holds them. 0 or -ENOMEM. */
int core_notes(struct vm *vm, struct core_buffer *to);

#endif
