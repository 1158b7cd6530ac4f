/*
 * The monitor taken over: has a running monitor make system calls of somebody else's choice, as code would that a guest
 * brought in, and judges by what becomes of them. Its walls stop each, or they are not there.
 *
 *   r3_intruder [-o] COMMAND...         a monitor; ended once all was tried. -o: it stands behind another filter
 * already, which denies it Landlock and mseal, as an older host does r3_intruder -c KERNEL RING3 VERB... the child that
 * the verb makes, while a guest runs that it can ask
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 20
/* Below what the monitor's stack may hold beneath RSP. */
#define SCRATCH 8192

static pid_t monitor, stranger, guest, verb;
static char stranger_memory[64];
static uint64_t syscall_at; /* in the monitor: a SYSCALL */
static unsigned failures;

static void die(const char *what)
{
	fprintf(stderr, "FAIL: %s: %s\n", what, strerror(errno));
	if (monitor > 0)
		kill(monitor, SIGKILL);
	if (guest > 0)
		kill(guest, SIGKILL);
	exit(EXIT_FAILURE);
}

/* ------------------------------------------------------------------------------------------------ the monitor */

/* The number behind a name in /proc/PID/status; -1: none. */
static long status_of(pid_t pid, const char *name)
{
	char path[64], line[256];
	long value = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			value = strtol(line + strlen(name) + 1, NULL, 10);
	if (status)
		fclose(status);
	return value;
}

/* Its guest is ready when it has put its filter up, behind `others`. */
static void await_walls(pid_t pid, long others)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	time_t end = time(NULL) + PATIENCE_S;

	while (status_of(pid, "Seccomp_filters") <= others) {
		errno = ETIMEDOUT;
		if (time(NULL) > end || waitpid(pid, NULL, WNOHANG))
			die("the monitor puts no filter up");
		nanosleep(&pause, NULL);
	}
}

/* With an input that says nothing: a debugger, or a console, that waits. It begins when `go` is closed. */
static pid_t start(char *const *command, int *go)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int silence[2], begin[2];
	char nothing;

	if (null < 0 || pipe(silence) || pipe2(begin, O_CLOEXEC))
		die("pipe");
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(begin[1]);
		if (read(begin[0], &nothing, 1))
			_exit(127);
		close(silence[1]);
		dup2(silence[0], STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		execv(command[0], command);
		_exit(127);
	}
	close(begin[0]);
	*go = begin[1];
	return pid;
}

static void start_stranger(void)
{
	stranger = fork();
	if (!stranger) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	snprintf(stranger_memory, sizeof(stranger_memory), "/proc/%d/mem", (int)stranger);
}

static void find_syscall(void)
{
	char path[64], line[512];
	uint64_t from, to;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)monitor);
	int memory = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)monitor);
	FILE *maps = fopen(path, "re");
	while (maps && !syscall_at && fgets(line, sizeof(line), maps)) {
		char rights[5];
		if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 || strcmp(rights, "r-xp") ||
		    !strstr(line, "libc.so"))
			continue;
		char *code = malloc(to - from);
		ssize_t size = code ? pread(memory, code, to - from, (off_t)from) : -1;
		const char *found = size > 0 ? memmem(code, (size_t)size, "\x0f\x05", 2) : NULL;
		syscall_at = found ? from + (uint64_t)(found - code) : 0;
		free(code);
	}
	if (maps)
		fclose(maps);
	close(memory);
	if (!syscall_at)
		die("no SYSCALL in the monitor's C library");
}

/* -------------------------------------------------------------------------------------------------- its calls */

static int await_stop(void)
{
	int status;

	if (waitpid(monitor, &status, __WALL) != monitor || !WIFSTOPPED(status)) {
		monitor = 0;
		errno = ECHILD;
		die("the monitor ended");
	}
	return WSTOPSIG(status);
}

static void seize(long options)
{
	if (ptrace(PTRACE_SEIZE, monitor, 0, PTRACE_O_EXITKILL | options))
		die("SEIZE");
}

