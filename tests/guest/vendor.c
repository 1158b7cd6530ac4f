/*
 * Where AMD's and Intel's processors differ, interpreted and translated code goes by the vendor that CPUID names. With
 * native=1 repeated string instructions are the host's.
 */
#include <pvguest/pvguest.h>

#define CODE	 R3_BIT(40)
#define AMD_EBX	 0x68747541 /* "Auth" */
#define ARITH	 (X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_OF)
#define UPPER(n) ((uint64_t)0xabcdef01 << 32 | (n))

static uint8_t bytes[64] = {5, 5, 5, 5, 5, 5, 5, 5};
static uint8_t *page;
static bool amd;

static void run_at(void *arg)
{
	__asm__ volatile("call *%0" : : "r"(arg) : "memory");
}

/* ZF is set. */
static void run_equal_at(void *arg)
{
	__asm__ volatile("xor %%ecx, %%ecx\n\tcall *%0" : : "r"(arg) : "rax", "rcx", "memory", "cc");
}

/* The last bytes before a hole. */
static void test_undefined(const char *name, uint8_t opcode)
{
	struct pvg_caught caught;

	page[X86_PAGE_SIZE - 2] = 0x0f;
	page[X86_PAGE_SIZE - 1] = opcode;
	pvg_test(pvg_catch(run_at, (void *)(CODE + X86_PAGE_SIZE - 2), &caught), "%s is refused", name);
	pvg_test_equal(caught.vector, amd ? X86_VEC_UD : X86_VEC_PF, "by what it is, or for its ModRM byte on Intel's");
}

/* Not taken: its displacement has 16 bits, or 32 of which two bytes are the next instruction on AMD's. */
static void test_branch(void)
{
	static const uint8_t code[] = {0x66, 0x0f, 0x84, 0x00, 0x10, 0xb0, 0x01, 0xc3}; /* jz; mov $1, %al; ret */
	uint64_t rax = 0;

	memcpy(page, code, sizeof(code));
	__asm__ volatile("test %%rsp, %%rsp\n\tcall *%1" : "+a"(rax) : "r"(CODE) : "cc", "memory");
	pvg_test_equal(rax, amd, "a near branch with the operand-size prefix is of 16 bits on AMD's");
}

#define LOW	  0x456
#define ELSEWHERE (0x7f340000 | LOW)

/* Taken: to what is left of the target in 16 bits on AMD's, in page 0 each, where nothing is. */
static void test_taken(void)
{
	static const struct {
		const char *name;
		uint8_t code[9];
		uint64_t cut, whole;
	} branches[] = {
		{"JMP", {0x66, 0xe9, 0x10, 0}, 0x14, CODE + 0x16},
		{"CALL", {0x66, 0xe8, 0x10, 0}, 0x14, CODE + 0x16},
		{"Jcc", {0x66, 0x0f, 0x84, 0x11, 0}, 0x16, CODE + 0x18},
		{"short JMP", {0x66, 0xeb, 0x11}, 0x14, CODE + 0x14},
		{"short Jcc", {0x66, 0x74, 0x11}, 0x14, CODE + 0x14},
		{"JMP RAX", {0xb8, LOW & 0xff, LOW >> 8, 0x34, 0x7f, 0x66, 0xff, 0xe0}, LOW, ELSEWHERE},
		{"CALL RAX", {0xb8, LOW & 0xff, LOW >> 8, 0x34, 0x7f, 0x66, 0xff, 0xd0}, LOW, ELSEWHERE},
		{"RET", {0x68, LOW & 0xff, LOW >> 8, 0x34, 0x7f, 0x66, 0xc3}, LOW, ELSEWHERE},
	};
	struct pvg_caught caught;

	for (unsigned n = 0; n < sizeof(branches) / sizeof(branches[0]); n++) {
		for (unsigned i = 0; i < X86_PAGE_SIZE; i += 2)
			memcpy(page + i, (const uint8_t[]){0x0f, 0x0b}, 2); /* UD2 */
		memset(page, 0, sizeof(branches[n].code));
		memcpy(page, branches[n].code, sizeof(branches[n].code));
		pvg_test(pvg_catch(run_equal_at, (void *)CODE, &caught), "%s leads nowhere", branches[n].name);
		pvg_test_equal(caught.rip, amd ? branches[n].cut : branches[n].whole,
			       "%s with the operand-size prefix: to an address of 16 bits on AMD's", branches[n].name);
	}
}

/* With a 32-bit count of 0: what becomes of upper halves. */
static void test_none(void)
{
	uint64_t rcx = UPPER(0), rsi = UPPER(1), rdi = UPPER(2);

	__asm__ volatile("rep movsb (%%esi), %%es:(%%edi)" : "+c"(rcx), "+S"(rsi), "+D"(rdi) : : "memory");
	pvg_test_equal(rcx, amd ? UPPER(0) : 0, "REP MOVS of nothing clears half of RCX on Intel's");
	pvg_test(rsi == (amd ? UPPER(1) : 1) && rdi == (amd ? UPPER(2) : 2), "and of RSI and RDI");
	rcx = UPPER(0);
	rsi = UPPER(1);
	rdi = UPPER(2);
	__asm__ volatile("repe cmpsb %%es:(%%edi), (%%esi)" : "+c"(rcx), "+S"(rsi), "+D"(rdi) : : "memory", "cc");
	pvg_test_equal(rcx, amd ? UPPER(0) : 0, "REPE CMPS likewise");
	pvg_test(rsi == UPPER(1) && rdi == UPPER(2), "but the addresses stay");
}

static void compare_into_hole(void *arg)
{
	uint64_t rcx = 10, rsi = (uint64_t)arg, rdi = (uint64_t)bytes;

	__asm__ volatile("push %3\n\tpopf\n\trepe cmpsb"
			 : "+c"(rcx), "+S"(rsi), "+D"(rdi)
			 : "r"((uint64_t)(X86_RFLAGS_FIXED | X86_RFLAGS_CF | X86_RFLAGS_OF))
			 : "memory", "cc");
}

static void test_fault(void)
{
	struct pvg_caught caught;

	memcpy(page + X86_PAGE_SIZE - 2, bytes, 2);
	pvg_test(pvg_catch(compare_into_hole, (void *)(CODE + X86_PAGE_SIZE - 2), &caught),
		 "REPE CMPS faults in the middle");
	pvg_test_equal(caught.rflags & ARITH, amd ? X86_RFLAGS_ZF | X86_RFLAGS_PF : X86_RFLAGS_CF | X86_RFLAGS_OF,
		       "with the flags so far, or those from before on Intel's");
}

int main(const char *cmdline)
{
	char native[2];
	uint32_t eax = 0, ebx, ecx, edx;

	(void)cmdline;
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
	amd = ebx == AMD_EBX;
	page = pvg_page_alloc();
	pvg_assert(page &&
		   !pvg_map(pvg_space_boot(), CODE, pvg_ptr_to_gpa(page), 1, X86_PTE_W | X86_PTE_A | X86_PTE_D));
	test_branch();
	test_taken();
	test_undefined("UD0", 0xff);
	test_undefined("UD1", 0xb9);
	if (!pvg_option("native", native, sizeof(native))) {
		test_none();
		test_fault();
	}
	return pvg_test_finish();
}
