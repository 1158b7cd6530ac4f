/*
 * The registers in the crash report, with their bits by name.
 */
#include <inttypes.h>

#include "monitor/debug/state/state.h"
#include "monitor/vm/vm.h"

static const char *const gpr_names[GPR_COUNT] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
						 "R8",	"R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
static const char *const sreg_names[SREG_COUNT] = {"ES", "CS", "SS", "DS", "FS", "GS"};

static const struct report_flag rflags_names[] = {
	{X86_RFLAGS_CF, "CF"},	 {X86_RFLAGS_PF, "PF"},	  {X86_RFLAGS_AF, "AF"}, {X86_RFLAGS_ZF, "ZF"},
	{X86_RFLAGS_SF, "SF"},	 {X86_RFLAGS_TF, "TF"},	  {X86_RFLAGS_IF, "IF"}, {X86_RFLAGS_DF, "DF"},
	{X86_RFLAGS_OF, "OF"},	 {X86_RFLAGS_NT, "NT"},	  {X86_RFLAGS_RF, "RF"}, {X86_RFLAGS_AC, "AC"},
	{X86_RFLAGS_VIF, "VIF"}, {X86_RFLAGS_VIP, "VIP"}, {X86_RFLAGS_ID, "ID"},
};

static const struct report_flag cr0_names[] = {
	{X86_CR0_PE, "PE"}, {X86_CR0_MP, "MP"}, {X86_CR0_EM, "EM"}, {X86_CR0_TS, "TS"},
	{X86_CR0_ET, "ET"}, {X86_CR0_NE, "NE"}, {X86_CR0_WP, "WP"}, {X86_CR0_AM, "AM"},
	{X86_CR0_NW, "NW"}, {X86_CR0_CD, "CD"}, {X86_CR0_PG, "PG"},
};

static const struct report_flag cr4_names[] = {
	{X86_CR4_VME, "VME"},
	{X86_CR4_PVI, "PVI"},
	{X86_CR4_TSD, "TSD"},
	{X86_CR4_DE, "DE"},
	{X86_CR4_PSE, "PSE"},
	{X86_CR4_PAE, "PAE"},
	{X86_CR4_MCE, "MCE"},
	{X86_CR4_PGE, "PGE"},
	{X86_CR4_PCE, "PCE"},
	{X86_CR4_OSFXSR, "OSFXSR"},
	{X86_CR4_OSXMMEXCPT, "OSXMMEXCPT"},
	{X86_CR4_UMIP, "UMIP"},
	{X86_CR4_LA57, "LA57"},
	{X86_CR4_FSGSBASE, "FSGSBASE"},
	{X86_CR4_PCIDE, "PCIDE"},
	{X86_CR4_OSXSAVE, "OSXSAVE"},
	{X86_CR4_SMEP, "SMEP"},
	{X86_CR4_SMAP, "SMAP"},
};

static const struct report_flag efer_names[] = {
	{X86_EFER_SCE, "SCE"}, {X86_EFER_LME, "LME"}, {X86_EFER_LMA, "LMA"}, {X86_EFER_NXE, "NXE"}};

/* Registers have 32 bits; values are printed with this many digits. */
static int digits(const struct vcpu *vcpu)
{
	return vcpu_is_long(vcpu) ? 16 : 8;
}

static void print_gprs_32(const struct vcpu *vcpu, FILE *out)
{
	static const uint8_t order[] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP};

	for (unsigned i = 0; i < sizeof(order); i++)
		fprintf(out, "  E%s %08" PRIx32 "%s", gpr_names[order[i]] + 1, (uint32_t)vcpu->gpr[order[i]],
			i % 4 == 3 ? "\n" : "");
}

static void print_gprs(const struct vcpu *vcpu, FILE *out)
{
	static const uint8_t order[GPR_COUNT] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP,
						 R8,  R9,  R10, R11, R12, R13, R14, R15};

	for (unsigned i = 0; i < GPR_COUNT; i++)
		fprintf(out, "  %-3s %016" PRIx64 "%s", gpr_names[order[i]], vcpu->gpr[order[i]],
			i % 4 == 3 ? "\n" : "");
}

