/*
 * Hypercalls: console output and input, copied through a small buffer.
 */
#include "hypercalls/host/hc_internal.h"
#include "monitor/device/console.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

#define CHUNK 4096

int64_t hc_call_console_write(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint64_t buf = arg[0], len = arg[1];
	uint8_t chunk[CHUNK];
	struct gm_fault fault;

	if (len > R3_CONSOLE_MAX)
		return -R3_EINVAL;
	for (uint64_t done = 0; done < len;) {
		uint64_t n = len - done < CHUNK ? len - done : CHUNK;

		if (!gm_read_gva(vcpu, buf + done, chunk, n, GM_CPL, &fault))
			return done ? (int64_t)done : -R3_EFAULT;
		console_write(vcpu->vm->console, chunk, n);
		done += n;
	}
	return (int64_t)len;
}

int64_t hc_call_console_size(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint16_t columns, rows = console_rows(vcpu->vm->console, &columns);

	return (int64_t)rows << 16 | columns;
}

/* At most one chunk a call: a short count is an answer. */
int64_t hc_call_console_read(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	struct console *console = vcpu->vm->console;
	uint64_t buf = arg[0], len = arg[1] < CHUNK ? arg[1] : CHUNK;
	size_t waiting;
	uint8_t chunk[CHUNK];
	struct gm_fault fault;

	console_listen(console);
	if (len && console_input_ended(console))
		return -R3_EPIPE;
	waiting = console_input_pending(console);
	if (len > waiting)
		len = waiting;
	if (!gm_probe_write_gva(vcpu, buf, len, GM_CPL, &fault))
		return -R3_EFAULT;
	len = console_read(console, chunk, len);
	return gm_write_gva(vcpu, buf, chunk, len, GM_CPL, &fault) ? (int64_t)len : -R3_EFAULT;
}
