/*
 * `ring3 lockstep`: one guest in two engines at once, compared step by step; the first difference is shown.
 */
#include "monitor/cli/lockstep/lockstep.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli/classify/classify.h"
#include "monitor/cli/common/arguments.h"
#include "monitor/cli/common/options.h"
#include "monitor/cli/lockstep/memory_diff.h"
#include "monitor/cli/lockstep/pair.h"
#include "monitor/debug/crash/report.h"
#include "monitor/debug/state/state.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/host/walls/names.h"
#include "monitor/host/walls/walls.h"

#define STATUS_DIFFER 1

enum { TAKES_ENGINES, TAKES_STEP, TAKES_LIMIT, TAKES_CONSOLE };

static const struct argp_option options[] = {
	[TAKES_ENGINES] = {"engines", 256, "A,B", 0, "the engines (default trap,interpret); the faster one first", 0},
	[TAKES_STEP] =
		{"step", 257, "exit|instruction", 0,
		 "a step goes up to the next exit the guest can tell (default), or is one instruction: slower, finds "
		 "what exits do not show",
		 0},
	[TAKES_LIMIT] = {"limit", 258, "N", 0, "compare no more than N points", 0},
	[TAKES_CONSOLE] = {"console", 259, NULL, 0, "show the guest's console", 0},
	{0},
};

static const struct argp argp = {
	.options = options,
	.args_doc = "KERNEL",
	.doc = "Runs KERNEL in two engines at once and compares registers and memory at each step; shows the first "
	       "difference, and the instruction that made it.\v"
	       "Options of 'ring3 run' that count here: --transport, --memory, --append, --module, --timeout. The "
	       "guest "
	       "gets no input, and its time passes with the steps. Exit status: 0 the engines agree, 1 they differ, "
	       "124 "
	       "timed out, 125 usage or host error, 126 the image cannot be used. docs/lockstep.md explains it.",
};

/* ------------------------------------------------------------------------------------------------------ what it says
 */

static const char *name(const struct lockstep *ls, unsigned n)
{
	return ls->engines[n]->name;
}

static void print_effort(const struct lockstep *ls)
{
	uint64_t interpreted[2] = {ls->vm[0].stats.vcpu[0].interpreted, ls->vm[1].stats.vcpu[0].interpreted};
	printf("  compared: registers at %" PRIu64 " points (%s), all of memory %" PRIu64 " times\n", ls->points,
	       ls->grain == LOCKSTEP_INSTRUCTION ? "instructions" : "exits", ls->memory_checks);
	for (unsigned n = 0; n < 2; n++)
		if (interpreted[n])
			printf("  %s: %" PRIu64 " instructions interpreted\n", name(ls, n), interpreted[n]);
	for (unsigned n = 0; n < 2; n++)
		if (ls->vm[n].stats.sites)
			printf("  %s: SYSCALLs from %" PRIu64 " places without a signal\n", name(ls, n),
			       ls->vm[n].stats.sites);
	if (ls->runs > 1)
		printf("  the guest ran %u times, to look at some stretches instruction by instruction\n", ls->runs);
	if (ls->levelled)
		printf("  flags that the manual leaves undefined differed %" PRIu64 " times: that is no difference\n",
		       ls->levelled);
}

static void print_agreement(const struct lockstep *ls, enum lockstep_end end)
{
	printf("lockstep: %s and %s agree: ", name(ls, 0), name(ls, 1));
	if (end == LOCKSTEP_IDLE)
		printf("the guest waits in both for an interrupt that nothing will raise\n");
	else if (end == LOCKSTEP_LIMIT)
		printf("as far as they were compared\n");
	else
		printf("the guest ended with status %d in both\n", ls->vm[0].status);
	print_effort(ls);
}

/* Popek and Goldberg's word for it. */
static void print_class(const struct emu_insn *insn)
{
	const struct classify_insn *found = classify_find(insn);
	if (found)
		printf("  class: sensitive (%s), as %s: %s\n", classify_kind_name(found->kind), found->name,
		       found->why);
	else if (emu_is_random(insn))
		printf("  class: innocuous, but random: no machine agrees even with itself\n");
	else
		printf("  class: innocuous: the engines ought to agree on it\n");
}

