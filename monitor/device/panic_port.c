/*
 * The panic port 0x505, as QEMU's pvpanic has it: a kernel that cannot go on writes the event, by bits, and reading
 * gives those that are known. Ours ends the guest. The port beside it takes the reason, byte by byte, before the event.
 */
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/device/ports.h"
#include "monitor/vm/vm.h"

static void access_panic(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct vm *vm = device;

	if (!write)
		*value = X86_PANIC_PANICKED;
	else if (*value & X86_PANIC_PANICKED)
		vm_panic(vm, vm->last_words[0] ? vm->last_words : "its console says why");
}

static void access_text(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	char *words = ((struct vm *)device)->last_words;
	size_t len = strnlen(words, R3_PANIC_MAX);

	if (!write)
		*value = 0;
	else if (len < R3_PANIC_MAX)
		words[len] = (char)*value;
}

void panic_port_attach(struct vm *vm)
{
	bus_register(&vm->bus, X86_PORT_PANIC, 1, 1, access_panic, vm, "panic");
	bus_register(&vm->bus, X86_PORT_PANIC_TEXT, 1, 1, access_text, vm, "panic text");
}
