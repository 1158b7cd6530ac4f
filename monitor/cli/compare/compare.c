/*
 * `ring3 compare`: runs one guest on every engine and transport, and with pv=on and pv=off where it knows both; says
 * whether its console and its exit status are the same, and what each way costs.
 */
#include "monitor/cli/compare/compare.h"
#include "monitor/cli/compare/internal.h"

#include <stdlib.h>
#include <string.h>

#include "monitor/boot/image.h"
#include "monitor/cli/common/arguments.h"
#include "monitor/cli/common/options.h"
#include "monitor/host/clock.h"
#include "monitor/host/output_file.h"

#define STATUS_DIFFER 1

enum { TAKES_JSON, TAKES_SVG };

static const struct argp_option options[] = {
	[TAKES_JSON] = {"json", 256, "FILE", 0, "write the results to FILE as JSON", 0},
	[TAKES_SVG] = {"svg", 257, "FILE", 0, "draw wall time and exits to FILE, with gnuplot", 0},
	{"timeout", 258, "SECONDS", 0, "end a run after that time (default 60); it agrees with none then", 0},
	{0},
};

static const struct argp argp = {
	.options = options,
	.args_doc = "KERNEL",
	.doc = "Runs KERNEL on every engine and transport, with pv=on and with pv=off; says whether console output and "
	       "exit status agree, and what each way costs.\v"
	       "Options of 'ring3 run' that count here: --memory, --append, --module, --cpus. With a pv= of your own "
	       "in "
	       "--append, the guest runs with that alone. A file as standard input is given to each run from its "
	       "start. "
	       "Exit status: 0 all agree, 1 some differ or timed out, 125 usage or host error, 126 the image cannot be "
	       "used. docs/compare.md explains it.",
};

/* -------------------------------------------------------------------------------------------------------- the ways */

static const char *const transports[] = {"signal", "ptrace", NULL};

static void add_run(struct compare *compare, const struct engine_ops *engine, const char *transport, const char *pv)
{
	if (compare->count == COMPARE_RUNS_MAX)
		abort();
	struct compare_run *run = &compare->run[compare->count++];
	*run = (struct compare_run){.engine = engine, .transport = transport, .pv = pv};
	snprintf(run->name, sizeof(run->name), "%s%s%s%s%s", engine->name, transport ? "/" : "",
		 transport ? transport : "", pv ? " pv=" : "", pv ? pv : "");
}

static void add_engines(struct compare *compare, const char *pv)
{
	for (const struct engine_ops *const *engine = engines; *engine; engine++) {
		if (!(*engine)->cells)
			add_run(compare, *engine, NULL, pv);
		for (unsigned n = 0; (*engine)->cells && transports[n]; n++)
			add_run(compare, *engine, transports[n], pv);
	}
}

/* A word pv=... on the guest's command line. */
static bool chooses_pv(const char *cmdline)
{
	for (const char *at = cmdline; (at = strstr(at, "pv=")); at++)
		if (at == cmdline || at[-1] == ' ')
			return true;
	return false;
}

/* Proves that the image can be used, and asks its note whether it makes hypercalls. Status of the process if not. */
static int ask_image(const struct vm_config *config, bool *hypercalls)
{
	struct vm vm = {.config = config, .start_ns = clock_machine_ns()};
	if (gm_init(&vm.mem, config->memory))
		return VM_STATUS_HOST;
	int status = image_load(&vm) ? VM_STATUS_IMAGE : 0;
	*hypercalls = !status && image_hypercall_page(&vm);
	image_free(&vm);
	gm_free(&vm.mem);
	return status;
}

/* ------------------------------------------------------------------------------------------------------- the runs */

static void judge(struct compare *compare, struct compare_run *run)
{
	struct compare_line at;
	run->agrees = !run->timed_out;
	for (const struct compare_run *first = compare->run; first < run; first++) {
		if (first->pv != run->pv && (!first->pv || !run->pv || strcmp(first->pv, run->pv)))
			continue;
		run->reference = first;
		run->agrees = run->agrees && run->status == first->status &&
			      !compare_outputs(first->output, first->output_len, run->output, run->output_len, &at);
		return;
	}
}