static void print_culprit(struct lockstep *ls)
{
	char text[128];
	printf("  after 0x%016" PRIx64, ls->before.rip);
	report_symbol(&ls->vm[0], ls->before.rip, stdout);
	if (ls->decoded) {
		printf(":  %s\n", emu_format(&ls->insn, ls->before.rip, text, sizeof(text)));
		print_class(&ls->insn);
	} else if (ls->close) {
		printf(":  a hypercall, number %" PRIu64 "\n", ls->before.gpr[RAX]);
	} else {
		printf(" and the instructions up to 0x%" PRIx64 " and 0x%" PRIx64 "\n", ls->stop[0], ls->stop[1]);
	}
	if (ls->interrupt)
		printf("  then interrupt vector %u was taken\n", ls->vector);
}

static uint64_t word(const struct vm *vm, uint64_t gpa)
{
	uint64_t value = 0;
	gm_read(&vm->mem, gpa, &value, sizeof(value));
	return value;
}

static void print_end(const struct lockstep *ls, unsigned n)
{
	const struct vm *vm = &ls->vm[n];
	if (vm->ended)
		printf("  %s: the guest ended with status %d%s%s\n", name(ls, n), vm->status, vm->reason[0] ? ": " : "",
		       vm->reason);
	else
		printf("  %s: the guest runs on\n", name(ls, n));
}

static void print_differences(const struct lockstep *ls)
{
	const struct guest_mem *a = &ls->vm[0].mem, *b = &ls->vm[1].mem;
	uint64_t at;
	printf("\n  %-28s %-18s %-18s\n", "differs", name(ls, 0), name(ls, 1));
	for (unsigned n = 0; n < ls->differences; n++)
		printf("  %-28s 0x%016" PRIx64 " 0x%016" PRIx64 "\n", ls->difference[n].name,
		       ls->difference[n].value[0], ls->difference[n].value[1]);
	if (ls->fpu)
		printf("  FPU state: %s\n", ls->fpu);
	for (unsigned n = 0; n < ls->pages; n++)
		if (memory_diff_page(a, b, ls->page[n], &at))
			printf("  memory at gpa 0x%-12" PRIx64 " 0x%016" PRIx64 " 0x%016" PRIx64 "\n", at,
			       word(&ls->vm[0], at), word(&ls->vm[1], at));
	for (unsigned n = 0; ls->ends_differ && n < 2; n++)
		print_end(ls, n);
}

static void print_state(struct lockstep *ls, unsigned n)
{
	printf("\n%s: ", name(ls, n));
	report_instruction(ls->vm[n].vcpu[0], stdout);
	report_registers(ls->vm[n].vcpu[0], stdout);
}

static void print_difference(struct lockstep *ls)
{
	printf("lockstep: %s and %s differ at point %" PRIu64 "\n", name(ls, 0), name(ls, 1), ls->points);
	print_culprit(ls);
	print_differences(ls);
	printf("\n");
	print_effort(ls);
	for (unsigned n = 0; n < 2; n++)
		print_state(ls, n);
}

static int report(struct lockstep *ls, enum lockstep_end end)
{
	switch (end) {
	case LOCKSTEP_ENDED:
	case LOCKSTEP_IDLE:
	case LOCKSTEP_LIMIT:
		print_agreement(ls, end);
		return 0;
	case LOCKSTEP_DIFFERS:
		print_difference(ls);
		return STATUS_DIFFER;
	case LOCKSTEP_NO_REPEAT:
		printf("lockstep: %s and %s differed once, and not when the guest ran again: something beside the "
		       "guest decides what it does; try --step=instruction\n",
		       name(ls, 0), name(ls, 1));
		return STATUS_DIFFER;
	case LOCKSTEP_TIMEOUT:
		fprintf(stderr, "ring3: lockstep: time is up after %" PRIu64 " points without a difference\n",
			ls->points);
		return VM_STATUS_TIMEOUT;
	case LOCKSTEP_SIGNAL:
		fprintf(stderr, "ring3: lockstep: ended by a signal (%s) after %" PRIu64 " points\n",
			strsignal(events_quit_signal()), ls->points);
		return 128 + events_quit_signal();
	case LOCKSTEP_HOST:
		return ls->vm[0].status ? ls->vm[0].status : ls->vm[1].status;
	}
	__builtin_unreachable();
}

/* ------------------------------------------------------------------------------------------------------- the verb */

