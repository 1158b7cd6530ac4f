/*
 * The devices that a machine is made of. Each has its list of state in state.c.
 */
#ifndef MONITOR_DEVICE_INTERNAL_H
#define MONITOR_DEVICE_INTERNAL_H

#include "monitor/device/acpi_pm.h"
#include "monitor/device/ata.h"
#include "monitor/device/atapi.h"
#include "monitor/device/bios_files.h"
#include "monitor/device/dma.h"
#include "monitor/device/firmware_log.h"
#include "monitor/device/floppy.h"
#include "monitor/device/fw_cfg.h"
#include "monitor/device/hpet.h"
#include "monitor/device/i8042.h"
#include "monitor/device/ioapic.h"
#include "monitor/device/lapic.h"
#include "monitor/device/pci.h"
#include "monitor/device/pic.h"
#include "monitor/device/pit.h"
#include "monitor/device/rom.h"
#include "monitor/device/rtc.h"
#include "monitor/device/solo5.h"
#include "monitor/device/testdev.h"
#include "monitor/device/uart.h"
#include "monitor/device/vbe.h"
#include "monitor/device/vga.h"

struct machine {
	struct pic pic;
	struct pit pit;
	struct uart uart;
	struct ata ata; /* if there are disks */

	struct solo5 solo5; /* of MACHINE_SOLO5 alone */

	/* Of MACHINE_PC alone. */
	struct dma dma;
	struct floppy floppy; /* if there are disks for it */
	struct atapi atapi;   /* if there is a disc for it */
	struct rtc rtc;
	struct i8042 keyboard;
	struct vga vga;
	struct vbe vbe;		/* if it has memory */
	struct screen *screen;	/* on a terminal of the host; NULL: none */
	struct console *typing; /* what is typed at the screen's keyboard; NULL: at the console */
	struct acpi_pm pm;
	struct pci pci;
	struct lapic lapic; /* the first processor's */
	struct ioapic ioapic;
	struct hpet hpet;
	bool has_apics;
	struct fw_cfg fw_cfg;
	struct testdev testdev; /* if asked for */

	/* Of one that starts with firmware. */
	struct rom rom;
	struct bios_files bios_files;
	struct firmware_log firmware_log;
};

#endif