/* A verb that is a monitor, once its walls stand. */
static void take_over(char **command, long others)
{
	int go;

	monitor = start(command, &go);
	close(go);
	await_walls(monitor, others);
	seize(0);
	if (ptrace(PTRACE_INTERRUPT, monitor, 0, 0))
		die("INTERRUPT");
	await_stop();
}

/* Runs to the next stop that `request` brings or an event; signals on the way are delivered. */
static int run_to_stop(int request)
{
	int status, signal = 0;

	do {
		if (ptrace(request, monitor, 0, signal))
			die("the verb cannot go on");
		if (waitpid(monitor, &status, __WALL) != monitor || !WIFSTOPPED(status)) {
			monitor = 0;
			errno = ECHILD;
			die("the verb ended");
		}
		signal = WSTOPSIG(status);
	} while (signal != SIGTRAP && !(status >> 16));
	return status >> 16;
}

/*
 * The child that a verb makes to hear `kernel` while it runs: at the call that has put its walls up. The verb itself
 * stays where it made the child, so that its patience does not end.
 */
static void take_child_over(char **command, char *kernel)
{
	char *const run[] = {command[0], "run", kernel, NULL};
	unsigned long child;
	int go;

	guest = start(run, &go);
	close(go);
	await_walls(guest, 0);
	monitor = verb = start(command, &go);
	seize(PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC);
	close(go);
	do {
		int status;

		if (waitpid(monitor, &status, __WALL) != monitor || !WIFSTOPPED(status))
			die("the verb ended");
		if (status >> 16 == PTRACE_EVENT_FORK)
			break;
		if (ptrace(PTRACE_CONT, monitor, 0, status >> 16 ? 0 : WSTOPSIG(status)))
			die("CONT");
	} while (true);
	if (ptrace(PTRACE_GETEVENTMSG, monitor, 0, &child))
		die("GETEVENTMSG");
	monitor = (pid_t)child;
	await_stop();
	while (status_of(monitor, "Seccomp_filters") < 1)
		run_to_stop(PTRACE_SYSCALL);
}

static struct user_regs_struct before;

/* What the call returned; false: it was not made. */
static bool make_call(const long call[7], long *result)
{
	struct user_regs_struct regs = before;
	int signal;

	regs.rax = (unsigned long long)call[0];
	regs.rdi = (unsigned long long)call[1];
	regs.rsi = (unsigned long long)call[2];
	regs.rdx = (unsigned long long)call[3];
	regs.r10 = (unsigned long long)call[4];
	regs.r8 = (unsigned long long)call[5];
	regs.r9 = (unsigned long long)call[6];
	regs.rip = syscall_at;
	regs.rsp -= 2 * SCRATCH;
	regs.orig_rax = -1ull;
	if (ptrace(PTRACE_SETREGS, monitor, 0, &regs))
		die("SETREGS");
	/* The monitor's own signals, and the trap of a step before, come in between. */
	do {
		if (ptrace(PTRACE_SINGLESTEP, monitor, 0, 0))
			die("SINGLESTEP");
		signal = await_stop();
		if (ptrace(PTRACE_GETREGS, monitor, 0, &regs))
			die("GETREGS");
	} while (signal != SIGSYS && (signal != SIGTRAP || regs.rip == syscall_at));
	*result = (long)regs.rax;
	return signal == SIGTRAP;
}

/* Puts text into the monitor's memory. */
static long give(const char *text, unsigned slot)
{
	enum { SLOT = 256 };
	uint64_t at = (before.rsp - SCRATCH + slot * SLOT) & ~7ull;

	for (size_t i = 0; i <= strlen(text); i += sizeof(long)) {
		long word = 0;
		memcpy(&word, text + i, strnlen(text + i, sizeof(word)));
		if (ptrace(PTRACE_POKEDATA, monitor, at + i, word))
			die("POKEDATA");
	}
	return (long)at;
}

static void attempt(const char *what, const long call[7])
{
	long result;
	bool made = make_call(call, &result);

	if (made && result != -EACCES && result != -EPERM) {
		printf("not stopped: %s: %ld\n", what, result);
		failures++;
	} else {
		printf("stopped: %s: %s\n", what, made ? strerror((int)-result) : "SIGSYS");
	}
}

#define ATTEMPT(what, ...) attempt(what, (const long[7]){__VA_ARGS__})

