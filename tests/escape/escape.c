/*
 * escape: a guest that tries to get out. `attack=NAME` on the command line chooses how; what it then reports, or dies
 * of, is in CMakeLists.txt. This file holds what all attacks share.
 */
#include "escape.h"

bool pvg_guarded = false; /* attacks write what they execute, and tables and stacks where they like */

volatile uint64_t syscalls_seen, syscall_last;

/* Not static: the code below names them. */
volatile uint64_t syscall_from_user;
uint64_t user_stack[512], trap_stack[512];

/* Where the guest's own SYSCALL arrives, from either mode; the paravirtual one on the kernel's stack, with a frame. */
__asm__(".text\n"
	"syscall_entry_pv:\n\t"
	"mov 24(%rsp), %rsp\n"
	"syscall_entry:\n\t"
	"mov %rax, syscall_last(%rip)\n\t"
	"incq syscalls_seen(%rip)\n\t"
	"movabs $0x5ca1ab1e0ddba115, %rax\n\t"
	"cmpq $0, syscall_from_user(%rip)\n\t"
	"jne 1f\n\t"
	"jmp *%rcx\n"
	"1:\tsysretq\n");
extern const char syscall_entry[], syscall_entry_pv[];

__attribute__((noinline)) uint64_t raw_syscall(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
					       uint64_t a4, uint64_t a5)
{
	register uint64_t r10 __asm__("r10") = a3;
	register uint64_t r8 __asm__("r8") = a4;
	register uint64_t r9 __asm__("r9") = a5;

	__asm__ volatile("syscall"
			 : "+a"(nr)
			 : "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "cc", "memory");
	return nr;
}

uint64_t gate_syscall(uint64_t from)
{
	const uint8_t *text = (const uint8_t *)GATE_TEXT;

	while (text[from] != 0x0f || text[from + 1] != 0x05)
		from++;
	return from;
}

__asm__(".text\n"
	"sigreturn_at:\n\t"
	"mov %rdi, %rsp\n\t"
	"mov $0x3f80c0de, %r9d\n\t"
	"mov $15, %eax\n\t"
	"jmp *%rsi\n");
_Noreturn void sigreturn_at(const void *frame, uint64_t syscall);

_Noreturn void gate_sigreturn(const void *frame)
{
	sigreturn_at(frame, GATE_TEXT + gate_syscall(0));
}

static void syscall_init(void)
{
	pvg_wrmsr(X86_MSR_EFER, pvg_rdmsr(X86_MSR_EFER) | X86_EFER_SCE | X86_EFER_NXE);
	pvg_wrmsr(X86_MSR_STAR, PVG_STAR);
	pvg_wrmsr(X86_MSR_SFMASK, 0);
	pvg_wrmsr(X86_MSR_LSTAR, (uint64_t)syscall_entry);
	if (pvg_is_paravirt())
		pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_SYSCALL, (uint64_t)syscall_entry_pv);
}

/* ----------------------------------------------------------------------------------------------------- user mode */

/* But not the lowest 2 MiB: a jump to 0 is to be a fault. */
static void open_table(uint64_t table, unsigned level, uint64_t gva)
{
	uint64_t *entries = pvg_gpa_to_ptr(table);
	unsigned shift = X86_PAGE_SHIFT + 9 * (level - 1);

	for (uint64_t i = 0; i < X86_PT_ENTRIES; i++) {
		if (!(entries[i] & X86_PTE_P) || (level < 3 && (gva | i << shift) < R3_BIT(21)))
			continue;
		entries[i] |= X86_PTE_U;
		if (level > 1 && !(entries[i] & X86_PTE_PS))
			open_table(entries[i] & X86_PTE_ADDR, level - 1, gva | i << shift);
	}
}

/*
 * With `view=1`, for a kernel of the upper half: where programs see all of its memory, and run on the processor. Else
 * they see it where it is.
 */
#define VIEW_SLOT 1ull
#define VIEW	  (VIEW_SLOT << 39)

static char view[2];

uint64_t user_view(const void *kernel)
{
	return view[0] ? pvg_ptr_to_gpa(kernel) + VIEW : (uint64_t)kernel;
}

static void open_view(void)
{
	uint64_t *root = pvg_gpa_to_ptr(pvg_read_cr3() & X86_PTE_ADDR);
	uint64_t table = root[(uint64_t)pvg_direct_base >> 39 & (X86_PT_ENTRIES - 1)];

	root[VIEW_SLOT] = table | X86_PTE_U;
	open_table(table & X86_PTE_ADDR, X86_PT_LEVELS - 1, 0);
}

/* With `direct=1` user mode is entered and left by the gate alone where that is possible (R3_CALLBACK_DIRECT). */
static char direct[2];

