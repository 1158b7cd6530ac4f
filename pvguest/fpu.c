/*
 * XSAVE images: their size, their first content, and what makes a foreign one safe to load.
 */
#include "pvguest/internal.h"

/* SDM 1 10.5.1, 13.4: the legacy region, then the header. */
#define OSXSAVE		R3_BIT(27) /* SDM 2A, CPUID: leaf 1, ECX */
#define FCW_RESET	0x37f
#define MXCSR		24 /* offset, followed by the mask of its writable bits */
#define MXCSR_MASK	28
#define MXCSR_RESET	0x1f80
#define MXCSR_DEFAULT	0xffbf /* writable where MXCSR_MASK is 0: SDM 1 11.6.6 */
#define XSTATE_BV	512
#define XCOMP_BV	520
#define HEADER_RESERVED 56 /* from XCOMP_BV on */

#define CPUID_XSTATE   0xd /* with a component's number in ECX: EAX its size, EBX its offset */
#define FIRST_EXTENDED 2

static unsigned size;
static uint64_t components;
static uint32_t mxcsr_mask;

static void store(void *image)
{
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(image), "a"((uint32_t)components), "d"((uint32_t)(components >> 32))
			 : "memory");
}

/* In the standard form. */
static unsigned component_end(unsigned n)
{
	uint32_t eax = CPUID_XSTATE, ebx, ecx = n, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ebx + eax;
}

static void measure(void)
{
	static uint8_t probe[X86_PAGE_SIZE * 4] __attribute__((aligned(PVG_FPU_ALIGNMENT)));
	uint32_t eax = 1, ebx, ecx, edx, high;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
	if (!(ecx & OSXSAVE))
		pvg_panic("this processor has no XSAVE, by which register state is kept (QEMU has it with -cpu max)");
	__asm__ volatile("xgetbv" : "=a"(eax), "=d"(high) : "c"(0));
	components = ((uint64_t)high << 32 | eax) & R3_GUEST_XCR0;
	size = X86_FPU_EXTENDED;
	for (unsigned n = FIRST_EXTENDED; components >> n; n++)
		if (components >> n & 1 && component_end(n) > size)
			size = component_end(n);
	if (size > sizeof(probe))
		pvg_panic("register state of %u bytes is larger than any known", size);
	store(probe);
	memcpy(&mxcsr_mask, probe + MXCSR_MASK, sizeof(mxcsr_mask));
	if (!mxcsr_mask)
		mxcsr_mask = MXCSR_DEFAULT;
}

unsigned pvg_fpu_size(void)
{
	if (!size)
		measure();
	return size;
}

uint64_t pvg_fpu_components(void)
{
	pvg_fpu_size();
	return components;
}

void pvg_fpu_reset(void *image)
{
	const uint16_t fcw = FCW_RESET;
	const uint32_t mxcsr = MXCSR_RESET;

	memset(image, 0, pvg_fpu_size());
	memcpy(image, &fcw, sizeof(fcw));
	memcpy((char *)image + MXCSR, &mxcsr, sizeof(mxcsr));
}

void pvg_fpu_sanitize(void *image)
{
	uint64_t bv, known = pvg_fpu_components();
	uint32_t mxcsr;

	memcpy(&bv, (char *)image + XSTATE_BV, sizeof(bv));
	memcpy(&mxcsr, (char *)image + MXCSR, sizeof(mxcsr));
	bv &= known;
	mxcsr &= mxcsr_mask;
	memcpy((char *)image + XSTATE_BV, &bv, sizeof(bv));
	memcpy((char *)image + MXCSR, &mxcsr, sizeof(mxcsr));
	memset((char *)image + XCOMP_BV, 0, HEADER_RESERVED);
}

void pvg_fpu_store(void *image)
{
	pvg_fpu_size();
	store(image);
}

void pvg_fpu_load(const void *image)
{
	pvg_fpu_size();
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(image), "a"((uint32_t)components), "d"((uint32_t)(components >> 32))
			 : "memory");
}
