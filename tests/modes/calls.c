/*
 * System calls of a 32-bit guest: what comes to the kernel and what comes back, many times over, since whoever makes
 * them fast does so when they repeat; and what of it changes when the kernel changes its tables. TAP on the console.
 */
#include "tests/modes/calls.h"

#define ROUNDS	300
#define PIC_EOI 0x20
#define FLAGS	(X86_RFLAGS_CF | X86_RFLAGS_ZF | X86_RFLAGS_DF | X86_RFLAGS_FIXED)

void report(uint32_t magic, uint32_t info);

__asm__(USER_ASM
	/* Many calls with registers and flags that are known. */
	"user_call: movl $300, (user_rounds)\n"
	"1: mov $0x11, %eax\n mov $0x22, %ebx\n mov $0x33, %ecx\n mov $0x44, %edx\n mov $0x55, %esi\n mov $0x66, %edi\n"
	"mov $0x77, %ebp\n push $0x647\n popf\n"
	"user_at_call: int $0x40\n"
	"user_after_call: pushf\n cld\n pop (user_flags)\n"
	"cmp $0x12, %eax\n jne 2f\n cmp $0x22, %ebx\n jne 2f\n cmp $0x33, %ecx\n jne 2f\n cmp $0x44, %edx\n jne 2f\n"
	"cmp $0x55, %esi\n jne 2f\n cmp $0x66, %edi\n jne 2f\n cmp $0x77, %ebp\n jne 2f\n cmp $user_stack_top, %esp\n "
	"jne 2f\n"
	"mov (user_flags), %eax\n and $0xed5, %eax\n cmp $0x645, %eax\n jne 2f\n"
	"decl (user_rounds)\n jnz 1b\n"
	"2: mov (user_rounds), %eax\n int $0x41\n"
	/* One that comes back with DS cleared. */
	"user_leak: movl $30, (user_rounds)\n"
	"1: int $0x44\n mov %ds, %ecx\n mov $0x23, %eax\n mov %eax, %ds\n cmp $0, %ecx\n jne 2f\n"
	"decl (user_rounds)\n jnz 1b\n"
	"2: mov (user_rounds), %eax\n int $0x41\n"
	/* Calls until the timer has come often. */
	"user_ticks: xor %ebx, %ebx\n"
	"1: inc %ebx\n mov %ebx, %eax\n int $0x42\n cmp %eax, %ebx\n jne 2f\n cmpl $20, (user_tick_count)\n jb 1b\n"
	"xor %eax, %eax\n int $0x41\n"
	"2: mov $1, %eax\n int $0x41\n"
	/* With IOPL 3 the interrupt flag is user mode's to change. */
	"user_iopl: movl $30, (user_rounds)\n"
	"1: cli\n pushf\n pop %ebx\n int $0x42\n sti\n pushf\n pop %ecx\n"
	"and $0x3200, %ebx\n cmp $0x3000, %ebx\n jne 2f\n and $0x3200, %ecx\n cmp $0x3200, %ecx\n jne 2f\n"
	"decl (user_rounds)\n jnz 1b\n"
	"2: mov (user_rounds), %eax\n int $0x41\n"
	/* The same by SYSENTER. */
	"user_fast: movl $300, (user_rounds)\n"
	"1: mov $0x11, %eax\n mov $0x22, %ebx\n mov %esp, %ecx\n mov $user_after_fast, %edx\n mov $0x55, %esi\n"
	"mov $0x66, %edi\n mov $0x77, %ebp\n push $0x647\n popf\n"
	"sysenter\n"
	"user_after_fast: pushf\n cld\n pop (user_flags)\n"
	"cmp $0x12, %eax\n jne 2f\n cmp $0x22, %ebx\n jne 2f\n cmp %esp, %ecx\n jne 2f\n cmp $user_after_fast, %edx\n"
	"jne 2f\n cmp $0x55, %esi\n jne 2f\n cmp $0x66, %edi\n jne 2f\n cmp $0x77, %ebp\n jne 2f\n"
	"cmp $user_stack_top, %esp\n jne 2f\n"
	"mov (user_flags), %eax\n and $0xed5, %eax\n cmp $0x645, %eax\n jne 2f\n"
	"mov %cs, %eax\n mov %ss, %ecx\n shl $16, %ecx\n or %ecx, %eax\n mov %eax, (user_segments)\n"
	"decl (user_rounds)\n jnz 1b\n"
	"2: mov (user_rounds), %eax\n int $0x41\n"
	"user_fast_ticks: xor %ebx, %ebx\n mov %esp, %ecx\n mov $3f, %edx\n"
	"1: inc %ebx\n mov %ebx, %eax\n sysenter\n 3: cmp %eax, %ebx\n jne 2f\n cmpl $20, (user_tick_count)\n jb 1b\n"
	"xor %eax, %eax\n int $0x41\n"
	"2: mov $1, %eax\n int $0x41\n"
	/* Where there is no way in. */
	"user_faults: mov $30, %ecx\n xor %eax, %eax\n"
	"1: user_at_fault: sysenter\n loop 1b\n int $0x41\n"
	".text");
