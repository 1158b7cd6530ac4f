/*
 * What CPUID promises, a kernel can switch on, and what it does not promise is refused: CR4, EFER, XCR0, MSRs, sizes.
 * With "direct" on the command line CPUID is the host's, which promises more than the machine has.
 */
#include <pvguest/pvguest.h>

struct leaf {
	uint32_t r[4]; /* EAX EBX ECX EDX */
};

static struct leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct leaf l;
	__asm__ volatile("cpuid" : "=a"(l.r[0]), "=b"(l.r[1]), "=c"(l.r[2]), "=d"(l.r[3]) : "a"(leaf), "c"(subleaf));
	return l;
}

static bool amd(void)
{
	return cpuid(0, 0).r[1] == 0x68747541;
}

struct feature {
	const char *name;
	uint32_t leaf;
	unsigned reg, bit;
	uint64_t value; /* CR4 bits, EFER bits, or the number of an MSR */
};

static bool direct;

static bool promised(const struct feature *f)
{
	return cpuid(f->leaf, 0).r[f->reg] >> f->bit & 1;
}

static void judge(const struct feature *f, bool accepted, const char *what)
{
	if (direct && accepted != promised(f))
		pvg_test_skip(f->name, "the host's CPUID says otherwise than this machine's");
	else
		pvg_test(accepted == promised(f), "%s: CPUID says %u, %s says %u", f->name, promised(f), what,
			 accepted);
}

/* --------------------------------------------------------------------------------------------- control registers */

static void write_cr4(void *value)
{
	pvg_write_cr4(*(uint64_t *)value);
}

static void test_cr4(void)
{
	static const struct feature bits[] = {
		{"vme", 1, 3, 1, X86_CR4_VME},
		{"pvi", 1, 3, 1, X86_CR4_PVI},
		{"tsd", 1, 3, 4, X86_CR4_TSD},
		{"de", 1, 3, 2, X86_CR4_DE},
		{"pse", 1, 3, 3, X86_CR4_PSE},
		{"mce", 1, 3, 7, X86_CR4_MCE},
		{"pge", 1, 3, 13, X86_CR4_PGE},
		{"osfxsr", 1, 3, 24, X86_CR4_OSFXSR},
		{"umip", 7, 2, 2, X86_CR4_UMIP},
		{"la57", 7, 2, 16, X86_CR4_LA57},
		{"vmxe", 1, 2, 5, X86_CR4_VMXE},
		{"smxe", 1, 2, 6, X86_CR4_SMXE},
		{"fsgsbase", 7, 1, 0, X86_CR4_FSGSBASE},
		{"pcide", 1, 2, 17, X86_CR4_PCIDE},
		{"osxsave", 1, 2, 26, X86_CR4_OSXSAVE},
		{"smep", 7, 1, 7, X86_CR4_SMEP},
		{"smap", 7, 1, 20, X86_CR4_SMAP},
		{"pke", 7, 2, 3, X86_CR4_PKE},
		{"cet", 7, 2, 7, X86_CR4_CET},
		{"pks", 7, 2, 31, X86_CR4_PKS},
		{"bit 15 of CR4", 0x40000000, 0, 31, R3_BIT(15)},
	};
	const uint64_t before = pvg_read_cr4();
	struct pvg_caught caught;
	for (unsigned n = 0; n < sizeof(bits) / sizeof(bits[0]); n++) {
		uint64_t value = before ^ bits[n].value;
		bool faulted = pvg_catch(write_cr4, &value, &caught);
		bool accepted = before & bits[n].value || !faulted;
		if (faulted)
			pvg_test_equal(caught.vector, X86_VEC_GP, "%s refused by #GP", bits[n].name);
		judge(&bits[n], accepted, "CR4");
		pvg_write_cr4(before);
	}
}

static void read_msr(void *number)
{
	pvg_rdmsr((uint32_t)(uintptr_t)number);
}

struct msr_write {
	uint32_t number;
	uint64_t value;
};

