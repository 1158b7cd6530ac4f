/*
 * Signals, deadlines and wake-ups.
 */
#include "monitor/host/events.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "monitor/host/clock.h"
#include "monitor/host/timer.h"

/* Signals that are taken one by one. */
static const int events_asked[] = {SIGUSR1, SIGUSR2, SIGWINCH, SIGIO};
#define EVENTS_ASKED (sizeof(events_asked) / sizeof(events_asked[0]))

static struct {
	struct {
		atomic_bool *attention;
		void (*kick)(void *arg);
		void *arg;
	} machine[EVENTS_MACHINES];
	unsigned count;
	int wake_fd; /* eventfd: readable once events_wake was called since the last sleep */
	timer_t timer;
	bool has_timer;
	uint64_t armed;
	atomic_bool fired; /* the handler writes: what `armed` says is over */
	volatile sig_atomic_t quit, asked[EVENTS_ASKED];
	_Atomic unsigned children, quits;
} events = {.wake_fd = -1};

/*
 * SIGCHLD: a cell died. SIGALRM: the armed deadline. SIGUSR1, SIGUSR2: somebody wants to see something. SIGWINCH: the
 * terminal has another size. SIGIO: somebody asks for statistics.
 */
static const int events_signals[] = {SIGINT,  SIGTERM, SIGHUP,	SIGQUIT,  SIGALRM,
				     SIGCHLD, SIGUSR1, SIGUSR2, SIGWINCH, SIGIO};
#define EVENTS_SIGNALS (sizeof(events_signals) / sizeof(events_signals[0]))
static struct sigaction events_found[EVENTS_SIGNALS];

void events_wake(void)
{
	int saved = errno;
	for (unsigned n = 0; n < events.count; n++) {
		if (!atomic_exchange(events.machine[n].attention, true)) {
			uint64_t one = 1;
			ssize_t written = write(events.wake_fd, &one, sizeof(one));
			(void)written; /* full means it is readable already */
		}
		events.machine[n].kick(events.machine[n].arg);
	}
	errno = saved;
}

static volatile sig_atomic_t *asked_of(int signal)
{
	for (unsigned i = 0; i < EVENTS_ASKED; i++)
		if (events_asked[i] == signal)
			return &events.asked[i];
	return NULL;
}

static void note_quit(int signal)
{
	events.quit = signal;
	atomic_fetch_add(&events.quits, 1);
}

static void events_handler(int signal)
{
	if (signal == SIGCHLD)
		atomic_fetch_add(&events.children, 1);
	if (signal == SIGALRM)
		atomic_store(&events.fired, true);
	volatile sig_atomic_t *asked = asked_of(signal);
	if (asked)
		*asked = 1;
	else if (signal != SIGALRM && signal != SIGCHLD)
		note_quit(signal);
	events_wake();
}

int events_quit_signal(void)
{
	return events.quit;
}

unsigned events_quits(void)
{
	return atomic_load(&events.quits);
}

unsigned events_children(void)
{
	return atomic_load(&events.children);
}

bool events_take(int signal)
{
	volatile sig_atomic_t *asked = asked_of(signal);

	if (!*asked)
		return false;
	*asked = 0;
	return true;
}

static int start(void)
{
	events.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (events.wake_fd < 0) {
		int error = -errno;
		fprintf(stderr, "ring3: no event descriptor: %s; raise 'ulimit -n'\n", strerror(errno));
		return error;
	}
	events.quit = 0;
	events.armed = TIMER_NEVER;
	/* Stops of a traced child are no news: whoever traces it waits for them. */
	struct sigaction action = {.sa_handler = events_handler, .sa_flags = SA_NOCLDSTOP};
	sigfillset(&action.sa_mask);
	for (unsigned i = 0; i < EVENTS_SIGNALS; i++) {
		sigaction(events_signals[i], NULL, &events_found[i]);
		/* What the caller had ignored (nohup) stays ignored. */
		if (events_found[i].sa_handler != SIG_IGN || events_signals[i] == SIGCHLD)
			sigaction(events_signals[i], &action, NULL);
	}
	return 0;
}

int events_init(atomic_bool *attention, void (*kick)(void *arg), void *arg)
{
	if (events.count == EVENTS_MACHINES)
		abort();
	if (!events.count) {
		int error = start();
		if (error)
			return error;
	}
	events.machine[events.count].attention = attention;
	events.machine[events.count].kick = kick;
	events.machine[events.count++].arg = arg;
	return 0;
}

void events_exit(void)
{
	if (!events.count || --events.count)
		return;
	if (events.has_timer)
		timer_delete(events.timer);
	for (unsigned i = 0; i < EVENTS_SIGNALS; i++)
		sigaction(events_signals[i], &events_found[i], NULL);
	close(events.wake_fd);
	events.wake_fd = -1;
	events.has_timer = false;
}

int events_arm(uint64_t deadline)
{
	if (deadline != TIMER_NEVER)
		deadline = clock_host_of(deadline);
	/* The timer's clock may be ahead of the machine's: then the deadline is armed once more. */
	bool fired = atomic_load(&events.fired) && atomic_exchange(&events.fired, false);
	if (deadline == (fired ? TIMER_NEVER : events.armed)) {
		events.armed = deadline;
		return 0;
	}
	if (!events.has_timer) {
		struct sigevent notify = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
		if (timer_create(CLOCK_MONOTONIC, &notify, &events.timer))
			return -errno;
		events.has_timer = true;
	}
	struct itimerspec when = {0};
	if (deadline != TIMER_NEVER) {
		when.it_value.tv_sec = deadline / 1000000000;
		when.it_value.tv_nsec = deadline % 1000000000;
		if (!deadline) /* zero would disarm */
			when.it_value.tv_nsec = 1;
	}
	timer_settime(events.timer, TIMER_ABSTIME, &when, NULL);
	events.armed = deadline;
	return 0;
}

void events_sleep(const atomic_bool *attention, uint64_t deadline)
{
	struct pollfd wake = {.fd = events.wake_fd, .events = POLLIN};
	struct timespec timeout = {0}, *limit = NULL;
	if (deadline != TIMER_NEVER) {
		uint64_t now = clock_machine_ns();
		uint64_t left = deadline > now ? deadline - now : 0;
		timeout = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
		limit = &timeout;
	}
	/* The descriptor stays readable from events_wake on, so a wake-up just before ppoll is not lost. */
	if (!atomic_load(attention))
		ppoll(&wake, 1, limit, NULL);
	uint64_t drained;
	ssize_t n = read(events.wake_fd, &drained, sizeof(drained));
	(void)n;
}
