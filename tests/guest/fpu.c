/*
 * What the control registers forbid of the FPU's instructions, class by class (SDM 3A 2.5 and 23.25, APM 2 3.1): for
 * engines that interpret the kernel, since the host's registers decide about code that runs directly.
 */
#include <pvguest/pvguest.h>

static uint8_t area[4096] __attribute__((aligned(64)));

#define NONE 0xff /* no exception */
#define UD   X86_VEC_UD
#define NM   X86_VEC_NM

/* NAME(text, CR0.EM, CR0.TS with MP, CR4.OSFXSR off, CR4.OSXSAVE off) */
#define INSNS(X)                                                                                                       \
	X(x87, "fldz", NM, NM, NONE, NONE)                                                                             \
	X(fnstsw, "fnstsw %%ax", NM, NM, NONE, NONE)                                                                   \
	X(fninit, "fninit", NM, NM, NONE, NONE)                                                                        \
	X(fisttp, "fisttpl (%%rdi)", NM, NM, NONE, NONE)                                                               \
	X(fcomi, "fcomi %%st(1), %%st", NM, NM, NONE, NONE)                                                            \
	X(fwait, "fwait", NONE, NM, NONE, NONE)                                                                        \
	X(mmx, "pxor %%mm0, %%mm0", UD, NM, NONE, NONE)                                                                \
	X(emms, "emms", UD, NM, NONE, NONE)                                                                            \
	X(pshufw, "pshufw $0, %%mm0, %%mm0", UD, NM, NONE, NONE)                                                       \
	X(maskmovq, "maskmovq %%mm0, %%mm0", UD, NM, NONE, NONE)                                                       \
	X(sse, "xorps %%xmm0, %%xmm0", UD, NM, UD, NONE)                                                               \
	X(sse2, "pxor %%xmm0, %%xmm0", UD, NM, UD, NONE)                                                               \
	X(sse41, "pmaxsd %%xmm0, %%xmm0", UD, NM, UD, NONE)                                                            \
	X(cvtpi2ps, "cvtpi2ps %%mm0, %%xmm0", UD, NM, UD, NONE)                                                        \
	X(movq2dq, "movq2dq %%mm0, %%xmm0", UD, NM, UD, NONE)                                                          \
	X(ldmxcsr, "movl $0x1f80, (%%rdi)\n\tldmxcsr (%%rdi)", UD, NM, UD, NONE)                                       \
	X(fxsave, "fxsave (%%rdi)", NM, NM, NONE, NONE)                                                                \
	X(fxrstor, "fxrstor (%%rsi)", NM, NM, NONE, NONE)                                                              \
	X(xsave, "xor %%edx, %%edx\n\tmov $3, %%eax\n\txsave (%%rdi)", NONE, NM, NONE, UD)                             \
	X(avx, "vxorps %%ymm0, %%ymm0, %%ymm0", NONE, NM, NONE, UD)                                                    \
	X(movnti, "movnti %%eax, (%%rdi)", NONE, NONE, NONE, NONE)                                                     \
	X(fences, "sfence\n\tlfence\n\tmfence", NONE, NONE, NONE, NONE)                                                \
	X(prefetch, "prefetcht0 (%%rdi)", NONE, NONE, NONE, NONE)                                                      \
	X(popcnt, "popcnt %%eax, %%eax", NONE, NONE, NONE, NONE)                                                       \
	X(crc32, "crc32 %%eax, %%eax", NONE, NONE, NONE, NONE)

#define FUNCTION(name, text, ...)                                                                                      \
	static void name(void *arg)                                                                                    \
	{                                                                                                              \
		__asm__ volatile(text : : "D"(area + 1024), "S"(area) : "memory", "rax", "rdx");                       \
	}
INSNS(FUNCTION)

static const struct {
	const char *name;
	void (*run)(void *arg);
	uint8_t expected[4];
} insns[] = {
#define ROW(name, text, ...) {#name, name, {__VA_ARGS__}},
	INSNS(ROW)};

static void fpu_reset(void *arg)
{
	__asm__ volatile("fninit\n\tfxsave %0" : "=m"(area));
}

static void test_setting(unsigned column, const char *setting, uint64_t cr0, uint64_t cr4)
{
	const uint64_t cr0_before = pvg_read_cr0(), cr4_before = pvg_read_cr4();
	const bool has_avx = cr4_before & X86_CR4_OSXSAVE;
	struct pvg_caught caught;
	for (unsigned n = 0; n < sizeof(insns) / sizeof(insns[0]); n++) {
		uint8_t want = insns[n].expected[column];
		if (!has_avx && insns[n].expected[3] == UD)
			continue;
		fpu_reset(NULL);
		pvg_write_cr4(cr4_before & ~cr4);
		pvg_write_cr0((cr0_before & ~(X86_CR0_EM | X86_CR0_TS)) | X86_CR0_MP | cr0);
		uint64_t got = pvg_catch(insns[n].run, NULL, &caught) ? caught.vector : NONE;
		pvg_write_cr0(cr0_before);
		pvg_write_cr4(cr4_before);
		pvg_test_equal(got, want, "%s under %s", insns[n].name, setting);
	}
}

