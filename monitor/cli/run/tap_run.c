/*
 * The verdict on a guest that tests itself.
 */
#include "monitor/cli/run/tap_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli/run/tap.h"
#include "monitor/device/console.h"
#include "monitor/host/clock.h"
#include "monitor/host/output_file.h"
#include "monitor/vm/vm.h"

/* Of a run whose tests failed, if the guest says nothing worse. */
#define STATUS_FAILED 1

static struct tap tap;

static int complain(const char *path, int err)
{
	fprintf(stderr, "ring3: --junit %s: cannot write: %s: name a file in a directory that you may write to\n", path,
		output_error(-err));
	return err;
}

int tap_run_check(const struct vm_config *config)
{
	const char *path = config->junit_file;
	int err = path ? output_check(path) : 0;

	return err ? complain(path, err) : 0;
}

static void read_along(void *arg, const void *data, size_t len)
{
	tap_feed(arg, data, len, clock_ns());
}

void tap_run_watch(struct vm *vm)
{
	if (!vm->config->tap)
		return;
	tap_start(&tap, clock_ns());
	console_watch(vm->console, read_along, &tap);
}

/* Anything but an end of its own, with a status that fits the tests, is a problem of the run. */
static void judge_end(const struct vm *vm)
{
	if (vm->reason[0])
		tap_problem(&tap, "the guest %s: %s", vm->status == VM_STATUS_CRASH ? "crashed" : "panicked",
			    vm->reason);
	else if (vm->status == VM_STATUS_TIMEOUT)
		tap_problem(&tap, "the guest was ended after %g s", vm->config->timeout);
	else if (vm->status == VM_STATUS_HOST || vm->status == VM_STATUS_IMAGE)
		tap_problem(&tap, "ring3 could not run the guest");
	else if (vm->status > VM_STATUS_IMAGE)
		tap_problem(&tap, "a signal, or the user, ended the guest");
	else if (vm->status && (vm->status != STATUS_FAILED || !tap.verdicts[TAP_FAILED]))
		tap_problem(&tap, "the guest ended with status %d", vm->status);
}

/* The image's name without directories and ".elf". */
static char *suite_name(const struct vm *vm)
{
	const char *slash = strrchr(vm->config->kernel, '/');
	char *name = strdup(slash ? slash + 1 : vm->config->kernel), *dot = name ? strrchr(name, '.') : NULL;

	if (dot && !strcmp(dot, ".elf"))
		*dot = '\0';
	return name;
}

static int write_junit(const struct vm *vm)
{
	struct output_file file;
	char *suite = suite_name(vm), *text = NULL;
	size_t size = 0;
	FILE *out = suite ? open_memstream(&text, &size) : NULL;
	int err = -ENOMEM;

	if (out) {
		junit_write(&tap, suite, (double)(clock_ns() - vm->start_ns) / CLOCK_NS_PER_SEC, out);
		err = fclose(out) ? -ENOMEM : output_open(&file, vm->config->junit_file);
		if (!err)
			err = output_finish(&file, output_write(&file, text, size));
	}
	free(text);
	free(suite);
	return err ? complain(vm->config->junit_file, err) : 0;
}

void tap_run_judge(struct vm *vm)
{
	if (!vm->config->tap)
		return;
	judge_end(vm);
	tap_finish(&tap, clock_ns());
	fprintf(stderr, "ring3: tests: %u passed, %u failed, %u skipped, %u to do%s\n", tap.verdicts[TAP_PASSED],
		tap.verdicts[TAP_FAILED], tap.verdicts[TAP_SKIPPED], tap.verdicts[TAP_TODO],
		tap.problem_count ? "; the run itself failed:" : "");
	for (unsigned i = 0; i < tap.problem_count; i++)
		fprintf(stderr, "ring3: tests: %s\n", tap.problems[i]);
	if (!vm->status && !tap_passed(&tap))
		vm->status = STATUS_FAILED;
	if (vm->config->junit_file && write_junit(vm))
		vm_output_lost(vm);
	tap_free(&tap);
}
