/*
 * Asking the engines: a guest kernel executes one instruction in its ring 0 and prints what it saw. A machine for each,
 * so that whatever it does is gone afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/cli/classify/internal.h"
#include "monitor/cli/common/own_guest.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/vm.h"

extern char **environ;

/* Where the child finds the file for its statistics. */
#define STATS_FD   3
#define STATS_PATH "/proc/self/fd/3"

/* A guest's kernel that is translated does the instruction so often before the time that counts. */
#define BEFORE 100u

/* The guest's line, see tests/classify/guest.c. Nothing of the kind: the instruction ended it. */
static void read_answer(FILE *console, struct classify_result *result)
{
	char line[512], bytes[2 * sizeof(result->bytes) + 1];
	unsigned vector, byte;

	*result = (struct classify_result){.lost = true};
	while (fgets(line, sizeof(line), console)) {
		if (sscanf(line, "classify: trapped %u %x", &vector, &result->error) == 2) {
			result->trapped = true;
			result->vector = (uint8_t)vector;
			result->lost = false;
		} else if (sscanf(line, "classify: passed %lx %128s", &result->value, bytes) == 2) {
			for (unsigned i = 0; i < strlen(bytes) / 2 && sscanf(bytes + 2 * i, "%2x", &byte) == 1; i++)
				result->bytes[i] = (uint8_t)byte;
			result->lost = false;
		}
	}
}

/* What leaves translated code each time is not translated: no other instruction was executed so often. */
static bool was_translated(int stats_fd)
{
	json_t *stats = json_loadfd(stats_fd, 0, NULL), *one;
	json_t *sensitive = json_object_get(stats, "sensitive");
	json_t *vcpu = json_array_get(json_object_get(stats, "vcpus"), 0);
	/* INT 80h has an exit of its own. */
	json_t *soft_int = json_object_get(json_object_get(vcpu, "exits"), "soft_int");
	bool translated = sensitive && json_integer_value(soft_int) < BEFORE;
	size_t i;

	json_array_foreach(sensitive, i, one) if (json_integer_value(json_object_get(one, "interpreted")) >= BEFORE)
		translated = false;
	json_decref(stats);
	return translated;
}

static int run_guest(const char *guest, const char *engine, unsigned insn, struct classify_result *result)
{
	char append[64], path[64];
	char *argv[] = {"ring3", "run",	    "--engine", (char *)engine, "--memory", "16M",	   "--timeout",
			"5",	 "--stats", STATS_PATH, "--append",	append,	    (char *)guest, NULL};
	bool translates = !strcmp(engine, "translate");
	posix_spawn_file_actions_t actions;
	int ends[2], stats = memfd_create("ring3 stats", MFD_CLOEXEC), error, status;
	pid_t pid;

	snprintf(append, sizeof(append), "pv=off insn=%u before=%u", insn, translates ? BEFORE : 0);
	snprintf(path, sizeof(path), "/proc/%d/exe", getpid());
	if (stats < 0)
		return -errno;
	if (pipe2(ends, O_CLOEXEC)) {
		error = errno;
		close(stats);
		return -error;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	/* The report of a guest that died is not asked for: that it died is the answer. */
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	/* Last, for it may be what one of the others is. */
	posix_spawn_file_actions_adddup2(&actions, stats, STATS_FD);
	error = -posix_spawn(&pid, path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	FILE *console = fdopen(ends[0], "r");
	if (console && !error)
		read_answer(console, result);
	if (console)
		fclose(console);
	else
		close(ends[0]);
	while (!error && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	result->translated = translates && !error && was_translated(stats);
	close(stats);
	if (error)
		return error;
	/* The host refused, which is no answer. */
	return WIFEXITED(status) && WEXITSTATUS(status) == VM_STATUS_HOST ? -ENOSYS : 0;
}

int classify_ask_engines(struct classify_table *table)
{
	char *guest = own_guest("tests/classify/classify_guest.elf", "leave the engines out with --host-only");
	int error = guest ? 0 : -ENOENT;

	for (; !error && engines[table->engines] && table->engines < CLASSIFY_ENGINES_MAX; table->engines++) {
		const char *engine = engines[table->engines]->name;
		if (!strcmp(engine, "interpret"))
			table->reference = table->engines;
		for (unsigned n = 0; n < classify_insn_count && !error; n++)
			error = run_guest(guest, engine, n, &table->row[n].ring0[table->engines]);
		if (error)
			fprintf(stderr, "ring3: engine %s does not run here: %s; see 'ring3 doctor'\n", engine,
				strerror(-error));
	}
	free(guest);
	return error;
}
