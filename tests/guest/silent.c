/*
 * What passes silently in ring 3, and so tells a guest that runs directly where it is: under an engine that interprets
 * the kernel all of it is as on the machine. And code that changes itself, which an interpreter might miss.
 */
#include <pvguest/pvguest.h>

#define HOT 300 /* rounds */

static uint64_t pushf(void)
{
	uint64_t flags;
	__asm__ volatile("pushfq\n\tpop %0" : "=r"(flags) : : "memory");
	return flags;
}

static void popf(uint64_t flags)
{
	__asm__ volatile("push %0\n\tpopfq" : : "r"(flags) : "memory", "cc");
}

/* With the flag in the shared-info page, RFLAGS is not where a paravirtual kernel keeps it. */
static void test_interrupt_flag(void)
{
	uint64_t flags = pushf();

	popf(flags & ~X86_RFLAGS_IF);
	pvg_test_equal(pushf() & X86_RFLAGS_IF, 0, "POPF masks interrupts");
	popf(flags | X86_RFLAGS_IF);
	pvg_test_equal(pushf() & X86_RFLAGS_IF, X86_RFLAGS_IF, "and unmasks them");
	popf(flags | X86_RFLAGS_IOPL);
	pvg_test_equal(pushf() & X86_RFLAGS_IOPL, X86_RFLAGS_IOPL, "IOPL is changed by ring 0");
	popf(flags);
}

static void test_segments(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} gdtr;
	uint16_t cs, ss, tr;
	uint64_t msw, lar = 0;
	uint32_t lsl = 0;
	bool known, readable, writable;

	__asm__("mov %%cs, %0" : "=r"(cs));
	__asm__("mov %%ss, %0" : "=r"(ss));
	pvg_test_equal((cs | ss) & X86_SEL_RPL, 0, "segment registers show ring 0");
	__asm__("sgdt %0" : "=m"(gdtr));
	pvg_test(gdtr.limit >= (cs | 7) && gdtr.base < R3_BIT(47), "SGDT shows the guest's own table");
	__asm__("str %0" : "=r"(tr));
	pvg_test(tr <= gdtr.limit, "STR lies in it");
	__asm__("smsw %0" : "=r"(msw));
	pvg_test_equal(msw & (X86_CR0_PE | X86_CR0_PG), X86_CR0_PE | X86_CR0_PG, "SMSW");
	__asm__("lar %2, %0\n\tsete %1" : "+r"(lar), "=r"(known) : "r"((uint64_t)cs) : "cc");
	pvg_test(known && (lar & 0x9800) == 0x9800, "LAR of the code segment");
	__asm__("lsl %2, %0\n\tsete %1" : "+r"(lsl), "=r"(known) : "r"((uint32_t)ss) : "cc");
	pvg_test(known, "LSL of the stack segment");
	__asm__("lar %2, %0\n\tsete %1" : "+r"(lar), "=r"(known) : "r"(R3_U64(0xfff8)) : "cc");
	pvg_test(!known, "LAR beyond the table");
	__asm__("verr %1\n\tsete %0" : "=r"(readable) : "r"(ss) : "cc");
	__asm__("verw %1\n\tsete %0" : "=r"(writable) : "r"(cs) : "cc");
	pvg_test(readable && !writable, "VERR of the stack, VERW of code");
}

/* Where the processor has RDPID, its operand is any register. */
static void test_processor_number(void)
{
	uint64_t a = 7, c = 7;
	uint32_t leaf = 7, b = 0, features = 0, d;

	__asm__("cpuid" : "+a"(leaf), "=b"(b), "+c"(features), "=d"(d));
	if (!(features & 1u << 22)) {
		pvg_test_skip("RDPID", "the host has it not");
		return;
	}
	__asm__("rdpid %%rcx" : "+c"(c), "+a"(a));
	pvg_test(a == 7 && c == 0, "RDPID gives number %lu, and leaves RAX at %lu", (unsigned long)c, (unsigned long)a);
}

static struct {
	unsigned count;
	uint64_t rip, dr6;
} debugged;

/* Disarms what was hit; an instruction breakpoint stays, and RF in the frame lets the instruction pass. */
static void on_debug(struct pvg_frame *frame, void *arg)
{
	debugged.count++;
	debugged.rip = frame->rip;
	debugged.dr6 = pvg_read_dr6();
	pvg_write_dr6(0);
	frame->rflags |= X86_RFLAGS_RF;
	if (arg)
		pvg_write_dr7(X86_DR7_FIXED);
}

static uint64_t dr7_of(unsigned n, unsigned kind, unsigned length)
{
	return X86_DR7_FIXED | X86_DR7_L(n) | ((uint64_t)kind | length << 2) << X86_DR7_FIELD_SHIFT(n);
}

