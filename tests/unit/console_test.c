/*
 * The console against real pipes and terminals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "monitor/device/console.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/host/timer.h"
#include "monitor/vm/vcpu.h"
#include "monitor/vm/vm.h"
#include "tests/unit/capture.h"

#define PATIENCE_MS 10000 /* for what must come; a test that waits so long fails */

/* -------------------------------------------------------------------------------------- the monitor around it */

static int woken = -1; /* eventfd, counts wake-ups */
static atomic_int quit_signal;

void vcpu_raise_error(struct vcpu *vcpu, uint8_t vector, uint32_t error)
{
}

void events_wake(void)
{
	eventfd_write(woken, 1);
}

int events_quit_signal(void)
{
	return atomic_load(&quit_signal);
}

static bool resized;

bool events_take(int signal)
{
	bool taken = signal == SIGWINCH && resized;

	resized = false;
	return taken;
}

static struct vm_config config;
static struct vm vm;
static int in_pipe[2], out_pipe[2];

static int setup(void **state)
{
	config = (struct vm_config){0};
	memset(&vm, 0, sizeof(vm));
	vm.config = &config;
	vm.start_ns = clock_ns();
	atomic_store(&quit_signal, 0);
	woken = eventfd(0, 0);
	return pipe(in_pipe) || pipe(out_pipe) || woken < 0;
}

static int teardown(void **state)
{
	close(in_pipe[0]);
	close(in_pipe[1]);
	close(out_pipe[0]);
	close(out_pipe[1]);
	close(woken);
	return 0;
}

static struct console *open_pipes(void)
{
	struct console *console = console_open(&vm, in_pipe[0], out_pipe[1]);

	assert_non_null(console);
	return console;
}

static void await_wake(void)
{
	struct pollfd fd = {.fd = woken, .events = POLLIN};
	eventfd_t count;

	assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
	eventfd_read(woken, &count);
}

static void await_input(struct console *console, size_t len)
{
	while (console_input_pending(console) < len)
		await_wake();
}

static int waiting_in(int fd)
{
	int n = 0;

	assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
	return n;
}

/* ------------------------------------------------------------------------------------------------------ output */

static void output_is_gathered(void **state)
{
	struct console *console = open_pipes();
	char got[16];
	uint64_t before = clock_ns();

	assert_true(console_deadline(console) == TIMER_NEVER);
	for (const char *c = "one byte"; *c; c++)
		console_write(console, c, 1);
	assert_in_range(console_deadline(console), before + 1000000, clock_ns() + 3000000);
	assert_int_equal(waiting_in(out_pipe[0]), 0);
	console_flush(console);
	assert_true(console_deadline(console) == TIMER_NEVER);
	assert_int_equal(read(out_pipe[0], got, sizeof(got)), 8);
	assert_memory_equal(got, "one byte", 8);
	console_close(console);
}

static void full_buffer_is_written(void **state)
{
	static char data[16 * 1024];
	struct console *console = open_pipes();

	console_write(console, data, sizeof(data) - 1);
	assert_int_equal(waiting_in(out_pipe[0]), 0);
	console_write(console, data, 1);
	assert_int_equal(waiting_in(out_pipe[0]), sizeof(data));
	console_close(console);
}

static void closing_flushes(void **state)
{
	struct console *console = open_pipes();

	console_write(console, "last words", 10);
	console_close(console);
	assert_int_equal(waiting_in(out_pipe[0]), 10);
}

#define LOAD 300000u

