/*
 * Processes under tinix: fork, vfork, clone, execve, wait4, groups and sessions, limits, many at once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

#include "child.h"
#include "tap.h"

#define MANY	  1000
#define BOMB_SIZE 50

extern char **environ;

static int exit_with(void *arg)
{
	return (int)(long)arg;
}

static int write_to(void *arg)
{
	*(volatile int *)arg = 2;
	return *(volatile int *)arg;
}

static int wait_forever(void *arg)
{
	for (volatile bool forever = true; forever;)
		pause();
	return 0;
}

/* Tells when it has used 20 ms, and goes on. */
static int spin_forever(void *arg)
{
	while (clock() < CLOCKS_PER_SEC / 50)
		;
	if (write(*(int *)arg, "x", 1) != 1)
		return 1;
	for (volatile bool forever = true; forever;)
		;
	return 0;
}

static void fork_and_wait(void)
{
	static int word = 1;
	int *heap = malloc(sizeof(*heap)), status;

	*heap = 1;
	check_equal(run_child(exit_with, (void *)42), EXITED(42), "exit status reaches the parent");
	check_equal(run_child(write_to, &word), EXITED(2), "child sees its own write to data");
	check_equal(word, 1, "parent does not");
	check_equal(run_child(write_to, heap), EXITED(2), "child sees its own write to the heap");
	check_equal(*heap, 1, "parent does not");
	check_equal(wait(&status), -1, "no child, no waiting");
	check_equal(errno, ECHILD, "but ECHILD");
	free(heap);
}

static int memory_after_grandchild(void *arg)
{
	volatile char *memory = arg;

	for (int i = 0; i < 64; i++)
		if (memory[i * 4096] != 1)
			return 1;
	memory[0] = 3;
	if (run_child(write_to, (void *)(memory + 4096)) != EXITED(2) || memory[4096] != 1)
		return 2;
	return memory[0] == 3 ? 0 : 3;
}

static void fork_of_much_memory(void)
{
	size_t size = 16 << 20;
	char *memory = malloc(size);
	bool kept = true;

	memset(memory, 1, size);
	check_equal(run_child(memory_after_grandchild, memory), 0, "copy on write through two generations");
	for (size_t i = 0; i < size; i += 4096)
		kept &= memory[i] == 1;
	check(kept, "parent's 16 MiB untouched");
	memset(memory, 5, size);
	check(memory[size - 1] == 5, "parent writes all of it again");
	free(memory);
}

static void wait_for_one(void)
{
	pid_t first = start_child(wait_forever, NULL), second = start_child(exit_with, (void *)7);
	int status;

	check_equal(waitpid(second, &status, 0), second, "waitpid waits for the one named");
	check_equal(status, EXITED(7), "its status");
	check_equal(waitpid(first, &status, WNOHANG), 0, "WNOHANG does not wait");
	kill(first, SIGTERM);
	check_equal(end_of(first), SIGTERM, "ended by a signal");
}

static void preemption(void)
{
	struct rusage usage;
	pid_t spinner;
	int ends[2], status;
	char c;

	check_equal(pipe(ends), 0, "pipe");
	spinner = start_child(spin_forever, &ends[1]);
	check_equal(read(ends[0], &c, 1), 1, "a spinning process is preempted");
	kill(spinner, SIGKILL);
	wait4(spinner, &status, 0, &usage);
	check_equal(status, SIGKILL, "and killed");
	check(usage.ru_utime.tv_sec || usage.ru_utime.tv_usec > 1000, "its time was counted");
	close(ends[0]);
	close(ends[1]);
}

static void orphans(void)
{
	int ends[2];
	pid_t parent_seen = 0, child;

	check_equal(pipe(ends), 0, "pipe");
	child = fork();
	if (!child) {
		if (!fork()) {
			pid_t old = getppid(), new;

			while ((new = getppid()) == old && old != 1)
				sched_yield();
			if (write(ends[1], &new, sizeof(new)) != sizeof(new))
				_exit(1);
			_exit(0);
		}
		_exit(0);
	}
	end_of(child);
	check_equal(read(ends[0], &parent_seen, sizeof(parent_seen)), sizeof(parent_seen), "orphan lives on");
	check_equal(parent_seen, 1, "and is process 1's");
	if (getpid() == 1)
		wait(NULL);
	close(ends[0]);
	close(ends[1]);
}

