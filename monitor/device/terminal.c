/*
 * The state of the terminal: found, made raw, restored. One terminal for the process, so that a signal handler can
 * restore it without knowing the machine.
 */
#include "monitor/device/terminal.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "monitor/device/console.h"
#include "monitor/host/patience.h"

static struct termios found;
static atomic_int raw_fd = -1;
static atomic_int painted_fd = -1;
static atomic_uint painted_rows;

/* From the background, SIGTTOU would stop us here unless it is blocked. */
static int set_attributes(int fd, const struct termios *attributes)
{
	sigset_t ttou, before;
	int result;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &before);
	result = tcsetattr(fd, TCSANOW, attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

bool terminal_in_background(int fd)
{
	pid_t foreground = tcgetpgrp(fd); /* fails for what is not our controlling terminal: then no job control */

	return foreground >= 0 && foreground != getpgrp();
}

bool terminal_raw(int fd)
{
	struct termios raw;

	if (tcgetattr(fd, &found))
		return false;
	raw = found;
	cfmakeraw(&raw);
	atomic_store(&raw_fd, fd);
	patience_terminal_raw(true);
	if (set_attributes(fd, &raw) == 0)
		return true;
	patience_terminal_raw(false);
	atomic_store(&raw_fd, -1);
	return false;
}

void terminal_painted(int fd, unsigned rows)
{
	atomic_store(&painted_rows, rows < 99 ? rows : 99);
	atomic_store(&painted_fd, fd);
}

/* Colours as they were, the cursor visible and below the picture. */
static void leave_picture(void)
{
	int fd = atomic_exchange(&painted_fd, -1);
	unsigned rows = atomic_load(&painted_rows);
	char text[] = "\033[0m\033[?25h\033[00;1H\r\n";
	char *digits = strstr(text, "00");

	if (fd < 0)
		return;
	digits[0] = (char)('0' + rows / 10);
	digits[1] = (char)('0' + rows % 10);
	/* A terminal that takes nothing has nobody before it. */
	if (write(fd, text, sizeof(text) - 1) < 0)
		return;
}

void console_restore_terminal(void)
{
	int fd = atomic_exchange(&raw_fd, -1);

	leave_picture();

	if (fd < 0)
		return;
	set_attributes(fd, &found);
	patience_terminal_raw(false);
}
