/*
 * `ring3 top`: watches the guests that run, in the terminal or line by line. This file reads the options and waits: for
 * the next look, a key, or a signal; the terminal is put back however it ends.
 */
#include "monitor/cli/top/top.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "monitor/cli/top/internal.h"
#include "monitor/host/clock.h"
#include "monitor/vm/vm.h"

#define DELAY_DEFAULT 2.0
#define DELAY_MIN     0.1
#define DELAY_MAX     3600.0

/* ECMA-48, and xterm's alternate screen. */
#define SCREEN_OPEN  "\033[?1049h\033[?25l"
#define SCREEN_CLOSE "\033[?25h\033[?1049l"
#define SCREEN_HOME  "\033[H"
#define LINE_REST    "\033[K" /* clears the rest of the line */
#define SCREEN_REST  "\033[J"

struct top {
	bool batch;
	double delay;	     /* seconds */
	unsigned long looks; /* 0: until it is ended */
	int signals;
	struct termios found;
	struct top_view view[2]; /* by turns the present and the one before */
};

/* ------------------------------------------------------------------------------------------------------- terminal */

static bool open_screen(struct top *top)
{
	struct termios keys;

	if (tcgetattr(STDIN_FILENO, &top->found))
		return false;
	keys = top->found;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* signals of the keyboard stay */
	keys.c_cc[VSUSP] = _POSIX_VDISABLE;	    /* stopped, it would leave the screen as it is */
	keys.c_cc[VMIN] = 1;
	keys.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &keys))
		return false;
	fputs(SCREEN_OPEN, stdout);
	return true;
}

static void close_screen(struct top *top)
{
	fputs(SCREEN_CLOSE, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &top->found);
}

/* The table line by line over what stood there, so that nothing flickers. */
static void draw(const struct top_view *now, const struct top_view *before)
{
	struct winsize size = {0};
	char *text = NULL, *at, *end;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	fprintf(out, "%.*s\n", size.ws_col, "ring3 top: q ends it");
	top_table(now, before, size.ws_row > 2 ? size.ws_row - 2u : 0, size.ws_col, out);
	fclose(out);
	fputs(SCREEN_HOME, stdout);
	for (at = text; (end = strchr(at, '\n')); at = end + 1)
		printf("%.*s" LINE_REST "\r\n", (int)(end - at), at);
	fputs(SCREEN_REST, stdout);
	free(text);
}

/* -------------------------------------------------------------------------------------------------------- waiting */

/* Until the next look is due, or at once for a key or a changed window. False: it is to end; *status says how. */
static bool wait_for_next(struct top *top, int *status)
{
	struct pollfd wait[2] = {{.fd = top->signals, .events = POLLIN},
				 {.fd = top->batch ? -1 : STDIN_FILENO, .events = POLLIN}};
	struct signalfd_siginfo info;
	char key = 0;

	fflush(stdout);
	if (ferror(stdout)) {
		fputs("ring3: top: cannot write to standard output\n", stderr);
		*status = VM_STATUS_HOST;
		return false;
	}
	if (poll(wait, 2, (int)(top->delay * 1000)) <= 0)
		return true;
	if (wait[0].revents && read(top->signals, &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGWINCH) {
		/* Ctrl-C is how people end it. */
		*status = info.ssi_signo == SIGINT && !top->batch ? 0 : 128 + (int)info.ssi_signo;
		return false;
	}
	if (!wait[1].revents)
		return true;
	return read(STDIN_FILENO, &key, 1) == 1 && key != 'q' && key != 'Q' && key != 4; /* Ctrl-D */
}

/* Signals come by a descriptor: no handler, and no moment at which one is missed. */
static int take_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int watch(struct top *top)
{
	const struct top_view *before = NULL;
	int status = 0;

	for (unsigned long look = 0; !top->looks || look < top->looks; look++) {
		struct top_view *now = &top->view[look % 2];

		if (look && !wait_for_next(top, &status))
			break;
		if (!top_look(now))
			return VM_STATUS_HOST;
		if (top->batch) {
			if (look)
				putchar('\n');
			top_table(now, before, 2 * TOP_GUESTS + 1, 512, stdout);
		} else {
			draw(now, before);
		}
		before = now;
	}
	if (!status && (fflush(stdout) || ferror(stdout))) {
		fputs("ring3: top: cannot write to standard output\n", stderr);
		status = VM_STATUS_HOST;
	}
	return status;
}

/* -------------------------------------------------------------------------------------------------------- the verb */

static const struct argp_option options[] = {
	{"batch", 'b', NULL, 0, "print line by line, without a terminal", 0},
	{"number", 'n', "N", 0, "look N times, then end", 0},
	{"delay", 'd', "SECONDS", 0, "time between two looks (default 2)", 0},
	{0},
};

static error_t refuse(const char *what, const char *value, const char *remedy)
{
	fprintf(stderr, "ring3: top: %s '%s': %s\n", what, value, remedy);
	return EINVAL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct top *top = state->input;
	char *end;

	switch (key) {
	case 'b':
		top->batch = true;
		return 0;
	case 'n':
		top->looks = strtoul(arg, &end, 10);
		if (end == arg || *end || *arg == '-' || !top->looks)
			return refuse("--number", arg, "give a number above 0");
		return 0;
	case 'd':
		top->delay = strtod(arg, &end);
		if (end == arg || *end || !isfinite(top->delay) || top->delay < DELAY_MIN || top->delay > DELAY_MAX)
			return refuse("--delay", arg, "give seconds from 0.1 to 3600");
		return 0;
	case ARGP_KEY_ARG:
		return refuse("argument", arg, "it takes options only, see 'ring3 top --help'");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Watches this user's running guests: CPU, exits a second by reason, memory. q or Ctrl-C ends "
	       "it.\vdocs/stats.md explains the columns.",
};

static int cli_top(int argc, char **argv)
{
	static struct top top = {.delay = DELAY_DEFAULT};
	int status = verb_parse(&argp, argc, argv, &top);

	if (status != VERB_GOES_ON)
		return status;
	clock_start();
	top.signals = take_signals();
	if (!top.batch && !open_screen(&top)) {
		fputs("ring3: top: standard input is no terminal: use --batch\n", stderr);
		return VM_STATUS_HOST;
	}
	status = watch(&top);
	if (!top.batch)
		close_screen(&top);
	return status;
}

const struct verb top_verb = {"top", cli_top, "watch the guests that run", &argp};