static int check_exec(int argc, char **argv)
{
	return argc == 3 && !strcmp(argv[1], "exec") && !strcmp(argv[2], "two words") && getenv("TINIX_TEST") &&
			       !strcmp(getenv("TINIX_TEST"), "yes")
		       ? 23
		       : 1;
}

static void programs(const char *self)
{
	char *argv[] = {(char *)self, "exec", "two words", NULL}, *missing[] = {"/nonexistent", NULL};
	char *huge = malloc(1 << 20), *too_long[] = {(char *)self, huge, NULL};
	volatile pid_t child;
	pid_t spawned;

	setenv("TINIX_TEST", "yes", 1);
	child = fork();
	if (!child) {
		execv(self, argv);
		_exit(1);
	}
	check_equal(end_of(child), EXITED(23), "execve passes arguments and environment");
	child = vfork();
	if (!child) {
		execv(self, argv);
		_exit(1);
	}
	check_equal(end_of(child), EXITED(23), "execve after vfork");
	check_equal(posix_spawn(&spawned, self, NULL, NULL, argv, environ), 0, "posix_spawn");
	check_equal(end_of(spawned), EXITED(23), "and what it started");
	check(posix_spawn(&spawned, missing[0], NULL, NULL, missing, environ) == ENOENT, "posix_spawn of nothing");
	check_equal(execv("/", argv), -1, "a directory is not executed");
	check_equal(errno, EACCES, "but EACCES");
	memset(huge, 'x', (1 << 20) - 1);
	huge[(1 << 20) - 1] = '\0';
	check(execv(self, too_long) == -1 && errno == E2BIG, "too many arguments: E2BIG");
	check(syscall(SYS_execve, self, 8L, NULL) == -1 && errno == EFAULT, "bad argument vector: EFAULT");
	free(huge);
}

static void auxiliary(void)
{
	const unsigned char *random = (void *)getauxval(AT_RANDOM);

	check_equal((long)getauxval(AT_PAGESZ), 4096, "AT_PAGESZ");
	check(getauxval(AT_PHDR) && getauxval(AT_PHNUM), "AT_PHDR");
	check(random && (random[0] | random[1] | random[2] | random[3]), "AT_RANDOM");
	check_equal((long)getauxval(AT_SYSINFO_EHDR), 0, "no vdso");
}

static void *thread_main(void *arg)
{
	return arg;
}

static void threads(void)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, thread_main, NULL);

	check(err == EAGAIN || err == ENOSYS, "a thread is refused, not lost (%d)", err);
}

static void groups(void)
{
	pid_t child = start_child(wait_forever, NULL);

	check_equal(setpgid(child, 0), 0, "a child gets a group of its own");
	check_equal(getpgid(child), child, "named after it");
	check(getpgid(0) != child, "which is not ours");
	check(setpgid(child, 4000) == -1 && errno == EPERM, "there is no joining a group that is not there");
	check_equal(kill(-child, SIGTERM), 0, "a signal to the group");
	check_equal(end_of(child), SIGTERM, "arrives");
	check(kill(-child, SIGTERM) == -1 && errno == ESRCH, "and then there is no group");
}

static int new_session(void *arg)
{
	if (setsid() != getpid() || getpgrp() != getpid() || getsid(0) != getpid())
		return 1;
	return setsid() == -1 && errno == EPERM ? 0 : 2;
}

static int bomb(void *arg)
{
	const struct rlimit limit = {BOMB_SIZE, BOMB_SIZE};

	setpgid(0, 0);
	if (setrlimit(RLIMIT_NPROC, &limit))
		return 1;
	/* Every process of it forks until the limit holds. */
	for (int failures = 0; failures < 20;) {
		pid_t child = fork();

		if (child < 0) {
			failures++;
			sched_yield();
		}
	}
	for (;;)
		pause();
}