/* What a run says of the host, not of the guest, ends it all: the others would say the same. */
static bool host_refused(const struct compare_run *run)
{
	if (run->status != VM_STATUS_HOST && run->status != VM_STATUS_IMAGE)
		return false;
	fprintf(stderr, "ring3: compare: %s could not run the guest:\n%s", run->name, run->errors);
	return true;
}

static int run_all(struct compare *compare)
{
	int status = 0;
	for (unsigned n = 0; n < compare->count; n++) {
		struct compare_run *run = &compare->run[n];
		if (compare_run_guest(compare, run))
			return VM_STATUS_HOST;
		if (compare_signal()) {
			fprintf(stderr, "ring3: compare: ended by a signal (%s)\n", strsignal(compare_signal()));
			return 128 + compare_signal();
		}
		if (host_refused(run))
			return run->status;
		judge(compare, run);
		if (!run->agrees)
			status = STATUS_DIFFER;
	}
	return status;
}

static void forget(struct compare *compare)
{
	for (unsigned n = 0; n < compare->count; n++) {
		free(compare->run[n].output);
		free(compare->run[n].errors);
	}
}

/* ------------------------------------------------------------------------------------------------------- the verb */

static bool check_path(const char *option, const char *path)
{
	int error = path ? output_check(path) : 0;
	if (error)
		fprintf(stderr, "ring3: --%s %s: cannot write: %s: name a file in a directory that you may write to\n",
			option, path, strerror(-error));
	return !error;
}

static bool parse(int argc, char **argv, struct vm_config *config, const char **json, const char **svg)
{
	const char *engine = NULL, *transport = NULL;
	if (!arguments_take(&argc, argv, options[TAKES_JSON].name, json) ||
	    !arguments_take(&argc, argv, options[TAKES_SVG].name, svg) ||
	    !arguments_take(&argc, argv, "engine", &engine) || !arguments_take(&argc, argv, "transport", &transport))
		return false;
	if (engine || transport) {
		fprintf(stderr, "ring3: compare goes through all engines and transports: leave out --engine and "
				"--transport\n");
		return false;
	}
	if (options_parse(argc, argv, config) != OPTIONS_RUN)
		return false;
	if (!(config->timeout > 0))
		config->timeout = COMPARE_TIMEOUT;
	if (config->gdb || config->stats_file || config->trace_events || config->trace_file || config->screen) {
		fprintf(stderr, "ring3: compare has no --gdb, --screen, --stats or --trace: 'ring3 run' does\n");
		return false;
	}
	if (config->bios || config->disk_count || config->floppy_count || config->cdrom.path) {
		fprintf(stderr, "ring3: compare runs kernels, without firmware, disks, floppies and CDs: 'ring3 run' "
				"has them\n");
		return false;
	}
	return check_path("json", *json) && check_path("svg", *svg) && (!*svg || compare_can_plot());
}

static int compare_all(struct compare *compare, const char *json, const char *svg)
{
	int status = run_all(compare);
	if (status != 0 && status != STATUS_DIFFER)
		return status;
	compare_print(compare, stdout);
	if ((json && compare_write_json(compare, json)) || (svg && compare_write_svg(compare, svg)))
		return VM_STATUS_HOST;
	return status;
}

static int cli_compare(int argc, char **argv)
{
	static struct compare compare;
	struct vm_config config;
	const char *json = NULL, *svg = NULL;
	bool hypercalls = false;
	if (arguments_take_flag(&argc, argv, "help")) {
		verb_help(&argp, argv[0], stdout);
		return 0;
	}
	if (!parse(argc, argv, &config, &json, &svg))
		return verb_hint(argv[0]);
	compare.config = &config;
	int status = ask_image(&config, &hypercalls);
	if (status)
		return status;
	if (chooses_pv(config.cmdline) || !hypercalls) {
		add_engines(&compare, NULL);
	} else {
		add_engines(&compare, "on");
		add_engines(&compare, "off");
	}
	compare_signals_up();
	status = compare_all(&compare, json, svg);
	forget(&compare);
	return status;
}

const struct verb compare_verb = {"compare", cli_compare,
				  "one guest on every engine: do they agree, and what does each cost", &argp};