static void test_debug_registers(void)
{
	static volatile uint32_t cells[4];
	uint64_t at, after;

	pvg_trap_register(X86_VEC_DB, on_debug, &debugged);
	pvg_write_dr0((uint64_t)&cells[1]);
	pvg_write_dr7(dr7_of(0, X86_DR7_RW_WRITE, 3));
	cells[0] = cells[1] + cells[2];
	pvg_test_equal(debugged.count, 0, "a watchpoint does not mind reads, or its neighbours");
	__asm__ volatile("lea 1f(%%rip), %0\n\tmovl $7, %1\n1:" : "=&r"(after), "=m"(cells[1]));
	pvg_test(debugged.count == 1 && debugged.rip == after && cells[1] == 7, "a write is seen, after it");
	pvg_test_equal(debugged.dr6 & 0xf, 1, "DR6 says by which register");
	pvg_write_dr2((uint64_t)&cells[1]);
	pvg_write_dr7(dr7_of(2, X86_DR7_RW_ACCESS, 1));
	__asm__ volatile("movb 1(%0), %%al" : : "r"(&cells[1]) : "rax", "memory");
	pvg_test(debugged.count == 2 && debugged.dr6 & 4, "a read is seen where both are asked for");
	pvg_trap_register(X86_VEC_DB, on_debug, NULL);
	__asm__ volatile("lea 1f(%%rip), %0\n\tmov %0, %%dr1\n\tmov %1, %%dr7\n\tnop\n1:\tincl %2"
			 : "=&r"(at)
			 : "r"(dr7_of(1, X86_DR7_RW_EXECUTE, 0)), "m"(cells[3])
			 : "memory");
	pvg_write_dr7(X86_DR7_FIXED);
	pvg_test(debugged.count == 3 && debugged.rip == at && debugged.dr6 & 2, "a breakpoint is hit, before it");
	pvg_test_equal(cells[3], 1, "and RF lets the instruction pass once");
	pvg_trap_register(X86_VEC_DB, NULL, NULL);
}

