/*
 * The exit port 0xf4: writing v (a byte, word or long) ends the guest with exit status v, 0 to 119. QEMU's
 * isa-debug-exit at the same port ends with (v << 1) | 1 instead, never 0, as this does with --machine testdev; a guest
 * that runs under both passes the value it wants and lets the caller know which of the two it started.
 */
#include "hypercalls/abi.h"
#include "hypercalls/x86.h"
#include "monitor/device/ports.h"
#include "monitor/vm/vm.h"

#define WIDTH 4

static void access_exit(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct vm *vm = device;

	if (!write)
		*value = 0;
	else if (vm->config->testdev)
		vm_end(vm, (int)(*value << 1 | 1) & 0xff);
	else if (*value <= R3_EXIT_MAX)
		vm_end(vm, (int)*value);
	else
		vm_kill(vm, "exit port: status %u written to port 0x%x, a guest's status is 0 to %d", *value,
			X86_PORT_EXIT, R3_EXIT_MAX);
}

void exit_port_attach(struct vm *vm)
{
	bus_register(&vm->bus, X86_PORT_EXIT, WIDTH, WIDTH, access_exit, vm, "exit");
}
