/*
 * Where everything lies: the guest's physical and virtual addresses as the monitor hands them out.
 *
 *   guest-physical                                      guest-virtual (one cell)
 *
 *   RAM end  +---------------------------+              2^64      +-----------------------------------+
 *            | modules, from the top down|                        | does not exist for code that runs |
 *            | page-aligned              |                        | directly: Linux keeps it          |
 *            +---------------------------+              2^47      +-----------------------------------+
 *            | free RAM                  |                        | PML4 slot 255: the monitor's hole |
 *            +---------------------------+                        | (gate, signal stack, mapper)      |
 *            | image: PT_LOAD by p_paddr |  GATE_HOLE_START       +-----------------------------------+
 *   1 MiB    +---------------------------+                        | the guest's own; RAM is mapped    |
 *            | reserved                  |                        | here at its physical address      |
 *   640 KiB  +---------------------------+                        | until the guest loads a root of   |
 *            | boot page tables, GDT,    |                        | its own                           |
 *            | start info, command line  |              mmap_min_ +-----------------------------------+
 *   64 KiB   +---------------------------+              addr      | the host maps nothing here        |
 *            | reserved                  |              0         +-----------------------------------+
 *   0        +---------------------------+
 *
 * The bounds of the physical side are in image.h. Usable from C and assembly.
 */
#ifndef MONITOR_VM_LAYOUT_H
#define MONITOR_VM_LAYOUT_H

/* A PC's memory: base memory, then adapters and firmware up to 1 MiB; and the devices' hole below 4 GiB. */
#define PC_LOW_END	  0x9fc00u
#define PC_FIRMWARE_START 0xe0000u
#define PC_HOLE_START	  0xc0000000u
#define PC_HOLE_END	  0x100000000u

/* Bottom of PML4 slot 255: the first guest-virtual address that is not the guest's. */
#define GATE_HOLE_START 0x7f8000000000
/* End of what the gate takes of the hole (engine/trap/gate.h). */
#define LAYOUT_GATE_END 0x7f8010000000
/* First address above the lower canonical half. */
#define GVA_LOWER_END 0x800000000000
/* First address above what Linux gives a process (TASK_SIZE_MAX). */
#define LAYOUT_TASK_END 0x7ffffffff000

#endif
