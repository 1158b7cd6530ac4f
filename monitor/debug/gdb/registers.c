/*
 * Registers as the debugger sees them: GDB's own features in their order, then a feature of what the system part of the
 * processor adds. Those of the system are read-only where writing them has consequences beyond the value.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/debug/gdb/fpu.h"
#include "monitor/debug/gdb/internal.h"

#define REGISTER_MAX 16 /* bytes */

enum kind { KIND_GPR, KIND_FIELD, KIND_RIP, KIND_RFLAGS, KIND_ST, KIND_X87, KIND_XMM, KIND_MXCSR, KIND_YMM };

struct reg {
	const char *name, *type;
	unsigned size; /* bytes */
	enum kind kind;
	unsigned index; /* of a KIND_GPR, KIND_ST, KIND_XMM, KIND_YMM; offset in struct vcpu of a KIND_FIELD */
	unsigned width; /* bytes of a KIND_FIELD, or of a KIND_X87 at offset index of the FXSAVE area */
	bool read_only;
	const char *feature; /* begins with this one */
};

#define GPR(name, n)                                                                                                   \
	{                                                                                                              \
		name, "int64", 8, KIND_GPR, n, 0, false, NULL                                                          \
	}
#define SEG(name, n)                                                                                                   \
	{                                                                                                              \
		name, "int32", 4, KIND_FIELD, offsetof(struct vcpu, sreg[n].selector), 2, true, NULL                   \
	}
#define ST(n)                                                                                                          \
	{                                                                                                              \
		"st" #n, "i387_ext", 10, KIND_ST, n, 0, false, NULL                                                    \
	}
#define X87(name, at, width)                                                                                           \
	{                                                                                                              \
		name, "int", 4, KIND_X87, at, width, false, NULL                                                       \
	}
#define XMM(n)                                                                                                         \
	{                                                                                                              \
		"xmm" #n, "vec128", 16, KIND_XMM, n, 0, false, NULL                                                    \
	}
/* The upper half: the debugger puts both together. */
#define YMM(n)                                                                                                         \
	{                                                                                                              \
		"ymm" #n "h", "uint128", 16, KIND_YMM, n, 0, false, NULL                                               \
	}
#define FIELD(name, field)                                                                                             \
	{                                                                                                              \
		name, "int64", 8, KIND_FIELD, offsetof(struct vcpu, field), sizeof(((struct vcpu *)0)->field), false,  \
			NULL                                                                                           \
	}
#define FIXED(name, field)                                                                                             \
	{                                                                                                              \
		name, "int64", 8, KIND_FIELD, offsetof(struct vcpu, field), sizeof(((struct vcpu *)0)->field), true,   \
			NULL                                                                                           \
	}