static bool parse_engines(struct lockstep *ls, const char *pair)
{
	char first[32];
	const char *comma = strchr(pair, ',');
	if (comma && (size_t)(comma - pair) < sizeof(first)) {
		snprintf(first, sizeof(first), "%.*s", (int)(comma - pair), pair);
		ls->engines[0] = engine_find(first);
		ls->engines[1] = engine_find(comma + 1);
	}
	if (ls->engines[0] && ls->engines[1])
		return true;
	fprintf(stderr, "ring3: --engines: '%s' is no pair of engines: give two such as trap,interpret of", pair);
	for (const struct engine_ops *const *engine = engines; *engine; engine++)
		fprintf(stderr, " %s", (*engine)->name);
	fputc('\n', stderr);
	return false;
}

static bool parse_limit(struct lockstep *ls, const char *text)
{
	char *end;
	errno = 0;
	ls->limit = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno && ls->limit)
		return true;
	fprintf(stderr, "ring3: --limit: '%s' is no number of points above 0\n", text);
	return false;
}

static bool parse_step(struct lockstep *ls, const char *text)
{
	ls->grain = strcmp(text, "instruction") ? LOCKSTEP_EXIT : LOCKSTEP_INSTRUCTION;
	if (ls->grain == LOCKSTEP_INSTRUCTION || !strcmp(text, "exit"))
		return true;
	fprintf(stderr, "ring3: --step: '%s' is none of instruction, exit\n", text);
	return false;
}

static bool parse(struct lockstep *ls, int argc, char **argv, struct vm_config *config)
{
	const char *pair = "trap,interpret", *limit = NULL, *grain = "exit";
	bool ok = arguments_take(&argc, argv, options[TAKES_ENGINES].name, &pair) &&
		  arguments_take(&argc, argv, options[TAKES_LIMIT].name, &limit) &&
		  arguments_take(&argc, argv, options[TAKES_STEP].name, &grain);
	bool console = arguments_take_flag(&argc, argv, options[TAKES_CONSOLE].name);
	if (!ok || !parse_engines(ls, pair) || (limit && !parse_limit(ls, limit)) || !parse_step(ls, grain))
		return false;
	if (options_parse(argc, argv, config) != OPTIONS_RUN)
		return false;
	if (config->gdb || config->stats_file || config->screen) {
		fprintf(stderr, "ring3: lockstep has none of --gdb, --screen, --stats: 'ring3 run' does\n");
		return false;
	}
	if (config->disk_count || config->floppy_count || config->cdrom.path) {
		fprintf(stderr, "ring3: lockstep has no disks, floppies and CDs, which two guests cannot share: 'ring3 "
				"run' has "
				"them\n");
		return false;
	}
	config->no_output = !console;
	/* By --engines, whatever the kernel would get. */
	config->engine_given = true;
	/* All on one processor, so that what identifies it is the same for both. */
	config->cpus = 1;
	return true;
}

static void stay_on_one_cpu(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* What the machines, and those made anew for a closer look, open behind the walls. */
static void keep_names(const struct vm_config *config)
{
	names_keep_to_read(config->kernel);
	for (unsigned i = 0; i < config->module_count; i++)
		names_keep_to_read(config->modules[i]);
	if (config->vga_rom)
		names_keep_to_read(config->vga_rom);
	if (config->trace_file)
		names_keep_to_write(config->trace_file);
}

static int cli_lockstep(int argc, char **argv)
{
	static struct lockstep ls;
	struct vm_config config;
	if (arguments_take_flag(&argc, argv, "help")) {
		verb_help(&argp, argv[0], stdout);
		return 0;
	}
	if (!parse(&ls, argc, argv, &config))
		return verb_hint(argv[0]);
	ls.config[0] = ls.config[1] = config;
	if (config.timeout > 0)
		ls.deadline = clock_ns() + (uint64_t)(config.timeout * CLOCK_NS_PER_SEC);
	stay_on_one_cpu();
	keep_names(&config);
	if (walls_up(WALLS_LOCKSTEP, NULL))
		return VM_STATUS_HOST;
	int status = report(&ls, lockstep_run(&ls));
	lockstep_down(&ls);
	return status;
}

const struct verb lockstep_verb = {"lockstep", cli_lockstep, "one guest in two engines at once, compared step by step",
				   &argp};
