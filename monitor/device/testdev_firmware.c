/*
 * What firmware leaves behind, for tests that begin where QEMU's has been.
 */
#include <stdlib.h>

#include "monitor/device/testdev.h"
#include "monitor/vm/vm.h"

#define VECTORS	  256u
#define TICK	  8u
#define HANDLER	  0x4f0u /* where the BIOS data area has room for programs */
#define RETURN	  7u	 /* offset of its IRET */
#define MODE_TICK 0x36u	 /* counter 0, both bytes, square wave; of 65536 */
#define ALL_BUT_2 0xfau	 /* the timer's line, and the second chip's */

/* PUSH AX; MOV AL, 20h; OUT 20h, AL; POP AX; IRET */
static const uint8_t handler[] = {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0x90, 0xcf};

static const struct {
	uint16_t port;
	uint8_t value;
} writes[] = {{0x20, 0x11},
	      {0x21, TICK},
	      {0x21, 4},
	      {0x21, 1},
	      {0x21, ALL_BUT_2},
	      {0xa0, 0x11},
	      {0xa1, 0x70},
	      {0xa1, 2},
	      {0xa1, 1},
	      {0xa1, 0xff},
	      {X86_PORT_PIT + 3, MODE_TICK},
	      {X86_PORT_PIT, 0},
	      {X86_PORT_PIT, 0}};

void testdev_leave_firmware(struct vm *vm)
{
	for (size_t n = 0; n < sizeof(writes) / sizeof(writes[0]); n++) {
		uint32_t value = writes[n].value;
		bus_io(&vm->bus, writes[n].port, 1, true, &value);
	}
	for (uint32_t n = 0; n < VECTORS; n++) {
		uint32_t vector = n == TICK ? HANDLER : HANDLER + RETURN;
		if (!gm_write(&vm->mem, n * sizeof(vector), &vector, sizeof(vector)))
			abort();
	}
	if (!gm_write(&vm->mem, HANDLER, handler, sizeof(handler)))
		abort();
}