extern char user_fast[], user_after_fast[], user_fast_ticks[], user_faults[], user_at_fault[];
extern char user_call[], user_at_call[], user_after_call[], user_leak[], user_ticks[], user_iopl[];
USER volatile uint32_t user_rounds, user_flags, user_tick_count, user_segments;

/* What the frame of each call has to be. */
static struct {
	uint32_t stack, wrong, flags, calls, others, cs;
} expected;

static void check_call(const struct frame *frame)
{
	uint32_t now;

	__asm__ volatile("pushfl\n\tpopl %0" : "=r"(now));
	expected.calls++;
	expected.others += frame->vector == OTHER_STUB;
	expected.wrong += frame->cs != USER_CS || frame->ss != USER_DS || frame->ds != USER_DS ||
			  frame->eip != (uint32_t)user_after_call || frame->esp != (uint32_t)user_stack_top ||
			  frame->eflags != (FLAGS | X86_RFLAGS_PF | X86_RFLAGS_IF) ||
			  (now & X86_RFLAGS_IF) != expected.flags || (uint32_t)(frame + 1) != expected.stack;
}

/* SYSENTER leaves all flags but IF. */
static void check_fast(const struct frame *frame)
{
	uint32_t now, cs;

	__asm__ volatile("pushfl\n\tpopl %0\n\tmov %%cs, %1" : "=r"(now), "=r"(cs));
	expected.calls++;
	expected.wrong += frame->ds != USER_DS || frame->eip != (uint32_t)user_after_fast ||
			  frame->esp != (uint32_t)user_stack_top || frame->eflags != (FLAGS | X86_RFLAGS_PF) ||
			  (now & X86_RFLAGS_IF) || (uint32_t)(frame + 1) != expected.stack || cs != expected.cs;
}

void handle(struct frame *frame)
{
	switch (frame->vector) {
	case VECTOR_FAST:
		check_fast(frame);
		frame->eax++;
		return;
	case X86_VEC_GP:
		expected.wrong += frame->eip != (uint32_t)user_at_fault || frame->error;
		frame->eip += 2;
		frame->eax++;
		return;
	case VECTOR_CALL:
	case OTHER_STUB:
		check_call(frame);
		frame->eax++;
		return;
	case VECTOR_TIME:
		user_tick_count++;
		out(X86_PORT_PIC1, PIC_EOI);
		return;
	default:
		print("Bail out! vector %u, error %x, at %x\n", frame->vector, frame->error, frame->eip);
		leave(1);
	}
}

static unsigned tests;

static void test(int is, const char *what)
{
	print("%s %u - %s\n", is ? "ok" : "not ok", ++tests, what);
}

/* All calls came and were as they should; so many by the other stub. */
static int run_calls(uint32_t others)
{
	uint32_t left;

	expected.wrong = expected.calls = expected.others = 0;
	left = run_user(user_call, X86_RFLAGS_FIXED | X86_RFLAGS_IF);
	if (left || expected.wrong)
		print("# %u rounds left, %u frames wrong of %u\n", left, expected.wrong, expected.calls);
	return !left && !expected.wrong && expected.calls == ROUNDS && expected.others == others;
}

static void test_calls(void)
{
	expected.stack = (uint32_t)kernel_stack_top;
	expected.flags = X86_RFLAGS_IF;
	test(run_calls(0), "frames, registers and flags of calls by a trap gate");
	set_gate(VECTOR_CALL, stub_call, GATE_INTERRUPT, 3);
	expected.flags = 0;
	test(run_calls(0), "an interrupt gate masks interrupts");
	set_gate(VECTOR_CALL, stub_other, GATE_INTERRUPT, 3);
	test(run_calls(ROUNDS), "a gate that leads elsewhere");
	tss[1] = expected.stack = (uint32_t)kernel_stack_top - 256;
	test(run_calls(ROUNDS), "another stack in the TSS");
	tss[1] = expected.stack = (uint32_t)kernel_stack_top;
	set_gate(VECTOR_CALL, stub_call, GATE_TRAP, 3);
	expected.flags = X86_RFLAGS_IF;
	test(run_calls(0), "and all as it was");
}

/* All came by SYSENTER, and went back with these segments. */
static int run_fast(uint32_t cs)
{
	uint32_t left;

	expected.wrong = expected.calls = 0;
	expected.cs = cs;
	left = run_user(user_fast, X86_RFLAGS_FIXED | X86_RFLAGS_IF);
	if (left || expected.wrong)
		print("# %u rounds left, %u frames wrong of %u\n", left, expected.wrong, expected.calls);
	return !left && !expected.wrong && expected.calls == ROUNDS && user_segments == ((cs + 19) | (cs + 27) << 16);
}

