/*
 * `ring3 run`: a machine from command line to exit status.
 */
#include "monitor/cli/run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor/cli/common/options.h"
#include "monitor/cli/run/tap_run.h"
#include "monitor/cli/run/tell.h"
#include "monitor/debug/core/core.h"
#include "monitor/debug/gdb/gdb.h"
#include "monitor/debug/stats/socket.h"
#include "monitor/debug/trace/trace.h"
#include "monitor/device/console.h"
#include "monitor/device/floppy.h"
#include "monitor/device/machine.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/host/output_file.h"
#include "monitor/host/patience.h"
#include "monitor/host/prefault.h"
#include "monitor/host/walls/names.h"
#include "monitor/host/walls/walls.h"
#include "monitor/run/run.h"
#include "monitor/start/parts.h"
#include "monitor/vm/vm.h"

static void stats_down(struct vm *vm)
{
	if (vm->config->stats_file && stats_write(vm, vm->config->stats_file))
		vm_output_lost(vm);
}

static int write_picture(const struct vm *vm, int fd)
{
	int own = dup(fd), err;
	FILE *out = own < 0 ? NULL : fdopen(own, "w");

	if (!out) {
		err = -errno;
		if (own >= 0)
			close(own);
		return err;
	}
	err = machine_write_picture(vm, out) ? 0 : -ENODATA;
	return fclose(out) && !err ? -errno : err;
}

static int complain(const char *path, int err)
{
	if (err == ENODATA)
		fprintf(stderr, "ring3: --screenshot %s: the display shows no graphics: a crash report has its text\n",
			path);
	else
		fprintf(stderr,
			"ring3: --screenshot %s: cannot write: %s: name a file in a directory that you may write to\n",
			path, output_error(err));
	return -err;
}

static void picture_down(struct vm *vm)
{
	const char *path = vm->config->picture_file;
	struct output_file file;
	int err = path ? output_open_private(&file, path) : 0;

	if (path && !err)
		err = output_finish(&file, write_picture(vm, file.fd));
	if (err) {
		complain(path, -err);
		vm_output_lost(vm);
	}
}

static void time_is_out(void *arg, uint64_t now)
{
	vm_end(arg, VM_STATUS_TIMEOUT);
}

/* What is made from here on, cells above all, stands within the monitor's walls. */
static void run_guest(struct vm *vm)
{
	static struct timer timeout; /* the machine's list keeps it */

	if (vm->config->timeout > 0) {
		timer_add(&vm->timers, &timeout, time_is_out, vm);
		timer_arm(&timeout, vm->start_ns + (uint64_t)(vm->config->timeout * CLOCK_NS_PER_SEC));
	}
	tap_run_watch(vm);
	tell_up(vm);
	stats_publish(vm);
	if (walls_up(vm->config->gdb ? WALLS_DEBUG : WALLS_RUN, console_restore_terminal) || gdb_start(vm))
		vm_end(vm, VM_STATUS_HOST);
	vm_run(vm);
	tell_down(vm);
	gdb_finish(vm);
	console_restore_terminal();
	stats_mark(&vm->stats, "ended");
}

/* For a machine that is all zeroes. Its own time may lag behind the host's: a debugger held the one before. */
static void begin(struct vm *vm)
{
	stats_start(&vm->stats);
	vm->start_ns = clock_machine_ns();
}

/* One life of the machine, to its exit status. */
static int live(struct vm *vm, const struct vm_config *config)
{
	size_t tried;
	bool ran;

	vm->config = config;
	vm->engine_ops = engine_find(config->engine);
	vm->memory = config->memory;
	stats_mark(&vm->stats, "options");
	tried = parts_up(vm);
	ran = !vm->ended;
	if (ran)
		run_guest(vm);
	tell_end(vm, ran);
	tap_run_judge(vm);
	trace_finish(vm);
	if (ran)
		picture_down(vm);
	stats_down(vm);
	vm->leaves = !gdb_reset_wanted();
	parts_down(vm, tried);
	return vm->status;
}

