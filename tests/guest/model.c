/*
 * The processor that --cpu names: CPUID shows what the model has and no more, and what it lacks is #UD. The command
 * line has level=1 to 3, of x86-64's; extra=NAME, a feature more; and native=1 where the kernel's code is the
 * processor's.
 */
#include <pvguest/pvguest.h>

struct leaf {
	uint32_t eax, ebx, ecx, edx;
};

static struct leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct leaf l;
	__asm__ volatile("cpuid" : "=a"(l.eax), "=b"(l.ebx), "=c"(l.ecx), "=d"(l.edx) : "a"(leaf), "c"(subleaf));
	return l;
}

static void do_sse2(void *arg)
{
	__asm__ volatile("paddq %xmm0, %xmm0");
}

static void do_ssse3(void *arg)
{
	__asm__ volatile("pshufb %xmm0, %xmm0");
}

static void do_sse4_2(void *arg)
{
	uint32_t crc = 0;
	__asm__ volatile("crc32l %0, %0" : "+r"(crc));
}

static void do_popcnt(void *arg)
{
	uint64_t n = 5;
	__asm__ volatile("popcnt %0, %0" : "+r"(n) : : "cc");
}

static void do_movbe(void *arg)
{
	static uint32_t word;
	__asm__ volatile("movbe %%eax, %0" : "=m"(word) : : "eax");
}

static void do_bmi2(void *arg)
{
	__asm__ volatile("rorx $3, %%rax, %%rax" : : : "rax");
}

static void do_bmi1(void *arg)
{
	__asm__ volatile("andn %%rax, %%rax, %%rax" : : : "rax", "cc");
}

static void do_aes(void *arg)
{
	__asm__ volatile("aesenc %xmm0, %xmm0");
}

/* Of AVX-512, in AVX's encoding: kmovw %eax, %k1. */
static void do_mask(void *arg)
{
	__asm__ volatile(".byte 0xc5, 0xf8, 0x92, 0xc8");
}

static void do_clwb(void *arg)
{
	static uint32_t word;
	__asm__ volatile("clwb %0" : "+m"(word));
}

static void do_lahf(void *arg)
{
	__asm__ volatile("lahf" : : : "rax");
}

enum reg { EBX, ECX, EDX };

static const struct {
	const char *name;
	unsigned level;
	uint32_t leaf;
	enum reg reg;
	unsigned bit;
	void (*execute)(void *arg);
} features[] = {
	{"sse2", 1, 1, EDX, 26, do_sse2},
	{"ssse3", 2, 1, ECX, 9, do_ssse3},
	{"sse4_2", 2, 1, ECX, 20, do_sse4_2},
	{"popcnt", 2, 1, ECX, 23, do_popcnt},
	{"cx16", 2, 1, ECX, 13, NULL},
	{"movbe", 3, 1, ECX, 22, do_movbe},
	{"bmi1", 3, 7, EBX, 3, do_bmi1},
	{"avx2", 3, 7, EBX, 5, NULL},
	{"bmi2", 3, 7, EBX, 8, do_bmi2},
	{"aes", 3, 1, ECX, 25, do_aes},
	{"smep", 3, 7, EBX, 7, NULL},
	{"avx512f", 4, 7, EBX, 16, do_mask},
	{"pcid", 4, 1, ECX, 17, NULL},
	{"clwb", 4, 7, EBX, 24, do_clwb},
	{"lahf_lm", 2, 0x80000001, ECX, 0, do_lahf},
	{"hypervisor", 0, 1, ECX, 31, NULL},
};

static void test_feature(unsigned n, bool has, bool native)
{
	const struct leaf l = cpuid(features[n].leaf, 0);
	const uint32_t r = features[n].reg == EBX ? l.ebx : features[n].reg == ECX ? l.ecx : l.edx;
	struct pvg_caught caught;
	pvg_test_equal(r >> features[n].bit & 1, has, features[n].name);
	if (!features[n].execute || (native && !has))
		return;
	bool refused = pvg_catch(features[n].execute, NULL, &caught);
	pvg_test(refused == !has && (has || caught.vector == X86_VEC_UD), "and is executed where it is there: %s",
		 features[n].name);
}

/* Their prefix means nothing to a processor that does not have them: BSR, BSF. */
static void test_counts(bool native)
{
	bool lzcnt = cpuid(0x80000001, 0).ecx & 1u << 5, tzcnt = cpuid(7, 0).ebx & 1u << 3;
	uint64_t leading = 0, kept = 77, trailing;

	__asm__("lzcnt %1, %0" : "+r"(leading) : "r"(UINT64_C(0x100)) : "cc");
	__asm__("tzcnt %1, %0" : "+r"(kept) : "r"(UINT64_C(0)) : "cc");
	__asm__("tzcnt %1, %0" : "=r"(trailing) : "r"(UINT64_C(0x100)) : "cc");
	if (native)
		return;
	pvg_test_equal(leading, lzcnt ? 55 : 8, "LZCNT, or BSR");
	if (tzcnt)
		pvg_test_equal(kept, 64, "TZCNT of 0");
	else
		pvg_test(kept != 64, "BSF of 0 counts nothing");
	pvg_test_equal(trailing, 8, "TZCNT and BSF agree elsewhere");
}

int main(const char *cmdline)
{
	char level[4] = "", extra[16] = "", native[4] = "";
	pvg_option("level", level, sizeof(level));
	pvg_option("extra", extra, sizeof(extra));
	pvg_option("native", native, sizeof(native));
	for (unsigned n = 0; n < sizeof(features) / sizeof(features[0]); n++) {
		bool more = !pvg_strcmp(features[n].name, extra);
		test_feature(n, features[n].level <= (unsigned)(level[0] - '0') || more, native[0] == '1');
	}
	test_counts(native[0] == '1');
	return pvg_test_finish();
}
