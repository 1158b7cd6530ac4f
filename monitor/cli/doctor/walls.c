/*
 * The monitor's own walls, as far as this host and this build have them: what a guest would meet that had taken over
 * the monitor.
 */
#include <string.h>

#include "monitor/cli/doctor/internal.h"
#include "monitor/host/walls/names.h"
#include "monitor/host/walls/walls.h"

static int try_run(void)
{
	return walls_try_filter(WALLS_RUN);
}

static int try_report(void)
{
	return walls_try_filter(WALLS_REPORT);
}

static int try_top(void)
{
	return walls_try_filter(WALLS_TOP);
}

static void tell_filter(struct doctor_result *result, int err)
{
	if (err)
		doctor_found(result, DOCTOR_MISSING, "a kernel with seccomp filters (CONFIG_SECCOMP_FILTER)",
			     "none: %s", err < 0 ? strsignal(-err) : strerror(err));
	else
		doctor_found(result, DOCTOR_OK, NULL, "filtered by a list of what it needs; no new rights by exec");
}

static void check_filter(struct doctor_result *result)
{
	tell_filter(result, doctor_try(try_run));
}

static void check_readers(struct doctor_result *result)
{
	int err = doctor_try(try_report);

	tell_filter(result, err ? err : doctor_try(try_top));
}

static void check_landlock(struct doctor_result *result)
{
	int version = walls_landlock_version();

	if (!version)
		doctor_found(result, DOCTOR_LIMITED, "a kernel with Landlock (Linux 5.13), named in its parameter lsm=",
			     "no Landlock: it could trace and end other processes of its user; crashes are reported "
			     "without libunwind's backtrace");
	else if (version < WALLS_LANDLOCK_SIGNALS)
		doctor_found(
			result, DOCTOR_LIMITED, "Linux 6.12",
			"Landlock version %d: files are out of reach, but it could end other processes of its user",
			version);
	else
		doctor_found(result, DOCTOR_OK, NULL, "Landlock version %d: out of reach", version);
}

static int try_seal(void)
{
	int error = names_freeze();

	return error ? -error : !names_sealed();
}

static void check_seal(struct doctor_result *result)
{
	int err = doctor_try(try_seal);

	if (err)
		doctor_found(result, DOCTOR_LIMITED, "Linux 6.10, which has mseal",
			     "not sealed: it could have other files written in their place");
	else
		doctor_found(result, DOCTOR_OK, NULL, "sealed (mseal)");
}

/* As the compiler said when it built this file; the build's own check looks at the program as a whole. */
static const char hardening[] = ""
#ifdef __PIE__
				" position-independent"
#endif
#if defined(__SSP_STRONG__) || defined(__SSP_ALL__)
				" stack-protector"
#endif
#if defined(_FORTIFY_SOURCE) && _FORTIFY_SOURCE > 0
				" checked-buffers"
#endif
#ifdef __CET__
				" branch-targets"
#endif
	;

static void check_binary(struct doctor_result *result)
{
	enum { OFF, STACK_AND_LIBRARIES, HEAP_TOO };
	unsigned long random = doctor_number("/proc/sys/kernel/randomize_va_space", HEAP_TOO);

	if (!*hardening)
		doctor_found(result, DOCTOR_LIMITED, "build it as cmake/hardening.cmake says", "not hardened");
	else if (random < HEAP_TOO)
		doctor_found(result, DOCTOR_LIMITED, "sysctl kernel.randomize_va_space=2",
			     "its addresses can be guessed (kernel.randomize_va_space %lu); built%s", random,
			     hardening);
	else
		doctor_found(result, DOCTOR_OK, NULL, "at random addresses; built%s", hardening);
}

const struct doctor_check doctor_walls[] = {
	{"walls.calls", "the monitor's own system calls", check_filter},
	{"walls.readers", "system calls of report and top", check_readers},
	{"walls.others", "other files and processes of its user", check_landlock},
	{"walls.names", "the names of the files that it writes", check_seal},
	{"walls.program", "the monitor's program", check_binary},
};

const unsigned doctor_walls_count = sizeof(doctor_walls) / sizeof(doctor_walls[0]);
