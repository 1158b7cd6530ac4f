/*
 * The state of the terminal: found, made raw, restored. One terminal for the process, so that a signal handler can
 * restore it without knowing the machine.
 */
#include "monitor/device/terminal.h"

#include <signal.h>
#include <stdatomic.h>
#include <termios.h>
#include <unistd.h>

#include "monitor/device/console.h"
#include "monitor/host/patience.h"

static struct termios found;
static atomic_int raw_fd = -1;

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

void console_restore_terminal(void)
{
	int fd = atomic_exchange(&raw_fd, -1);

	if (fd < 0)
		return;
	set_attributes(fd, &found);
	patience_terminal_raw(false);
}