static void fork_bomb(void)
{
	pid_t first = start_child(bomb, NULL);
	struct timespec pause_time = {0, 300000000};

	nanosleep(&pause_time, NULL);
	check(kill(-first, 0) == 0, "the fork bomb is on");
	check_equal(kill(-first, SIGKILL), 0, "and is killed as a group");
	check_equal(end_of(first), SIGKILL, "all of it");
	while (getpid() == 1 && wait(NULL) > 0)
		;
	check_equal(run_child(exit_with, (void *)4), EXITED(4), "then there is room again");
}

static void many_at_once(int many)
{
	static pid_t children[MANY];
	int started = 0, ended = 0;

	for (; started < many; started++)
		if ((children[started] = fork()) <= 0)
			break;
	if (started < many && !children[started])
		wait_forever(NULL);
	check(started == many, "%d processes at once", many);
	for (int i = 0; i < started; i++)
		kill(children[i], SIGTERM);
	for (int i = 0; i < started; i++)
		ended += end_of(children[i]) == SIGTERM;
	check_equal(ended, started, "all ended as told");
}

/* After the first ones the kernel's own reserves are filled. */
static void many_in_turn(int spaces)
{
	struct sysinfo before, after;
	bool right = true;

	for (int i = 0; i < 10; i++)
		right &= run_child(exit_with, (void *)1) == EXITED(1);
	sysinfo(&before);
	for (int i = 0; i < spaces; i++)
		right &= run_child(exit_with, (void *)(long)(i & 0x7f)) == EXITED(i & 0x7f);
	sysinfo(&after);
	check(right, "%d address spaces in turn", spaces);
	check(after.freeram + (64 << 10) >= before.freeram, "leave no memory behind (%ld bytes)",
	      (long)(before.freeram - after.freeram));
}

/* As Linux has it; not every C library does. */
struct old_termio {
	unsigned short c_iflag, c_oflag, c_cflag, c_lflag;
	unsigned char c_line, c_cc[8];
};

/* System V's termios: flags of 16 bits and the first characters; what it has no place for stays. */
static void old_terminal(void)
{
	struct old_termio old;
	struct termios before, after;

	if (!check(!tcgetattr(1, &before) && !ioctl(1, TCGETA, &old), "TCGETA"))
		return;
	check(old.c_lflag == (unsigned short)before.c_lflag && old.c_oflag == (unsigned short)before.c_oflag &&
		      old.c_iflag == (unsigned short)before.c_iflag && !memcmp(old.c_cc, before.c_cc, sizeof(old.c_cc)),
	      "shows what TCGETS shows");
	old.c_lflag &= (unsigned short)~ECHO;
	old.c_cc[VERASE] = 'x';
	before.c_cc[VSTART] = 'y';
	tcsetattr(1, TCSANOW, &before);
	check(!ioctl(1, TCSETA, &old) && !tcgetattr(1, &after), "TCSETA");
	check(!(after.c_lflag & ECHO) && after.c_cc[VERASE] == 'x' && after.c_cc[VSTART] == 'y',
	      "sets that and no more");
	check((after.c_lflag & ~0xffffu) == (before.c_lflag & ~0xffffu), "nor flags above");
	check(!ioctl(1, TCSETAF, &old) && !ioctl(1, TCSETAW, &old), "TCSETAF, TCSETAW");
	check(ioctl(1, TCGETA, 16) == -1 && errno == EFAULT, "TCGETA to nowhere");
}

/* Arguments: processes at once, and address spaces in turn. */
int main(int argc, char **argv)
{
	struct utsname name;

	if (argc == 3 && !strcmp(argv[1], "exec"))
		return check_exec(argc, argv);
	tap_begin();
	check(!uname(&name) && !strcmp(name.sysname, "Linux") && !strcmp(name.machine, "x86_64"), "uname");
	fork_and_wait();
	fork_of_much_memory();
	wait_for_one();
	preemption();
	orphans();
	programs(argv[0]);
	auxiliary();
	old_terminal();
	threads();
	groups();
	check_equal(run_child(new_session, NULL), 0, "setsid");
	/* Nothing else holds root back from what a bomb does. */
	if (strstr(name.release, "tinix"))
		fork_bomb();
	many_at_once(argc > 1 ? atoi(argv[1]) : 20);
	many_in_turn(argc > 2 ? atoi(argv[2]) : 100);
	return tap_finish();
}
