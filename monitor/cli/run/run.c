/*
 * `ring3 run`: a machine from command line to exit status.
 */
#include "monitor/cli/run/run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "monitor/cli/common/options.h"
#include "monitor/cli/run/tap_run.h"
#include "monitor/debug/core/core.h"
#include "monitor/debug/crash/report.h"
#include "monitor/debug/gdb/gdb.h"
#include "monitor/debug/stats/socket.h"
#include "monitor/debug/stats/summary.h"
#include "monitor/debug/trace/trace.h"
#include "monitor/device/console.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/host/patience.h"
#include "monitor/run/run.h"
#include "monitor/start/parts.h"
#include "monitor/vm/vm.h"

static int stats_up(struct vm *vm)
{
	return vm->config->stats_file ? stats_check_path(vm->config->stats_file) : 0;
}

static void stats_down(struct vm *vm)
{
	if (vm->config->stats_file && stats_write(vm, vm->config->stats_file) && !vm->status)
		vm->status = VM_STATUS_HOST;
}

static void time_is_out(void *arg, uint64_t now)
{
	vm_end(arg, VM_STATUS_TIMEOUT);
}

static void run_guest(struct vm *vm)
{
	static struct timer timeout; /* the machine's list keeps it */

	if (vm->config->timeout > 0) {
		timer_add(&vm->timers, &timeout, time_is_out, vm);
		timer_arm(&timeout, vm->start_ns + (uint64_t)(vm->config->timeout * CLOCK_NS_PER_SEC));
	}
	tap_run_watch(vm);
	summary_up(vm);
	stats_publish(vm);
	if (gdb_start(vm))
		vm_end(vm, VM_STATUS_HOST);
	vm_run(vm);
	stats_unpublish();
	summary_down(vm);
	gdb_finish(vm);
	console_restore_terminal();
	stats_mark(&vm->stats, "ended");
}

/* Says on stderr how the guest ended, unless it ended itself. */
static void tell_end(struct vm *vm)
{
	if (vm->reason[0]) {
		report_crash(vm, stderr);
		if (vm->config->core_file)
			core_write(vm, vm->config->core_file, stderr);
	} else if (vm->status == VM_STATUS_TIMEOUT) {
		fprintf(stderr, "ring3: the guest was ended after %g s: raise --timeout if that is too soon\n",
			vm->config->timeout);
	} else if (events_quit_signal()) {
		fprintf(stderr, "ring3: the guest was ended by a signal (%s)\n", strsignal(events_quit_signal()));
	}
}

int cli_run(int argc, char **argv)
{
	static struct vm vm;
	struct vm_config config;
	size_t tried;

	stats_start(&vm.stats);
	vm.start_ns = vm.stats.start_ns;
	switch (options_parse(argc, argv, &config)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return verb_hint(argv[0]);
	case OPTIONS_RUN:
		break;
	}
	vm.config = &config;
	patience_stderr(vm_is_over, &vm);
	vm.engine_ops = engine_find(config.engine);
	vm.memory = config.memory;
	if (stats_up(&vm) || tap_run_check(&vm))
		return VM_STATUS_HOST;
	if (config.core_file)
		core_check_path(config.core_file);
	stats_mark(&vm.stats, "options");
	tried = parts_up(&vm);
	if (!vm.ended)
		run_guest(&vm);
	tell_end(&vm);
	tap_run_judge(&vm);
	trace_finish(&vm);
	stats_down(&vm);
	parts_down(&vm, tried);
	return gdb_reset_wanted() ? gdb_restart(argc, argv) : vm.status;
}

const struct verb run_verb = {"run", cli_run, "boot a guest kernel; its console is on stdin and stdout", &options_argp};
