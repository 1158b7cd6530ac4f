/*
 * Comparing two machines.
 */
#include "monitor/cli/lockstep/state_diff.h"

#include <stddef.h>
#include <string.h>

#include "hypercalls/host/hc.h"
#include "monitor/device/machine.h"
#include "monitor/host/cpuid.h"
#include "monitor/vm/vm.h"

static size_t rflags_diff(struct vcpu *a, struct vcpu *b, struct state_difference *out, size_t max)
{
	uint64_t of_a = vcpu_rflags(a) & ~X86_RFLAGS_RF, of_b = vcpu_rflags(b) & ~X86_RFLAGS_RF;

	if (of_a == of_b || !max)
		return 0;
	*out = (struct state_difference){"RFLAGS", {of_a, of_b}};
	return 1;
}

unsigned state_diff(struct vcpu *a, struct vcpu *b, struct state_difference *out, unsigned max)
{
	size_t n = rflags_diff(a, b, out, max);

	return (unsigned)(n + state_compare(&vcpu_state, a, b, true, out + n, max - n));
}

unsigned state_diff_devices(const struct vm *a, const struct vm *b, bool bulk, struct state_difference *out,
			    unsigned max)
{
	size_t n = state_compare(&machine_state, a->machine, b->machine, bulk, out, max);

	return (unsigned)(n + state_compare(&hc_state, a->hc, b->hc, bulk, out + n, max - n));
}

/* ------------------------------------------------------------------------------------------------- XSAVE images */

#define XSAVE_LEAF	 0xd
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
	memcpy(&bv, image + X86_FPU_HEADER, sizeof(bv));
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
	uint16_t fcw = X86_FCW_RESET;
	if (holds(image, COMPONENT_X87))
		memcpy(&fcw, image + X86_FPU_FCW, sizeof(fcw));
	return fcw;
}

static bool same_x87(const uint8_t *a, const uint8_t *b)
{
	bool ok = control_word(a) == control_word(b) &&
		  same(a, b, COMPONENT_X87, X86_FPU_FSW, X86_FPU_FTW + 1 - X86_FPU_FSW);
	for (unsigned n = 0; n < 8; n++)
		ok = ok && same(a, b, COMPONENT_X87, X86_FPU_ST + n * X86_FPU_SLOT, X86_FPU_ST_SIZE);
	return ok;
}

const char *state_diff_fpu(const uint8_t *a, const uint8_t *b, unsigned size)
{
	if (!same_x87(a, b))
		return component_names[COMPONENT_X87];
	if (memcmp(a + X86_FPU_MXCSR, b + X86_FPU_MXCSR, sizeof(uint32_t)))
		return "MXCSR";
	if (!same(a, b, COMPONENT_SSE, X86_FPU_XMM, X86_FPU_XMM_SIZE))
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
