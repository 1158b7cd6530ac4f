/*
 * Port 0x402 as QEMU's isa-debugcon has it: a byte written is text, and reading gives 0xe9, by which firmware knows
 * that somebody listens.
 */
#include "monitor/device/firmware_log.h"

#define LISTENS 0xe9

static void access_log(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct firmware_log *log = device;

	if (write)
		log->text[log->written++ % FIRMWARE_LOG_BYTES] = (char)*value;
	else
		*value = LISTENS;
}

void firmware_log_init(struct firmware_log *log, struct bus *bus)
{
	log->written = 0;
	bus_register(bus, FIRMWARE_LOG_PORT, 1, 1, access_log, log, "firmware-log");
}

static char at(const struct firmware_log *log, uint64_t position)
{
	return log->text[position % FIRMWARE_LOG_BYTES];
}

bool firmware_log_print(const struct firmware_log *log, unsigned lines, FILE *out)
{
	uint64_t oldest = log->written > FIRMWARE_LOG_BYTES ? log->written - FIRMWARE_LOG_BYTES : 0,
		 from = log->written;
	bool begins = true;

	if (!log->written)
		return false;
	/* The end of the last line begins no line. */
	for (from--; from > oldest; from--)
		if (at(log, from - 1) == '\n' && !--lines)
			break;
	for (; from < log->written; from++) {
		char c = at(log, from);

		if (c == '\r')
			continue;
		if (begins && c != '\n')
			fputs("  ", out);
		begins = c == '\n';
		fputc(c == '\n' || (c >= ' ' && c < 0x7f) ? c : '.', out);
	}
	if (!begins)
		fputc('\n', out);
	return true;
}
