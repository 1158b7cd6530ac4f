/*
 * The machine: RAM, vCPUs, devices, shadow page tables, and how it ended.
 */
#ifndef MONITOR_VM_VM_H
#define MONITOR_VM_VM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "monitor/host/disk_file.h"
#include "monitor/host/timer.h"
#include "monitor/vm/bus.h"
#include "monitor/vm/cpu.h"
#include "monitor/vm/cpu_model.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/observer.h"
#include "monitor/vm/stats.h"
#include "monitor/vm/vcpu.h"

#define VM_MODULES_MAX	16
#define VM_BLOCKS_MAX	64
#define VM_DISKS_MAX	2
#define VM_FLOPPIES_MAX 2

/* Exit statuses of the process; 0 to 119 belong to the guest. */
enum vm_status {
	VM_STATUS_CRASH = 120, /* triple fault, or killed by a rule */
	VM_STATUS_TIMEOUT = 124,
	VM_STATUS_HOST = 125,  /* usage or host error */
	VM_STATUS_IMAGE = 126, /* the image cannot be used */
};

/* A file for a block device that the image knows by name (Solo5). */
struct vm_block {
	const char *name; /* name_len bytes */
	unsigned name_len;
	const char *file;
	uint16_t sector; /* bytes, a power of two; 0: 512 */
};

/* A picture's size in pixels; width 0: there is none. */
struct vm_video {
	uint16_t width, height;
};

/* What the command line asked for; plain data, strings owned by the caller. */
struct vm_config {
	const char *kernel;			  /* or the PC's firmware */
	bool bios;				  /* that it is */
	const char *bios_file;			  /* as named; `kernel` once all options are read */
	const char *vga_rom;			  /* its display's BIOS; NULL: none */
	const char *cmdline;			  /* "" if none */
	const char *modules[VM_MODULES_MAX];	  /* their files */
	const char *module_texts[VM_MODULES_MAX]; /* as given: file, blank, what the kernel is told; NULL: the file */
	unsigned module_count;
	struct vm_block block[VM_BLOCKS_MAX];
	unsigned block_count;
	struct disk_spec disks[VM_DISKS_MAX];
	unsigned disk_count;
	struct disk_file *disk_files[VM_DISKS_MAX]; /* opened by who runs it, for all its lives; NULL: none */
	struct disk_spec floppies[VM_FLOPPIES_MAX];
	unsigned floppy_count;
	struct disk_file *floppy_files[VM_FLOPPIES_MAX]; /* likewise */
	struct disk_spec cdrom;				 /* path NULL: none */
	struct disk_file *cdrom_file;
	const char *boot_order; /* letters of drives that firmware tries, a: floppy, c: disk, d: CD; NULL: default */
	struct cpu_model cpu;	/* as --cpu says */
	bool testdev;		/* pc-testdev, and QEMU's exit status */
	struct vm_video video;	/* that a PC's display starts with, and so has memory for; else it shows text */
	uint64_t memory;	/* bytes */
	bool memory_given, engine_given; /* by the user: else what the image's boot protocol wants */
	unsigned vcpus;
	double timeout;			       /* seconds; 0: none */
	const char *engine, *transport;	       /* NULL: default */
	uint64_t code_cache;		       /* bytes of code that engine `translate` keeps; 0: as many as it can */
	bool two_cells;			       /* `translate`: 32-bit user mode in a cell of its own */
	unsigned cpus;			       /* host CPUs to use: 1 or 2; 0: choose */
	bool no_patch;			       /* SYSCALLs of programs stay as they are */
	const char *stats_file;		       /* NULL: none */
	const char *trace_events, *trace_file; /* NULL: none; monitor/trace/trace.h */
	int argc;			       /* the command line as a whole, for the record */
	char **argv;
	bool narrate;		  /* tell each exit in sentences */
	bool tap;		  /* the console reports tests, see docs/projects.md */
	const char *junit_file;	  /* NULL: none */
	const char *core_file;	  /* written when the guest crashes; NULL: none */
	const char *picture_file; /* of the display's graphics in the end; NULL: none */
	const char *gdb;	  /* where the debugger connects, see gdb.h; NULL: none */
	bool gdb_stop;		  /* stop before the first instruction */
	bool no_input, no_output; /* the guest's console has no end on the host */
	bool screen;		  /* the VGA is shown on a terminal, from whose keys the keyboard's are made */
	int screen_fd;		  /* that terminal */
};

