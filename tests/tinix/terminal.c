/*
 * Plays a person at a terminal: terminal STEPS COMMAND [ARGUMENT...] runs the command under a pseudo-terminal and does
 * what the file STEPS says, line by line:
 *	expect TEXT	waits until the output goes on with anything and then TEXT
 *	without TEXT	fails if TEXT came since the last expect before this one
 *	send TEXT	types TEXT
 *	shown TEXT	gives the terminal other sizes, for which it is painted anew, until TEXT comes in one piece
 *	resize R C	gives the terminal R rows and C columns
 *	signal N	sends the command that signal
 *	status N	waits for the command's end, which must be with exit status N
 *	returns keep	from here on carriage returns of the output count; before, they are left out
 * In TEXT, \r \n \t \e \\ and \xHH
 * are characters. Empty lines and those that begin with # are skipped.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 20
#define SCREEN	   (1 << 20)

static char output[SCREEN];
static size_t used, seen, before; /* bytes got; matched by expect; matched by the expect before */
static int terminal;
static pid_t command;
static unsigned line_number;
static bool keep_returns;

static _Noreturn void fail(const char *what, const char *text)
{
	fprintf(stderr, "line %u: %s %s\n--- the terminal shows, from the last match on\n%.*s\n---\n", line_number,
		what, text, (int)(used - seen), output + seen);
	kill(command, SIGKILL);
	exit(1);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Takes more output; false at its end. */
static bool take(double deadline)
{
	struct pollfd fd = {.fd = terminal, .events = POLLIN};
	int left = (int)((deadline - seconds()) * 1000);
	ssize_t len;

	if (left <= 0 || poll(&fd, 1, left) == 0)
		fail("nothing more within the time", "");
	len = read(terminal, output + used, sizeof(output) - used);
	if (len <= 0)
		return false;
	for (const char *from = output + used, *end = from + len; from < end; from++)
		if (*from != '\r' || keep_returns)
			output[used++] = *from;
	return true;
}

static void expect(const char *text)
{
	double deadline = seconds() + PATIENCE_S;
	const char *at;

	while (!(at = memmem(output + seen, used - seen, text, strlen(text))))
		if (!take(deadline))
			fail("the command ended before", text);
	before = seen;
	seen = (size_t)(at - output) + strlen(text);
}

static void without(const char *text)
{
	if (memmem(output + before, seen - before, text, strlen(text)))
		fail("there should not have been", text);
}

static void type(const char *text, size_t len)
{
	if (write(terminal, text, len) != (ssize_t)len)
		fail("cannot type", text);
}

static void resize(const char *text)
{
	struct winsize size = {0};

	if (sscanf(text, "%hu %hu", &size.ws_row, &size.ws_col) != 2 || ioctl(terminal, TIOCSWINSZ, &size))
		fail("cannot resize to", text);
}

static void shown(const char *text)
{
	double deadline = seconds() + PATIENCE_S;
	struct winsize size = {.ws_row = 30, .ws_col = 90};

	while (!memmem(output + seen, used - seen, text, strlen(text))) {
		size.ws_col = size.ws_col == 200 ? 90 : size.ws_col + 1;
		if (ioctl(terminal, TIOCSWINSZ, &size) || !take(deadline))
			fail("the command ended before it showed", text);
	}
	expect(text);
}

static void end_with(int wanted)
{
	double deadline = seconds() + PATIENCE_S;
	int status;

	while (take(deadline))
		;
	while (waitpid(command, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == wanted)
		return;
	fprintf(stderr, "wait status %#x\n", (unsigned)status);
	fail("the command ended differently", "");
}

/* Escapes in place; the length. */
static size_t unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		switch (*++from) {
		case 'r':
			*to++ = '\r';
			break;
		case 'n':
			*to++ = '\n';
			break;
		case 't':
			*to++ = '\t';
			break;
		case 'e':
			*to++ = '\033';
			break;
		case 'x':
			*to++ = (char)strtol((char[3]){from[1], from[2]}, NULL, 16);
			from += 2;
			break;
		default:
			*to++ = *from;
		}
	}
	*to = '\0';
	return (size_t)(to - text);
}

static void play(char *line)
{
	char *text = strchr(line, ' ');
	size_t len;

	if (!*line || *line == '#')
		return;
	if (!text)
		fail("no such step:", line);
	*text++ = '\0';
	len = unescape(text);
	if (strcmp(line, "expect") == 0)
		expect(text);
	else if (strcmp(line, "without") == 0)
		without(text);
	else if (strcmp(line, "send") == 0)
		type(text, len);
	else if (strcmp(line, "returns") == 0)
		keep_returns = true;
	else if (strcmp(line, "shown") == 0)
		shown(text);
	else if (strcmp(line, "resize") == 0)
		resize(text);
	else if (strcmp(line, "signal") == 0)
		kill(command, atoi(text));
	else if (strcmp(line, "status") == 0)
		end_with(atoi(text));
	else
		fail("no such step:", line);
}

int main(int argc, char **argv)
{
	const struct winsize size = {.ws_row = 24, .ws_col = 80};
	char line[1024];
	FILE *steps;

	if (argc < 3 || !(steps = fopen(argv[1], "r"))) {
		fprintf(stderr, "usage: terminal STEPS COMMAND [ARGUMENT...]\n");
		return 2;
	}
	command = forkpty(&terminal, NULL, NULL, &size);
	if (command == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	while (fgets(line, sizeof(line), steps)) {
		line_number++;
		line[strcspn(line, "\n")] = '\0';
		play(line);
	}
	fclose(steps);
	return 0;
}
