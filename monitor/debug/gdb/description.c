/*
 * The target description: what registers the debugger is to expect, in GDB's XML.
 */
#include "monitor/debug/gdb/registers.h"

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

static const char *const feature_names[] = {
	[FEATURE_CORE] = "org.gnu.gdb.i386.core",	  [FEATURE_SSE] = "org.gnu.gdb.i386.sse",
	[FEATURE_SEGMENTS] = "org.gnu.gdb.i386.segments", [FEATURE_SYSTEM] = "org.ring3.x86.system",
	[FEATURE_AVX] = "org.gnu.gdb.i386.avx",
};

/* The types that the registers of a feature name. */
static void print_types(FILE *out, enum reg_feature feature)
{
	if (feature == FEATURE_CORE) {
		PRINT_FLAGS(out, "i386_eflags", 4, eflags);
	} else if (feature == FEATURE_SSE) {
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
	} else if (feature == FEATURE_SYSTEM) {
		PRINT_FLAGS(out, "cr0_flags", 8, cr0);
		PRINT_FLAGS(out, "cr4_flags", 8, cr4);
		PRINT_FLAGS(out, "efer_flags", 8, efer);
	}
}

const char *registers_xml(const struct gdb *gdb)
{
	static const char *const architectures[] = {"i8086", "i386", "i386:x86-64"};
	static char *texts[3];
	unsigned width = gdb->bits / 32; /* 16, 32 or 64 */
	char **text = &texts[width];
	size_t size, count;
	const struct reg *regs = registers_list(gdb, &count);
	FILE *out = *text ? NULL : open_memstream(text, &size);

	if (!out)
		return *text;
	fprintf(out,
		"<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">"
		"<architecture>%s</architecture>",
		architectures[width]);
	for (size_t i = 0; i < count; i++) {
		const struct reg *reg = &regs[i];
		if (!i || reg->feature != reg[-1].feature) {
			fprintf(out, "%s<feature name=\"%s\">", i ? "</feature>" : "", feature_names[reg->feature]);
			print_types(out, reg->feature);
		}
		fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%zu\"%s/>", reg->name, reg->size * 8,
			reg->type, i,
			reg->kind == KIND_ST || reg->kind == KIND_X87 ? " group=\"float\""
			: reg->feature == FEATURE_SYSTEM	      ? " group=\"system\""
								      : "");
	}
	fputs("</feature></target>", out);
	fclose(out);
	return *text;
}