/* What a kernel takes for granted of its machine. */
enum vm_kind {
	MACHINE_PLAIN, /* of guests written for ring3: RAM from 0 up, 8259, 8254, 16550 */
	MACHINE_PC,    /* a PC's memory map and devices */
	MACHINE_SOLO5, /* a unikernel's: no interrupts, hypercalls through ports, page tables that are the monitor's */
};

struct vm {
	const struct vm_config *config;
	enum vm_kind kind;
	uint64_t memory; /* bytes of RAM that the machine has or will have */
	struct guest_mem mem;
	struct spt *spt;
	struct cpu cpu; /* what its processors have; made with the first of them */
	struct vcpu *vcpu[R3_MAX_VCPUS];
	unsigned vcpu_count;
	const struct engine_ops *engine_ops;
	struct engine *engine; /* the engine's own, opaque elsewhere */
	struct bus bus;
	struct machine *machine; /* devices; monitor/device/machine.h */
	struct console *console; /* monitor/device/console.h */
	struct hc *hc;		 /* hypercalls/host/hc.h */
	struct timers timers;
	uint64_t start_ns;   /* clock_ns() when the process came to life */
	struct image *image; /* what was loaded, with symbols; monitor/boot/image.h */
	struct stats stats;
	struct observers observers;

	/* monitor/trace/trace.h */
	struct trace_recorder *recorder; /* NULL: nobody ever asked for a trace */
	uint32_t trace_kinds;		 /* bits by enum trace_kind: events that somebody wants now */
	struct spt_ops shadow_ops;	 /* the engine's, traced */

	/* Set asynchronously (signal handler, console thread) to have the run loop look at its event sources. */
	atomic_bool attention;

	/* How it ended. The first reason wins; ended stays set. */
	bool ended;
	int status;
	char reason[256];		   /* why it was killed, or panicked; empty if the guest ended itself */
	char last_words[R3_PANIC_MAX + 1]; /* what it has written to X86_PORT_PANIC_TEXT */
	bool dismissed;			   /* whoever looked at it ended it: nothing is to be told of it */
	bool leaves;			   /* the process ends with it, and memory need not be given back before */
};

/*
 * The code that runs broke a rule. A kernel ends its guest so: VM_STATUS_CRASH, and the reason is recorded; the first
 * call wins. User mode ends nothing but its process: #GP is queued for the guest's kernel. The caller returns to the
 * run loop in both cases.
 */
void vm_kill(struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * The processor shut down: no handler of the guest's kernel can be reached. The one crash that may come while user mode
 * runs (tests/checks/crash.sh knows who calls this), as vm_kill otherwise.
 */
void vm_shutdown(struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The host refused what the guest needs to go on: says so on stderr, with the remedy, and ends it: VM_STATUS_HOST. */
void vm_refused(struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The guest ended itself, or time ran out. */
void vm_end(struct vm *vm, int status);
/* The guest's kernel says that it cannot go on, and perhaps why: R3_STATUS_PANIC, and a report as of a crash. */
void vm_panic(struct vm *vm, const char *why);
/* The host lost what the guest, or ring3, had to say: no status of the guest's own counts any more. */
void vm_output_lost(struct vm *vm);

/* Makes its vCPUs come out of guest code soon. Async-signal-safe. */
void vm_kick(struct vm *vm);
/* A signal asks for the guest's end, or its time is over: whatever takes long ends early. Any thread. */
bool vm_is_over(const struct vm *vm);
/* As engine_ops.settle. */
void vm_settle(struct vm *vm);
/* Ends the guest if it is over. True if it has ended. */
bool vm_end_if_over(struct vm *vm);

#endif