static bool host_has_landlock(int version)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* its version */) >= version;
}

static void try_all(bool old)
{
	enum { SIGNALS_SCOPED = 6 };
	long result, program = give("/bin/true", 0), secret = give("/etc/passwd", 1),
		     made = give("/tmp/ring3-intruder", 2);
	long memory = give(stranger_memory, 3), here = AT_FDCWD;
	long page = getpagesize();

	/* That calls are made at all. */
	if (!make_call((const long[7]){SYS_getpid}, &result) || result != monitor)
		die("no call can be had from the monitor");
	ATTEMPT("execve", SYS_execve, program, 0, 0);
	ATTEMPT("execveat", SYS_execveat, here, program, 0, 0, 0);
	ATTEMPT("a socket", SYS_socket, AF_INET, SOCK_STREAM, 0);
	ATTEMPT("a socket of the machine's", SYS_socket, AF_UNIX, SOCK_STREAM, 0);
	ATTEMPT("reading a file", SYS_openat, here, secret, O_RDONLY);
	ATTEMPT("reading a file, the old way", SYS_open, secret, O_RDONLY);
	ATTEMPT("changing a file", SYS_openat, here, secret, O_RDWR);
	ATTEMPT("making a file", SYS_openat, here, made, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ATTEMPT("removing a file", SYS_unlink, made);
	ATTEMPT("moving a file", SYS_rename, made, secret);
	ATTEMPT("a link", SYS_symlink, secret, made);
	ATTEMPT("a directory", SYS_mkdir, made, 0700);
	ATTEMPT("tracing a stranger", SYS_ptrace, PTRACE_ATTACH, stranger);
	ATTEMPT("a stranger's memory by a call", SYS_process_vm_readv, stranger, 0, 0, 0, 0, 0);
	ATTEMPT("ending a stranger softly", SYS_kill, stranger, SIGTERM);
	ATTEMPT("all processes' end", SYS_kill, -1, SIGKILL);
	ATTEMPT("a user namespace", SYS_clone, CLONE_NEWUSER | SIGCHLD);
	ATTEMPT("leaving a namespace", SYS_unshare, CLONE_NEWUSER);
	ATTEMPT("written code", SYS_mmap, 0, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	ATTEMPT("another user", SYS_setuid, 0);
	ATTEMPT("typing for the user", SYS_ioctl, 0, 0x5412 /* TIOCSTI */, program);
	ATTEMPT("BPF", SYS_bpf, 0, 0, 0);
	ATTEMPT("io_uring", SYS_io_uring_setup, 1, 0);
	if (!old) /* the other filter ends the process for it */
		ATTEMPT("32-bit numbers", 0x40000000 | SYS_execve, program, 0, 0);
	if (!old && host_has_landlock(1)) {
		ATTEMPT("a stranger's memory by a file", SYS_openat, here, memory, O_RDONLY);
		ATTEMPT("seizing a stranger", SYS_ptrace, PTRACE_SEIZE, stranger, 0, 0);
	}
	if (!old && host_has_landlock(SIGNALS_SCOPED))
		ATTEMPT("a stranger's end", SYS_kill, stranger, SIGKILL);
}

int main(int argc, char **argv)
{
	bool old = argc > 1 && !strcmp(argv[1], "-o"), child = argc > 2 && !strcmp(argv[1], "-c");

	if (argc < 2 + old + 2 * child)
		return EXIT_FAILURE;
	/* A monitor that was killed leaves its socket. */
	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], "unix:", 5))
			unlink(argv[i] + 5);
	start_stranger();
	if (child)
		take_child_over(argv + 3, argv[2]);
	else
		take_over(argv + 1 + old, old);
	if (status_of(monitor, "NoNewPrivs") != 1)
		die("the monitor could gain rights by exec");
	if (ptrace(PTRACE_GETREGS, monitor, 0, &before))
		die("GETREGS");
	find_syscall();
	try_all(old);
	const pid_t started[] = {monitor, stranger, guest, verb};
	for (unsigned i = 0; i < sizeof(started) / sizeof(started[0]); i++)
		if (started[i] > 0)
			kill(started[i], SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
