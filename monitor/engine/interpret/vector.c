/*
 * What cannot be left to one native run: which elements of its memory operand an instruction's mask enables, and
 * gathers and scatters, whose elements lie anywhere. Both work on the registers in the FPU image.
 */
#include <string.h>

#include "monitor/engine/interpret/native.h"
#include "monitor/host/cpuid.h"
#include "monitor/vm/vm.h"

#define XSAVE_LEAF	0xd
#define XSAVE_XMM	160
#define XSAVE_BV	512
#define COMPONENT_SSE	1
#define COMPONENT_AVX	2
#define COMPONENT_MASK	5
#define COMPONENT_ZMM	6
#define COMPONENT_HI16	7
#define XMM_SIZE	16
#define YMM_SIZE	32
#define ZMM_SIZE	64
#define SHORT_REGISTERS 16

struct cpu_component vector_component(unsigned n)
{
	static struct cpu_component known[64];
	static bool asked[64];
	/* Also of those that the processor lacks: CPUID may be a trap. */
	if (!asked[n])
		known[n] = cpu_component(n);
	asked[n] = true;
	return known[n];
}

/* ------------------------------------------------------------------------------------------- registers in the image */

/* Makes every component of the image good as it stands: what is in its initial state is not stored. */
static void expand(struct engine_vcpu *c)
{
	uint64_t present, all = c->vcpu->vm->cpu.xcr0 & NATIVE_COMPONENTS;
	memcpy(&present, c->fpu + XSAVE_BV, sizeof(present));
	if (!(present & X86_XCR0_X87))
		all &= ~(uint64_t)X86_XCR0_X87;
	if (!(present >> COMPONENT_SSE & 1))
		memset(c->fpu + XSAVE_XMM, 0, SHORT_REGISTERS * XMM_SIZE);
	for (unsigned n = COMPONENT_AVX; n <= COMPONENT_HI16; n++)
		if ((all & ~present) >> n & 1)
			memset(c->fpu + vector_component(n).offset, 0, vector_component(n).size);
	present |= all;
	memcpy(c->fpu + XSAVE_BV, &present, sizeof(present));
}

static uint8_t *place(struct engine_vcpu *c, unsigned component, unsigned at)
{
	return c->fpu + vector_component(component).offset + at;
}

static bool has_zmm(const struct engine_vcpu *c)
{
	return c->vcpu->vm->cpu.xcr0 >> COMPONENT_ZMM & 1;
}

static void vector_get(struct engine_vcpu *c, unsigned n, uint8_t *bytes)
{
	memset(bytes, 0, ZMM_SIZE);
	if (n >= SHORT_REGISTERS) {
		memcpy(bytes, place(c, COMPONENT_HI16, (n - SHORT_REGISTERS) * ZMM_SIZE), ZMM_SIZE);
		return;
	}
	memcpy(bytes, c->fpu + XSAVE_XMM + n * XMM_SIZE, XMM_SIZE);
	memcpy(bytes + XMM_SIZE, place(c, COMPONENT_AVX, n * XMM_SIZE), XMM_SIZE);
	if (has_zmm(c))
		memcpy(bytes + YMM_SIZE, place(c, COMPONENT_ZMM, n * YMM_SIZE), YMM_SIZE);
}

static void vector_set(struct engine_vcpu *c, unsigned n, const uint8_t *bytes)
{
	if (n >= SHORT_REGISTERS) {
		memcpy(place(c, COMPONENT_HI16, (n - SHORT_REGISTERS) * ZMM_SIZE), bytes, ZMM_SIZE);
		return;
	}
	memcpy(c->fpu + XSAVE_XMM + n * XMM_SIZE, bytes, XMM_SIZE);
	memcpy(place(c, COMPONENT_AVX, n * XMM_SIZE), bytes + XMM_SIZE, XMM_SIZE);
	if (has_zmm(c))
		memcpy(place(c, COMPONENT_ZMM, n * YMM_SIZE), bytes + YMM_SIZE, YMM_SIZE);
}

static uint64_t mask_get(struct engine_vcpu *c, unsigned n)
{
	uint64_t mask;
	memcpy(&mask, place(c, COMPONENT_MASK, n * sizeof(mask)), sizeof(mask));
	return mask;
}

