/*
 * The guest's FPU state, taken from the engine and given back.
 */
#include "monitor/debug/gdb/fpu.h"
#include "monitor/host/cpuid.h"

#include <stdbool.h>
#include <string.h>

#define CPUID_XSAVE 0xd /* subleaf: the component's number; SDM 2A CPUID */
#define NUMBER_AVX  2

#define TAG_VALID   0
#define TAG_ZERO    1
#define TAG_SPECIAL 2
#define TAG_EMPTY   3
#define TAG_BITS    2

#define EXPONENT_MAX 0x7fff
#define INTEGER_BIT  R3_BIT(63)
#define FSW_TOP(fsw) ((fsw) >> 11 & 7)

static uint64_t *states(struct fpu *fpu)
{
	return (uint64_t *)(fpu->image + X86_FPU_HEADER);
}

/* Where the component lies is the processor's choice. */
static uint8_t *ymm_place(struct fpu *fpu)
{
	const unsigned wanted = sizeof(fpu->no_ymm);
	const struct host_leaf place = host_cpuid(CPUID_XSAVE, NUMBER_AVX);

	if (place.eax == wanted && place.ebx >= X86_FPU_EXTENDED && fpu->size >= wanted &&
	    place.ebx <= fpu->size - wanted)
		return fpu->image + place.ebx;
	return fpu->no_ymm;
}

/* Components in their initial state may come without their contents (SDM 1 13.6): they are spelt out here. */
void fpu_load(struct gdb *gdb, struct fpu *fpu)
{
	const struct engine_ops *ops = gdb->vm->engine_ops;

	memset(fpu->image, 0, X86_FPU_EXTENDED);
	memset(fpu->no_ymm, 0, sizeof(fpu->no_ymm));
	*(uint32_t *)(fpu->image + X86_FPU_MXCSR) = X86_MXCSR_RESET;
	fpu->size = ops->fpu_size(gdb->vm);
	fpu->ymm = ymm_place(fpu);
	ops->fpu_get(gdb_vcpu(gdb), fpu->image, fpu->size);
	if (!(*states(fpu) & X86_XCR0_X87)) {
		memset(fpu->image, 0, X86_FPU_MXCSR);
		memset(fpu->image + X86_FPU_ST, 0, X86_FPU_XMM - X86_FPU_ST);
		*(uint16_t *)(fpu->image + X86_FPU_FCW) = X86_FCW_RESET;
	}
	if (!(*states(fpu) & X86_XCR0_SSE))
		memset(fpu->image + X86_FPU_XMM, 0, FPU_YMM_COUNT * X86_FPU_SLOT);
	if (!(*states(fpu) & X86_XCR0_AVX))
		memset(fpu->ymm, 0, FPU_YMM_COUNT * X86_FPU_SLOT);
	*states(fpu) |= X86_XCR0_X87 | X86_XCR0_SSE;
	if (fpu->ymm != fpu->no_ymm)
		*states(fpu) |= X86_XCR0_AVX;
}

void fpu_store(struct gdb *gdb, struct fpu *fpu)
{
	gdb->vm->engine_ops->fpu_set(gdb_vcpu(gdb), fpu->image, fpu->size);
}

/* Of a register in use: what the value in it is (SDM 1 4.2.2, table 8-10). */
static uint32_t tag_of(const uint8_t value[X86_FPU_SLOT])
{
	uint64_t significand;
	uint16_t exponent;

	memcpy(&significand, value, sizeof(significand));
	memcpy(&exponent, value + sizeof(significand), sizeof(exponent));
	exponent &= EXPONENT_MAX;
	if (!exponent && !significand)
		return TAG_ZERO;
	return exponent && exponent != EXPONENT_MAX && significand & INTEGER_BIT ? TAG_VALID : TAG_SPECIAL;
}

/* Tags are by physical register, values lie in the image by distance from the top. */
uint32_t fpu_full_tag(const struct fpu *fpu)
{
	uint8_t used = fpu->image[X86_FPU_FTW];
	uint16_t fsw;
	uint32_t tag = 0;

	memcpy(&fsw, fpu->image + X86_FPU_FSW, sizeof(fsw));
	for (unsigned i = 0; i < 8; i++) {
		const uint8_t *value = fpu->image + X86_FPU_ST + X86_FPU_SLOT * ((i - FSW_TOP(fsw)) & 7);
		tag |= (used & R3_BIT(i) ? tag_of(value) : TAG_EMPTY) << TAG_BITS * i;
	}
	return tag;
}

uint8_t fpu_short_tag(uint32_t tag)
{
	uint8_t used = 0;

	for (unsigned i = 0; i < 8; i++)
		used |= (uint8_t)((tag >> TAG_BITS * i & TAG_EMPTY) != TAG_EMPTY) << i;
	return used;
}
