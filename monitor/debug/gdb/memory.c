/*
 * Memory packets: m and M in digits, x and X in bytes; by the page tables in force, or guest-physical.
 */
#include <errno.h>
#include <string.h>

#include "monitor/debug/gdb/internal.h"

static size_t read_memory(struct gdb *gdb, uint64_t address, void *to, size_t len)
{
	if (!gdb->physical)
		return gm_peek(gdb_vcpu(gdb), address, to, len);
	const struct guest_mem *mem = &gdb->vm->mem;
	if (address >= mem->size)
		return 0;
	if (len > mem->size - address)
		len = mem->size - address;
	return gm_read(mem, address, to, len) ? len : 0;
}

static bool write_memory(struct gdb *gdb, uint64_t address, const void *from, size_t len)
{
	if (gdb->physical)
		return gm_write(&gdb->vm->mem, address, from, len);
	return gm_poke(gdb_vcpu(gdb), address, from, len) == len;
}

static void send_bytes(struct gdb *gdb, char letter, uint64_t address, uint64_t len)
{
	uint8_t data[GDB_PACKET / 2];
	char text[GDB_PACKET];
	size_t n = read_memory(gdb, address, data, len < sizeof(data) - 1 ? len : sizeof(data) - 1);

	if (!n && len) {
		packet_send(gdb, "E%02x", EFAULT);
	} else if (letter == 'm') {
		packet_to_hex(text, data, n);
		packet_send_data(gdb, text, 2 * n);
	} else {
		text[0] = 'b';
		memcpy(text + 1, data, n);
		packet_send_data(gdb, text, n + 1);
	}
}

void memory_packet(struct gdb *gdb, char letter, char *body, size_t len)
{
	uint8_t data[GDB_PACKET];
	const char *at = body;
	uint64_t address, count;
	bool reads = letter == 'm' || letter == 'x';

	if (!packet_number(&at, &address, ',') || !packet_number(&at, &count, reads ? '\0' : ':')) {
		packet_send(gdb, "E%02x", EINVAL);
		return;
	}
	if (reads) {
		send_bytes(gdb, letter, address, count);
		return;
	}
	size_t rest = len - (size_t)(at - body);
	size_t n = letter == 'M' ? packet_from_hex(data, at, rest) : rest;
	if (letter == 'X')
		memcpy(data, at, rest);
	if (n != count)
		packet_send(gdb, "E%02x", EINVAL);
	else if (!write_memory(gdb, address, data, n))
		packet_send(gdb, "E%02x", EFAULT);
	else
		packet_send(gdb, "OK");
}
