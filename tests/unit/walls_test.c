/*
 * The monitor's walls from within. Each case is a child process that stands behind them and tries something as code
 * would that had taken over the monitor: by the bare system call.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/host/output_file.h"
#include "monitor/host/walls/names.h"
#include "monitor/host/walls/walls.h"

static char directory[] = "/tmp/ring3-walls.XXXXXX", output[64], other[64];

static pid_t parent;

/* Bytes of the child's stderr. */
static char said[1024];

/* Status of a child that does `attempt` behind the walls: its exit status, or 128 and its signal. */
static int behind(enum walls_verb verb, int (*attempt)(void))
{
	int ends[2], status;
	size_t len = 0;
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	parent = getpid();
	pid_t child = fork();
	if (!child) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		prctl(PR_SET_DUMPABLE, 0);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		/* Names do not pass a fork. */
		_exit(output_check(output) || walls_up(verb, NULL) ? 99 : attempt());
	}
	close(ends[1]);
	while ((n = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void forbidden(int (*attempt)(void), const char *name)
{
	for (enum walls_verb verb = WALLS_RUN; verb <= WALLS_TOP; verb++) {
		assert_int_equal(behind(verb, attempt), 128 + SIGABRT);
		assert_non_null(strstr(said, "that its walls forbid"));
		assert_non_null(strstr(said, name));
	}
}

/* Refused by number, by argument, or by Landlock: in any case it was not done. */
static int failed(long result)
{
	return result < 0 ? 0 : 1;
}

static int try_execve(void)
{
	char *argv[] = {"/bin/true", NULL};

	return failed(syscall(SYS_execve, argv[0], argv, NULL));
}

static int try_socket(void)
{
	return failed(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
}

static int try_create(void)
{
	return failed(syscall(SYS_openat, AT_FDCWD, other, O_WRONLY | O_CREAT, 0600));
}

static int try_open_old(void)
{
	return failed(syscall(SYS_open, other, O_RDONLY));
}

static int try_unlink(void)
{
	return failed(syscall(SYS_unlink, output));
}

/* A part of a kept name is no kept name. */
static int try_unlink_part(void)
{
	return failed(syscall(SYS_unlink, names_find(output) + 1));
}

static int try_rename(void)
{
	return failed(syscall(SYS_rename, names_find(output), other));
}

static int try_new_name(void)
{
	strcpy((char *)names_find(output), other);
	return 1;
}

static int try_write_names(void)
{
	return failed(syscall(SYS_mprotect, NAMES_READ, NAMES_SLOT, PROT_READ | PROT_WRITE));
}

static int try_map_names(void)
{
	return failed(syscall(SYS_mmap, NAMES_READ, NAMES_SLOT, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}

static int try_move_names(void)
{
	void *from = mmap(NULL, NAMES_SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return failed(syscall(SYS_mremap, from, NAMES_SLOT, NAMES_SLOT, MREMAP_MAYMOVE | MREMAP_FIXED, NAMES_READ));
}

static int try_written_code(void)
{
	return failed(syscall(SYS_mmap, NULL, NAMES_SLOT, PROT_READ | PROT_WRITE | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int try_kill(void)
{
	return failed(syscall(SYS_kill, parent, SIGTERM));
}

static int try_attach(void)
{
	return failed(syscall(SYS_ptrace, PTRACE_ATTACH, parent, 0, 0));
}

static int try_namespace(void)
{
	return failed(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0));
}

static int try_terminal_input(void)
{
	return failed(syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x"));
}

static void test_forbidden(void **state)
{
	static const struct {
		int (*attempt)(void);
		const char *name;
	} cases[] = {
		{try_execve, "execve"},	  {try_socket, "socket"},	 {try_create, "openat"},
		{try_open_old, "open"},	  {try_unlink, "unlink"},	 {try_unlink_part, "unlink"},
		{try_rename, "rename"},	  {try_written_code, "mmap"},	 {try_kill, "kill"},
		{try_namespace, "clone"}, {try_terminal_input, "ioctl"}, {try_attach, "ptrace"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		forbidden(cases[i].attempt, cases[i].name);
}

static int try_unmap_names(void)
{
	return failed(syscall(SYS_munmap, NAMES_READ, NAMES_SLOT));
}

static int try_sealed(void)
{
	return names_sealed() ? 0 : 1;
}

static void test_names_stay(void **state)
{
	int (*const attempts[])(void) = {try_write_names, try_map_names, try_move_names, try_unmap_names};

	assert_int_equal(behind(WALLS_RUN, try_new_name), 128 + SIGSEGV);
	if (behind(WALLS_RUN, try_sealed))
		skip();
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		assert_int_equal(behind(WALLS_RUN, attempts[i]), 0);
}

/* ------------------------------------------------------------------------------------------ what Landlock adds */

static int try_read_elsewhere(void)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	return fd < 0 && errno == EACCES ? 0 : 1;
}

static int try_read_above(void)
{
	int fd = open("/proc/../etc/passwd", O_RDONLY | O_CLOEXEC);

	return fd < 0 && errno == EACCES ? 0 : 1;
}

/* Either there is no way to say which files, and none is read, or these are not among them. */
static void test_reading(void **state)
{
	assert_int_equal(behind(WALLS_RUN, try_read_elsewhere), 0);
	assert_int_equal(behind(WALLS_RUN, try_read_above), 0);
}

static int try_seize_parent(void)
{
	return syscall(SYS_ptrace, PTRACE_SEIZE, parent, 0, 0) < 0 ? 0 : 1;
}

static int try_kill_parent(void)
{
	return kill(parent, SIGKILL) && errno == EPERM ? 0 : 1;
}

static void test_others(void **state)
{
	enum { SIGNALS_SCOPED = 6 };

	if (!walls_landlock_version())
		skip();
	assert_int_equal(behind(WALLS_RUN, try_seize_parent), 0);
	if (walls_landlock_version() >= SIGNALS_SCOPED)
		assert_int_equal(behind(WALLS_RUN, try_kill_parent), 0);
}

/* ------------------------------------------------------------------------------------------------- what still goes */

static int write_output(void)
{
	struct output_file file;
	int err = output_open(&file, output);

	if (!err)
		err = output_finish(&file, output_write(&file, "text", 4));
	return -err;
}

static void test_output(void **state)
{
	struct stat st;

	for (enum walls_verb verb = WALLS_RUN; verb <= WALLS_REPORT; verb++) {
		unlink(output);
		assert_int_equal(behind(verb, write_output), 0);
		assert_int_equal(stat(output, &st), 0);
		assert_int_equal(st.st_size, 4);
	}
}

#ifndef __SANITIZE_ADDRESS__ /* a sanitizer does all that the monitor may */
/* Who reads what others wrote makes no children, and opens no files to read. */
static int try_fork(void)
{
	return failed(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0));
}

static int try_read_libraries(void)
{
	return failed(syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY));
}

static int try_accept(void)
{
	return failed(syscall(SYS_accept4, 0, NULL, NULL, 0));
}

static void test_readers(void **state)
{
	int (*const attempts[])(void) = {try_fork, try_read_libraries, try_accept};

	for (enum walls_verb verb = WALLS_REPORT; verb <= WALLS_TOP; verb++)
		for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
			assert_int_equal(behind(verb, attempts[i]), 128 + SIGABRT);
}
#endif

/* A child of its own, as cells are, is made, filtered and ended. */
static int make_child(void)
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(walls_try_filter(WALLS_RUN));
	return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}

static int forgiven(void)
{
	walls_forgive();
	return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM ? 0 : 1;
}

static void test_children(void **state)
{
	assert_int_equal(behind(WALLS_RUN, make_child), 0);
	assert_int_equal(behind(WALLS_RUN, forgiven), 0);
	assert_string_equal(said, "");
}

static int up(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(output, sizeof(output), "%s/output", directory);
	snprintf(other, sizeof(other), "%s/other", directory);
	return 0;
}

static int down(void **state)
{
	unlink(output);
	unlink(other);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden), cmocka_unit_test(test_names_stay), cmocka_unit_test(test_reading),
		cmocka_unit_test(test_others),	  cmocka_unit_test(test_output),     cmocka_unit_test(test_children),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(test_readers),
#endif
	};

	return cmocka_run_group_tests(tests, up, down);
}