/* The files that the command line names: which are not to be written to, which can be; all while that can be told. */
static bool check_files(const struct vm_config *config)
{
	output_protect(config->kernel);
	for (unsigned i = 0; i < config->module_count; i++)
		output_protect(config->modules[i]);
	if (config->vga_rom)
		output_protect(config->vga_rom);
	for (unsigned i = 0; i < config->disk_count; i++)
		output_protect(config->disks[i].path);
	for (unsigned i = 0; i < config->floppy_count; i++)
		output_protect(config->floppies[i].path);
	if (config->cdrom.path)
		output_protect(config->cdrom.path);
	/* A debugger may have the machine made anew: it reads them again. */
	if (config->gdb) {
		names_keep_to_read(config->kernel);
		for (unsigned i = 0; i < config->module_count; i++)
			names_keep_to_read(config->modules[i]);
		if (config->vga_rom)
			names_keep_to_read(config->vga_rom);
	}
	if (config->stats_file && stats_check_path(config->stats_file))
		return false;
	if (config->picture_file) {
		int err = output_check(config->picture_file);

		if (err)
			return complain(config->picture_file, -err), false;
	}
	if (tap_run_check(config))
		return false;
	if (config->core_file)
		core_check_path(config->core_file);
	return true;
}

static bool open_drives(const struct disk_spec *specs, unsigned count, struct disk_file **files)
{
	for (unsigned i = 0; i < count; i++) {
		files[i] = disk_open(&specs[i]);
		if (!files[i])
			return false;
		if (specs[i].overlay)
			output_protect(specs[i].overlay);
	}
	return true;
}

static bool check_floppies(const struct vm_config *config)
{
	for (unsigned i = 0; i < config->floppy_count; i++) {
		if (floppy_format_of(disk_sectors(config->floppy_files[i])))
			continue;
		fprintf(stderr,
			"ring3: --floppy %s: a floppy disk has 360, 720, 1200, 1440 or 2880 KiB: make it one of these "
			"with truncate, or name it with --disk\n",
			config->floppies[i].path);
		return false;
	}
	return true;
}

/* For all lives of the machine: behind its walls the monitor opens none. */
static bool open_disks(struct vm_config *config)
{
	return open_drives(config->disks, config->disk_count, config->disk_files) &&
	       open_drives(config->floppies, config->floppy_count, config->floppy_files) && check_floppies(config) &&
	       open_drives(&config->cdrom, config->cdrom.path != NULL, &config->cdrom_file);
}

/* The terminal that shows the screen: standard output, or the one that belongs to this session. */
static bool open_screen(struct vm_config *config)
{
	config->screen_fd = isatty(STDOUT_FILENO) && !config->no_output
				    ? STDOUT_FILENO
				    : open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (config->screen_fd < 0)
		fprintf(stderr, "ring3: --screen: there is no terminal to show it on: start ring3 in one, or leave it "
				"out: a crash report and gdb's 'monitor info screen' have it as text\n");
	return config->screen_fd >= 0;
}

static void close_disks(const struct vm_config *config)
{
	for (unsigned i = 0; i < config->disk_count; i++)
		disk_close(config->disk_files[i]);
	for (unsigned i = 0; i < config->floppy_count; i++)
		disk_close(config->floppy_files[i]);
	disk_close(config->cdrom_file);
}

int cli_run(int argc, char **argv)
{
	static struct vm vm;
	struct vm_config config;
	int status;

	prefault_heap();
	begin(&vm);
	switch (options_parse(argc, argv, &config)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return verb_hint(argv[0]);
	case OPTIONS_RUN:
		break;
	}
	patience_stderr(vm_is_over, &vm);
	if (!open_disks(&config) || !check_files(&config) || (config.screen && !open_screen(&config))) {
		close_disks(&config);
		return VM_STATUS_HOST;
	}
	status = live(&vm, &config);
	while (gdb_reset_take()) {
		memset(&vm, 0, sizeof(vm));
		begin(&vm);
		status = live(&vm, &config);
	}
	close_disks(&config);
	stats_unpublish();
	return status;
}

const struct verb run_verb = {"run", cli_run, "boot a guest kernel; its console is on stdin and stdout", &options_argp};
