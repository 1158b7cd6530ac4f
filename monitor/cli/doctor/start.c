/*
 * Starts of a guest, tried as `ring3 run` makes them: this program, that verb, and a guest that lies in the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/cli/common/embed.h"
#include "monitor/cli/doctor/internal.h"
#include "monitor/cli/run/run.h"
#include "monitor/host/refusal.h"
#include "monitor/host/walls/walls.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/vm.h"

EMBED(doctor_guest, R3_DOCTOR_GUEST);

#define GUEST_SAYS  "hello"
#define SAID_MAX    4096
#define TIMEOUT	    "20"
#define OPTIONS_MAX 4
#define STANDARD    3 /* descriptors 0, 1, 2 */

/* The guest is the start's standard input, so that the start has the descriptors that any other has. */
static char guest_path[64] = "/proc/self/fd/0";

static bool guest_named; /* the path is a file of its own, to be removed */

static const char denied_remedy[] =
	"permit what is denied: in a container its seccomp profile, under a security module "
	"its policy; 'strace -f ring3 run KERNEL' names the call";

struct start {
	int guest, said;
	off_t heard; /* bytes of said */
	char text[SAID_MAX];
};

/* Where /proc is missing a file's name serves. */
static int guest_by_name(void)
{
	strcpy(guest_path, "/tmp/ring3-doctor.XXXXXX");
	guest_named = true;
	return mkostemp(guest_path, O_CLOEXEC);
}

void doctor_starts_end(void)
{
	if (guest_named)
		unlink(guest_path);
}

/* The guest in a file, which is kept. Negative errno if there is none. */
static int guest_file(void)
{
	static int fd = -1;
	size_t size = (size_t)(doctor_guest_end - doctor_guest);

	if (fd >= 0)
		return fd;
	fd = access("/proc/self/fd", F_OK) ? guest_by_name() : memfd_create("ring3 doctor", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, doctor_guest + done, size - done);
		if (n < 0) {
			int error = -errno;
			close(fd);
			fd = -1;
			return error;
		}
		done += (size_t)n;
	}
	return fd;
}

static int wear(const struct start *start)
{
	return dup2(start->guest, STDIN_FILENO) < 0 || dup2(start->said, STDOUT_FILENO) < 0 ||
			       dup2(start->said, STDERR_FILENO) < 0
		       ? -errno
		       : 0;
}

static int count(char **argv)
{
	int n = 0;

	while (argv[n])
		n++;
	return n;
}

/* In a child: the exit status, 128 and its number for a signal, or negative errno if there can be no child. */
static int start_child(const struct start *start, char **argv)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		if (wear(start))
			_exit(VM_STATUS_HOST);
		execv("/proc/self/exe", argv);
		_exit(cli_run(count(argv) - 1, argv + 1));
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * In this process: one task fewer, which decides where tasks are scarce. The run's state is the process's, so that
 * works once.
 */
static int start_here(const struct start *start, char **argv)
{
	static bool done;
	FILE *errors = stderr;
	int kept[STANDARD], status = -EBUSY;

	if (done)
		return status;
	done = true;
	fflush(stdout);
	for (int fd = 0; fd < STANDARD; fd++)
		kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, STANDARD);
	if (kept[STANDARD - 1] >= 0 && !wear(start)) {
		status = cli_run(count(argv) - 1, argv + 1);
		fflush(stdout);
		stderr = errors;
		/* What stands now around this process as well stops some checks, but does not end it. */
		walls_forgive();
	}
	for (int fd = 0; fd < STANDARD; fd++) {
		if (kept[fd] >= 0) {
			dup2(kept[fd], fd);
			close(kept[fd]);
		}
	}
	return status;
}

/* What was said since the last time. */
static void hear(struct start *start)
{
	char beyond[256];
	ssize_t len = pread(start->said, start->text, sizeof(start->text) - 1, start->heard);

	start->text[len < 0 ? 0 : len] = '\0';
	for (; len > 0; len = pread(start->said, beyond, sizeof(beyond), start->heard))
		start->heard += len;
}

