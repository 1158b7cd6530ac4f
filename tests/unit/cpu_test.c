/*
 * The model of the processor: what each kind of engine gives, what leaks, and CPUID at its edges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <cpuid.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/host/cpuid.h"
#include "monitor/vm/cpu_model.h"

static uint32_t ask(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, enum cpuid_register reg)
{
	const struct cpuid_query query = {leaf, subleaf, X86_CR4_OSXSAVE, cpu->xcr0, 2, 3, false, 0, true};
	uint32_t answer[CPUID_REGISTERS];
	cpu_cpuid(cpu, &query, answer);
	return answer[reg];
}

static bool host_shows(uint32_t leaf, enum cpuid_register reg, unsigned bit)
{
	uint32_t r[CPUID_REGISTERS] = {0};
	return __get_cpuid_count(leaf, 0, &r[0], &r[1], &r[2], &r[3]) && (r[reg] >> bit & 1);
}

static void engines_differ(void **state)
{
	struct cpu direct, software;
	cpu_describe(&direct, NULL, CPU_DIRECT, false);
	cpu_describe(&software, NULL, CPU_ALL_CODE, false);
	assert_true(software.has[CPU_umip] && software.has[CPU_fsgsbase] && software.has[CPU_rdtscp]);
	/* Linux answers for the processor what user mode must not ask. */
	assert_false(direct.has[CPU_umip]);
	assert_int_equal(direct.has[CPU_rdtscp], host_shows(0x80000001, CPUID_EDX, 27));
	assert_int_equal(direct.has[CPU_avx2], host_shows(7, CPUID_EBX, 5));
	assert_int_equal(!!(direct.cr4 & X86_CR4_UMIP), direct.has[CPU_umip]);
	/* There is no PCID, which a kernel can be kept from seeing where it does not run directly. */
	assert_int_equal(direct.has[CPU_invpcid], host_shows(7, CPUID_EBX, 10));
	assert_false(software.has[CPU_invpcid]);
	for (unsigned n = 0; n < CPU_FEATURE_COUNT; n++)
		assert_true(n == CPU_invpcid || software.has[n] || !direct.has[n]);
}

static void absent_unless_given(void **state)
{
	static const enum cpu_feature absent[] = {CPU_pcid, CPU_la57, CPU_apic, CPU_x2apic, CPU_vmx,
						  CPU_svm,  CPU_vme,  CPU_mtrr, CPU_xsaves};
	struct cpu cpu;
	cpu_describe(&cpu, NULL, CPU_ALL_CODE, false);
	for (unsigned n = 0; n < sizeof(absent) / sizeof(absent[0]); n++)
		assert_false(cpu.has[absent[n]]);
	assert_false(cpu.cr4 & (X86_CR4_PCIDE | X86_CR4_LA57 | X86_CR4_VME));
	assert_true(cpu.cr4 & X86_CR4_TSD);
}

/* Keys of user pages where all code is interpreted, those of the kernel's pages where all of the kernel's is. */
static void protection_keys(void **state)
{
	const struct cpu_component place = cpu_component(9);
	struct cpu cpu;
	struct cpuid_query query = {.leaf = 7, .count = 1};
	uint32_t answer[CPUID_REGISTERS];
	cpu_describe(&cpu, NULL, CPU_ALL_KERNELS, true);
	assert_true(cpu.has[CPU_pks] && !cpu.has[CPU_pku]);
	assert_false(cpu.cr4 & X86_CR4_PKE || cpu.xcr0 & X86_XCR0_PKRU);
	cpu_describe(&cpu, NULL, CPU_ALL_CODE, true);
	assert_true(cpu.has[CPU_pks] && cpu.has[CPU_pku]);
	assert_true(cpu.cr4 & X86_CR4_PKE && cpu.cr4 & X86_CR4_PKS);
	cpu_cpuid(&cpu, &query, answer);
	assert_int_equal(answer[CPUID_ECX] & (bit_PKU | bit_OSPKE), bit_PKU);
	query.cr4 = X86_CR4_PKE;
	cpu_cpuid(&cpu, &query, answer);
	assert_int_equal(answer[CPUID_ECX] & (bit_PKU | bit_OSPKE), bit_PKU | bit_OSPKE);
	assert_int_equal(!!(cpu.xcr0 & X86_XCR0_PKRU), cpu.has[CPU_xsave]);
	if (!cpu.has[CPU_xsave])
		return;
	for (unsigned n = 2; n < 8; n++)
		if (cpu.xcr0 >> n & 1)
			assert_true(cpu_component(n).offset + cpu_component(n).size <= place.offset);
	assert_int_equal(ask(&cpu, 0xd, 9, CPUID_EAX), 8);
	assert_int_equal(ask(&cpu, 0xd, 9, CPUID_EBX), place.offset);
	assert_int_equal(ask(&cpu, 0xd, 0, CPUID_ECX), place.offset + 8);
}

