/*
 * Code that changes what it executes next, run at every place around the end of a page, so that each of its
 * instructions lies across it once; in kernel and in user mode; written through another address than it runs at, each
 * time in other frames; and in single steps, while interrupts come as fast as a word on the command line says (ticks of
 * the timer). TAP on the console; what each engine makes of it must agree in lockstep.
 */
#include "monitor/boot/multiboot.h"
#include "tests/modes/calls.h"

void report(uint32_t magic, uint32_t info);

/* Two pages that show two of four frames, by turns. */
#define PLACE	    0x3e0000u
#define PAGE	    4096u
#define MAPPED	    (X86_PTE_P | X86_PTE_W | X86_PTE_U)
#define TURNS	    300u /* of a loop that is left as it is: enough to be translated */
#define STRIDE	    9u	 /* of places, in single steps */
#define ROUNDS	    5u
#define TICKS	    20000u /* of the timer: 17 ms */
#define CALM	    (X86_RFLAGS_FIXED | X86_RFLAGS_IF)
#define STEPPED	    (CALM | X86_RFLAGS_TF)
#define VECTOR_STEP 1

extern char code_start[], code_turns[], code_end[], code_int[], code_ret[];
uint32_t run_kernel(uint32_t at, uint32_t flags);

/* What follows: the immediate of the next instruction, of one behind a jump, and INC made DEC and INC again. */
__asm__(".text\n"
	"code_start:\n"
	"	xor %eax, %eax\n"
	"	mov $5, %ecx\n"
	"	mov $0, %ebp\n"
	"code_turns:\n"
	"	call 1f\n"
	"1:	pop %ebx\n"
	"2:	incl (3f + 1 - 1b)(%ebx)\n"
	"3:	mov $0, %edx\n"
	"	add %edx, %eax\n"
	"	addl $0x11, (4f + 1 - 1b)(%ebx)\n"
	"	jmp 4f\n"
	"4:	mov $0x100, %esi\n"
	"	add %esi, %eax\n"
	"	xorb $8, (5f - 1b)(%ebx)\n"
	"5:	inc %eax\n"
	"	push %ebp\n"
	"9:	inc %eax\n"
	"	dec %ebp\n"
	"	jnz 9b\n"
	"	pop %ebp\n"
	"	push %eax\n"
	"	lea (6f - 1b)(%ebx), %edi\n"
	"	lea (7f - 1b)(%ebx), %esi\n"
	"	movsw\n"
	"	pop %eax\n"
	"6:	nop\n"
	"	nop\n"
	"	dec %ecx\n"
	"	jnz 2b\n"
	"	jmp 8f\n"
	"7:	.byte 0x8d, 0x12\n" /* lea (%edx), %edx: for the two above */
	"8:\n"
	"code_end:\n"
	"code_int: int $0x41\n"
	"code_ret: ret\n"
	"run_kernel:\n"
	"	push %ebp\n"
	"	push %ebx\n"
	"	push %esi\n"
	"	push %edi\n"
	"	mov 20(%esp), %edx\n"
	"	pushl 24(%esp)\n"
	"	popf\n"
	"	call *%edx\n"
	"	pushl $0x202\n"
	"	popf\n"
	"	pop %edi\n"
	"	pop %esi\n"
	"	pop %ebx\n"
	"	pop %ebp\n"
	"	ret\n");

static uint8_t frames[4][PAGE] __attribute__((aligned(4096)));
static volatile uint32_t steps, ticks, trail;
static unsigned tests, turn;

void handle(struct frame *frame)
{
	trail = (trail << 5 | trail >> 27) ^ frame->eip ^ frame->eflags;
	if (frame->vector == VECTOR_STEP) {
		steps++;
	} else if (frame->vector == VECTOR_TIME) {
		ticks++;
		out(0x20, 0x20);
	} else {
		print("Bail out! vector %u, error %x, at %x\n", frame->vector, frame->error, frame->eip);
		leave(1);
	}
}

static void test(int is, const char *what)
{
	print("%s %u - %s\n", is ? "ok" : "not ok", ++tests, what);
}

static void map(uint32_t gva, const uint8_t *frame)
{
	page_table[gva / PAGE] = (uint32_t)frame | MAPPED;
	__asm__ volatile("invlpg (%0)" : : "r"(gva) : "memory");
}

/* Puts the code, and what ends it, at `offset` of the two pages by the frames' own addresses. */
static void place(uint32_t offset, const char *end, uint32_t turns)
{
	const uint32_t len = (uint32_t)(code_end - code_start), at_turns = (uint32_t)(code_turns - code_start) - 4;
	uint8_t *first = frames[turn], *second = frames[2 + turn / 2];

	turn = (turn + 1) % 2;
	map(PLACE, first);
	map(PLACE + PAGE, second);
	for (uint32_t n = 0; n < len + 2; n++) {
		uint32_t at = offset + n;
		uint8_t byte = n - at_turns < 4 ? (uint8_t)(turns >> 8 * (n - at_turns))
			       : n < len	? (uint8_t)code_start[n]
						: (uint8_t)end[n - len];

		*(at < PAGE ? first + at : second + at - PAGE) = byte;
	}
}

/* At every place around the end of the page; what it comes to is known. */
static int runs(int user, uint32_t flags)
{
	const uint32_t len = (uint32_t)(code_end - code_start);
	const uint32_t turns = flags & X86_RFLAGS_TF ? 1 : TURNS, next = flags & X86_RFLAGS_TF ? STRIDE : 1;
	uint32_t result = ROUNDS * turns, wrong = 0;

	for (uint32_t n = 1; n <= ROUNDS; n++)
		result += n + 0x100 + 0x11 * n + (n % 2 ? (uint32_t)-1 : 1);
	for (uint32_t offset = PAGE - len; offset <= PAGE; offset += next) {
		place(offset, user ? code_int : code_ret, turns);
		wrong += (user ? run_user((void *)(PLACE + offset), flags) : run_kernel(PLACE + offset, flags)) !=
			 result;
	}
	return !wrong;
}

static uint32_t number(const char *text)
{
	uint32_t value = 0;

	while (*text && (*text < '0' || *text > '9'))
		text++;
	while (*text >= '0' && *text <= '9')
		value = value * 10 + (uint32_t)(*text++ - '0');
	return value;
}

static void start_timer(uint32_t period)
{
	out(0x20, 0x11);
	out(0x21, VECTOR_TIME);
	out(0x21, 4);
	out(0x21, 1);
	out(0x43, 0x34);
	out(0x40, (uint8_t)period);
	out(0x40, (uint8_t)(period >> 8));
	out(0x21, 0xfe);
}

void report(uint32_t magic, uint32_t address)
{
	const struct mb1_info *info = (const void *)address;
	uint32_t period = number((const char *)info->cmdline);

	start_tables();
	set_gate(VECTOR_STEP, stub_db, GATE_INTERRUPT, 0);
	print("1..6\n");
	start_timer(period ? period : TICKS);
	test(runs(0, CALM), "the kernel changes its code");
	test(runs(1, CALM), "a program changes its code");
	test(runs(0, STEPPED), "the kernel in single steps");
	test(steps > 0, "which come one by one");
	test(runs(1, STEPPED), "a program in single steps");
	while (!ticks)
		__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
	test(trail != 0, "interrupts come meanwhile");
	leave(0);
}
