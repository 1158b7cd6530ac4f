/*
 * Putting the walls up, and what is said where somebody runs against them.
 */
#include "monitor/host/walls/walls.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "monitor/host/walls/landlock.h"
#include "monitor/host/walls/names.h"

/* Of calls.def, by make.c. */
#include "walls_filters.inc"

static struct {
	bool stand;
	volatile sig_atomic_t forgive;
	void (*last_words)(void);
} walls;

/* -------------------------------------------------------------------------------------------------- running into it */

static const char *name_of(int number)
{
	bool known = number >= 0 && (size_t)number < sizeof(call_names) / sizeof(call_names[0]);

	return known && call_names[number][0] ? call_names[number] : "unknown";
}

/* Only what a signal handler may call. */
static void say(int number)
{
	char digits[12], *at = digits + sizeof(digits) - 1;
	const char *const parts[] = {
		"ring3: the monitor asked for a system call that its walls forbid: ", name_of(number), " (", "",
		"); this is a fault of ring3, or an attack by the guest: please report it\n"};

	*at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) > 0 && at > digits);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *part = i == 3 ? at : parts[i];
		ssize_t written = write(STDERR_FILENO, part, strlen(part));
		(void)written;
	}
}

static void on_forbidden(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	if (walls.forgive) {
		uc->uc_mcontext.gregs[REG_RAX] = -EPERM;
		return;
	}
	if (walls.last_words)
		walls.last_words();
	say(info->si_syscall);
	abort();
}

/* Asked by sanitizers at the end: they look for leaks with a tracer of their own, which would meet the filter. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return walls.stand;
}

void walls_forgive(void)
{
	walls.forgive = 1;
}

/* -------------------------------------------------------------------------------------------------------- putting up
 */

static const struct sock_fprog *program(enum walls_verb verb, bool confined)
{
#define PROGRAM(name)                                                                                                  \
	{                                                                                                              \
		.len = sizeof(name) / sizeof(name[0]), .filter = (struct sock_filter *)name                            \
	}
	static const struct sock_fprog programs[][2] = {
		[WALLS_RUN] = {PROGRAM(run_unconfined), PROGRAM(run_confined)},
		[WALLS_DEBUG] = {PROGRAM(debug_unconfined), PROGRAM(debug_confined)},
		[WALLS_LOCKSTEP] = {PROGRAM(lockstep_unconfined), PROGRAM(lockstep_confined)},
		[WALLS_REPORT] = {PROGRAM(report), PROGRAM(report)},
		[WALLS_TOP] = {PROGRAM(top), PROGRAM(top)},
	};
#undef PROGRAM
	return &programs[verb][confined];
}

static int install(const struct sock_fprog *filter)
{
	/* Without the flag each switch to this process costs a mitigation that all others do without as well. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter) ? -errno : 0;
}

static int put_up(enum walls_verb verb)
{
	struct sigaction action = {.sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO | SA_NODEFER};
	int error = names_freeze();

	if (error)
		return error;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || sigaction(SIGSYS, &action, NULL))
		return -errno;
	return install(program(verb, landlock_up()));
}

int walls_up(enum walls_verb verb, void (*last_words)(void))
{
	int error;

	if (walls.stand)
		return 0;
	walls.last_words = last_words;
	error = put_up(verb);
	if (error)
		fprintf(stderr, "ring3: the monitor's own walls cannot be put up: %s; see 'ring3 doctor'\n",
			strerror(-error));
	walls.stand = !error;
	return error;
}

int walls_try_filter(enum walls_verb verb)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? errno : -install(program(verb, false));
}