static void divide_by_zero(void *arg)
{
	static const uint32_t unmasked = X86_MXCSR_RESET & ~(R3_U64(1) << 9);
	__asm__ volatile("ldmxcsr %0\n\txorps %%xmm0, %%xmm0\n\tmov $1, %%eax\n\tcvtsi2ss %%eax, %%xmm1\n\t"
			 "divss %%xmm0, %%xmm1"
			 :
			 : "m"(unmasked)
			 : "rax");
}

static void test_exceptions(void)
{
	static const uint32_t masked = X86_MXCSR_RESET;
	const uint64_t cr4 = pvg_read_cr4();
	struct pvg_caught caught;
	pvg_test(pvg_catch(divide_by_zero, NULL, &caught) && caught.vector == X86_VEC_XM, "#XM where it is wanted");
	pvg_write_cr4(cr4 & ~X86_CR4_OSXMMEXCPT);
	pvg_test(pvg_catch(divide_by_zero, NULL, &caught) && caught.vector == UD, "else #UD");
	pvg_write_cr4(cr4);
	__asm__ volatile("ldmxcsr %0" : : "m"(masked));
}

static uint32_t environment[7];
static double operand;
extern const uint8_t load_here[], pi_here[];

static void pointers_after_load(void *arg)
{
	__asm__ volatile(".globl load_here\nload_here:\n\tfldl %1\n\tfstsw %%ax\n\tfnstenv %0"
			 : "=m"(environment)
			 : "m"(operand)
			 : "rax");
}

static void pointers_after_constant(void *arg)
{
	__asm__ volatile("fldl %1\n\t.globl pi_here\npi_here:\n\tfldpi\n\tpxor %%xmm0, %%xmm0\n\tfnstenv %0"
			 : "=m"(environment)
			 : "m"(operand));
}

static void pointers_cleared(void *arg)
{
	__asm__ volatile("fldl %1\n\tfninit\n\tfnclex\n\tfnstenv %0" : "=m"(environment) : "m"(operand));
}

static void pointers_loaded(void *arg)
{
	environment[3] = 0x1234;
	environment[5] = 0x5678;
	__asm__ volatile("fldenv %0\n\tfnstenv %0" : "+m"(environment));
}

/* Not every processor keeps the pointers when its task is switched: then they are zero, but nobody else's. */
static void check_pointers(const char *after, bool kept, uint64_t fip, uint64_t fdp)
{
	const uint32_t ip = environment[3], dp = environment[5];
	pvg_test(ip == (uint32_t)fip || (!kept && !ip), "x87 instruction pointer after %s: %x", after, ip);
	pvg_test(dp == (uint32_t)fdp || (!kept && !dp), "x87 operand pointer after %s: %x", after, dp);
}

/* CPUID 7, EBX bit 6: the operand's place is kept of exceptions only. */
static bool keeps_operands(void)
{
	uint32_t eax = 0, ebx, ecx, edx;
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
	if (eax < 7)
		return true;
	__asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(7), "c"(0));
	return !(ebx & R3_BIT(6));
}

/* SDM 1 8.1.8: where the last instruction lay that does not control the x87, and its operand in memory. */
static void test_pointers(bool kept)
{
	const uint64_t at = keeps_operands() ? (uint64_t)(uintptr_t)&operand : 0;
	fpu_reset(NULL);
	pointers_after_load(NULL);
	check_pointers("FLD", kept, (uint64_t)(uintptr_t)load_here, at);
	fpu_reset(NULL);
	pointers_after_constant(NULL);
	check_pointers("FLDPI", kept, (uint64_t)(uintptr_t)pi_here, at);
	pointers_cleared(NULL);
	check_pointers("FNINIT", true, 0, 0);
	pointers_loaded(NULL);
	check_pointers("FLDENV", kept, 0x1234, 0x5678);
	fpu_reset(NULL);
}

int main(const char *cmdline)
{
	char word[4];
	test_pointers(pvg_option("pointers", word, sizeof(word)));
	if (pvg_strncmp(cmdline, "direct", 6)) {
		test_setting(0, "CR0.EM", X86_CR0_EM, 0);
		test_setting(1, "CR0.TS", X86_CR0_TS, 0);
		test_setting(2, "no CR4.OSFXSR", 0, X86_CR4_OSFXSR);
		test_setting(3, "no CR4.OSXSAVE", 0, X86_CR4_OSXSAVE);
	}
	test_exceptions();
	return pvg_test_finish();
}
