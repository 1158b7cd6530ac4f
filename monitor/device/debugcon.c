/*
 * The debug console at port 0xe9, as Bochs and QEMU have it: a byte written is printed, and reading gives 0xe9, by
 * which a guest knows that the port is there.
 */
#include "hypercalls/x86.h"
#include "monitor/device/console.h"
#include "monitor/device/ports.h"
#include "monitor/vm/vm.h"

static void access_debugcon(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct vm *vm = device;
	uint8_t byte = (uint8_t)*value;

	if (write)
		console_write(vm->console, &byte, 1);
	else
		*value = X86_PORT_DEBUGCON;
}

void debugcon_attach(struct vm *vm)
{
	bus_register(&vm->bus, X86_PORT_DEBUGCON, 1, 1, access_debugcon, vm, "debugcon");
}