static uint8_t load_byte(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static void *drain(void *arg)
{
	uint8_t *all = arg, *to = all;
	ssize_t n;

	while ((n = read(out_pipe[0], to, LOAD)) > 0)
		to += n;
	return (void *)(to - all);
}

/* Far more than the pipe holds, to a slow reader, with a descriptor that blocks and one that does not. */
static void all_output_arrives(void **state)
{
	static uint8_t data[LOAD], got[2 * LOAD];

	for (size_t i = 0; i < LOAD; i++)
		data[i] = load_byte(i);
	for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
		struct console *console;
		pthread_t reader;
		void *len;

		setup(NULL);
		assert_int_equal(fcntl(out_pipe[1], F_SETFL, flags), 0);
		console = open_pipes();
		pthread_create(&reader, NULL, drain, got);
		for (size_t i = 0; i < LOAD; i += 1000)
			console_write(console, data + i, 1000);
		console_close(console);
		close(out_pipe[1]);
		pthread_join(reader, &len);
		assert_int_equal((size_t)len, LOAD);
		assert_memory_equal(got, data, LOAD);
		out_pipe[1] = -1;
		teardown(NULL);
	}
	setup(NULL);
}

static void closed_pipe_ends_the_guest_once(void **state)
{
	struct console *console = open_pipes();

	struct capture capture;

	close(out_pipe[0]);
	capture_start(&capture, stderr);
	for (int i = 0; i < 3; i++) {
		console_write(console, "x", 1);
		console_flush(console);
	}
	capture_end(&capture);
	assert_string_equal(capture.text,
			    "ring3: cannot write the guest's console to standard output: Broken pipe; the guest "
			    "is ended\n");
	assert_int_equal(vm.ended, 1);
	assert_int_equal(vm.status, VM_STATUS_HOST);
	console_close(console);
	assert_int_equal(vm.ended, 1);
	out_pipe[0] = -1;
}

static void interrupted(int number)
{
	atomic_store(&quit_signal, SIGINT);
}

/* Nobody reads the pipe. Ctrl-C must be answered all the same. */
static void stalled_output_yields_to_a_signal(void **state)
{
	static char data[4 * 65536];
	struct console *console = open_pipes();
	struct sigaction action = {.sa_handler = interrupted};
	struct itimerval soon = {.it_value.tv_usec = 20000};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	console_write(console, data, sizeof(data));
	assert_int_equal(quit_signal, SIGINT);
	console_close(console);
	assert_int_equal(vm.ended, 0);
}

static void stalled_output_yields_to_the_timeout(void **state)
{
	static char data[4 * 65536];
	struct console *console = open_pipes();
	uint64_t begin = clock_ns();

	config.timeout = 0.05;
	console_write(console, data, sizeof(data));
	assert_true(clock_ns() - vm.start_ns >= 50000000);
	assert_true(clock_ns() - begin < PATIENCE_MS * 1000000ull);
	console_close(console);
}

/* ------------------------------------------------------------------------------------------------------- input */

static void nothing_is_read_before_the_guest_listens(void **state)
{
	struct console *console = open_pipes();
	char got[8];

	assert_int_equal(write(in_pipe[1], "abc", 3), 3);
	assert_int_equal(console_input_pending(console), 0);
	assert_false(console_poll(console));
	assert_int_equal(waiting_in(in_pipe[0]), 3);
	console_listen(console);
	console_listen(console);
	await_input(console, 3);
	assert_true(console_poll(console));
	assert_false(console_poll(console));
	assert_int_equal(console_read(console, got, 2), 2);
	assert_int_equal(console_input_pending(console), 1);
	assert_int_equal(console_read(console, got + 2, sizeof(got)), 1);
	assert_memory_equal(got, "abc", 3);
	assert_int_equal(console_read(console, got, sizeof(got)), 0);
	console_close(console);
}

/* Three times what the ring holds, taken in odd portions. */
static void full_ring_waits_for_the_guest(void **state)
{
	static uint8_t data[3 * 4096], got[sizeof(data)];
	struct console *console = open_pipes();
	size_t done = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = load_byte(i);
	assert_int_equal(write(in_pipe[1], data, sizeof(data)), sizeof(data));
	console_listen(console);
	await_input(console, 4096);
	assert_int_equal(console_input_pending(console), 4096);
	while (done < sizeof(data)) {
		await_input(console, 1);
		done += console_read(console, got + done, 333);
	}
	assert_memory_equal(got, data, sizeof(data));
	console_close(console);
}

