/*
 * Where everything lies: the guest's physical and virtual addresses as the monitor hands them out.
 *
 *   guest-physical                                      guest-virtual (one cell)
 *
 *   RAM end  +---------------------------+              2^64      +-----------------------------------+
 *            | modules, from the top down|                        | directly: Linux keeps it          |
 *            | page-aligned              |              2^47      +-----------------------------------+
 *            +---------------------------+                        | the guest's own                   |
 *            | free RAM                  |  GATE_HOLE_END         +-----------------------------------+
 *            +---------------------------+                        | PML4 slot 127: the monitor's hole |
 *            | image: PT_LOAD by p_paddr |                        | (gate, signal stack, mapper)      |
 *   1 MiB    +---------------------------+  GATE_HOLE_START       +-----------------------------------+
 *            | reserved                  |                        | the guest's own; RAM is mapped    |
 *   640 KiB  +---------------------------+                        | here at its physical address      |
 *            | boot page tables, GDT,    |                        | until the guest loads a root of   |
 *            | start info, command line  |                        | its own                           |
 *   64 KiB   +---------------------------+              mmap_min_ +-----------------------------------+
 *            | reserved                  |              addr      | the host maps nothing here        |
 *   0        +---------------------------+              0         +-----------------------------------+
 *
 * The bounds of the physical side are in image.h. Usable from C and assembly.
 */
#ifndef MONITOR_VM_LAYOUT_H
#define MONITOR_VM_LAYOUT_H

/* A PC's memory: base memory, then adapters and firmware up to 1 MiB; and the devices' hole below 4 GiB. */
#define PC_LOW_END	  0x9fc00u
#define PC_FIRMWARE_START 0xe0000u
#define PC_RSDP		  PC_FIRMWARE_START /* ACPI's root pointer */
#define PC_HOLE_START	  0xc0000000u
#define PC_HOLE_END	  0x100000000u
#define PC_VIDEO	  0xe0000000u /* a display's memory: where the BIOS of a VGA without PCI has it */
#define PC_VIDEO_BYTES	  0x1000000u
#define PC_ROM_START	  0xfffc0000u /* the last of the hole is a ROM's */

/*
 * PML4 slot 127, which is not the guest's where its code runs directly. No allocator of a program or kernel picks it
 * unasked: stacks and mappings grow down from 2^47, heaps up from the image, Go's from 0xc000000000, sanitizers'
 * shadows lie at 0x7fff8000 and 0x10007fff8000.
 */
#define GATE_HOLE_START 0x3f8000000000
#define GATE_HOLE_END	0x400000000000
/* End of what the gate takes of the hole (engine/trap/gate.h). */
#define LAYOUT_GATE_END 0x3f8014000000
/* First address above the lower canonical half. */
#define GVA_LOWER_END 0x800000000000
/* First address above what Linux gives a process (TASK_SIZE_MAX). */
#define LAYOUT_TASK_END 0x7ffffffff000

#endif
