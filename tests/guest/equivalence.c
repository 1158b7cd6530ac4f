/*
 * The guest of the tests of `ring3 compare` and `ring3 lockstep`: the same on every engine, but for what the command
 * line asks it to do.
 */
#include <pvguest/pvguest.h>

/* Where the instructions are that the engines differ in: the tests look for these names. */
void pass_popf(uint64_t flags);
void pass_sgdt(void *to);
uint64_t pass_cs(void);
uint64_t pass_pushf(void);

__asm__(".text\n"
	".globl pass_popf\n"
	".type pass_popf, @function\n"
	"pass_popf: push %rdi\n"
	"popfq\n"
	"ret\n"
	".size pass_popf, . - pass_popf\n"
	".globl pass_sgdt\n"
	".type pass_sgdt, @function\n"
	"pass_sgdt: sgdt (%rdi)\n"
	"ret\n"
	".size pass_sgdt, . - pass_sgdt\n"
	".globl pass_pushf\n" /* what PUSHF wrote is read and overwritten by one instruction */
	".type pass_pushf, @function\n"
	"pass_pushf: cli\n"
	"xor %eax, %eax\n"
	"pushfq\n"
	"xchg %rax, (%rsp)\n"
	"lea 8(%rsp), %rsp\n"
	"sti\n"
	"ret\n"
	".size pass_pushf, . - pass_pushf\n"
	".globl pass_cs\n"
	".type pass_cs, @function\n"
	"pass_cs: mov %cs, %eax\n"
	"ret\n"
	".size pass_cs, . - pass_cs\n");

#define PAGES	 64
#define FAULTS	 200
#define REPEATED 4096

static uint8_t pages[PAGES][X86_PAGE_SIZE] __attribute__((aligned(X86_PAGE_SIZE)));
static uint64_t untouched[X86_PAGE_SIZE / sizeof(uint64_t)];

static void touch(void *arg)
{
	*(volatile uint8_t *)arg = 1;
}

/* Faults, string instructions, arithmetic with all its flags, and the console: nothing that passes silently. */
static void work(void)
{
	uint64_t sum = 1;
	for (unsigned n = 0; n < FAULTS; n++) {
		struct pvg_caught caught;
		sum = sum * 6364136223846793005 + (sum >> 33 | n);
		pages[n % PAGES][n] = (uint8_t)(sum / (n + 1));
		(void)pvg_catch(touch, (void *)(R3_BIT(40) + n * X86_PAGE_SIZE), &caught);
	}
	__asm__ volatile("rep movsb" : : "S"(pages[0]), "D"(pages[1]), "c"(REPEATED) : "memory");
	pvg_printf("worked: %lx\n", sum);
}

static bool asked(const char *key)
{
	char value[8];
	return pvg_option(key, value, sizeof(value));
}

int main(const char *cmdline)
{
	pvg_printf("equivalence\n");
	work();
	if (asked("popf"))
		pass_popf(X86_RFLAGS_FIXED);
	if (asked("sgdt"))
		pass_sgdt(untouched);
	if (asked("pushf"))
		(void)pass_pushf();
	work();
	if (asked("output"))
		pvg_printf("CPL %u\n", (unsigned)(pass_cs() & X86_SEL_RPL));
	if (asked("spin") || (asked("hang") && (pass_cs() & X86_SEL_RPL)))
		for (;;)
			__asm__ volatile("pause");
	return asked("status") ? (int)(pass_cs() & X86_SEL_RPL) : 0;
}
