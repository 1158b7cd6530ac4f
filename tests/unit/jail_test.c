/*
 * The jail's child is not waited for longer than it may take, nor when the monitor is to end.
 */
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/debug/crash/jail.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/vm/vm.h"

#define RAM (1u << 20)

static struct vm vm;
static FILE *heard;

static int set_up(void **state)
{
	clock_start();
	heard = tmpfile();
	return !heard || gm_init(&vm.mem, RAM);
}

static int tear_down(void **state)
{
	gm_free(&vm.mem);
	return fclose(heard);
}

static void speak(void *arg, FILE *out)
{
	fputs("word\n", out);
}

/* As a library would that waits for a lock. */
static void sleep_for_ever(void *arg, FILE *out)
{
	static const int word;

	for (;;)
		syscall(SYS_futex, &word, FUTEX_WAIT, word, NULL, NULL, 0);
}

/* Silent, but alive. */
static void hide(void *arg, FILE *out)
{
	fclose(out);
	sleep_for_ever(arg, NULL);
}

#define PATIENCE (10 * CLOCK_NS_PER_SEC)

static void no_child_left(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_well(void **state)
{
	char line[16] = "";

	assert_true(jail_run(&vm.mem, speak, NULL, PATIENCE, heard));
	rewind(heard);
	assert_non_null(fgets(line, sizeof(line), heard));
	assert_string_equal(line, "word\n");
	no_child_left();
}

/* It needs no CPU time, and is ended all the same. */
static void test_silent(void **state)
{
	uint64_t since = clock_ns();

	assert_false(jail_run(&vm.mem, hide, NULL, PATIENCE, heard));
	assert_true(clock_ns() - since < 60 * CLOCK_NS_PER_SEC);
	no_child_left();
}

/* A process that sends SIGTERM here after a while. */
static pid_t signal_soon(void)
{
	const struct timespec a_while = {.tv_nsec = 200000000};
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		nanosleep(&a_while, NULL);
		_exit(kill(parent, SIGTERM));
	}
	return pid;
}

static void kick(void *arg)
{
}

static void test_signal(void **state)
{
	uint64_t since = clock_ns();
	pid_t sender;

	assert_int_equal(events_init(&vm.attention, kick, NULL), 0);
	sender = signal_soon();
	assert_false(jail_run(&vm.mem, sleep_for_ever, NULL, PATIENCE, heard));
	assert_int_equal(events_quit_signal(), SIGTERM);
	/* Far less than the child's CPU time permits. */
	assert_true(clock_ns() - since < CLOCK_NS_PER_SEC);
	while (waitpid(sender, NULL, 0) < 0)
		;
	events_exit();
	no_child_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_well, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silent, set_up, tear_down),
		/* Last: the wish for the end stays. */
		cmocka_unit_test_setup_teardown(test_signal, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
