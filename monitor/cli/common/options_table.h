/*
 * The keys of the options of `ring3 run`, and the table that options.c reads them with.
 */
#ifndef MONITOR_CLI_OPTIONS_TABLE_H
#define MONITOR_CLI_OPTIONS_TABLE_H

#include <argp.h>

/* About 30 years: a deadline in ns stays far from wrapping. */
#define OPTIONS_TIMEOUT_MAX 1e9

/* Bytes of what is said of a disk. */
#define OPTIONS_DISK_MAX 4096

/* Letters are short options; the others have long names only. */
enum options_key {
	OPT_APPEND = 'a',
	OPT_GDB_DEFAULT = 's',
	OPT_GDB_STOP = 'S',
	OPT_MEMORY = 'm',
	OPT_BIOS = 256,
	OPT_BLOCK,
	OPT_BLOCK_SECTOR,
	OPT_BOOT,
	OPT_CDROM,
	OPT_CODE_CACHE,
	OPT_CELLS,
	OPT_CORE,
	OPT_CPU,
	OPT_CPUS,
	OPT_NO_PATCH,
	OPT_DISK,
	OPT_ENGINE,
	OPT_FLOPPY,
	OPT_GDB,
	OPT_JUNIT,
	OPT_KERNEL,
	OPT_MACHINE,
	OPT_MODULE,
	OPT_NARRATE,
	OPT_SCREEN,
	OPT_SCREENSHOT,
	OPT_SMP,
	OPT_STATS,
	OPT_TAP,
	OPT_TIMEOUT,
	OPT_TRACE,
	OPT_TRACE_FILE,
	OPT_TRANSPORT,
	OPT_VIDEO,
};

struct vm_config;

/* Prints one line and says that parsing is to end. */
error_t options_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What --disk, --floppy, --cdrom and --boot say. 0 or as options_refuse. */
error_t options_drive(int key, const char *text, struct vm_config *config);
/* Likewise --screen, --screenshot and --video. */
error_t options_display(int key, const char *text, struct vm_config *config);
/* Likewise --bios. */
error_t options_bios(const char *text, struct vm_config *config);
/*
 * Once all options are read: the image of a disk in a kernel's place, and disks without a kernel, boot with SeaBIOS, if
 * it is installed. As above.
 */
error_t options_take_image(struct vm_config *config);
/* Firmware stands in a kernel's place. As above. */
error_t options_take_bios(struct vm_config *config);

/* Ends with an entry of zeroes. */
extern const struct argp_option options_table[];

#endif