static void end_of_input_is_quiet(void **state)
{
	struct console *console;
	int null = open("/dev/null", O_RDONLY);
	char got[4];

	console = console_open(&vm, null, out_pipe[1]);
	console_listen(console);
	assert_int_equal(console_read(console, got, sizeof(got)), 0);
	console_close(console);
	close(null);

	console = console_open(&vm, -1, out_pipe[1]);
	console_listen(console);
	console_close(console);

	console = open_pipes();
	assert_int_equal(write(in_pipe[1], "z", 1), 1);
	close(in_pipe[1]);
	in_pipe[1] = -1;
	console_listen(console);
	await_input(console, 1);
	assert_int_equal(console_read(console, got, sizeof(got)), 1);
	console_close(console);
	assert_int_equal(vm.ended, 0);
}

static void escape_is_for_terminals_only(void **state)
{
	struct console *console = open_pipes();
	char got[4];

	assert_int_equal(write(in_pipe[1], "\001x", 2), 2);
	console_listen(console);
	await_input(console, 2);
	assert_true(console_poll(console));
	assert_int_equal(console_read(console, got, sizeof(got)), 2);
	assert_memory_equal(got, "\001x", 2);
	assert_int_equal(vm.ended, 0);
	console_close(console);
}

/* --------------------------------------------------------------------------------------------------- terminals */

static int keyboard, terminal;

static void open_terminal(void)
{
	assert_int_equal(openpty(&keyboard, &terminal, NULL, NULL, NULL), 0);
}

static void close_terminal(void)
{
	close(keyboard);
	close(terminal);
}

static void type(const char *keys, size_t len)
{
	assert_int_equal(write(keyboard, keys, len), (ssize_t)len);
}

static bool is_raw(void)
{
	struct termios now;

	tcgetattr(terminal, &now);
	bool raw = !(now.c_lflag & (ICANON | ECHO | ISIG));
	assert_int_equal(!(now.c_oflag & OPOST), raw);
	return raw;
}

static void terminal_is_raw_while_the_guest_listens(void **state)
{
	struct termios before, after;
	struct console *console;
	char got[4];

	open_terminal();
	tcgetattr(terminal, &before);
	console = console_open(&vm, terminal, out_pipe[1]);
	assert_false(is_raw());
	console_listen(console);
	assert_true(is_raw());
	type("\003q", 2);
	await_input(console, 2);
	assert_int_equal(console_read(console, got, sizeof(got)), 2);
	assert_memory_equal(got, "\003q", 2);
	console_close(console);
	tcgetattr(terminal, &after);
	assert_int_equal(before.c_lflag, after.c_lflag);
	assert_int_equal(before.c_iflag, after.c_iflag);
	assert_int_equal(before.c_oflag, after.c_oflag);
	assert_int_equal(before.c_cflag, after.c_cflag);
	close_terminal();
}

static void handler_restores_the_terminal(void **state)
{
	struct console *console;

	open_terminal();
	console = console_open(&vm, terminal, out_pipe[1]);
	console_restore_terminal();
	console_listen(console);
	assert_true(is_raw());
	console_restore_terminal();
	assert_false(is_raw());
	console_restore_terminal();
	console_close(console);
	assert_false(is_raw());
	close_terminal();
}

static void escape_sends_itself_and_quits(void **state)
{
	struct console *console;
	char got[8];

	open_terminal();
	console = console_open(&vm, terminal, out_pipe[1]);
	console_listen(console);
	type("a\001\001\001zb", 6);
	await_input(console, 3);
	assert_int_equal(console_read(console, got, sizeof(got)), 3);
	assert_memory_equal(got, "a\001b", 3);
	console_poll(console);
	assert_int_equal(vm.ended, 0);
	type("\001", 1);
	type("x", 1);
	while (!vm.ended) {
		await_wake();
		console_poll(console);
	}
	assert_int_equal(vm.status, CONSOLE_STATUS_QUIT);
	console_close(console);
	assert_false(is_raw());
	close_terminal();
}

