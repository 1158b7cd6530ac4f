/*
 * Where the program starts: picks the verb. A verb is one line of the table and one folder beside this file.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "monitor/cli/bench/bench.h"
#include "monitor/cli/classify/classify.h"
#include "monitor/cli/compare/compare.h"
#include "monitor/cli/doctor/doctor.h"
#include "monitor/cli/lockstep/lockstep.h"
#include "monitor/cli/new/new.h"
#include "monitor/cli/report/report.h"
#include "monitor/cli/run/run.h"
#include "monitor/cli/top/top.h"
#include "monitor/engine/trap/reserve.h"
#include "monitor/vm/vm.h"

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} verbs[] = {
	{"run", cli_run, "boot a guest kernel; its console is on stdin and stdout"},
	{"report", cli_report, "make a page to look at of a trace"},
	{"top", cli_top, "watch the guests that run"},
	{"new", cli_new, "make a guest project that builds by itself"},
	{"doctor", cli_doctor, "what this host offers, what is missing, and the remedy"},
	{"classify", cli_classify, "which sensitive instructions trap in ring 3 of this host, tried live"},
	{"bench", cli_bench, "measure what exits, hypercalls, faults and switches take here"},
	{"compare", cli_compare, "one guest on every engine: do they agree, and what does each cost"},
	{"lockstep", cli_lockstep, "one guest in two engines at once, compared step by step"},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static void usage(FILE *out)
{
	fprintf(out, "Usage: ring3 VERB [ARGUMENTS]\n\nVerbs:\n");
	for (size_t i = 0; i < VERB_COUNT; i++)
		fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(out,
		"\n'ring3 VERB --help' tells more. Exit status: 0 to 119 from the guest, %d the guest crashed,\n"
		"%d timed out, %d usage or host error, %d the image cannot be used.\n",
		VM_STATUS_CRASH, VM_STATUS_TIMEOUT, VM_STATUS_HOST, VM_STATUS_IMAGE);
}

/* A descriptor opened later must not become the console because a caller left 0, 1 or 2 closed. */
static void open_standard_files(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", O_RDWR);
}

int main(int argc, char **argv)
{
	reserve_gate(argv);
	open_standard_files();
	/* Beyond 'ulimit -f', which holds for guest RAM too, writing fails instead of killing. */
	signal(SIGXFSZ, SIG_IGN);
	if (argc < 2) {
		usage(stderr);
		return VM_STATUS_HOST;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("ring3 %s\n", R3_VERSION);
		return 0;
	}
	for (size_t i = 0; i < VERB_COUNT; i++) {
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "ring3: there is no verb '%s'\n", argv[1]);
	usage(stderr);
	return VM_STATUS_HOST;
}