static const struct reg regs[] = {
	{"rax", "int64", 8, KIND_GPR, RAX, 0, false, "org.gnu.gdb.i386.core"},
	GPR("rbx", RBX),
	GPR("rcx", RCX),
	GPR("rdx", RDX),
	GPR("rsi", RSI),
	GPR("rdi", RDI),
	{"rbp", "data_ptr", 8, KIND_GPR, RBP, 0, false, NULL},
	{"rsp", "data_ptr", 8, KIND_GPR, RSP, 0, false, NULL},
	GPR("r8", R8),
	GPR("r9", R9),
	GPR("r10", R10),
	GPR("r11", R11),
	GPR("r12", R12),
	GPR("r13", R13),
	GPR("r14", R14),
	GPR("r15", R15),
	{"rip", "code_ptr", 8, KIND_RIP, 0, 0, false, NULL},
	{"eflags", "i386_eflags", 4, KIND_RFLAGS, 0, 0, false, NULL},
	SEG("cs", SREG_CS),
	SEG("ss", SREG_SS),
	SEG("ds", SREG_DS),
	SEG("es", SREG_ES),
	SEG("fs", SREG_FS),
	SEG("gs", SREG_GS),
	ST(0),
	ST(1),
	ST(2),
	ST(3),
	ST(4),
	ST(5),
	ST(6),
	ST(7),
	X87("fctrl", FX_FCW, 2),
	X87("fstat", FX_FSW, 2),
	X87("ftag", FX_FTW, 1),
	X87("fiseg", FX_FIP + 4, 4),
	X87("fioff", FX_FIP, 4),
	X87("foseg", FX_FDP + 4, 4),
	X87("fooff", FX_FDP, 4),
	X87("fop", FX_FOP, 2),
	{"xmm0", "vec128", 16, KIND_XMM, 0, 0, false, "org.gnu.gdb.i386.sse"},
	XMM(1),
	XMM(2),
	XMM(3),
	XMM(4),
	XMM(5),
	XMM(6),
	XMM(7),
	XMM(8),
	XMM(9),
	XMM(10),
	XMM(11),
	XMM(12),
	XMM(13),
	XMM(14),
	XMM(15),
	{"mxcsr", "i386_mxcsr", 4, KIND_MXCSR, 0, 0, false, NULL},
	{"fs_base", "int64", 8, KIND_FIELD, offsetof(struct vcpu, sreg[SREG_FS].base), 8, false,
	 "org.gnu.gdb.i386.segments"},
	FIELD("gs_base", sreg[SREG_GS].base),
	{"cr0", "cr0_flags", 8, KIND_FIELD, offsetof(struct vcpu, cr0), 8, true, "org.ring3.x86.system"},
	FIELD("cr2", cr2),
	FIXED("cr3", cr3),
	{"cr4", "cr4_flags", 8, KIND_FIELD, offsetof(struct vcpu, cr4), 8, true, NULL},
	FIXED("cr8", cr8),
	FIXED("xcr0", xcr0),
	{"efer", "efer_flags", 8, KIND_FIELD, offsetof(struct vcpu, efer), 8, true, NULL},
	FIXED("cpl", cpl),
	FIELD("star", star),
	FIELD("lstar", lstar),
	FIELD("cstar", cstar),
	FIELD("sfmask", sfmask),
	FIELD("k_gs_base", kernel_gs_base),
	FIXED("apic_base", apic_base),
	FIXED("pat", pat),
	FIXED("gdtr_base", gdtr.base),
	FIXED("gdtr_limit", gdtr.limit),
	FIXED("idtr_base", idtr.base),
	FIXED("idtr_limit", idtr.limit),
	FIXED("ldtr", ldtr.selector),
	FIXED("ldtr_base", ldtr.base),
	FIXED("tr", tr.selector),
	FIXED("tr_base", tr.base),
	FIXED("dr0", dr[0]),
	FIXED("dr1", dr[1]),
	FIXED("dr2", dr[2]),
	FIXED("dr3", dr[3]),
	FIXED("dr6", dr[6]),
	FIXED("dr7", dr[7]),
	FIXED("pv_rsp0", pv.rsp0),
	FIXED("pv_syscall_entry", pv.syscall_entry),
	FIXED("pv_user_root", pv.user_root),
	FIXED("pv_shared", pv.shared_gpa),
	/* Last: the list of a machine without AVX ends before. */
	{"ymm0h", "uint128", 16, KIND_YMM, 0, 0, false, "org.gnu.gdb.i386.avx"},
	YMM(1),
	YMM(2),
	YMM(3),
	YMM(4),
	YMM(5),
	YMM(6),
	YMM(7),
	YMM(8),
	YMM(9),
	YMM(10),
	YMM(11),
	YMM(12),
	YMM(13),
	YMM(14),
	YMM(15),
};

static size_t reg_count(const struct gdb *gdb)
{
	const size_t count = sizeof(regs) / sizeof(regs[0]);

	return gdb->vm->cpu.has[CPU_avx] ? count : count - FPU_YMM_COUNT;
}

/* ----------------------------------------------------------------------------------------------------- one register */

static bool is_fpu(const struct reg *reg)
{
	return reg->kind >= KIND_ST;
}

static uint8_t *fpu_place(struct fpu *fpu, const struct reg *reg)
{
	switch (reg->kind) {
	case KIND_ST:
		return fpu->image + FX_ST + FX_SLOT * reg->index;
	case KIND_XMM:
		return fpu->image + FX_XMM + FX_SLOT * reg->index;
	case KIND_YMM:
		return fpu->ymm + FX_SLOT * reg->index;
	case KIND_MXCSR:
		return fpu->image + FX_MXCSR;
	default:
		return fpu->image + reg->index;
	}
}

