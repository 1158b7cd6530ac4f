/*
 * System calls about the machine: its name, memory, randomness, and its end.
 */
#include "examples/tinix/core.h"

static char hostname[__NEW_UTS_LEN + 1] = "tinix";

int64_t sys_uname(const uint64_t arg[6])
{
	struct new_utsname name = {.sysname = "Linux",
				   .release = "6.1.0-tinix",
				   .version = "#1 ring3",
				   .machine = "x86_64",
				   .domainname = "(none)"};

	memcpy(name.nodename, hostname, sizeof(hostname));
	return copy_to_user(arg[0], &name, sizeof(name));
}

int64_t sys_sethostname(const uint64_t arg[6])
{
	char name[sizeof(hostname)] = "";

	if (arg[1] >= sizeof(hostname))
		return -EINVAL;
	if (copy_from_user(name, arg[0], arg[1]))
		return -EFAULT;
	memcpy(hostname, name, sizeof(hostname));
	return 0;
}

int64_t sys_sysinfo(const uint64_t arg[6])
{
	struct sysinfo info = {.uptime = (long)(now() / PVG_NS_PER_SEC),
			       .totalram = memory_total(),
			       .freeram = memory_free(),
			       .procs = (uint16_t)proc_count(),
			       .mem_unit = 1};
	struct sched_info load;

	sched_get_info(&load);
	memcpy(info.loads, load.load, sizeof(info.loads));
	return copy_to_user(arg[0], &info, sizeof(info));
}

/* -------------------------------------------------------------------------------------------------- randomness */

static bool has_rdrand(void)
{
	uint32_t eax = 1, ebx, ecx, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
	return ecx & R3_BIT(30);
}

static bool rdrand(uint64_t *value)
{
	bool ok = false;

	/* It may run dry for a moment (SDM 1 7.3.17.1). */
	for (unsigned tries = 0; tries < 10 && !ok; tries++)
		__asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(ok));
	return ok;
}

/* Where there is no RDRAND: splitmix64 stirred with the time stamp counter. */
static uint64_t stirred(void)
{
	static uint64_t state;
	uint64_t z;

	state += pvg_rdtsc() ^ 0x9e3779b97f4a7c15;
	z = (state ^ state >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void random_bytes(void *to, size_t len)
{
	static enum { UNKNOWN, ABSENT, PRESENT } source;
	uint64_t word;

	if (source == UNKNOWN)
		source = has_rdrand() ? PRESENT : ABSENT;
	for (size_t done = 0, part; done < len; done += part) {
		if (source == ABSENT || !rdrand(&word))
			word = stirred();
		part = min_u64(len - done, sizeof(word));
		memcpy((char *)to + done, &word, part);
	}
}

int64_t sys_getrandom(const uint64_t arg[6])
{
	uint8_t bytes[256];
	uint64_t len = min_u64(arg[1], 1 << 20), part;

	if (arg[2] & ~(uint64_t)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	for (uint64_t done = 0; done < len; done += part) {
		part = min_u64(len - done, sizeof(bytes));
		random_bytes(bytes, part);
		if (copy_to_user(arg[0] + done, bytes, part))
			return -EFAULT;
	}
	return (int64_t)len;
}

/* ---------------------------------------------------------------------------------------------------------- end */

int64_t sys_reboot(const uint64_t arg[6])
{
	if ((uint32_t)arg[0] != LINUX_REBOOT_MAGIC1)
		return -EINVAL;
	switch ((uint32_t)arg[2]) {
	case LINUX_REBOOT_CMD_RESTART:
	case LINUX_REBOOT_CMD_HALT:
	case LINUX_REBOOT_CMD_POWER_OFF:
		power_off(0);
	case LINUX_REBOOT_CMD_CAD_ON:
	case LINUX_REBOOT_CMD_CAD_OFF:
		return 0;
	default:
		return -EINVAL;
	}
}
