/*
 * A guest kernel that executes one sensitive instruction in its ring 0, as "insn=N" of the command line says, and
 *prints what it saw, for `ring3 classify`:
 *
 *	classify: passed RAX BYTES		or	classify: trapped VECTOR ERROR
 *
 * Or nothing, if the instruction was the end of it. With "before=N" it has executed it so many times before, for who
 * translates only what is executed often. What would ruin any kernel (an empty descriptor table, no page
 * tables) is given this kernel's own values: the question is what the instruction does, not what garbage does.
 */
#include <pvguest/pvguest.h>

#define SEL_CODE      "0x08"
#define SEL_DATA      "0x10"
#define SEL_OWN_CODE  "0x08"
#define SEL_OWN_DATA  "0x10"
#define SEL_USER_DATA "0x1b"
#define FAR_TARGET    "1f"

_Static_assert(PVG_SEL_KERNEL_CODE == 0x08 && PVG_SEL_KERNEL_DATA == 0x10 && PVG_SEL_USER_DATA == 0x1b,
	       "the selectors above are the library's");

#define INSN_OF(of, id, name, code, kind, shows, why)                                                                  \
	__attribute__((naked)) static void run_##id(void)                                                              \
	{                                                                                                              \
		__asm__(code "; ret");                                                                                 \
	}
#include "monitor/cli/classify/classify.def"
#undef INSN_OF

enum {
#define INSN_OF(of, id, name, code, kind, shows, why) ID_##id,
#include "monitor/cli/classify/classify.def"
#undef INSN_OF
	ID_COUNT
};

static void (*const runs[])(void) = {
#define INSN_OF(of, id, name, code, kind, shows, why) run_##id,
#include "monitor/cli/classify/classify.def"
#undef INSN_OF
};

bool pvg_guarded = false; /* some of them execute the bytes */

static uint8_t bytes[64];
static uint64_t value;

static void wake(void *arg)
{
}

static void prepare(unsigned id)
{
	switch (id) {
	case ID_lgdt:
		__asm__ volatile("sgdt %0" : "=m"(bytes));
		break;
	case ID_lidt:
		__asm__ volatile("sidt %0" : "=m"(bytes));
		break;
	case ID_pushf:
		pvg_irq_disable();
		break;
	case ID_write_cr3:
		value = pvg_read_cr3();
		break;
	case ID_ltr:
		value = PVG_SEL_TSS;
		break;
	case ID_hlt:
	case ID_mwait:
		pvg_timer_every(1000000, wake, NULL);
		break;
	}
}

static void run(void *arg)
{
	__asm__ volatile("push %%rbx\n\tpush %%rbp\n\tcall *%%rsi\n\tpop %%rbp\n\tpop %%rbx"
			 : "+a"(value)
			 : "D"(bytes), "S"(arg)
			 : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
}

static void breakpoint(void *arg)
{
	__asm__ volatile("int3");
}

/* PUSHF may show another interrupt flag than the one that counts, which is in the frame of a trap. */
static void correct_flags(void)
{
	struct pvg_caught caught;

	pvg_catch(breakpoint, NULL, &caught);
	value = (value & ~X86_RFLAGS_IF) | (caught.rflags & X86_RFLAGS_IF);
}

static unsigned number(const char *key)
{
	char text[8];

	return pvg_option(key, text, sizeof(text)) ? (unsigned)pvg_strtoul(text) : 0;
}

int main(const char *cmdline)
{
	struct pvg_caught caught;
	unsigned id = number("insn");
	uint64_t given;

	pvg_assert(id < ID_COUNT);
	pvg_irq_enable();
	prepare(id);
	given = value;
	for (unsigned i = number("before"); i; i--) {
		pvg_catch(run, (void *)runs[id], &caught);
		value = given;
	}
	if (pvg_catch(run, (void *)runs[id], &caught)) {
		pvg_printf("classify: trapped %u %lx\n", caught.vector, caught.error);
		return 0;
	}
	if (id == ID_popf || id == ID_iret_if)
		correct_flags();
	pvg_printf("classify: passed %lx ", value);
	for (unsigned i = 0; i < 10; i++)
		pvg_printf("%02x", bytes[i]);
	pvg_printf("\n");
	return 0;
}