static void mask_set(struct engine_vcpu *c, unsigned n, uint64_t mask)
{
	memcpy(place(c, COMPONENT_MASK, n * sizeof(mask)), &mask, sizeof(mask));
}

/* ------------------------------------------------------------------------------------------- what a mask lets through
 */

static const ZydisDecodedOperand *memory_operand(const struct emu_insn *emu)
{
	unsigned n = 0;
	while (emu->operands[n].type != ZYDIS_OPERAND_TYPE_MEMORY)
		n++;
	return &emu->operands[n];
}

/* Bits of the elements' signs. */
static uint64_t signs(const uint8_t *bytes, unsigned element, unsigned count)
{
	uint64_t mask = 0;
	for (unsigned n = 0; n < count; n++)
		mask |= (uint64_t)(bytes[(n + 1) * element - 1] >> 7) << n;
	return mask;
}

/* Bytes of the elements whose bits are set. */
static uint64_t bytes_of(uint64_t mask, unsigned element, unsigned count)
{
	uint64_t bytes = 0, one = element >= 8 ? 0xff : (1u << element) - 1;
	for (unsigned n = 0; n < count && n * element < ZMM_SIZE; n++)
		if (mask >> n & 1)
			bytes |= one << n * element;
	return bytes;
}

/* Those that take only as many elements of memory as the mask has bits, one after the other. */
static bool is_packed(ZydisMnemonic m)
{
	const char *name = ZydisMnemonicGetString(m);
	return strstr(name, "compress") || strstr(name, "expand");
}

uint64_t vector_enabled(struct engine_vcpu *c, const struct insn_detail *d)
{
	const struct emu_insn *emu = &d->emu;
	const ZydisDecodedOperand *op = memory_operand(emu);
	uint8_t bytes[ZMM_SIZE];
	expand(c);
	unsigned element = op->element_size / 8u, count = element ? d->size / element : 0;
	if (emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
		vector_get(c, (unsigned)ZydisRegisterGetId(emu->operands[1].reg.value), bytes);
		return bytes_of(signs(bytes, element, count), element, count);
	}
	uint64_t mask = mask_get(c, (unsigned)ZydisRegisterGetId(emu->info.avx.mask.reg));
	if (emu->info.avx.broadcast.mode != ZYDIS_BROADCAST_MODE_INVALID) {
		unsigned lanes = emu->info.avx.vector_length / 8u / element;
		return lanes < 64 && !(mask & ((R3_U64(1) << lanes) - 1)) ? 0 : NATIVE_ALL_BYTES >> 1;
	}
	if (is_packed(emu->info.mnemonic)) {
		unsigned bits = (unsigned)__builtin_popcountll(count < 64 ? mask & ((R3_U64(1) << count) - 1) : mask);
		mask = bits < 64 ? (R3_U64(1) << bits) - 1 : NATIVE_ALL_BYTES;
	}
	return bytes_of(mask, element, count);
}

/* ---------------------------------------------------------------------------------------------- gathers and scatters
 */

struct indexed {
	const ZydisDecodedOperandMem *mem;
	unsigned data, index; /* bytes of an element of data, of an index */
	unsigned count, vector_mask, vector_data;
	bool opmask;
	uint64_t mask;
	uint8_t indices[ZMM_SIZE], values[ZMM_SIZE], masks[ZMM_SIZE];
};

static const char *after(const char *name, const char *word)
{
	const char *found = strstr(name, word);
	return found ? found + strlen(word) : NULL;
}

/* What follows GATHER or SCATTER: D or Q, the size of an index, then D, Q, PS or PD, what the data is. */
static const char *sizes(const struct emu_insn *emu)
{
	const char *name = ZydisMnemonicGetString(emu->info.mnemonic), *letters = after(name, "gather");
	return letters ? letters : after(name, "scatter");
}

bool vector_is_indexed(const struct emu_insn *emu)
{
	const char *letters = sizes(emu);
	/* Not the prefetches, VGATHERPFxxx. */
	return letters && (letters[0] == 'd' || letters[0] == 'q');
}