static bool is_intel(void)
{
	uint32_t leaf = 0, ebx, ecx = 0, edx;
	__asm__("cpuid" : "+a"(leaf), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ebx == 0x756e6547;
}

/* What breakpoints have to say waits until the instruction behind a load of SS is through (SDM 3A 6.8.3). */
static void test_load_of_ss(void)
{
	static volatile uint16_t ss;
	uint64_t after;

	__asm__ volatile("mov %%ss, %0" : "=m"(ss));
	debugged.count = 0;
	pvg_trap_register(X86_VEC_DB, on_debug, &debugged);
	pvg_write_dr0((uint64_t)&ss);
	pvg_write_dr6(2);
	pvg_write_dr7(dr7_of(0, X86_DR7_RW_ACCESS, 1));
	__asm__ volatile("lea 1f(%%rip), %0\n\tmov %1, %%ss\n\tnop\n1:\tnop" : "=&r"(after) : "m"(ss));
	pvg_test(debugged.count == 1 && debugged.rip == after,
		 "the word of a load of SS is seen, an instruction later");
	pvg_test_equal(debugged.dr6 & 0xf, 1, "and DR6 has no other hit");
	pvg_write_dr6(0);
	__asm__ volatile("lea 1f(%%rip), %%rax\n\tmov %%rax, %%dr0\n\tmov %0, %%dr7\n\tmov %%ss, %%eax\n\t"
			 "mov %%eax, %%ss\n1:\tnop"
			 :
			 : "r"(dr7_of(0, X86_DR7_RW_EXECUTE, 0))
			 : "rax", "memory");
	pvg_write_dr7(X86_DR7_FIXED);
	pvg_test_equal(debugged.count, is_intel() ? 1 : 2, "a breakpoint there is Intel's not to see");
	pvg_trap_register(X86_VEC_DB, NULL, NULL);
}

/* mov $imm, %eax; ret */
static uint32_t run_code(const uint8_t *code)
{
	return ((uint32_t(*)(void))(uintptr_t)code)();
}

/* An instruction under way goes on to its end, whatever it stores over itself; EAX: what is left to do. */
__asm__(".pushsection .rodata\n"
	".globl stos_over_itself, movs_over_itself, over_itself_end\n"
	"stos_over_itself: lea 1f(%rip), %rdi; mov $8, %ecx; mov $0x90, %al; cld\n"
	"1: rep stosb; nop; nop; nop; nop; nop; nop; mov %ecx, %eax; ret\n"
	"movs_over_itself: lea 1f(%rip), %rdi; lea 2f(%rip), %rsi; mov $8, %ecx; cld\n"
	"1: rep movsb; nop; nop; nop; nop; nop; nop; mov %ecx, %eax; ret\n"
	"2: .fill 8, 1, 0x90\n"
	"over_itself_end:\n"
	".popsection");
extern const uint8_t stos_over_itself[], movs_over_itself[], over_itself_end[];

static void test_overwriting(uint8_t *code)
{
	memcpy(code, stos_over_itself, (size_t)(movs_over_itself - stos_over_itself));
	pvg_test_equal(run_code(code), 0, "REP STOS over itself runs to its end");
	memcpy(code, movs_over_itself, (size_t)(over_itself_end - movs_over_itself));
	pvg_test_equal(run_code(code), 0, "and so does REP MOVS");
}

static void test_changing_code(void)
{
	static uint8_t page[2 * X86_PAGE_SIZE] __attribute__((aligned(4096)));
	uint8_t *gpa = pvg_gpa_to_ptr(pvg_ptr_to_gpa(page));
	uint64_t sum = 0;

	pvg_assert(!pvg_map(pvg_space_current(), PVG_SPACE_BASE, pvg_ptr_to_gpa(page), 2, X86_PTE_W));
	uint8_t *code = (uint8_t *)PVG_SPACE_BASE + X86_PAGE_SIZE - 3;
	memcpy(code, (const uint8_t[]){0xb8, 0, 0, 0, 0, 0xc3}, 6);
	for (unsigned i = 0; i < 10; i++) {
		code[1] = (uint8_t)i;
		sum += run_code(code);
	}
	pvg_test_equal(sum, 45, "code written between runs, across two pages");
	code = (uint8_t *)PVG_SPACE_BASE + 64;
	memcpy(code, (const uint8_t[]){0xb8, 0, 0, 0, 0, 0xc3}, 6);
	for (unsigned i = 0; i < 10; i++) {
		gpa[65] = (uint8_t)i;
		sum += run_code(code);
	}
	pvg_test_equal(sum, 90, "and through another mapping");
	/* movb $imm, 4(%rip), to the operand of: mov $0, %eax; ret */
	memcpy(code, (const uint8_t[]){0xc6, 0x05, 1, 0, 0, 0, 99, 0xb8, 0, 0, 0, 0, 0xc3}, 13);
	pvg_test_equal(run_code(code), 99, "the very next instruction");
	test_overwriting(code);
}

extern uint8_t breakpoint_here[];

static void run_into_breakpoint(void *arg)
{
	__asm__ volatile("nop\n\t.globl breakpoint_here\nbreakpoint_here:\n\tnop");
}

static void read_debug_register(void *arg)
{
	pvg_read_dr0();
}

/* Of the faults, an instruction breakpoint alone leaves RF clear in the frame (SDM 3B 17.3.1.1). */
static void test_resume_flag(void)
{
	struct pvg_caught caught;
	pvg_write_dr0((uint64_t)(uintptr_t)breakpoint_here);
	pvg_write_dr7(X86_DR7_FIXED | X86_DR7_L(0));
	bool hit = pvg_catch(run_into_breakpoint, NULL, &caught);
	pvg_write_dr7(X86_DR7_FIXED);
	pvg_test(hit && caught.vector == X86_VEC_DB, "an instruction breakpoint");
	pvg_test_equal(caught.rip, (uint64_t)(uintptr_t)breakpoint_here, "before its instruction");
	pvg_test_equal(caught.rflags & X86_RFLAGS_RF, 0, "with RF clear");
	pvg_write_dr7(X86_DR7_FIXED | X86_DR7_GD);
	hit = pvg_catch(read_debug_register, NULL, &caught);
	pvg_write_dr7(X86_DR7_FIXED);
	pvg_test(hit && caught.vector == X86_VEC_DB, "debug registers guarded by GD");
	pvg_test_equal(caught.rflags & X86_RFLAGS_RF, X86_RFLAGS_RF, "with RF set, as for other faults");
}

static void divide_by_zero(void *arg)
{
	__asm__ volatile("push %0\n\tpopfq\n\txor %%edx, %%edx\n\txor %%ecx, %%ecx\n\tdiv %%ecx"
			 :
			 : "r"((uint64_t)arg)
			 : "rax", "rcx", "rdx", "cc", "memory");
}

/* The frame has NT as it was; the handler runs without it, or it could not return (SDM 3A 6.12.1.2). As often as it
 * takes until whoever delivers that fast does so. */
static void test_nested_task(void)
{
	struct pvg_caught caught;
	const uint64_t flags = pushf();
	unsigned wrong = 0;

	for (unsigned n = 0; n < HOT; n++) {
		uint64_t wanted = n & 1 ? X86_RFLAGS_NT : 0;
		bool hit = pvg_catch(divide_by_zero, (void *)(flags | wanted), &caught);
		popf(flags);
		wrong += !hit || caught.vector != X86_VEC_DE || (caught.rflags & X86_RFLAGS_NT) != wanted;
	}
	pvg_test_equal(wrong, 0, "NT is in the frame, and cleared for the handler");
}

int main(const char *cmdline)
{
	if (!pvg_is_paravirt())
		test_interrupt_flag();
	test_segments();
	test_processor_number();
	test_debug_registers();
	test_load_of_ss();
	test_resume_flag();
	test_nested_task();
	test_changing_code();
	return pvg_test_finish();
}
