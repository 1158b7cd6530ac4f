/*
 * Where the program starts: picks the verb. A verb is one word of the list and one folder beside this file.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/cli/bench/bench.h"
#include "monitor/cli/classify/classify.h"
#include "monitor/cli/compare/compare.h"
#include "monitor/cli/doctor/doctor.h"
#include "monitor/cli/lockstep/lockstep.h"
#include "monitor/cli/new/new.h"
#include "monitor/cli/report/report.h"
#include "monitor/cli/run/run.h"
#include "monitor/cli/top/top.h"
#include "monitor/cli/verbs.h"
#include "monitor/engine/trap/reserve.h"
#include "monitor/vm/vm.h"

const struct verb *const verbs[] = {&run_verb,	    &report_verb, &top_verb,	 &new_verb,	 &doctor_verb,
				    &classify_verb, &bench_verb,  &compare_verb, &lockstep_verb, NULL};

static const struct verb *verb_find(const char *name)
{
	for (const struct verb *const *verb = verbs; *verb; verb++)
		if (!strcmp(name, (*verb)->name))
			return *verb;
	return NULL;
}

static int usage(void)
{
	printf("Usage: ring3 VERB [ARGUMENTS]\n\nVerbs:\n");
	for (const struct verb *const *verb = verbs; *verb; verb++)
		printf("  %-10s %s\n", (*verb)->name, (*verb)->summary);
	printf("  %-10s %s\n", "help", "tell more of a verb, as 'ring3 VERB --help' does");
	printf("\nWhile a guest runs on a terminal, Ctrl-A X ends it. Exit status: 0 to 119 from the guest, %d the "
	       "guest "
	       "crashed,\n%d timed out, %d usage or host error, %d the image cannot be used.\n",
	       VM_STATUS_CRASH, VM_STATUS_TIMEOUT, VM_STATUS_HOST, VM_STATUS_IMAGE);
	return 0;
}

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "ring3: %s%s%s\nring3: 'ring3 help' lists the verbs\n", what, word, *word ? "'" : "");
	return VM_STATUS_HOST;
}

/* The kernel itself, or an option of QEMU's, where the verb should be. */
static int no_verb(const char *word)
{
	if (word[0] != '-' && access(word, R_OK))
		return complain("there is no verb '", word);
	fprintf(stderr, "ring3: there is no verb '%s'\nring3: 'ring3 run %s%s' boots a kernel\n", word, word,
		word[0] == '-' ? " ..." : "");
	return VM_STATUS_HOST;
}

/* What packages are made with: ring3 help --man [VERB], ring3 help --completion SHELL. */
static int help_for_packages(int argc, char **argv)
{
	const struct verb *verb = argc > 3 ? verb_find(argv[3]) : NULL;

	if (!strcmp(argv[2], "--completion"))
		return argc == 4 && completion_print(argv[3], stdout)
			       ? 0
			       : complain("help: --completion is for bash or zsh, and not for '",
					  argc > 3 ? argv[3] : "");
	if (argc > 4 || (argc == 4 && !verb))
		return complain("there is no verb '", argv[argc - 1]);
	manual_print(verb, stdout);
	return 0;
}

static int help(int argc, char **argv)
{
	const struct verb *verb = argc > 2 ? verb_find(argv[2]) : NULL;

	if (argc < 3)
		return usage();
	if (!strcmp(argv[2], "--man") || !strcmp(argv[2], "--completion"))
		return help_for_packages(argc, argv);
	if (argc > 3)
		return complain("help: one verb at a time, and not also '", argv[3]);
	if (!verb)
		return complain("there is no verb '", argv[2]);
	verb_help(verb->argp, verb->name, stdout);
	return 0;
}

/* What is in the program beside its own code, and what it loads: cmake/package/components.cmake. */
static int version(bool verbose)
{
	static const char *const components[] = {
#define R3_COMPONENT(name, version, licence, how) name " " version ", " licence ", " how,
#include "components.def"
	};

	printf("ring3 %s\n", R3_VERSION);
	for (size_t i = 0; verbose && i < sizeof(components) / sizeof(components[0]); i++)
		printf("  %s\n", components[i]);
	return 0;
}

/*
 * A descriptor opened later must not become the console because a caller left 0, 1 or 2 closed. Standard output that is
 * closed stays one that nothing can be written to.
 */
static void open_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

/* Whatever a verb says and however it ends, lost output is a failure. */
static void check_output(void)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return;
	fprintf(stderr, "ring3: cannot write to standard output: %s\n", strerror(errno ? errno : EIO));
	_exit(VM_STATUS_HOST);
}

/* Looks for leaks when the process exits; of a sanitizer alone. */
void __lsan_do_leak_check(void) __attribute__((weak));

/* Destructors of libraries have nothing to do here, and each page that they are on is a fault. */
static _Noreturn void leave(int status)
{
	if (__lsan_do_leak_check)
		exit(status);
	check_output();
	fflush(NULL);
	_exit(status);
}

int main(int argc, char **argv)
{
	reserve_gate(argv);
	open_standard_files();
	atexit(check_output);
	/* Beyond 'ulimit -f', which holds for guest RAM too, writing fails instead of killing. */
	signal(SIGXFSZ, SIG_IGN);
	if (argc < 2)
		return complain("name a verb", "");
	const char *word = argv[1];
	const struct verb *verb = verb_find(word);
	if (verb)
		leave(verb->run(argc - 1, argv + 1));
	if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		return usage();
	if (!strcmp(word, "help"))
		return help(argc, argv);
	if (!strcmp(word, "--version"))
		return version(argc > 2 && !strcmp(argv[2], "--verbose"));
	return no_verb(word);
}