static void write_msr(void *arg)
{
	const struct msr_write *w = arg;
	pvg_wrmsr(w->number, w->value);
}

static void test_efer(void)
{
	static const struct feature bits[] = {
		{"sce", 0x80000001, 3, 11, X86_EFER_SCE},  {"nxe", 0x80000001, 3, 20, X86_EFER_NXE},
		{"svme", 0x80000001, 2, 2, X86_EFER_SVME}, {"ffxsr", 0x80000001, 3, 25, X86_EFER_FFXSR},
		{"tce", 0x80000001, 2, 17, X86_EFER_TCE},  {"bit 9 of EFER", 0x40000000, 0, 31, R3_BIT(9)},
	};
	struct msr_write w = {.number = X86_MSR_EFER};
	const uint64_t before = pvg_rdmsr(X86_MSR_EFER);
	struct pvg_caught caught;
	for (unsigned n = 0; n < sizeof(bits) / sizeof(bits[0]); n++) {
		w.value = before | bits[n].value;
		judge(&bits[n], !pvg_catch(write_msr, &w, &caught), "EFER");
		pvg_wrmsr(X86_MSR_EFER, before);
	}
}

static void test_msrs(void)
{
	static const struct feature msrs[] = {
		{"TSC", 1, 3, 4, X86_MSR_TSC},
		{"MTRR capabilities", 1, 3, 12, 0xfe},
		{"MTRR default type", 1, 3, 12, 0x2ff},
		{"machine checks", 1, 3, 14, X86_MSR_MCG_CAP},
		{"machine check status", 1, 3, 14, X86_MSR_MCG_STATUS},
		{"PAT", 1, 3, 16, X86_MSR_PAT},
		{"APIC base", 1, 3, 9, X86_MSR_APIC_BASE},
		{"TSC_ADJUST", 7, 1, 1, 0x3b},
		{"TSC deadline", 1, 2, 24, 0x6e0},
		{"x2APIC number", 1, 2, 21, 0x802},
		{"PKRS", 7, 2, 31, X86_MSR_PKRS},
		{"TSC_AUX", 0x80000001, 3, 27, X86_MSR_TSC_AUX},
		{"speculation control", 7, 3, 26, 0x48},
		{"LSTAR", 0x80000001, 3, 11, X86_MSR_LSTAR},
		{"KERNEL_GS_BASE", 0x80000001, 3, 29, X86_MSR_KERNEL_GS_BASE},
		{"register 0x12345", 0x40000000, 0, 31, 0x12345},
	};
	static const struct feature sysenter[] = {
		{"SYSENTER_CS", 1, 3, 11, X86_MSR_SYSENTER_CS},
		{"SYSENTER_ESP", 1, 3, 11, X86_MSR_SYSENTER_ESP},
		{"SYSENTER_EIP", 1, 3, 11, X86_MSR_SYSENTER_EIP},
	};
	struct pvg_caught caught;
	for (unsigned n = 0; n < sizeof(msrs) / sizeof(msrs[0]); n++)
		judge(&msrs[n], !pvg_catch(read_msr, (void *)(uintptr_t)msrs[n].value, &caught), "RDMSR");
	/* Elsewhere CPUID does not show in long mode whether they are there. */
	for (unsigned n = 0; n < sizeof(sysenter) / sizeof(sysenter[0]) && amd(); n++)
		judge(&sysenter[n], !pvg_catch(read_msr, (void *)(uintptr_t)sysenter[n].value, &caught), "RDMSR");
}