/* Starts the guest with further options, a list that ends with NULL. The status as above, and start->text. */
static int try_start(struct start *start, const char *const *options)
{
	static char program[] = "ring3", verb[] = "run", timeout[] = "--timeout", seconds[] = TIMEOUT;
	char *argv[OPTIONS_MAX + 6] = {program, verb, timeout, seconds};
	int n = 4, status;

	for (; *options; options++)
		argv[n++] = (char *)*options;
	argv[n] = guest_path;
	start->heard = 0;
	start->guest = guest_file();
	start->said = start->guest < 0 ? -1 : memfd_create("ring3 doctor", MFD_CLOEXEC);
	if (start->said < 0)
		return start->guest < 0 ? start->guest : -errno;
	status = start_child(start, argv);
	hear(start);
	if (status < 0 || status == VM_STATUS_HOST) {
		int here = start_here(start, argv);
		/* The child has the descriptors that any start has. Why it fails is said best by the child. */
		if (!here || (status < 0 && here != -EBUSY)) {
			hear(start);
			status = here;
		}
	}
	close(start->said);
	return status;
}

/* ring3's own line in what the start said, without "ring3: "; NULL if there is none. The text is cut behind it. */
static char *complaint(struct start *start)
{
	static const char mark[] = "ring3: ";
	char *line = strstr(start->text, mark);

	if (!line)
		return NULL;
	line += sizeof(mark) - 1;
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* A complaint ends with what to change, after the last semicolon. */
static const char *split_remedy(char *line)
{
	static char remedy[SAID_MAX];
	char *semicolon = NULL;

	for (char *next = strstr(line, "; "); next; next = strstr(next + 1, "; "))
		semicolon = next;
	if (!semicolon || strstr(semicolon, "ring3 doctor"))
		return denied_remedy;
	strcpy(remedy, semicolon + 2);
	*semicolon = '\0';
	return remedy;
}

static bool works(int status, const struct start *start)
{
	return !status && strstr(start->text, GUEST_SAYS);
}

/* Why a start with these options is none: `status` and `remedy` are what its result says. */
static void tell_failure(struct doctor_result *result, enum doctor_status verdict, int status, struct start *start)
{
	char *line = complaint(start);
	const char *remedy = line ? split_remedy(line) : denied_remedy;

	if (line)
		doctor_found(result, verdict, remedy, "%.200s", line);
	else if (status < 0)
		doctor_found(result, verdict,
			     -status == EPERM || -status == EACCES || -status == ENOSYS ? denied_remedy
											: refusal_remedy(status),
			     "it cannot even be tried: %s", strerror(-status));
	else if (status > 128)
		doctor_found(result, verdict, denied_remedy, "it died: %s", strsignal(status - 128));
	else
		doctor_found(result, verdict, denied_remedy, "it ended with status %d and said nothing", status);
}

static void check_start(struct doctor_result *result)
{
	static const char *const none[] = {NULL};
	static struct start start;
	int status = try_start(&start, none);

	if (!works(status, &start))
		tell_failure(result, DOCTOR_MISSING, status, &start);
	else if (strstr(start.text, "ring3: "))
		tell_failure(result, DOCTOR_LIMITED, status, &start);
	else
		doctor_found(result, DOCTOR_OK, NULL, "it started, spoke and ended");
}

static void check_engines(struct doctor_result *result)
{
	static struct start start;
	char names[sizeof(result->found) / 2] = "";
	size_t len = 0;

	for (const struct engine_ops *const *engine = engines; *engine; engine++) {
		const char *const option[] = {"--engine", (*engine)->name, NULL};
		int status = try_start(&start, option);
		if (!works(status, &start)) {
			tell_failure(result, DOCTOR_LIMITED, status, &start);
			return;
		}
		len += (size_t)snprintf(names + len, sizeof(names) - len, " %s", (*engine)->name);
		if (len >= sizeof(names))
			break;
	}
	doctor_found(result, DOCTOR_OK, NULL, "a guest starts on each:%s", names);
}

static void check_ptrace(struct doctor_result *result)
{
	static const char *const option[] = {"--transport", "ptrace", NULL};
	static struct start start;
	unsigned long scope = doctor_number("/proc/sys/kernel/yama/ptrace_scope", 0);
	int status = try_start(&start, option);

	if (works(status, &start))
		doctor_found(result, DOCTOR_OK, NULL, "a guest starts with it (kernel.yama.ptrace_scope %lu)", scope);
	else
		tell_failure(result, DOCTOR_LIMITED, status, &start);
	if (result->status != DOCTOR_OK && scope > 1)
		result->remedy = "sysctl kernel.yama.ptrace_scope=1 or 0; until then use --transport signal";
}

const struct doctor_check doctor_starts[] = {
	{"start", "a guest, as 'ring3 run' starts it", check_start},
	{"engines", "every engine", check_engines},
	{"ptrace", "transport ptrace", check_ptrace},
};

const unsigned doctor_starts_count = sizeof(doctor_starts) / sizeof(doctor_starts[0]);
