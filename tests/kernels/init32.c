/*
 * /init of a 32-bit Linux, alone in its initramfs: system calls by INT and as the kernel would have them, a child with
 * pages of its own, a signal for an address that is not mapped, and power off. Freestanding, so that no 32-bit C
 * library is needed.
 */
#include <stddef.h>
#include <stdint.h>

enum {
	SYS_EXIT = 1,
	SYS_FORK = 2,
	SYS_WRITE = 4,
	SYS_WAITPID = 7,
	SYS_GETPID = 20,
	SYS_GETPPID = 64,
	SYS_REBOOT = 88,
	SYS_SYSLOG = 103,
	SYS_UNAME = 122,
};

#define SYSLOG_CONSOLE_OFF 6

#define REBOOT_MAGIC	 0xfee1dead
#define REBOOT_MAGIC2	 672274793
#define REBOOT_POWER_OFF 0x4321fedc

static int call(int number, uint32_t a, uint32_t b, uint32_t c)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

static void say(const char *text)
{
	size_t len = 0;

	while (text[len])
		len++;
	call(SYS_WRITE, 1, (uint32_t)text, len);
}

/* A child's way to end, as wait tells it. */
static int status_of_child(void (*child)(void))
{
	int status = -1, pid = call(SYS_FORK, 0, 0, 0);

	if (pid == 0)
		child();
	call(SYS_WAITPID, (uint32_t)pid, (uint32_t)&status, 0);
	return status;
}

static volatile int shared = 1;
static int *volatile nowhere = (int *)16;

static void writes(void)
{
	shared = 6;
	call(SYS_EXIT, (uint32_t)shared + 1, 0, 0);
}

static void faults(void)
{
	*nowhere = 1;
	call(SYS_EXIT, 0, 0, 0);
}

/* Of the auxiliary vector: where the kernel has the entry that is fastest here, by SYSENTER if there is one. */
#define AT_SYSINFO 32
#define CALLS	   1000

static uint32_t sysinfo_of(const uint32_t *stack)
{
	const uint32_t *at = stack + 1 + stack[0] + 1;

	while (*at++)
		;
	for (; at[0]; at += 2)
		if (at[0] == AT_SYSINFO)
			return at[1];
	return 0;
}

/* Process 1 has no parent; registers and stack come back as they were. */
static int calls_fast(uint32_t entry)
{
	int wrong = !entry;

	for (unsigned n = 0; n < CALLS && !wrong; n++) {
		int result;
		uint32_t ecx = n + 1, edx = n + 2;

		__asm__ volatile("call *%5"
				 : "=a"(result), "+c"(ecx), "+d"(edx)
				 : "a"(n % 2 ? SYS_GETPID : SYS_GETPPID), "b"(n), "S"(entry)
				 : "memory");
		wrong = result != (int)(n % 2) || ecx != n + 1 || edx != n + 2;
	}
	return !wrong;
}

void start(const uint32_t *stack);
__asm__(".globl _start\n_start: mov %esp, %eax\n push %eax\n call start\n");

void start(const uint32_t *stack)
{
	static char names[6][65];

	/* What the kernel says would stand in the middle of our lines. */
	call(SYS_SYSLOG, SYSLOG_CONSOLE_OFF, 0, 0);
	call(SYS_UNAME, (uint32_t)names, 0, 0);
	say("init: machine ");
	say(names[4]);
	say("\n");
	say(calls_fast(sysinfo_of(stack)) ? "init: calls by its entry\n" : "init: FAIL calls\n");
	/* Status 7, and nothing of it in the parent's page. */
	say(status_of_child(writes) == 7 << 8 && shared == 1 ? "init: a child of its own\n" : "init: FAIL child\n");
	say((status_of_child(faults) & 0x7f) == 11 ? "init: SIGSEGV where nothing is\n" : "init: FAIL fault\n");
	say("init: done\n");
	call(SYS_REBOOT, REBOOT_MAGIC, REBOOT_MAGIC2, REBOOT_POWER_OFF);
	for (;;)
		;
}