/*
 * A job of its own on its own terminal. It tells its leader when it is ready, and finishes when told to. In the
 * background at the start it must leave the terminal alone; sent there later it must still restore it. Exit status 0
 * if so; a job stopped by SIGTTOU or SIGTTIN is what must not be seen.
 */
static int job(bool in_background, int ready, int go)
{
	struct console *console = console_open(&vm, terminal, out_pipe[1]);
	struct termios now;
	char byte = 0;

	if (read(go, &byte, 1) != 1)
		return 2;
	console_listen(console);
	if (is_raw() == in_background)
		return 3;
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		return 4;
	console_close(console);
	tcgetattr(terminal, &now);
	return now.c_lflag & ICANON ? 0 : 5;
}

static int leader(bool in_background)
{
	int ready[2], go[2], status;
	char byte = 0;
	pid_t child;

	setsid();
	if (ioctl(terminal, TIOCSCTTY, 0) || pipe(ready) || pipe(go))
		return 10;
	signal(SIGTTOU, SIG_IGN);
	child = fork();
	if (child == 0) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_DFL);
		_exit(job(in_background, ready[1], go[0]));
	}
	setpgid(child, child);
	if (!in_background)
		tcsetpgrp(terminal, child);
	if (write(go[1], &byte, 1) != 1 || read(ready[0], &byte, 1) != 1)
		return 11;
	tcsetpgrp(terminal, getpgrp());
	if (write(go[1], &byte, 1) != 1 || waitpid(child, &status, WUNTRACED) != child)
		return 12;
	if (WIFSTOPPED(status)) {
		kill(child, SIGKILL);
		return 13;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 14;
}

static void background_jobs_are_not_stopped(void **state)
{
	for (int in_background = 0; in_background < 2; in_background++) {
		int status;
		pid_t child;

		open_terminal();
		child = fork();
		if (child == 0) {
			alarm(PATIENCE_MS / 1000);
			_exit(leader(in_background));
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		close_terminal();
	}
}

/* Output's terminal counts, then input's; and a change is news. */
static void size_is_the_terminals(void **state)
{
	const struct winsize size = {.ws_row = 43, .ws_col = 132};
	uint16_t columns = 1;
	struct console *console = open_pipes();

	assert_int_equal(console_rows(console, &columns), 0);
	assert_int_equal(columns, 0);
	assert_false(console_poll(console));
	resized = true;
	assert_true(console_poll(console));
	assert_false(console_poll(console));
	console_close(console);

	open_terminal();
	assert_int_equal(ioctl(keyboard, TIOCSWINSZ, &size), 0);
	for (unsigned side = 0; side < 2; side++) {
		console = side ? console_open(&vm, terminal, out_pipe[1]) : console_open(&vm, in_pipe[0], terminal);
		assert_int_equal(console_rows(console, &columns), 43);
		assert_int_equal(columns, 132);
		console_close(console);
	}
	close_terminal();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(output_is_gathered),
		T(full_buffer_is_written),
		T(closing_flushes),
		T(all_output_arrives),
		T(closed_pipe_ends_the_guest_once),
		T(stalled_output_yields_to_a_signal),
		T(stalled_output_yields_to_the_timeout),
		T(nothing_is_read_before_the_guest_listens),
		T(full_ring_waits_for_the_guest),
		T(end_of_input_is_quiet),
		T(escape_is_for_terminals_only),
		T(terminal_is_raw_while_the_guest_listens),
		T(handler_restores_the_terminal),
		T(escape_sends_itself_and_quits),
		T(background_jobs_are_not_stopped),
		T(size_is_the_terminals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
