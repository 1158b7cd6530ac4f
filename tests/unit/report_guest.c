/*
 * A freestanding image for report_test.c: it calls a few functions deep, takes a make-believe exception, and stops at
 * UD2 within its handler. Built twice: with unwind tables and no frame pointers, and the other way round.
 */
#include <stdint.h>

void handler(void);
int inner(int x);
int middle(int x);
int outer(int x);
void image_entry_point(void);

static uint8_t stack[16384] __attribute__((aligned(16), used));

__attribute__((noinline)) void handler(void)
{
	__asm__ volatile("ud2");
}

/*
 * The stack as an exception leaves it (SS RSP RFLAGS CS RIP), and an entry stub whose unwind information says so. The
 * way by frame pointers leads through RBP, which nobody changes.
 */
__attribute__((noinline)) int inner(int x)
{
	__asm__ volatile("mov %%rsp, %%rax\n"
			 "and $-16, %%rsp\n"
			 "push $0x10\n"
			 "push %%rax\n"
			 "pushf\n"
			 "push $8\n"
			 "lea 1f(%%rip), %%rax\n"
			 "push %%rax\n"
			 "jmp entry_stub\n"
			 "1: nop\n" ::
				 : "rax", "memory");
	return x + 1;
}

__asm__(".text\n"
	".globl entry_stub\n"
	".type entry_stub, @function\n"
	"entry_stub:\n"
	".cfi_startproc simple\n"
	".cfi_signal_frame\n"
	".cfi_def_cfa rsp, 40\n"
	".cfi_offset rip, -40\n"
	".cfi_offset rsp, -16\n"
	"push %rbp\n"
	".cfi_adjust_cfa_offset 8\n"
	".cfi_offset rbp, -48\n"
	"mov %rsp, %rbp\n"
	"call handler\n"
	"nop\n"
	".cfi_endproc\n"
	".size entry_stub, . - entry_stub\n"
	".globl image_entry_point\n"
	".type image_entry_point, @function\n"
	"image_entry_point:\n"
	".cfi_startproc\n"
	".cfi_undefined rip\n"
	"lea stack+16384(%rip), %rsp\n"
	"xor %ebp, %ebp\n"
	"mov $1, %edi\n"
	"call outer\n"
	"hlt\n"
	".cfi_endproc\n"
	".size image_entry_point, . - image_entry_point\n");

__attribute__((noinline)) int middle(int x)
{
	volatile char room[200];

	room[x] = 1;
	return inner(x) + room[x];
}

__attribute__((noinline)) int outer(int x)
{
	return middle(x) + 2;
}