/* What a PC alone has; and its APIC can be switched off. */
static void apic(void **state)
{
	struct cpu cpu;
	struct cpuid_query query = {.leaf = 1, .count = 1};
	uint32_t answer[CPUID_REGISTERS];
	cpu_describe(&cpu, NULL, CPU_ALL_CODE, true);
	assert_true(cpu.has[CPU_apic] && cpu.has[CPU_x2apic] && cpu.has[CPU_tsc_deadline] && cpu.has[CPU_mtrr]);
	cpu_cpuid(&cpu, &query, answer);
	assert_true(answer[CPUID_EDX] & 0x200);
	query.apic_off = true;
	cpu_cpuid(&cpu, &query, answer);
	assert_false(answer[CPUID_EDX] & 0x200);
}

/* IA32_MISC_ENABLE takes leaves and NX away. */
static void misc_enable(void **state)
{
	struct cpu cpu;
	struct cpuid_query query = {.count = 1, .misc_enable = X86_MISC_LIMIT_CPUID | X86_MISC_NO_NX};
	uint32_t answer[CPUID_REGISTERS];
	cpu_describe(&cpu, NULL, CPU_ALL_CODE, true);
	cpu_cpuid(&cpu, &query, answer);
	assert_int_equal(answer[CPUID_EAX], 2);
	query.leaf = 0x80000001;
	cpu_cpuid(&cpu, &query, answer);
	assert_false(answer[CPUID_EDX] & R3_BIT(20));
	query.misc_enable = 0;
	cpu_cpuid(&cpu, &query, answer);
	assert_true(answer[CPUID_EDX] & R3_BIT(20));
}

static void leaks(void **state)
{
	struct cpu cpu;
	unsigned n = 0;
	cpu_describe(&cpu, NULL, CPU_DIRECT, false);
	for (; cpu_leak(&cpu, n) < CPU_FEATURE_COUNT; n++) {
		assert_false(cpu.has[cpu_leak(&cpu, n)]);
		assert_true(n == 0 || cpu_leak(&cpu, n) > cpu_leak(&cpu, n - 1));
	}
	assert_int_equal(host_shows(1, CPUID_EDX, 9), n > 0 && !cpu.has[CPU_apic]);
	assert_string_equal(cpu_feature_name(CPU_apic), "apic");
}

static void leaves(void **state)
{
	struct cpu cpu;
	cpu_describe(&cpu, NULL, CPU_ALL_CODE, false);
	assert_int_equal(ask(&cpu, 1, 0, CPUID_EBX) >> 16, 2 << 8 | 3);
	assert_true(ask(&cpu, 1, 0, CPUID_ECX) & bit_OSXSAVE);
	assert_true(ask(&cpu, 1, 0, CPUID_ECX) & X86_CPUID_1_C_HYPERVISOR);
	assert_int_equal(ask(&cpu, 0x80000008, 0, CPUID_EAX), 48 << 8 | CPU_PHYSICAL_BITS);
	assert_int_equal(ask(&cpu, 0x40000000, 0, CPUID_EAX), 0x40000000);
	assert_int_equal(ask(&cpu, 0x40000001, 0, CPUID_EAX), 0);
	assert_int_equal(ask(&cpu, 0x7fffffff, 0, CPUID_EAX), 0);
	assert_true(ask(&cpu, 0, 0, CPUID_EAX) <= 0x16 && ask(&cpu, 0x80000000, 0, CPUID_EAX) <= 0x80000021);
	for (unsigned n = 0; n < 2; n++)
		assert_int_equal(ask(&cpu, 0xb, n, CPUID_EBX), 0);
	assert_int_equal(ask(&cpu, 7, 2, CPUID_EDX), 0);
	assert_int_equal(ask(&cpu, 0xd, 0, CPUID_EAX), (uint32_t)cpu.xcr0);
	assert_int_equal(ask(&cpu, 0xd, 8, CPUID_EAX), 0);
}