static void get(struct gdb *gdb, const struct reg *reg, struct fpu *fpu, uint8_t to[REGISTER_MAX])
{
	struct vcpu *vcpu = gdb_vcpu(gdb);
	uint64_t rflags = vcpu_rflags(vcpu);

	memset(to, 0, REGISTER_MAX);
	switch (reg->kind) {
	case KIND_GPR:
		memcpy(to, &vcpu->gpr[reg->index], sizeof(uint64_t));
		break;
	case KIND_RIP:
		memcpy(to, &vcpu->rip, sizeof(vcpu->rip));
		break;
	case KIND_RFLAGS:
		memcpy(to, &rflags, reg->size);
		break;
	case KIND_FIELD:
		memcpy(to, (uint8_t *)vcpu + reg->index, reg->width);
		break;
	case KIND_X87:
		memcpy(to, fpu_place(fpu, reg), reg->width);
		if (reg->index == FX_FTW)
			memcpy(to, &(uint32_t){fpu_full_tag(fpu)}, sizeof(uint32_t));
		break;
	default:
		memcpy(to, fpu_place(fpu, reg), reg->size);
	}
}

static bool set(struct gdb *gdb, const struct reg *reg, struct fpu *fpu, const uint8_t from[REGISTER_MAX])
{
	struct vcpu *vcpu = gdb_vcpu(gdb);
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	if (reg->read_only)
		return false;
	switch (reg->kind) {
	case KIND_GPR:
		vcpu->gpr[reg->index] = value;
		break;
	case KIND_RIP:
		if (!vcpu_canonical(value))
			return false;
		vcpu->rip = value;
		break;
	case KIND_RFLAGS:
		vcpu_set_rflags(vcpu, (uint32_t)value);
		break;
	case KIND_FIELD: /* the writable ones hold addresses */
		if (!vcpu_canonical(value) && reg->index != offsetof(struct vcpu, star))
			return false;
		memcpy((uint8_t *)vcpu + reg->index, &value, reg->width);
		break;
	case KIND_X87:
		if (reg->index == FX_FTW)
			value = fpu_short_tag((uint32_t)value);
		memcpy(fpu_place(fpu, reg), &value, reg->width);
		break;
	default:
		memcpy(fpu_place(fpu, reg), from, reg->size);
	}
	return true;
}

/* --------------------------------------------------------------------------------------------------------- packets */

void registers_read_all(struct gdb *gdb)
{
	char text[GDB_PACKET];
	uint8_t value[REGISTER_MAX];
	struct fpu fpu;
	size_t used = 0;

	fpu_load(gdb, &fpu);
	for (size_t i = 0; i < reg_count(gdb); i++) {
		get(gdb, &regs[i], &fpu, value);
		packet_to_hex(text + used, value, regs[i].size);
		used += 2 * regs[i].size;
	}
	packet_send_data(gdb, text, used);
}

/* Read-only ones are passed over: the debugger sends back what it read. */
void registers_write_all(struct gdb *gdb, const char *hex, size_t digits)
{
	uint8_t value[REGISTER_MAX];
	struct fpu fpu;

	fpu_load(gdb, &fpu);
	for (size_t i = 0; i < reg_count(gdb) && digits >= 2 * regs[i].size; i++) {
		memset(value, 0, sizeof(value));
		if (packet_from_hex(value, hex, 2 * regs[i].size) == regs[i].size)
			set(gdb, &regs[i], &fpu, value);
		hex += 2 * regs[i].size;
		digits -= 2 * regs[i].size;
	}
	fpu_store(gdb, &fpu);
	packet_send(gdb, "OK");
}

void registers_read(struct gdb *gdb, unsigned number)
{
	char text[2 * REGISTER_MAX];
	uint8_t value[REGISTER_MAX];
	struct fpu fpu;

	if (number >= reg_count(gdb)) {
		packet_send(gdb, "E%02x", EINVAL);
		return;
	}
	if (is_fpu(&regs[number]))
		fpu_load(gdb, &fpu);
	get(gdb, &regs[number], &fpu, value);
	packet_to_hex(text, value, regs[number].size);
	packet_send_data(gdb, text, 2 * regs[number].size);
}

void registers_write(struct gdb *gdb, unsigned number, const char *hex, size_t digits)
{
	uint8_t value[REGISTER_MAX] = {0};
	struct fpu fpu;

	if (number >= reg_count(gdb) || digits != 2 * regs[number].size ||
	    packet_from_hex(value, hex, digits) != regs[number].size) {
		packet_send(gdb, "E%02x", EINVAL);
		return;
	}
	if (is_fpu(&regs[number]))
		fpu_load(gdb, &fpu);
	if (!set(gdb, &regs[number], &fpu, value)) {
		packet_send(gdb, "E%02x", EPERM);
		return;
	}
	if (is_fpu(&regs[number]))
		fpu_store(gdb, &fpu);
	packet_send(gdb, "OK");
}

