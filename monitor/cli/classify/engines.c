/*
 * Asking the engines: a guest kernel executes one instruction in its ring 0 and prints what it saw. A machine for each,
 * so that whatever it does is gone afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/cli/classify/internal.h"
#include "monitor/cli/common/own_guest.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/vm.h"

extern char **environ;

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

static int run_guest(const char *guest, const char *engine, unsigned insn, struct classify_result *result)
{
	char append[64], path[64];
	char *argv[] = {"ring3",     "run", "--engine", (char *)engine, "--memory",    "16M",
			"--timeout", "5",   "--append", append,		(char *)guest, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], error, status;
	pid_t pid;

	snprintf(append, sizeof(append), "pv=off insn=%u", insn);
	snprintf(path, sizeof(path), "/proc/%d/exe", getpid());
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	/* The report of a guest that died is not asked for: that it died is the answer. */
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
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
	if (error)
		return error;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
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