static void test_fast(void)
{
	const uint16_t elsewhere = 0x38;

	set_sysenter(KERNEL_CS, entry_fast, (uint32_t)kernel_stack_top);
	test(run_fast(KERNEL_CS), "registers, flags and segments by SYSENTER and SYSEXIT");
	expected.stack = (uint32_t)kernel_stack_top - 256;
	set_sysenter(KERNEL_CS, entry_fast, (uint32_t)kernel_stack_top - 256);
	test(run_fast(KERNEL_CS), "SYSENTER to another stack");
	set_sysenter(elsewhere, entry_fast, (uint32_t)kernel_stack_top - 256);
	test(run_fast(elsewhere), "SYSENTER to segments that no table has");
	expected.stack = (uint32_t)kernel_stack_top;
	set_sysenter(KERNEL_CS, entry_fast, (uint32_t)kernel_stack_top);
	test(run_fast(KERNEL_CS) && run_calls(0), "both ways by turns");
	expected.wrong = 0;
	set_sysenter(0, entry_fast, (uint32_t)kernel_stack_top);
	test(run_user(user_faults, X86_RFLAGS_FIXED | X86_RFLAGS_IF) == 30 && !expected.wrong,
	     "without a segment SYSENTER is #GP");
	set_sysenter(KERNEL_CS, entry_null, (uint32_t)kernel_stack_top);
}

/* What the other descriptor's base makes of FS:0 after it was changed in the table. */
static void test_segments(void)
{
	static volatile uint32_t words[2] = {0x1234, 0x5678};
	uint32_t wrong = 0;

	for (uint32_t n = 0; n < 4 * ROUNDS; n++) {
		uint32_t which = n / 50 % 2, base = (uint32_t)&words[which], got;
		uint64_t keep = gdt[6] & ~0xff0000ffffff0000ull;

		gdt[6] = keep | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56;
		__asm__ volatile("mov %1, %%fs\n\tmov %%fs:0, %0" : "=r"(got) : "r"(OTHER_DS) : "memory");
		wrong += got != words[which];
	}
	test(!wrong, "a descriptor that changes is loaded as it is");
	__asm__ volatile("mov %0, %%fs" : : "r"(0));
}

/* ZF is the answer, and the other flags stay. */
static int verify(uint16_t selector)
{
	static uint16_t word;
	uint32_t by_register, by_memory;

	word = selector;
	__asm__ volatile("push %3\n\tpopf\n\tverw %w2\n\tpushf\n\tcld\n\tpop %0\n\t"
			 "push %3\n\tpopf\n\tverw %%cs:%4\n\tpushf\n\tcld\n\tpop %1"
			 : "=&r"(by_register), "=&r"(by_memory)
			 : "r"((uint32_t)selector), "i"(FLAGS | X86_RFLAGS_OF | X86_RFLAGS_SF), "m"(word)
			 : "memory", "cc");
	if (by_register != by_memory || ((by_register ^ (FLAGS | X86_RFLAGS_OF | X86_RFLAGS_SF)) & ~X86_RFLAGS_ZF))
		return -1;
	return !!(by_register & X86_RFLAGS_ZF);
}

/* As kernels have it on the way to user mode, where it clears the processor's buffers. */
static void test_verify(void)
{
	const uint64_t data = gdt[KERNEL_DS / 8];
	uint32_t wrong = 0;

	for (unsigned n = 0; n < ROUNDS; n++) {
		wrong += verify(KERNEL_DS) != 1 || verify(USER_DS) != 1 || verify(USER_DS & ~3) != 1;
		wrong += verify(0) != 0 || verify(KERNEL_CS) != 0 || verify(KERNEL_DS | 3) != 0 || verify(0x400) != 0;
		/* What SS holds is what it was loaded with; the table can be written no more. */
		gdt[KERNEL_DS / 8] = data & ~((uint64_t)X86_DESC_RW);
		wrong += verify(KERNEL_DS) != 0;
		gdt[KERNEL_DS / 8] = data;
	}
	test(!wrong, "VERW answers by the table");
}

static void test_ticks(void)
{
	const uint32_t count = 1193182 / 1000;

	out(X86_PORT_PIC1, 0x11);
	out(X86_PORT_PIC1 + 1, VECTOR_TIME);
	out(X86_PORT_PIC1 + 1, 4);
	out(X86_PORT_PIC1 + 1, 1);
	out(X86_PORT_PIC1 + 1, 0xfe);
	out(X86_PORT_PIT + 3, 0x34);
	out(X86_PORT_PIT, count & 0xff);
	out(X86_PORT_PIT, count >> 8);
	test(!run_user(user_ticks, X86_RFLAGS_FIXED | X86_RFLAGS_IF), "interrupts come in between");
	user_tick_count = 0;
	test(!run_user(user_fast_ticks, X86_RFLAGS_FIXED | X86_RFLAGS_IF), "and between STI and SYSEXIT they do not");
	out(X86_PORT_PIC1 + 1, 0xff);
	user_tick_count = 0;
}

void report(uint32_t magic, uint32_t address)
{
	start_tables();
	print("1..16\n");
	test_calls();
	test_fast();
	test(!run_user(user_leak, X86_RFLAGS_FIXED | X86_RFLAGS_IF), "IRET clears a segment of the kernel's");
	test_segments();
	test_verify();
	test_ticks();
	test(!run_user(user_iopl, X86_RFLAGS_FIXED | X86_RFLAGS_IF | X86_RFLAGS_IOPL), "user mode with IOPL 3");
	leave(0);
}