/* ------------------------------------------------------------------------------------------- the target description */

struct flag {
	const char *name;
	unsigned bit;
};

static const struct flag eflags[] = {{"CF", 0},	 {"", 1},    {"PF", 2},	  {"AF", 4},   {"ZF", 6},  {"SF", 7},
				     {"TF", 8},	 {"IF", 9},  {"DF", 10},  {"OF", 11},  {"NT", 14}, {"RF", 16},
				     {"VM", 17}, {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}};
static const struct flag mxcsr[] = {{"IE", 0}, {"DE", 1}, {"ZE", 2}, {"OE", 3},	 {"UE", 4},  {"PE", 5},	 {"DAZ", 6},
				    {"IM", 7}, {"DM", 8}, {"ZM", 9}, {"OM", 10}, {"UM", 11}, {"PM", 12}, {"FZ", 15}};
static const struct flag cr0[] = {{"PE", 0},  {"MP", 1},  {"EM", 2},  {"TS", 3},  {"ET", 4}, {"NE", 5},
				  {"WP", 16}, {"AM", 18}, {"NW", 29}, {"CD", 30}, {"PG", 31}};
static const struct flag cr4[] = {{"VME", 0},	      {"PVI", 1},   {"TSD", 2},	      {"DE", 3},     {"PSE", 4},
				  {"PAE", 5},	      {"MCE", 6},   {"PGE", 7},	      {"PCE", 8},    {"OSFXSR", 9},
				  {"OSXMMEXCPT", 10}, {"UMIP", 11}, {"FSGSBASE", 16}, {"PCIDE", 17}, {"OSXSAVE", 18},
				  {"SMEP", 20},	      {"SMAP", 21}};
static const struct flag efer[] = {{"SCE", 0}, {"LME", 8}, {"LMA", 10}, {"NXE", 11}};

static void print_flags(FILE *out, const char *id, unsigned size, const struct flag *flags, size_t count)
{
	fprintf(out, "<flags id=\"%s\" size=\"%u\">", id, size);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags[i].name, flags[i].bit, flags[i].bit);
	fputs("</flags>", out);
}
#define PRINT_FLAGS(out, id, size, flags) print_flags(out, id, size, flags, sizeof(flags) / sizeof((flags)[0]))

/* The types that the registers of a feature name. */
static void print_types(FILE *out, const char *feature)
{
	if (strstr(feature, "core")) {
		PRINT_FLAGS(out, "i386_eflags", 4, eflags);
	} else if (strstr(feature, "sse")) {
		fputs("<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
		      "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
		      "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" "
		      "count=\"8\"/>"
		      "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" "
		      "count=\"2\"/>"
		      "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
		      "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
		      "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
		      "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>",
		      out);
		PRINT_FLAGS(out, "i386_mxcsr", 4, mxcsr);
	} else if (strstr(feature, "system")) {
		PRINT_FLAGS(out, "cr0_flags", 8, cr0);
		PRINT_FLAGS(out, "cr4_flags", 8, cr4);
		PRINT_FLAGS(out, "efer_flags", 8, efer);
	}
}

const char *registers_xml(const struct gdb *gdb)
{
	static char *text;
	bool system = false;
	size_t size;
	FILE *out = text ? NULL : open_memstream(&text, &size);

	if (!out)
		return text;
	fputs("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">"
	      "<architecture>i386:x86-64</architecture>",
	      out);
	for (size_t i = 0; i < reg_count(gdb); i++) {
		const struct reg *reg = &regs[i];
		if (reg->feature) {
			system = strstr(reg->feature, "system");
			fprintf(out, "%s<feature name=\"%s\">", i ? "</feature>" : "", reg->feature);
			print_types(out, reg->feature);
		}
		fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%zu\"%s/>", reg->name, reg->size * 8,
			reg->type, i,
			reg->kind == KIND_ST || reg->kind == KIND_X87 ? " group=\"float\""
			: system				      ? " group=\"system\""
								      : "");
	}
	fputs("</feature></target>", out);
	fclose(out);
	return text;
}
