/*
 * Time as programs see it: clocks, sleeping, the alarm, and what a process used.
 */
#include "examples/tinix/core.h"

#define TICKS 100 /* a second, in times() */

int timespec_from_user(uint64_t address, uint64_t *ns)
{
	struct __kernel_timespec time;

	if (copy_from_user(&time, address, sizeof(time)))
		return -EFAULT;
	if (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= (int64_t)PVG_NS_PER_SEC)
		return -EINVAL;
	/* Beyond three centuries is for ever. */
	*ns = min_u64((uint64_t)time.tv_sec, INT64_MAX / PVG_NS_PER_SEC / 2) * PVG_NS_PER_SEC + (uint64_t)time.tv_nsec;
	return 0;
}

int timespec_to_user(uint64_t address, uint64_t ns)
{
	const struct __kernel_timespec time = {(int64_t)(ns / PVG_NS_PER_SEC), (int64_t)(ns % PVG_NS_PER_SEC)};

	return copy_to_user(address, &time, sizeof(time));
}

static struct __kernel_old_timeval to_timeval(uint64_t ns)
{
	return (struct __kernel_old_timeval){(long)(ns / PVG_NS_PER_SEC), (long)(ns % PVG_NS_PER_SEC / PVG_NS_PER_US)};
}

/* A clock's reading; false if there is no such clock. */
static bool read_clock(uint64_t clock, uint64_t *ns)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_TAI: /* no leap seconds are known here */
		*ns = now() + wall_offset();
		return true;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		*ns = now();
		return true;
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
		account(false);
		*ns = current->usage.user_ns + current->usage.system_ns;
		return true;
	default:
		return false;
	}
}

int64_t sys_clock_gettime(const uint64_t arg[6])
{
	uint64_t ns;

	return read_clock(arg[0], &ns) ? timespec_to_user(arg[1], ns) : -EINVAL;
}

int64_t sys_clock_getres(const uint64_t arg[6])
{
	uint64_t ns;

	if (!read_clock(arg[0], &ns))
		return -EINVAL;
	return arg[1] ? timespec_to_user(arg[1], 1) : 0;
}

int64_t sys_gettimeofday(const uint64_t arg[6])
{
	const struct __kernel_old_timeval time = to_timeval(now() + wall_offset());

	if (arg[1] && zero_user(arg[1], 2 * sizeof(int))) /* struct timezone */
		return -EFAULT;
	return arg[0] ? copy_to_user(arg[0], &time, sizeof(time)) : 0;
}

int64_t sys_time(const uint64_t arg[6])
{
	int64_t seconds = (int64_t)((now() + wall_offset()) / PVG_NS_PER_SEC);

	return arg[0] && copy_to_user(arg[0], &seconds, sizeof(seconds)) ? -EFAULT : seconds;
}

/* ----------------------------------------------------------------------------------------------------- sleeping */

/* A sleep that was interrupted by a stop goes on until its first deadline. */
static int64_t sleep_until(uint64_t deadline, uint64_t remaining_at)
{
	struct waitq nobody = WAITQ_INIT(nobody);
	int err;

	if (current->core->sleep_deadline)
		deadline = current->core->sleep_deadline;
	current->core->sleep_deadline = 0;
	do
		err = sleep_on(&nobody, deadline);
	while (!err);
	if (err == -ETIMEDOUT)
		return 0;
	current->core->sleep_deadline = deadline;
	deadline = max_u64(deadline, now());
	if (remaining_at && timespec_to_user(remaining_at, deadline - now()))
		return -EFAULT;
	return -ERESTARTNOHAND;
}

