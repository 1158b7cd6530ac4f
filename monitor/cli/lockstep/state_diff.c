/*
 * Comparing two virtual processors.
 */
#include "monitor/cli/lockstep/state_diff.h"
#include "monitor/host/cpuid.h"

#include <stddef.h>
#include <string.h>

#include "monitor/vm/vcpu.h"

struct field {
	const char *name;
	uint16_t offset, size;
};

#define FIELD(name, member)                                                                                            \
	{                                                                                                              \
		name, offsetof(struct vcpu, member), sizeof(((struct vcpu *)0)->member)                                \
	}
#define SEGMENT(name, member)                                                                                          \
	FIELD(name, member.selector), FIELD(name " base", member.base), FIELD(name " limit", member.limit),            \
		FIELD(name " present", member.present)

static const struct field before_flags[] = {
	FIELD("RIP", rip),	FIELD("RAX", gpr[RAX]), FIELD("RBX", gpr[RBX]), FIELD("RCX", gpr[RCX]),
	FIELD("RDX", gpr[RDX]), FIELD("RSI", gpr[RSI]), FIELD("RDI", gpr[RDI]), FIELD("RBP", gpr[RBP]),
	FIELD("RSP", gpr[RSP]), FIELD("R8", gpr[R8]),	FIELD("R9", gpr[R9]),	FIELD("R10", gpr[R10]),
	FIELD("R11", gpr[R11]), FIELD("R12", gpr[R12]), FIELD("R13", gpr[R13]), FIELD("R14", gpr[R14]),
	FIELD("R15", gpr[R15]),
};

static const struct field after_flags[] = {
	FIELD("CPL", cpl),
	FIELD("halted", halted),
	FIELD("wakes", wakes),
	FIELD("interrupt shadow", interrupt_shadow),
	FIELD("CR0", cr0),
	FIELD("CR2", cr2),
	FIELD("CR3", cr3),
	FIELD("CR4", cr4),
	FIELD("CR8", cr8),
	FIELD("PDPTE0", pdpte[0]),
	FIELD("PDPTE1", pdpte[1]),
	FIELD("PDPTE2", pdpte[2]),
	FIELD("PDPTE3", pdpte[3]),
	FIELD("XCR0", xcr0),
	FIELD("EFER", efer),
	SEGMENT("ES", sreg[SREG_ES]),
	SEGMENT("CS", sreg[SREG_CS]),
	SEGMENT("SS", sreg[SREG_SS]),
	SEGMENT("DS", sreg[SREG_DS]),
	SEGMENT("FS", sreg[SREG_FS]),
	SEGMENT("GS", sreg[SREG_GS]),
	SEGMENT("LDTR", ldtr),
	SEGMENT("TR", tr),
	FIELD("GDTR base", gdtr.base),
	FIELD("GDTR limit", gdtr.limit),
	FIELD("IDTR base", idtr.base),
	FIELD("IDTR limit", idtr.limit),
	FIELD("KERNEL_GS base", kernel_gs_base),
	FIELD("STAR", star),
	FIELD("LSTAR", lstar),
	FIELD("CSTAR", cstar),
	FIELD("SFMASK", sfmask),
	FIELD("APIC_BASE", apic_base),
	FIELD("PAT", pat),
	FIELD("TSC_AUX", tsc_aux),
	FIELD("SYSENTER_CS", sysenter_cs),
	FIELD("SYSENTER_ESP", sysenter_esp),
	FIELD("SYSENTER_EIP", sysenter_eip),
	FIELD("MCG_STATUS", mcg_status),
	FIELD("MISC_ENABLE", misc_enable),
	FIELD("HWCR", hwcr),
	FIELD("DE_CFG", de_cfg),
	FIELD("TSC offset", tsc_offset),
	FIELD("NMI", nmi),
	FIELD("DR0", dr[0]),
	FIELD("DR1", dr[1]),
	FIELD("DR2", dr[2]),
	FIELD("DR3", dr[3]),
	FIELD("DR6", dr[6]),
	FIELD("DR7", dr[7]),
	FIELD("shared-info page", pv.shared_gpa),
	FIELD("trap table", pv.has_traps),
	FIELD("kernel stack (stack_switch)", pv.rsp0),
	FIELD("event vector", pv.event_vector),
	FIELD("SYSCALL entry", pv.syscall_entry),
	FIELD("user root", pv.user_root),
};

struct list {
	struct state_difference *at;
	unsigned used, max;
};

static void add(struct list *list, const char *name, uint64_t a, uint64_t b)
{
	if (a != b && list->used < list->max)
		list->at[list->used++] = (struct state_difference){name, {a, b}};
}