uint64_t user_stack_of_traps(void)
{
	return (uint64_t)trap_stack + sizeof(trap_stack);
}

void user_init(void)
{
	if (pvg_option("view", view, sizeof(view)))
		open_view();
	else
		open_table(pvg_read_cr3() & X86_PTE_ADDR, X86_PT_LEVELS, 0);
	pvg_write_cr3(pvg_read_cr3());
	pvg_trap_allow_user(VEC_BACK);
	pvg_set_kernel_stack(user_stack_of_traps());
	if (pvg_option("direct", direct, sizeof(direct)))
		pvg_assert(!pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_DIRECT, 1));
}

/* What a program may take, and where nothing is mapped. */
#define USER_TICKS_MAX 3
#define NOWHERE	       R3_BIT(40)

struct visit {
	void (*function)(uint64_t arg);
	uint64_t arg;
};

static void user_start(void (*function)(uint64_t arg), uint64_t arg)
{
	function(arg);
	__asm__ volatile("int %0" : : "i"(VEC_BACK));
}

static void user_enter(void *arg)
{
	const struct visit *visit = arg;

	__asm__ volatile("push %0\n\t"
			 "push %1\n\t"
			 "push %2\n\t"
			 "push %3\n\t"
			 "push %4\n\t"
			 "iretq"
			 :
			 : "i"(PVG_SEL_USER_DATA), "r"(user_view(user_stack + 511)),
			   "i"(X86_RFLAGS_FIXED | X86_RFLAGS_IF), "i"(PVG_SEL_USER_CODE), "r"(user_view(user_start)),
			   "D"(user_view(visit->function)), "S"(visit->arg)
			 : "memory", "cc");
}

static void user_enter_direct(void *arg)
{
	const struct visit *visit = arg;

	__asm__ volatile("push %0\n\t"
			 "push %1\n\t"
			 "push %2\n\t"
			 "push %3\n\t"
			 "push %4\n\t"
			 "push $0\n\t"
			 "push $0\n\t"
			 "push $0\n\t"
			 "mov %5, %%eax\n\t"
			 "call pvg_hypercall_page"
			 :
			 : "i"(PVG_SEL_USER_DATA), "r"(user_stack + 511), "i"(X86_RFLAGS_FIXED | X86_RFLAGS_IF),
			   "i"(PVG_SEL_USER_CODE), "r"(user_start), "i"(R3_HC_iret), "D"(visit->function),
			   "S"(visit->arg)
			 : "rax", "memory", "cc");
}

static volatile unsigned user_ticks;

/* Its frame lies where the kernel's stack begins. */
void user_tick(void)
{
	struct pvg_frame *frame = (struct pvg_frame *)(trap_stack + sizeof(trap_stack) / sizeof(trap_stack[0])) - 1;

	if (syscall_from_user && (frame->cs & X86_SEL_RPL) && ++user_ticks > USER_TICKS_MAX)
		frame->rip = NOWHERE;
}

bool user_run(void (*function)(uint64_t arg), uint64_t arg, struct pvg_caught *caught)
{
	struct visit visit = {function, arg};

	user_ticks = 0;
	syscall_from_user = 1;
	pvg_catch(direct[0] ? user_enter_direct : user_enter, &visit, caught);
	syscall_from_user = 0;
	return caught->vector == VEC_BACK;
}

/* ------------------------------------------------------------------------------------------------------ choosing */

static uint64_t luck_state = 0x9e3779b97f4a7c15;

void luck_seed(uint64_t seed)
{
	luck_state = seed * 0x9e3779b97f4a7c15 + 1;
}

uint64_t luck(void)
{
	luck_state ^= luck_state >> 12;
	luck_state ^= luck_state << 25;
	luck_state ^= luck_state >> 27;
	return luck_state * 0x2545f4914f6cdd1d;
}

uint64_t number(const char *name, uint64_t otherwise)
{
	char text[24];

	return pvg_option(name, text, sizeof(text)) ? pvg_strtoul(text) : otherwise;
}

bool user_can_leave_by(uint64_t vector)
{
	return vector == VEC_BACK || (vector <= X86_VEC_CP && vector != 2 && vector != X86_VEC_DF && vector != 18);
}

static const struct {
	const char *name;
	void (*attack)(void);
} attacks[] = {
#define ENTRY(name) {#name, attack_##name},
	ATTACKS(ENTRY)
#undef ENTRY
};

int main(const char *cmdline)
{
	char name[40];

	pvg_option("attack", name, sizeof(name));
	for (unsigned i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		if (pvg_strcmp(name, attacks[i].name))
			continue;
		syscall_init();
		attacks[i].attack();
		return pvg_test_finish();
	}
	pvg_panic("no attack of this name: %s", cmdline);
}
