/*
 * The FPU's state on its way to the confined task and back. Only what the copies may touch travels; what comes back is
 * taken component by component, so that nothing else of the image can change, and nothing that XRSTOR would refuse gets
 * into it.
 */
#include <string.h>

#include "monitor/engine/interpret/native.h"
#include "monitor/vm/vm.h"

#define X87_CONTROL X86_FPU_MXCSR /* control, status, tags, opcode, pointers */
#define EXTENDED    2

/*
 * Instructions in legacy encoding leave all but the lower halves of vector registers alone, and most of them the x87
 * too. What is in its initial state stays so unless it is named.
 */
uint64_t native_components(const struct engine_vcpu *c, const struct insn_detail *d)
{
	uint64_t present, mask = X86_XCR0_SSE;
	memcpy(&present, c->fpu + X86_FPU_HEADER, sizeof(present));
	if (d->x87)
		mask |= X86_XCR0_X87;
	if (d->emu.info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		mask |= X86_XCR0_X87 | X86_XCR0_AVX | (present & X86_XCR0_AVX512 ? X86_XCR0_AVX512 : 0);
	if (d->wide)
		mask |= NATIVE_COMPONENTS;
	return mask & c->vcpu->vm->cpu.xcr0;
}

/* Components of the mask that have a place of their own behind the header. */
static void copy_extended(uint8_t *to, const uint8_t *from, uint64_t mask)
{
	for (unsigned n = EXTENDED; mask >> n; n++) {
		struct cpu_component at = vector_component(n);
		if (mask >> n & 1)
			memcpy(to + at.offset, from + at.offset, at.size);
	}
}

void native_image_put(struct engine_vcpu *c, uint64_t mask)
{
	uint8_t *image = c->native->task.xchg->image;
	uint64_t header[8] = {0}, present;
	memcpy(&present, c->fpu + X86_FPU_HEADER, sizeof(present));
	if (!(present & X86_XCR0_SSE)) { /* XMM registers are always good as they stand */
		present |= X86_XCR0_SSE;
		memset(c->fpu + X86_FPU_XMM, 0, X86_FPU_XMM_SIZE);
		memcpy(c->fpu + X86_FPU_HEADER, &present, sizeof(present));
	}
	memcpy(image + X86_FPU_MXCSR, c->fpu + X86_FPU_MXCSR, sizeof(uint32_t));
	memcpy(image + X86_FPU_XMM, c->fpu + X86_FPU_XMM, X86_FPU_XMM_SIZE);
	if (mask == TASK_SSE_ONLY)
		return;
	memcpy(image, c->fpu, X87_CONTROL);
	memcpy(image + X86_FPU_ST, c->fpu + X86_FPU_ST, X86_FPU_XMM - X86_FPU_ST);
	header[0] = present & mask;
	memcpy(image + X86_FPU_HEADER, header, sizeof(header));
	copy_extended(image, c->fpu, header[0]);
}

void native_image_take(struct engine_vcpu *c, uint64_t mask)
{
	const uint8_t *image = c->native->task.xchg->image;
	uint64_t present, saved;
	uint32_t mxcsr;
	memcpy(&mxcsr, image + X86_FPU_MXCSR, sizeof(mxcsr));
	mxcsr &= X86_MXCSR_WRITABLE;
	memcpy(c->fpu + X86_FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	memcpy(c->fpu + X86_FPU_XMM, image + X86_FPU_XMM, X86_FPU_XMM_SIZE);
	if (mask == TASK_SSE_ONLY)
		return;
	if (mask & X86_XCR0_X87) {
		memcpy(c->fpu, image, X87_CONTROL);
		memcpy(c->fpu + X86_FPU_ST, image + X86_FPU_ST, X86_FPU_XMM - X86_FPU_ST);
	}
	memcpy(&saved, image + X86_FPU_HEADER, sizeof(saved));
	memcpy(&present, c->fpu + X86_FPU_HEADER, sizeof(present));
	/* XMM registers were stored, whatever the header says of them. */
	saved = (saved & mask) | X86_XCR0_SSE;
	for (unsigned n = EXTENDED; mask >> n; n++)
		if ((present & mask & ~saved) >> n & 1)
			memset(c->fpu + vector_component(n).offset, 0, vector_component(n).size);
	present = (present & ~mask) | saved;
	memcpy(c->fpu + X86_FPU_HEADER, &present, sizeof(present));
	copy_extended(c->fpu, image, saved);
}
