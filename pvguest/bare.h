/*
 * What bare.S and bare.c agree on: how the guest was started, where not by its own monitor.
 */
#ifndef PVGUEST_BARE_H
#define PVGUEST_BARE_H

#include "hypercalls/x86.h"

/* In RSI; 0 is the monitor's way. Multiboot's is its own magic number. */
#define PVG_BARE_PVH	   1
#define PVG_BARE_MULTIBOOT 0x2badb002

/* Of physical memory, at its own address. */
#define PVG_BARE_MAPPED (R3_U64(4) << X86_HUGE_SHIFT)

#ifndef __ASSEMBLER__
#include <stdint.h>

#include "hypercalls/start_info.h"

/* What is told at gpa, as the monitor would have told it; and the processor as it would have set it up. */
const struct hvm_start_info *pvg_bare_info(uint64_t way, uint64_t gpa);
#endif

#endif