int64_t sys_clock_nanosleep(const uint64_t arg[6])
{
	uint64_t ns, clock;
	int err = timespec_from_user(arg[2], &ns);

	if (err)
		return err;
	if (!read_clock(arg[0], &clock) || arg[0] == CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	if (!(arg[1] & TIMER_ABSTIME))
		return sleep_until(now() + ns, arg[3]);
	return ns <= clock ? 0 : sleep_until(now() + (ns - clock), 0);
}

/* -------------------------------------------------------------------------------------------------------- alarm */

static void alarm_fires(struct timer *timer)
{
	struct proc_core *core = list_entry(&timer->link, struct proc_core, alarm.link);

	if (core->alarm_interval)
		timer_start(timer, timer->deadline + core->alarm_interval, alarm_fires);
	signal_process(core->self, SIGALRM);
}

/* ns until the alarm; 0: it is off. */
static uint64_t alarm_left(void)
{
	const struct timer *timer = &current->core->alarm;

	if (list_empty(&timer->link))
		return 0;
	return max_u64(timer->deadline, now() + 1) - now();
}

static void set_alarm(uint64_t ns, uint64_t interval)
{
	struct timer *timer = &current->core->alarm;

	timer_stop(timer);
	/* Faster would leave no time for anything else. */
	current->core->alarm_interval = interval ? max_u64(interval, PVG_NS_PER_MS) : 0;
	if (ns)
		timer_start(timer, now() + ns, alarm_fires);
}

int64_t sys_alarm(const uint64_t arg[6])
{
	uint64_t left = alarm_left();

	set_alarm((uint32_t)arg[0] * PVG_NS_PER_SEC, 0);
	return (int64_t)((left + PVG_NS_PER_SEC - 1) / PVG_NS_PER_SEC);
}

static bool timeval_to_ns(const struct __kernel_old_timeval *from, uint64_t *ns)
{
	if (from->tv_sec < 0 || from->tv_usec < 0 || from->tv_usec >= 1000000)
		return false;
	*ns = min_u64((uint64_t)from->tv_sec, INT64_MAX / PVG_NS_PER_SEC / 2) * PVG_NS_PER_SEC +
	      (uint64_t)from->tv_usec * PVG_NS_PER_US;
	return true;
}

int64_t sys_setitimer(const uint64_t arg[6])
{
	struct __kernel_old_itimerval timer = {0}, old;
	uint64_t value, interval;

	if (arg[0] != ITIMER_REAL)
		return -EINVAL;
	if (arg[1] && copy_from_user(&timer, arg[1], sizeof(timer)))
		return -EFAULT;
	if (!timeval_to_ns(&timer.it_value, &value) || !timeval_to_ns(&timer.it_interval, &interval))
		return -EINVAL;
	old = (struct __kernel_old_itimerval){to_timeval(current->core->alarm_interval), to_timeval(alarm_left())};
	set_alarm(value, interval);
	return arg[2] ? copy_to_user(arg[2], &old, sizeof(old)) : 0;
}

/* -------------------------------------------------------------------------------------------------------- usage */

void usage_report(struct rusage *to, const struct usage *from)
{
	struct __kernel_old_timeval user = to_timeval(from->user_ns), system = to_timeval(from->system_ns);

	memset(to, 0, sizeof(*to));
	memcpy(&to->ru_utime, &user, sizeof(user));
	memcpy(&to->ru_stime, &system, sizeof(system));
	to->ru_minflt = (long)from->minor_faults;
	to->ru_nvcsw = (long)from->switches;
}

int64_t sys_getrusage(const uint64_t arg[6])
{
	struct rusage usage;

	account(false);
	if ((int)arg[0] == RUSAGE_SELF || (int)arg[0] == RUSAGE_THREAD)
		usage_report(&usage, &current->usage);
	else if ((int)arg[0] == RUSAGE_CHILDREN)
		usage_report(&usage, &current->children_usage);
	else
		return -EINVAL;
	return copy_to_user(arg[1], &usage, sizeof(usage));
}

static int64_t ticks(uint64_t ns)
{
	return (int64_t)(ns / (PVG_NS_PER_SEC / TICKS));
}

int64_t sys_times(const uint64_t arg[6])
{
	struct tms tms;

	account(false);
	tms = (struct tms){ticks(current->usage.user_ns), ticks(current->usage.system_ns),
			   ticks(current->children_usage.user_ns), ticks(current->children_usage.system_ns)};
	if (arg[0] && copy_to_user(arg[0], &tms, sizeof(tms)))
		return -EFAULT;
	return ticks(now());
}