static void print_bits(const struct vcpu *vcpu, const char *name, uint64_t value, const struct report_flag *flags,
		       unsigned count, FILE *out)
{
	fprintf(out, "  %-6s %0*" PRIx64, name, digits(vcpu), value);
	report_flags(value, flags, count, out);
}
#define PRINT_BITS(name, value, flags, out)                                                                            \
	print_bits(vcpu, name, value, flags, sizeof(flags) / sizeof((flags)[0]), out)

static void print_control(const struct vcpu *vcpu, FILE *out)
{
	PRINT_BITS("CR0", vcpu->cr0, cr0_names, out);
	fprintf(out, "\n  CR2    %0*" PRIx64 "\n  CR3    %0*" PRIx64 "\n", digits(vcpu), vcpu->cr2, digits(vcpu),
		vcpu->cr3);
	PRINT_BITS("CR4", vcpu->cr4, cr4_names, out);
	fputc('\n', out);
	if (vcpu_is_long(vcpu))
		fprintf(out, "  CR8    %016" PRIx64 "\n", vcpu->cr8);
	PRINT_BITS("EFER", vcpu->efer, efer_names, out);
	fputc('\n', out);
}

static void print_segment(const struct vcpu *vcpu, const char *name, const struct vcpu_segment *segment, FILE *out)
{
	fprintf(out, "  %-4s %04x base %0*" PRIx64 " limit %08x%s\n", name, segment->selector, digits(vcpu),
		segment->base, segment->limit, segment->present ? "" : " (null)");
}

static const char *code_words(const struct vcpu *vcpu)
{
	if (!vcpu_is_protected(vcpu))
		return "real mode";
	if (vcpu_is_v86(vcpu))
		return "virtual 8086 mode";
	if (vcpu_is_long(vcpu))
		return vcpu_code_bits(vcpu) == 32 ? "32-bit code in long mode" : "16-bit code in long mode";
	return vcpu_code_bits(vcpu) == 32 ? "32-bit code" : "16-bit code";
}

static void print_tables(const struct vcpu *vcpu, FILE *out)
{
	for (unsigned i = 0; i < SREG_COUNT; i++)
		print_segment(vcpu, sreg_names[i], &vcpu->sreg[i], out);
	print_segment(vcpu, "LDTR", &vcpu->ldtr, out);
	print_segment(vcpu, "TR", &vcpu->tr, out);
	fprintf(out, "  GDTR      base %0*" PRIx64 " limit %04x\n", digits(vcpu), vcpu->gdtr.base, vcpu->gdtr.limit);
	fprintf(out, "  IDTR      base %0*" PRIx64 " limit %04x%s\n", digits(vcpu), vcpu->idtr.base, vcpu->idtr.limit,
		vcpu->pv.has_traps ? " (the paravirtual trap table is used instead)" : "");
	if (vcpu_is_long(vcpu))
		fprintf(out, "  KERNEL_GS base %016" PRIx64 "\n", vcpu->kernel_gs_base);
}

void report_registers(struct vcpu *vcpu, FILE *out)
{
	uint64_t rflags = vcpu_rflags(vcpu);

	fprintf(out, "Registers of vCPU %u, CPL %u%s%s:\n", vcpu->id, vcpu->cpl, vcpu_code_bits(vcpu) == 64 ? "" : ", ",
		vcpu_code_bits(vcpu) == 64 ? "" : code_words(vcpu));
	if (vcpu_is_long(vcpu))
		print_gprs(vcpu, out);
	else
		print_gprs_32(vcpu, out);
	fprintf(out, "  %cIP    %0*" PRIx64 "\n", vcpu_is_long(vcpu) ? 'R' : 'E', digits(vcpu), vcpu->rip);
	PRINT_BITS(vcpu_is_long(vcpu) ? "RFLAGS" : "EFLAGS", rflags, rflags_names, out);
	fprintf(out, " IOPL=%u\n", vcpu_iopl(vcpu));
	print_control(vcpu, out);
	print_tables(vcpu, out);
}
