/*
 * 06-resources: a guest that wants more than it was given. It asks for memory, devices and system calls that are not
 * its own, and each time the monitor answers, not the host. At last it masks interrupts and spins: the processor is the
 * one thing it has, and the monitor takes it away by a signal that the guest cannot mask.
 */
#include <pvguest/pvguest.h>

#define WINDOW	      PVG_SPACE_BASE
#define BEYOND_RAM    (R3_U64(1) << 40)
#define HOST_KERNEL   0xffffffff81000000
#define LINUX_GETPID  39
#define LINUX_GETPID3 20 /* for INT 80h */
#define LINUX_VECTOR  0x80
#define PORT_DISK     0x1f7
#define PORT_NOTHING  0xff /* what a port reads where there is no device */

static uint64_t result;

static void read_word(void *arg)
{
	result = *(volatile uint64_t *)arg;
}

static void system_call(void *arg)
{
	(void)arg;
	__asm__ volatile("syscall" : "=a"(result) : "a"(LINUX_GETPID) : "rcx", "r11", "memory");
}

static void system_call_32(void *arg)
{
	(void)arg;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(LINUX_GETPID3) : "memory");
}

static void say(const char *what, bool nothing)
{
	pvg_printf("%-36s %s\n", what, nothing ? "nothing there" : "AN ANSWER");
}

static void attempt(const char *what, void (*function)(void *arg), void *arg)
{
	struct pvg_caught caught;

	result = 0;
	if (!pvg_catch(function, arg, &caught))
		say(what, result == UINT64_MAX);
	else if (caught.vector == LINUX_VECTOR)
		pvg_printf("%-36s this guest's own handler of vector %xh\n", what, caught.vector);
	else
		pvg_printf("%-36s %s\n", what, pvg_vector_name(caught.vector));
}

int main(const char *cmdline)
{
	(void)cmdline;
	attempt("memory of the host's kernel", read_word, (void *)HOST_KERNEL);
	pvg_assert(!pvg_map(pvg_space_current(), WINDOW, BEYOND_RAM, 1, X86_PTE_W));
	attempt("physical memory beyond its RAM", read_word, (void *)WINDOW);
	attempt("a system call of the host: SYSCALL", system_call, NULL);
	attempt("a system call of the host: INT 80h", system_call_32, NULL);
	say("the host's disk controller", pvg_inb(PORT_DISK) == PORT_NOTHING);

	pvg_printf("now the processor: interrupts off, and for ever\n");
	pvg_console_flush();
	__asm__ volatile("cli\n1:\tjmp 1b");
	return 0;
}
