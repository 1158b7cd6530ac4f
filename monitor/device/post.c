/*
 * The POST port 0x80: what a guest writes there are progress codes of its start-up. The last ones are kept, and the
 * first changes are noted as boot marks with their time. Reading gives the last code, as the latch on a PC does.
 */
#include <stdio.h>

#include "hypercalls/x86.h"
#include "monitor/device/ports.h"
#include "monitor/vm/vm.h"

/* Guests also write here to pass the time: they must not use up the marks that the monitor itself wants to set. */
#define MARKS_MAX (STATS_MARKS / 2)

#define CODES 256

static uint8_t last_code(const struct stats *stats)
{
	return stats->post_count ? stats->post_codes[(stats->post_count - 1) % sizeof(stats->post_codes)] : 0;
}

static void mark(struct stats *stats, uint8_t code)
{
	static char names[CODES][sizeof("post 0x00")]; /* marks keep the pointer */

	if (stats->mark_count >= MARKS_MAX)
		return;
	snprintf(names[code], sizeof(names[code]), "post 0x%02x", code);
	stats_mark(stats, names[code]);
}

static void access_post(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct stats *stats = &((struct vm *)device)->stats;
	uint8_t code = (uint8_t)*value;

	if (!write) {
		*value = last_code(stats);
		return;
	}
	if (stats->post_count == 0 || code != last_code(stats))
		mark(stats, code);
	stats->post_codes[stats->post_count++ % sizeof(stats->post_codes)] = code;
}

void post_attach(struct vm *vm)
{
	bus_register(&vm->bus, X86_PORT_POST, 1, 1, access_post, vm, "post");
}