static void test_msr_values(void)
{
	struct pvg_caught caught;
	struct msr_write w = {X86_MSR_MCG_CAP, 0};
	if (!direct && cpuid(0x80000001, 0).r[3] >> 27 & 1) {
		uint32_t low, high, aux;
		pvg_wrmsr(X86_MSR_TSC_AUX, 0x1234);
		__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
		pvg_test_equal(aux, 0x1234, "RDTSCP shows TSC_AUX");
		pvg_wrmsr(X86_MSR_TSC_AUX, 0);
	}
	pvg_test_equal(pvg_rdmsr(X86_MSR_MCG_CAP), 0, "no bank of machine checks");
	pvg_test(pvg_catch(write_msr, &w, &caught) && caught.vector == X86_VEC_GP, "which cannot be written");
	if (!amd())
		return;
	if (cpuid(1, 0).r[3] >> 11 & 1) {
		pvg_wrmsr(X86_MSR_SYSENTER_EIP, R3_U64(0x123456789));
		pvg_test_equal(pvg_rdmsr(X86_MSR_SYSENTER_EIP), 0x23456789,
			       "SYSENTER_EIP has 32 bits on AMD's processors");
	}
	pvg_test_equal(pvg_rdmsr(X86_MSR_HWCR) >> 24 & 1, 1, "the TSC counts at a fixed rate");
}

/* ----------------------------------------------------------------------------------------------------- sizes */

static void xsetbv(uint64_t value)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void test_sizes(void)
{
	struct leaf addresses = cpuid(0x80000008, 0), state = cpuid(0xd, 0), avx = cpuid(0xd, 2);
	const uint64_t all = (uint64_t)state.r[3] << 32 | state.r[0];
	const uint64_t one = R3_BIT(addresses.r[0] & 0xff);
	pvg_test_equal(addresses.r[0] >> 8 & 0xff, 48, "linear addresses have 48 bits");
	pvg_test((pvg_read_cr3() | one / 2) < one, "CR3 has as many bits as CPUID says");
	if (!(cpuid(1, 0).r[2] & 1u << 26) || !(all & X86_XCR0_AVX)) {
		pvg_test_skip("XSAVE's sizes", "no XSAVE with AVX here");
		return;
	}
	xsetbv(X86_XCR0_X87);
	pvg_test_equal(cpuid(0xd, 0).r[1], 576, "XSAVE of the x87 alone");
	xsetbv(X86_XCR0_X87 | X86_XCR0_SSE);
	pvg_test_equal(cpuid(0xd, 0).r[1], 576, "with SSE");
	xsetbv(X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX);
	pvg_test_equal(cpuid(0xd, 0).r[1], avx.r[1] + avx.r[0], "with AVX");
	pvg_test_equal(cpuid(0xd, 0).r[2], state.r[2], "and of all there is");
	xsetbv(all);
	pvg_test_equal(cpuid(0xd, 0).r[1], state.r[2], "all of it on");
}

static void test_identity(void)
{
	const uint64_t cr4 = pvg_read_cr4();
	const bool xsave = cpuid(1, 0).r[2] >> 26 & 1;
	pvg_write_cr4(cr4 & ~X86_CR4_OSXSAVE);
	pvg_test_equal(cpuid(1, 0).r[2] >> 27 & 1, 0, "CPUID follows CR4.OSXSAVE");
	if (xsave)
		pvg_write_cr4(cr4 | X86_CR4_OSXSAVE);
	pvg_test_equal(cpuid(1, 0).r[2] >> 27 & 1, xsave, "both ways");
	pvg_test_equal(cpuid(0x40000000, 0).r[0], 0x40000000, "the hypervisor's leaf is ring3's own");
	pvg_test_equal(cpuid(0x40000000, 0).r[1], 0x676e6972, "and says so");
	pvg_test_equal(cpuid(0x40000001, 0).r[0] | cpuid(0x40000010, 0).r[0], 0, "there are no more of these");
	if (amd())
		pvg_test_equal(cpuid(0x80000001, 0).r[3] & 0x3ff, cpuid(1, 0).r[3] & 0x3ff, "AMD's twofold bits agree");
}

int main(const char *cmdline)
{
	for (const char *c = cmdline; *c; c++)
		direct |= !pvg_strncmp(c, "direct", 6);
	test_cr4();
	test_efer();
	test_msrs();
	test_msr_values();
	if (!direct) {
		test_sizes();
		test_identity();
	}
	return pvg_test_finish();
}
