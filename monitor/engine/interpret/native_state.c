/*
 * State images in memory (SDM 1 chapter 13): how far they reach; and XSAVE, XRSTOR and their like where they move
 * plain values between an image and the guest's FPU state, which need no processor for that. Whatever could fault, or
 * is a processor's own choice, is left to the confined task.
 */
#include <string.h>

#include "monitor/engine/interpret/native.h"
#include "monitor/vm/vm.h"

#define XSAVE_HEADER   (X86_FPU_EXTENDED - X86_FPU_HEADER)
#define FIRST_EXTENDED 2
#define COMPONENTS_END 63

/* Of the control word what reads as it is whatever was loaded, and how; of the status word what follows from both. */

/* The components of an image behind its header, in the order in which they lie. */
struct walk {
	uint64_t layout;
	bool compacted;
	unsigned next, n, offset, size; /* the number of one, and where it is */
};

static struct walk walk_begin(uint64_t layout, bool compacted)
{
	return (struct walk){layout, compacted, X86_FPU_EXTENDED, FIRST_EXTENDED - 1, 0, 0};
}

static bool walk_on(struct walk *w)
{
	while (++w->n < COMPONENTS_END) {
		if (!(w->layout >> w->n & 1))
			continue;
		const struct cpu_component at = vector_component(w->n);
		w->size = at.size;
		w->offset = !w->compacted ? at.offset : at.aligned ? (w->next + 63) & ~63u : w->next;
		w->next = w->offset + w->size;
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------------------------------------- size of an image */

/* Bytes up to the end of the last component of `present`, among those that `layout` gives a place. */
static unsigned extent(uint64_t present, uint64_t layout, bool compacted)
{
	unsigned end = X86_FPU_EXTENDED;
	for (struct walk w = walk_begin(layout, compacted); walk_on(&w);)
		if ((present >> w.n & 1) && w.offset + w.size > end)
			end = w.offset + w.size;
	return end;
}

/* What XRSTOR takes for one, SDM 1 13.8.1 and 13.8.2. */
static bool is_header(const struct engine_vcpu *c, const uint64_t *header)
{
	uint64_t allowed = c->vcpu->xcr0;
	for (unsigned n = 2; n < XSAVE_HEADER / sizeof(*header); n++)
		if (header[n])
			return false;
	if (!(header[1] & X86_FPU_COMPACTED))
		return !(header[0] & ~allowed) && !header[1];
	return !(header[1] & ~X86_FPU_COMPACTED & ~allowed) && !(header[0] & ~header[1]);
}

bool native_state_is_good(const struct engine_vcpu *c)
{
	uint64_t header[XSAVE_HEADER / sizeof(uint64_t)];
	memcpy(header, c->native->buffer + X86_FPU_HEADER, sizeof(header));
	return is_header(c, header);
}

unsigned native_state_place(uint64_t layout, unsigned n)
{
	struct walk w = walk_begin(layout & ~X86_FPU_COMPACTED, layout & X86_FPU_COMPACTED);
	while (walk_on(&w))
		if (w.n == n)
			return w.offset;
	return vector_component(n).offset;
}

uint64_t native_state_asked(const struct engine_vcpu *c)
{
	return ((uint32_t)c->gpr[RAX] | c->gpr[RDX] << 32) & c->vcpu->xcr0;
}

unsigned native_state_size(struct engine_vcpu *c, const struct insn *i, uint64_t gva)
{
	uint64_t asked = native_state_asked(c), header[XSAVE_HEADER / sizeof(uint64_t)];
	if (i->detail->writes)
		return extent(asked, asked, native_state_saving(&i->detail->emu).compacted);
	if (!memory_read(c, gva + X86_FPU_HEADER, header, sizeof(header), i->ea)) {
		c->rip = c->base + i->start;
		return 0;
	}
	bool compacted = header[1] & X86_FPU_COMPACTED;
	/* A header that is refused is so before the components are read. */
	if (!is_header(c, header))
		return X86_FPU_EXTENDED;
	unsigned size = extent(asked & header[0], compacted ? header[1] & c->vcpu->xcr0 : asked, compacted);
	return size < ENGINE_FPU_MAX ? size : ENGINE_FPU_MAX;
}

/* ------------------------------------------------------------------------------------------------------- in software
 */

/* Between images whose pointers have 64 bits. */
static void copy_x87(uint8_t *to, const uint8_t *from)
{
	uint16_t fop;
	memcpy(&fop, from + X86_FPU_FOP, sizeof(fop));
	fop &= X86_FPU_FOP_MASK;
	memcpy(to, from, X86_FPU_FTW + 1);
	to[X86_FPU_FTW + 1] = 0;
	memcpy(to + X86_FPU_FOP, &fop, sizeof(fop));
	memcpy(to + X86_FPU_FIP, from + X86_FPU_FIP, X86_FPU_MXCSR - X86_FPU_FIP);
	for (unsigned n = 0; n < X86_FPU_ST_COUNT; n++) {
		const unsigned at = X86_FPU_ST + n * X86_FPU_SLOT;
		memcpy(to + at, from + at, X86_FPU_ST_SIZE);
		memset(to + at + X86_FPU_ST_SIZE, 0, X86_FPU_SLOT - X86_FPU_ST_SIZE);
	}
}

/* As FNINIT leaves it, with empty registers. */
static void reset_x87(uint8_t *to)
{
	const uint16_t fcw = X86_FCW_RESET;
	memset(to, 0, X86_FPU_MXCSR);
	memcpy(to, &fcw, sizeof(fcw));
	memset(to + X86_FPU_ST, 0, X86_FPU_XMM - X86_FPU_ST);
}

/* From an image at hand, with this header; asked: components of NATIVE_COMPONENTS. False: nothing was done. */
static bool restore(struct engine_vcpu *c, const uint64_t *header, uint64_t asked)
{
	const uint8_t *from = c->native->buffer;
	const bool compacted = header[1] & X86_FPU_COMPACTED;
	const uint64_t found = asked & header[0], layout = compacted ? header[1] & ~X86_FPU_COMPACTED : asked;
	const uint64_t with_mxcsr = compacted ? found & X86_XCR0_SSE : asked & (X86_XCR0_SSE | X86_XCR0_AVX);
	uint32_t mxcsr = X86_MXCSR_RESET;
	uint64_t present;
	if (with_mxcsr)
		memcpy(&mxcsr, from + X86_FPU_MXCSR, sizeof(mxcsr));
	if ((mxcsr & ~X86_MXCSR_WRITABLE) || extent(found, layout, compacted) > c->native->size ||
	    ((found & X86_XCR0_X87) && !native_x87_is_plain(from)))
		return false;
	if (with_mxcsr || (asked & X86_XCR0_SSE))
		memcpy(c->fpu + X86_FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	if (found & X86_XCR0_X87)
		copy_x87(c->fpu, from);
	else if (asked & X86_XCR0_X87)
		reset_x87(c->fpu);
	if (found & X86_XCR0_SSE)
		memcpy(c->fpu + X86_FPU_XMM, from + X86_FPU_XMM, X86_FPU_XMM_SIZE);
	else if (asked & X86_XCR0_SSE)
		memset(c->fpu + X86_FPU_XMM, 0, X86_FPU_XMM_SIZE);
	for (struct walk w = walk_begin(layout, compacted); walk_on(&w);)
		if (found >> w.n & 1)
			memcpy(c->fpu + vector_component(w.n).offset, from + w.offset, w.size);
	for (struct walk w = walk_begin(asked & ~found, false); walk_on(&w);)
		memset(c->fpu + w.offset, 0, w.size);
	memcpy(&present, c->fpu + X86_FPU_HEADER, sizeof(present));
	present = (present & ~asked) | found;
	memcpy(c->fpu + X86_FPU_HEADER, &present, sizeof(present));
	return true;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	return !len || (!bytes[0] && !memcmp(bytes, bytes + 1, len - 1));
}

/* Components that are not as they were at the start: XINUSE, as a processor may have it that looks at values. */
static uint64_t in_use(const struct engine_vcpu *c, uint64_t asked)
{
	uint8_t initial[X86_FPU_XMM];
	uint64_t present, used = 0;
	memcpy(&present, c->fpu + X86_FPU_HEADER, sizeof(present));
	reset_x87(initial);
	if (memcmp(initial, c->fpu, X86_FPU_MXCSR) != 0 ||
	    memcmp(initial + X86_FPU_ST, c->fpu + X86_FPU_ST, X86_FPU_XMM - X86_FPU_ST) != 0)
		used |= X86_XCR0_X87;
	if (!is_zero(c->fpu + X86_FPU_XMM, X86_FPU_XMM_SIZE))
		used |= X86_XCR0_SSE;
	for (struct walk w = walk_begin(present, false); walk_on(&w);)
		if (w.offset + w.size <= c->fpu_size && !is_zero(c->fpu + w.offset, w.size))
			used |= R3_U64(1) << w.n;
	return used & present & asked;
}

/* The bits of MXCSR that the processor has. */
static uint32_t mxcsr_mask(void)
{
	static uint32_t mask;
	uint8_t image[X86_FPU_HEADER] __attribute__((aligned(16)));
	if (!mask) {
		__builtin_ia32_fxsave64(image);
		memcpy(&mask, image + X86_FPU_MXCSR_MASK, sizeof(mask));
	}
	return mask;
}

/* The legacy part of an image; stored: components that are to stand there, of which those of `used` are not initial. */
static void save_legacy(const struct engine_vcpu *c, uint8_t *to, uint64_t stored, uint64_t used, bool mxcsr)
{
	if (used & X86_XCR0_X87)
		copy_x87(to, c->fpu);
	else if (stored & X86_XCR0_X87)
		reset_x87(to);
	if (mxcsr) {
		const uint32_t mask = mxcsr_mask();
		memcpy(to + X86_FPU_MXCSR, c->fpu + X86_FPU_MXCSR, sizeof(mask));
		memcpy(to + X86_FPU_MXCSR_MASK, &mask, sizeof(mask));
	}
	if (!(stored & X86_XCR0_SSE))
		return;
	if (used & X86_XCR0_SSE)
		memcpy(to + X86_FPU_XMM, c->fpu + X86_FPU_XMM, X86_FPU_XMM_SIZE);
	else
		memset(to + X86_FPU_XMM, 0, X86_FPU_XMM_SIZE);
}

static void save_extended(const struct engine_vcpu *c, uint8_t *to, struct walk w, uint64_t stored, uint64_t used)
{
	while (walk_on(&w)) {
		if (used >> w.n & 1)
			memcpy(to + w.offset, c->fpu + vector_component(w.n).offset, w.size);
		else if (stored >> w.n & 1)
			memset(to + w.offset, 0, w.size);
	}
}

static bool is_initial_x87(const struct engine_vcpu *c)
{
	uint64_t present;
	memcpy(&present, c->fpu + X86_FPU_HEADER, sizeof(present));
	return !(present & X86_XCR0_X87);
}

/* The x87 is as any processor stores it: initial, or without pointers, which some keep to themselves, or exception. */
static bool is_savable(const struct engine_vcpu *c)
{
	return is_initial_x87(c) ||
	       (is_zero(c->fpu + X86_FPU_FOP, X86_FPU_MXCSR - X86_FPU_FOP) && native_x87_is_plain(c->fpu));
}

/* To the buffer, which holds what lies in memory. part: what is not in use is not stored. */
static bool save(struct engine_vcpu *c, uint64_t asked, bool compacted, bool part)
{
	uint8_t *to = c->native->buffer;
	const uint64_t used = in_use(c, asked);
	uint64_t header[2], told = used;
	uint32_t mxcsr;
	if (!is_savable(c) || extent(asked, asked, compacted) > c->native->size)
		return false;
	memcpy(&mxcsr, c->fpu + X86_FPU_MXCSR, sizeof(mxcsr));
	if (compacted && mxcsr != X86_MXCSR_RESET)
		told |= asked & X86_XCR0_SSE;
	const uint64_t stored = part ? told : asked;
	save_legacy(c, to, stored, used, compacted ? told & X86_XCR0_SSE : asked & (X86_XCR0_SSE | X86_XCR0_AVX));
	save_extended(c, to, walk_begin(asked, compacted), stored, used);
	memcpy(header, to + X86_FPU_HEADER, sizeof(header));
	header[0] = compacted ? told : (header[0] & ~asked) | told;
	header[1] = compacted ? asked | X86_FPU_COMPACTED : header[1];
	memcpy(to + X86_FPU_HEADER, header, sizeof(header));
	return true;
}

struct native_saving native_state_saving(const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_XSAVEOPT:
	case ZYDIS_MNEMONIC_XSAVEOPT64:
		return (struct native_saving){.part = true};
	case ZYDIS_MNEMONIC_XSAVEC:
	case ZYDIS_MNEMONIC_XSAVEC64:
		return (struct native_saving){.part = true, .compacted = true};
	default:
		return (struct native_saving){0};
	}
}

bool native_wait_done(const struct engine_vcpu *c, const struct insn *i)
{
	return i->detail->emu.info.mnemonic == ZYDIS_MNEMONIC_FWAIT &&
	       (is_initial_x87(c) || native_x87_is_plain(c->fpu));
}

bool native_state_done(struct engine_vcpu *c, const struct insn *i)
{
	const struct native_saving saving = native_state_saving(&i->detail->emu);
	uint64_t header[2], asked = native_state_asked(c) & ~X86_XCR0_PKRU;
	/* Else the pointers have 32 bits, and selectors. */
	if (!i->detail->emu.info.raw.rex.W || asked & ~NATIVE_COMPONENTS)
		return false;
	if (i->detail->writes)
		return save(c, asked, saving.compacted, saving.part);
	memcpy(header, c->native->buffer + X86_FPU_HEADER, sizeof(header));
	return native_state_is_good(c) && restore(c, header, asked);
}
