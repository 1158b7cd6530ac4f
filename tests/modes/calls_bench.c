/*
 * What a system call of a 32-bit guest costs: the command line says how many. Cycles of the time stamp counter, of
 * calls that do nothing, and of calls as kernels have them, which save all registers and load segments.
 */
#include "monitor/boot/multiboot.h"
#include "tests/modes/calls.h"

void report(uint32_t magic, uint32_t info);

__asm__(USER_ASM "user_null: mov (user_count), %ecx\n"
		 "1: int $0x42\n dec %ecx\n jnz 1b\n int $0x41\n"
		 "user_fast: mov (user_count), %esi\n mov %esp, %ecx\n mov $1f, %edx\n"
		 "2: sysenter\n 1: dec %esi\n jnz 2b\n int $0x41\n"
		 "user_call: mov (user_count), %ecx\n"
		 "1: int $0x40\n dec %ecx\n jnz 1b\n int $0x41\n.text");
extern char user_null[], user_fast[], user_call[];
USER uint32_t user_count;

void handle(struct frame *frame)
{
	if (frame->vector == VECTOR_CALL)
		return;
	print("vector %u error %x at %x\n", frame->vector, frame->error, frame->eip);
	leave(1);
}

static uint64_t cycles(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static void measure(const char *what, const void *program)
{
	uint64_t start = cycles();

	run_user(program, X86_RFLAGS_FIXED | X86_RFLAGS_IF);
	/* Up to 2^32 cycles in all. */
	print("%s: %u cycles\n", what, (uint32_t)(cycles() - start) / user_count);
}

void report(uint32_t magic, uint32_t address)
{
	const struct mb1_info *info = (const void *)address;
	const char *text = (const char *)info->cmdline;

	for (; *text; text++)
		if (*text >= '0' && *text <= '9')
			user_count = user_count * 10 + (uint32_t)(*text - '0');
		else
			user_count = 0;
	start_tables();
	set_sysenter(KERNEL_CS, entry_null, (uint32_t)kernel_stack_top);
	for (unsigned n = 0; n < 3; n++) {
		measure("null call", user_null);
		measure("null call by SYSENTER", user_fast);
		measure("call with registers and segments saved", user_call);
	}
	leave(0);
}