static void load(struct engine_vcpu *c, const struct insn_detail *d, struct indexed *x)
{
	const struct emu_insn *emu = &d->emu;
	const char *letters = sizes(emu);
	*x = (struct indexed){.mem = &memory_operand(emu)->mem};
	x->index = letters[0] == 'q' ? 8 : 4;
	x->data = letters[1] == 'q' || (letters[1] == 'p' && letters[2] == 'd') ? 8 : 4;
	x->count = emu->info.avx.vector_length / 8u / (x->index > x->data ? x->index : x->data);
	x->opmask = emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
	native_fpu_get(c);
	expand(c);
	/* VEX: destination, memory, mask. EVEX: the mask register comes second. */
	bool scatters = emu->operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
	x->vector_data = (unsigned)ZydisRegisterGetId(emu->operands[scatters ? 2 : 0].reg.value);
	vector_get(c, x->vector_data, x->values);
	vector_get(c, (unsigned)ZydisRegisterGetId(x->mem->index), x->indices);
	if (x->opmask) {
		x->vector_mask = (unsigned)ZydisRegisterGetId(emu->info.avx.mask.reg);
		x->mask = mask_get(c, x->vector_mask);
	} else {
		x->vector_mask = (unsigned)ZydisRegisterGetId(emu->operands[2].reg.value);
		vector_get(c, x->vector_mask, x->masks);
		x->mask = signs(x->masks, x->data, x->count);
	}
}

static uint64_t element_address(struct engine_vcpu *c, const struct insn *i, const struct indexed *x, unsigned n)
{
	int64_t index;
	int32_t narrow;
	memcpy(&narrow, x->indices + n * x->index, sizeof(narrow));
	index = narrow;
	if (x->index == 8)
		memcpy(&index, x->indices + n * x->index, sizeof(index));
	uint64_t gva = c->gpr[i->base] + (uint64_t)i->disp + (uint64_t)index * x->mem->scale;
	return i->ea & EA_OTHER ? address_other(c, i, gva) : gva;
}

static void drop_bit(struct indexed *x, unsigned n)
{
	x->mask &= ~(R3_U64(1) << n);
	if (!x->opmask)
		memset(x->masks + n * x->data, 0, x->data);
}

/* All elements are through: masks are zero beyond them too, and so is what lies above a gathered vector. */
static void finish(struct engine_vcpu *c, struct indexed *x)
{
	x->mask = 0;
	memset(x->masks, 0, sizeof(x->masks));
	memset(x->values + x->count * x->data, 0, sizeof(x->values) - x->count * x->data);
}

static void store(struct engine_vcpu *c, const struct indexed *x, bool gathers)
{
	if (gathers)
		vector_set(c, x->vector_data, x->values);
	if (x->opmask)
		mask_set(c, x->vector_mask, x->mask);
	else
		vector_set(c, x->vector_mask, x->masks);
	native_fpu_set(c);
}

/* Elements are taken from the lowest up; those before one that faults are done. SDM 2C VPGATHERDD, VPSCATTERDD. */
static void run_indexed(struct engine_vcpu *c, const struct insn *i, bool gathers)
{
	struct indexed x;
	uint8_t forbidden = native_forbidden(c, i->detail);
	if (forbidden) {
		interp_raise(c, i, forbidden, 0);
		return;
	}
	load(c, i->detail, &x);
	for (unsigned n = 0; n < x.count; n++) {
		uint8_t *value = x.values + n * x.data;
		if (!(x.mask >> n & 1))
			continue;
		uint64_t gva = element_address(c, i, &x, n);
		if (!(gathers ? memory_read(c, gva, value, x.data, i->ea)
			      : memory_write(c, gva, value, x.data, i->ea))) {
			store(c, &x, gathers);
			FAULT;
		}
		drop_bit(&x, n);
	}
	finish(c, &x);
	store(c, &x, gathers);
	NEXT_STORED;
}

void vector_gather(struct engine_vcpu *c, const struct insn *i)
{
	run_indexed(c, i, true);
}

void vector_scatter(struct engine_vcpu *c, const struct insn *i)
{
	run_indexed(c, i, false);
}