/* Beyond the last leaf AMD's processors say 0, Intel's what the last basic one says. */
static void beyond(void **state)
{
	struct cpu cpu;
	cpu_describe(&cpu, NULL, CPU_ALL_CODE, false);
	const uint32_t last = ask(&cpu, 0, 0, CPUID_EAX);
	for (unsigned reg = 0; reg < CPUID_REGISTERS; reg++) {
		cpu.amd = true;
		assert_int_equal(ask(&cpu, last + 1, 0, reg) | ask(&cpu, 0x80000100, 0, reg), 0);
		cpu.amd = false;
		assert_int_equal(ask(&cpu, last + 1, 0, reg), ask(&cpu, last, 0, reg));
		assert_int_equal(ask(&cpu, 0x80000100, 0, reg), ask(&cpu, last, 0, reg));
	}
}

/* What the C library remembers is what the processor says. Leaf 1's EBX has the number of the processor that asked. */
static void host_leaves(void **state)
{
	static const uint32_t leaves[][2] = {{0, 0},	      {1, 0},	       {7, 0},		{7, 1},
					     {0xd, 0},	      {0xd, 1},	       {0x80000001, 0}, {0x80000007, 0},
					     {0x80000008, 0}, {0x80000021, 0}, {0x8fffffff, 0}};
	for (unsigned n = 0; n < sizeof(leaves) / sizeof(leaves[0]); n++) {
		const struct host_leaf leaf = host_cpuid(leaves[n][0], leaves[n][1]);
		uint32_t a = 0, b = 0, c = 0, d = 0;
		__get_cpuid_count(leaves[n][0], leaves[n][1], &a, &b, &c, &d);
		assert_int_equal(leaf.eax, a);
		assert_true(leaf.ebx == b || leaves[n][0] == 1);
		assert_int_equal(leaf.ecx, c);
		assert_int_equal(leaf.edx, d);
	}
}

static struct cpu_model model_of(const char *text)
{
	struct cpu_model model;
	char wrong[256];
	assert_true(cpu_model_parse(text, &model, wrong, sizeof(wrong)));
	return model;
}

static void models(void **state)
{
	struct cpu_model model = model_of("host");
	struct cpu cpu, host;
	assert_false(model.chosen);
	cpu_describe(&host, NULL, CPU_ALL_CODE, true);
	cpu_describe(&cpu, &model, CPU_ALL_CODE, true);
	assert_memory_equal(&cpu, &host, sizeof(cpu));
	assert_int_equal(cpu_wanting(&cpu, &model), CPU_FEATURE_COUNT);

	model = model_of("x86-64");
	cpu_describe(&cpu, &model, CPU_ALL_CODE, true);
	assert_true(model.chosen && cpu.chosen && cpu.has[CPU_sse2] && cpu.has[CPU_lm] && cpu.has[CPU_apic]);
	assert_true(cpu.has[CPU_hypervisor]);
	assert_false(cpu.has[CPU_sse3] || cpu.has[CPU_xsave] || cpu.has[CPU_fsgsbase] || cpu.has[CPU_smep]);
	assert_false(cpu.cr4 & (X86_CR4_FSGSBASE | X86_CR4_SMEP | X86_CR4_OSXSAVE));
	assert_int_equal(ask(&cpu, 7, 0, CPUID_EBX), 0);

	model = model_of("i686");
	cpu_describe(&cpu, &model, CPU_ALL_CODE, true);
	assert_false(cpu.has[CPU_lm] || cpu.has[CPU_sse] || (cpu.efer & X86_EFER_LME));
}

