/*
 * /init of a 32-bit Linux, alone in its initramfs: system calls, a child with pages of its own, a signal for an address
 * that is not mapped, and power off. Freestanding, so that no 32-bit C library is needed.
 */
#include <stddef.h>
#include <stdint.h>

enum {
	SYS_EXIT = 1,
	SYS_FORK = 2,
	SYS_WRITE = 4,
	SYS_WAITPID = 7,
	SYS_REBOOT = 88,
	SYS_UNAME = 122,
};

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

void _start(void)
{
	static char names[6][65];

	call(SYS_UNAME, (uint32_t)names, 0, 0);
	say("init: machine ");
	say(names[4]);
	say("\n");
	/* Status 7, and nothing of it in the parent's page. */
	say(status_of_child(writes) == 7 << 8 && shared == 1 ? "init: a child of its own\n" : "init: FAIL child\n");
	say((status_of_child(faults) & 0x7f) == 11 ? "init: SIGSEGV where nothing is\n" : "init: FAIL fault\n");
	say("init: done\n");
	call(SYS_REBOOT, REBOOT_MAGIC, REBOOT_MAGIC2, REBOOT_POWER_OFF);
	for (;;)
		;
}