static uint64_t value(const struct vcpu *vcpu, const struct field *field)
{
	uint64_t v = 0;
	memcpy(&v, (const uint8_t *)vcpu + field->offset, field->size);
	return v;
}

static void add_fields(struct list *list, const struct vcpu *a, const struct vcpu *b, const struct field *fields,
		       unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		if (memcmp((const uint8_t *)a + fields[n].offset, (const uint8_t *)b + fields[n].offset,
			   fields[n].size))
			add(list, fields[n].name, value(a, &fields[n]), value(b, &fields[n]));
}

unsigned state_diff(struct vcpu *a, struct vcpu *b, struct state_difference *out, unsigned max)
{
	struct list list = {out, 0, max};
	add_fields(&list, a, b, before_flags, sizeof(before_flags) / sizeof(before_flags[0]));
	add(&list, "RFLAGS", vcpu_rflags(a) & ~X86_RFLAGS_RF, vcpu_rflags(b) & ~X86_RFLAGS_RF);
	add_fields(&list, a, b, after_flags, sizeof(after_flags) / sizeof(after_flags[0]));
	add(&list, "trap table's entries", 0, !!memcmp(a->pv.traps, b->pv.traps, sizeof(a->pv.traps)));
	return list.used;
}

/* ------------------------------------------------------------------------------------------------- XSAVE images */

/* SDM 1 10.5.1, 13.4. */
#define XSAVE_FCW	 0
#define XSAVE_FSW	 2
#define XSAVE_FTW	 4
#define XSAVE_MXCSR	 24
#define XSAVE_ST	 32
#define XSAVE_ST_STRIDE	 16
#define XSAVE_ST_SIZE	 10
#define XSAVE_XMM	 160
#define XSAVE_XMM_SIZE	 256
#define XSAVE_BV	 512
#define XSAVE_LEAF	 0xd
#define FCW_INITIAL	 0x37f
#define COMPONENT_X87	 0
#define COMPONENT_SSE	 1
#define COMPONENT_COUNT	 8
#define COMPONENTS_KNOWN 0xe7 /* x87, SSE, AVX, AVX-512; not MPX, and not the protection keys, which are the host's */

static const char *const component_names[COMPONENT_COUNT] = {
	"x87", "SSE", "AVX", "", "", "AVX-512 opmask", "AVX-512 upper halves", "AVX-512 upper registers",
};

static bool holds(const uint8_t *image, unsigned component)
{
	uint64_t bv;
	memcpy(&bv, image + XSAVE_BV, sizeof(bv));
	return bv >> component & 1;
}

/* Both as they are, or zeroes where the image leaves the component out. */
static bool same(const uint8_t *a, const uint8_t *b, unsigned component, unsigned offset, unsigned size)
{
	bool in_a = holds(a, component), in_b = holds(b, component);
	for (unsigned n = offset; n < offset + size; n++)
		if ((in_a ? a[n] : 0) != (in_b ? b[n] : 0))
			return false;
	return true;
}

static uint16_t control_word(const uint8_t *image)
{
	uint16_t fcw = FCW_INITIAL;
	if (holds(image, COMPONENT_X87))
		memcpy(&fcw, image + XSAVE_FCW, sizeof(fcw));
	return fcw;
}

static bool same_x87(const uint8_t *a, const uint8_t *b)
{
	bool ok = control_word(a) == control_word(b) && same(a, b, COMPONENT_X87, XSAVE_FSW, XSAVE_FTW + 1 - XSAVE_FSW);
	for (unsigned n = 0; n < 8; n++)
		ok = ok && same(a, b, COMPONENT_X87, XSAVE_ST + n * XSAVE_ST_STRIDE, XSAVE_ST_SIZE);
	return ok;
}

const char *state_diff_fpu(const uint8_t *a, const uint8_t *b, unsigned size)
{
	if (!same_x87(a, b))
		return component_names[COMPONENT_X87];
	if (memcmp(a + XSAVE_MXCSR, b + XSAVE_MXCSR, sizeof(uint32_t)))
		return "MXCSR";
	if (!same(a, b, COMPONENT_SSE, XSAVE_XMM, XSAVE_XMM_SIZE))
		return component_names[COMPONENT_SSE];
	for (unsigned n = COMPONENT_SSE + 1; n < COMPONENT_COUNT; n++) {
		const struct host_leaf place = host_cpuid(XSAVE_LEAF, n);
		if (!(COMPONENTS_KNOWN >> n & 1) || (!holds(a, n) && !holds(b, n)) || place.ebx + place.eax > size)
			continue;
		if (!same(a, b, n, place.ebx, place.eax))
			return component_names[n];
	}
	return NULL;
}
