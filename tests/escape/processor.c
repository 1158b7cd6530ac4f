/*
 * What an interpreter has the processor do: instructions that would leave their operand, state that the processor would
 * refuse, code that changes while it is looked at, and what of the monitor's shows.
 */
#include "escape.h"

/* No RAM lies there: code that runs directly has each access interpreted. */
#define NOWHERE	    R3_BIT(40)
#define NOWHERE_GPA 0xfee00000
/* The gate, and what the interpreter has at the same addresses. */
#define HOLE_START GATE_TEXT
#define HOLE_END   (GATE_TEXT + 0x10000000)

static uint8_t target[4096] __attribute__((aligned(4096)));
static uint8_t area[8192] __attribute__((aligned(64)));
static uint8_t code[4096] __attribute__((section(".data"), aligned(4096)));

static void map_nowhere(void)
{
	pvg_assert(!pvg_map(pvg_space_boot(), NOWHERE, NOWHERE_GPA, 1, X86_PTE_W | X86_PTE_A | X86_PTE_D));
}

static bool all_are(const uint8_t *bytes, unsigned len, uint8_t value)
{
	for (unsigned i = 0; i < len; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/* ------------------------------------------------------------------------------------------------- implied operands */

/* MASKMOVDQU of all ones to RDI, which has more than 32 bits where the prefixes say that it has not. */
#define STORE(name, rdi, prefixes)                                                                                     \
	static void name(void *to)                                                                                     \
	{                                                                                                              \
		__asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm1, %%xmm1\n\tmov %0, %%rdi\n\t"               \
				 ".byte " prefixes "0x66, 0x0f, 0xf7, 0xc1"                                            \
				 :                                                                                     \
				 : "r"((uint64_t)to + (rdi))                                                           \
				 : "rdi", "memory");                                                                   \
	}
STORE(store_plain, 0, "")
STORE(store_narrow, R3_BIT(32), "0x67, ")
STORE(store_fs, 0, "0x64, ")
STORE(store_narrow_fs, R3_BIT(32), "0x64, 0x67, ")
STORE(store_gs, 0, "0x65, ")
STORE(store_ss, 0, "0x36, ")

void attack_maskmov(void)
{
	void (*const stores[])(void *) = {store_plain, store_narrow, store_fs, store_narrow_fs, store_gs, store_ss};
	struct pvg_caught caught;

	pvg_wrmsr(X86_MSR_FS_BASE, 16);
	for (unsigned i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
		bool fs = stores[i] == store_fs || stores[i] == store_narrow_fs;

		memset(target, 0, sizeof(target));
		pvg_test(!pvg_catch(stores[i], target + 64, &caught) && all_are(target + (fs ? 80 : 64), 16, 0xff) &&
				 all_are(target, fs ? 80 : 64, 0) &&
				 all_are(target + (fs ? 96 : 80), sizeof(target) - 96, 0),
			 "store %u goes where the guest says, and nowhere else", i);
	}
	pvg_wrmsr(X86_MSR_FS_BASE, 0);
	map_nowhere();
	store_plain((void *)NOWHERE);
	pvg_wrmsr(X86_MSR_FS_BASE, NOWHERE);
	store_narrow_fs(NULL);
	store_fs(NULL);
	pvg_wrmsr(X86_MSR_FS_BASE, 0);
	pvg_test(true, "stores to where no RAM is go nowhere");
}

/* ------------------------------------------------------------------------------------------- state of its own making
 */

/* The host kernel's struct rt_sigframe (arch/x86/include/asm/sigframe.h): words from RSP in the gate's handler on. */
enum frame_word {
	FRAME_RAX = 19,
	FRAME_RSP = 21,
	FRAME_RIP = 22,
	FRAME_RFLAGS = 23,
	FRAME_ERROR = 25,
	FRAME_TRAPNO = 26,
	FRAME_CR2 = 28,
	FRAME_FPSTATE = 29,
	FRAME_INFO = 39, /* signal number and errno, then code */
};
#define HOST_SIGSEGV 11
#define IMAGE_MXCSR  24
#define IMAGE_HEADER 512

static volatile uint64_t *frame_at(void)
{
	return (volatile uint64_t *)*xchg64(XCHG_FRAME);
}

/* What XRSTOR and LDMXCSR refuse, SDM 1 13.8.1, 10.2.3. */
static void forge_image(volatile uint64_t *frame)
{
	volatile uint8_t *image = (volatile uint8_t *)frame[FRAME_FPSTATE];

	*(volatile uint32_t *)(image + IMAGE_MXCSR) = ~0u;
	for (unsigned i = 0; i < 64; i++)
		image[IMAGE_HEADER + i] = 0x7f;
}

static void forge_page_fault(volatile uint64_t *frame, uint64_t rip, uint64_t gva, uint64_t error)
{
	frame[FRAME_RIP] = rip;
	frame[FRAME_RFLAGS] = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	frame[FRAME_INFO] = HOST_SIGSEGV;
	frame[FRAME_INFO + 1] = 1;
	frame[FRAME_TRAPNO] = X86_VEC_PF;
	frame[FRAME_ERROR] = error;
	frame[FRAME_CR2] = gva;
}

/* mov %rsp, XCHG_FRAME(%rbx): from here the gate does all of an exit. */
static uint64_t gate_exit(void)
{
	const uint8_t wanted[] = {0x48, 0x89, 0x63, XCHG_FRAME};
	const uint8_t *at = (const uint8_t *)GATE_TEXT;

	while (memcmp(at, wanted, sizeof(wanted)))
		at++;
	return (uint64_t)at;
}

/*
 * Leaves by the forged frame, which leads back here: to instructions that are interpreted, and work on its image. What
 * follows would be too, but for PUSHF; and to an interpreter the gate is not there.
 */
extern const char borrow_avx[], borrow_sse[];
void borrow(volatile uint64_t *frame, uint64_t exit, uint64_t xchg);
__asm__(".text\n"
	"borrow:\n\t"
	"push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
	"mov %rsp, 21*8(%rdi)\n\t"
	"mov %rdi, %rsp\n\t"
	"mov %rdx, %rbx\n\t"
	"jmp *%rsi\n"
	"borrow_avx:\n\tvmovups (%rax), %ymm0\n\tjmp 1f\n"
	"borrow_sse:\n\tsqrtps (%rax), %xmm0\n"
	"1:\tpushf\n\tpopf\n\t"
	"pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n");

/* In a cell of the kernel's. */
void attack_fpu_image(void)
{
	map_nowhere();
	pvg_outb(0x80, 0); /* refused: a signal's frame lies on the gate's stack now */
	for (unsigned round = 0; round < 4; round++) {
		volatile uint64_t *frame = frame_at();

		forge_image(frame);
		forge_page_fault(frame, (uint64_t)(round & 1 ? borrow_sse : borrow_avx), NOWHERE, 0);
		frame[FRAME_RAX] = NOWHERE;
		borrow(frame, gate_exit(), GATE_XCHG);
	}
	pvg_test(true, "the kernel lives");
}

static void image_user(uint64_t arg)
{
	volatile uint64_t *frame = frame_at();

	forge_image(frame);
	forge_page_fault(frame, 0x1000, 0x1000, X86_PF_U);
	__asm__ volatile("mov %0, %%rsp\n\tjmp *%1" : : "r"(frame), "r"(gate_exit()), "b"(GATE_XCHG) : "memory");
}

/* In one of user mode's, whose state an interpreted kernel works on. */
void attack_fpu_image_user(void)
{
	struct pvg_caught caught;

	user_init();
	for (unsigned round = 0; round < 4; round++) {
		user_run(image_user, 0, &caught); /* no frame yet, or the forged one */
		__asm__ volatile("fninit\n\tfldpi\n\tfstp %%st\n\tsqrtps %0, %%xmm0\n\tmovups %%xmm0, %0"
				 : "+m"(*(uint8_t(*)[16])area));
	}
	pvg_test(true, "the kernel lives");
}

/* --------------------------------------------------------------------------------------- code that changes meanwhile
 */

#define HARMLESS  0xc9 /* 0f c9: bswap %ecx */
#define EVIL	  0x05 /* 0f 05: syscall */
#define TRYING_NS 3000000000

static void first(uint64_t arg)
{
	code[1] = HARMLESS; /* the page is this cell's to write now */
}

/* Says that it has stopped, and goes on. */
static void toggle(uint64_t arg)
{
	volatile uint8_t *byte = code + 1;

	forge_page_fault(frame_at(), 0x1000, 0x1000, X86_PF_U);
	*xchg32(XCHG_KIND) = GATE_KIND_SIGNAL;
	__atomic_store_n(xchg32(XCHG_STATE), GATE_EXITED, __ATOMIC_SEQ_CST);
	for (;;) {
		for (unsigned i = 0; i < 8; i++)
			*byte = HARMLESS;
		for (unsigned i = 0; i < 8; i++)
			*byte = EVIL;
	}
}

/* The kernel executes what user code changes beside it: each time one instruction or the other, of its own machine. */
void attack_double_fetch(void)
{
	struct pvg_caught caught;
	unsigned strange = 0;
	uint64_t start;

	user_init();
	memcpy(code, (const uint8_t[]){0x0f, HARMLESS, 0xc3}, 3);
	user_run(first, 0, &caught);
	user_run(first, 0, &caught);
	user_run(toggle, 0, &caught);
	start = pvg_clock_ns();
	while (!strange && pvg_clock_ns() - start < TRYING_NS) {
		uint64_t rax = HOST_GETPID;

		*(volatile uint8_t *)(code + 2) = 0xc3; /* drops what was decoded */
		__asm__ volatile("call *%1"
				 : "+a"(rax)
				 : "b"(code), "D"(0), "S"(0), "d"(0)
				 : "rcx", "r11", "rbp", "memory", "cc");
		strange += rax != HOST_GETPID && rax != ANSWER;
	}
	pvg_test(!strange, "the host answers none of its system calls (%u)", strange);
}

/* ----------------------------------------------------------------------------------------------- what does not exist
 */

static void run_code(uint64_t arg)
{
	__asm__ volatile("call *%0" : : "r"(code), "a"(area), "c"(0), "d"(0) : "memory", "rbx", "rsi", "rdi");
}

/* Instructions of all kinds of extensions, each as a program has it: it may fault, and its kernel lives. */
void attack_unknown_user(void)
{
	static const uint8_t list[][8] = {
		{0x0f, 0xc7, 0x28},		/* XSAVES */
		{0x0f, 0xc7, 0x18},		/* XRSTORS */
		{0xc7, 0xf8, 0, 0, 0, 0},	/* XBEGIN */
		{0xc6, 0xf8, 0},		/* XABORT */
		{0x0f, 0x01, 0xd5},		/* XEND */
		{0x0f, 0x01, 0xfa},		/* MONITORX */
		{0x0f, 0x01, 0xfb},		/* MWAITX */
		{0xc4, 0xe2, 0x78, 0x49, 0x00}, /* LDTILECFG */
		{0xc4, 0xe2, 0x78, 0x49, 0xc0}, /* TILERELEASE */
		{0x8f, 0xe9, 0xd8, 0x01, 0xd8}, /* BLSIC of XOP, to RSP */
		{0x66, 0x0f, 0xae, 0xf8},	/* PCOMMIT */
		{0x0f, 0x38, 0xfc, 0x08},	/* AADD */
		{0x66, 0x0f, 0x38, 0xfc, 0x08}, /* AAND */
		{0x0f, 0x38, 0xf9, 0x08},	/* MOVDIRI */
		{0xc4, 0xe2, 0xf5, 0xb4, 0xc2}, /* VPMADD52LUQ */
		{0x0f, 0x01, 0xef},		/* WRPKRU */
		{0xf3, 0x0f, 0x01, 0xee},	/* CLUI */
		{0x0f, 0x01, 0xd0},		/* XGETBV */
		{0x0f, 0x3f, 0x07, 0x0b},	/* nothing at all */
	};
	struct pvg_caught caught;

	user_init();
	for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		memset(code, 0xcc, 64);
		memcpy(code, list[i], sizeof(list[i]));
		for (unsigned end = sizeof(list[i]); end && !code[end - 1]; end--)
			code[end - 1] = 0xcc;
		user_run(run_code, 0, &caught);
	}
	pvg_test(true, "the kernel lives");
}

/* -------------------------------------------------------------------------------------------------------- what shows
 */

extern const char loads_here[];
static double value = 1.5;

static bool is_of_the_hole(uint64_t address)
{
	return address >= HOLE_START && address < HOLE_END;
}

/* Where the x87's last instruction and operand lay: the guest's own addresses, or nothing. */
void attack_x87_pointers(void)
{
	const uint64_t here = (uint64_t)loads_here, data = (uint64_t)&value;
	uint16_t control = 0x37b; /* division by zero is not masked */
	uint32_t *env = (uint32_t *)area;
	uint64_t *image = (uint64_t *)area;

	memset(area, 0, sizeof(area));
	__asm__ volatile("fninit\nloads_here:\n\tfldl %1\n\tfnstenv %0" : "=m"(area) : "m"(value));
	pvg_test((!env[3] || env[3] == (uint32_t)here) && (!env[5] || env[5] == (uint32_t)data), "FNSTENV: %x %x",
		 env[3], env[5]);
	memset(area, 0, sizeof(area));
	__asm__ volatile("fninit\n\tfldcw %1\n\tfld1\n\tfdivl %2\n\tfxsave64 %0\n\tfnclex\n\tfninit"
			 : "+m"(area)
			 : "m"(control), "m"(area[2048]));
	pvg_test(!is_of_the_hole(image[1]) && !is_of_the_hole(image[2]), "FXSAVE64: %lx %lx", image[1], image[2]);
}

/* Bytes of an operand that an instruction does not write stay the program's. */
void attack_written_in_part(void)
{
	uint8_t *from = area, *to = area + 4096;

	memset(from, 0, 512);
	__asm__ volatile("fninit\n\tfxsave64 %0" : "+m"(*(uint8_t(*)[512])from));
	memset(from + 416, 0x5a, 96);
	__asm__ volatile("fxrstor64 %0" : : "m"(*(uint8_t(*)[512])from));
	memset(to, 0xa5, 1024);
	__asm__ volatile("fxsave64 %0" : "+m"(*(uint8_t(*)[1024])to));
	pvg_test(all_are(to + 464, 48, 0xa5), "FXSAVE leaves what is software's");
	pvg_test(all_are(to + 512, 512, 0xa5), "and what lies behind");
	memset(to, 0xa5, 64);
	__asm__ volatile("fldpi\n\tfstpt %0" : "=m"(*(uint8_t(*)[10])to));
	pvg_test(all_are(to + 10, 54, 0xa5), "FSTP writes ten bytes");
}