/* What only an interpreted kernel has. */
static void smap(void **state)
{
	const struct cpu_model model = model_of("host,+smap");
	struct cpu cpu;
	cpu_describe(&cpu, &model, CPU_SOME, true);
	assert_int_equal(cpu_wanting(&cpu, &model), CPU_smap);
	cpu_describe(&cpu, &model, CPU_ALL_KERNELS, true);
	assert_int_equal(cpu_wanting(&cpu, &model), CPU_FEATURE_COUNT);
	assert_true(cpu.cr4 & X86_CR4_SMAP);
	cpu_describe(&cpu, NULL, CPU_ALL_CODE, true);
	assert_true(cpu.has[CPU_smap]);
}

/* Another vendor than the host's: the name, and the rules that go by it. */
static void vendors(void **state)
{
	const struct cpu_model amd = model_of("host,vendor=AuthenticAMD"), intel = model_of("host,vendor=GenuineIntel");
	struct cpu_model wrong_one;
	struct cpu cpu;
	char wrong[256];
	cpu_describe(&cpu, &amd, CPU_ALL_CODE, true);
	assert_true(cpu.amd);
	assert_int_equal(ask(&cpu, 0, 0, CPUID_EBX), 0x68747541);
	assert_int_equal(ask(&cpu, 0x80000000, 0, CPUID_EBX), 0x68747541);
	cpu_describe(&cpu, &intel, CPU_ALL_CODE, true);
	assert_false(cpu.amd);
	assert_int_equal(ask(&cpu, 0, 0, CPUID_EBX), 0x756e6547);
	assert_int_equal(ask(&cpu, 0x80000000, 0, CPUID_EBX), 0);
	assert_false(cpu_model_parse("host,vendor=Cyrix", &wrong_one, wrong, sizeof(wrong)));
}

static void models_changed(void **state)
{
	struct cpu_model model = model_of("x86-64-v2,-popcnt,+smep");
	struct cpu cpu;
	char wrong[256];
	cpu_describe(&cpu, &model, CPU_ALL_CODE, true);
	assert_false(cpu.has[CPU_popcnt]);
	assert_int_equal(cpu.has[CPU_sse4_2], host_shows(1, CPUID_ECX, 20));
	assert_true(cpu.has[CPU_smep]);
	model = model_of("host,+pcid");
	cpu_describe(&cpu, &model, CPU_ALL_CODE, true);
	assert_int_equal(cpu_wanting(&cpu, &model), CPU_pcid);
	for (const char *const *bad = (const char *const[]){"", "hos", "hosts", "x86-64-v", "host,", "host,avx",
							    "host,+", "host,+avx ", "x86-64,-", NULL};
	     *bad; bad++)
		assert_false(cpu_model_parse(*bad, &model, wrong, sizeof(wrong)));
	cpu_model_parse("pentium", &model, wrong, sizeof(wrong));
	assert_non_null(strstr(wrong, "host i686 x86-64 x86-64-v2 x86-64-v3"));
}

/* What is kept is answered as before, and given back. */
static void kept(void **state)
{
	const struct host_leaf place = host_cpuid(0xd, 2), name = host_cpuid(0x80000002, 0);
	if (!host_cpuid_can_keep())
		return;
	assert_int_equal(host_cpuid_keep(), 0);
	const struct host_leaf place_kept = host_cpuid(0xd, 2), name_kept = host_cpuid(0x80000002, 0);
	host_cpuid_give();
	assert_memory_equal(&place_kept, &place, sizeof(place));
	assert_memory_equal(&name_kept, &name, sizeof(name));
	host_leaves(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines_differ),
		cmocka_unit_test(absent_unless_given),
		cmocka_unit_test(protection_keys),
		cmocka_unit_test(models),
		cmocka_unit_test(smap),
		cmocka_unit_test(vendors),
		cmocka_unit_test(models_changed),
		cmocka_unit_test(kept),
		cmocka_unit_test(misc_enable),
		cmocka_unit_test(leaks),
		cmocka_unit_test(host_leaves),
		cmocka_unit_test(apic),
		cmocka_unit_test(leaves),
		cmocka_unit_test(beyond),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
