/*
 * The memory operand of an instruction that runs natively: to the buffer before, and back after. What cannot be
 * accessed as a whole may be accessible as far as the instruction's mask goes.
 */
#include <string.h>

#include "monitor/engine/interpret/native.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

#define XSAVE_HEADER   (X86_FPU_EXTENDED - X86_FPU_HEADER)
#define FIRST_EXTENDED 2
#define COMPONENTS_END 63

void native_fault_raise(struct engine_vcpu *c, const struct insn *i, uint8_t vector, uint32_t error, uint64_t gva)
{
	bool stack = vector == X86_VEC_GP && (i->ea & EA_STACK);
	interp_raise(c, i, stack ? X86_VEC_SS : vector, error);
	c->exit->gva = gva;
}

/* ------------------------------------------------------------------------------------------- size of a state image */

/* Bytes up to the end of the last component of `present`, among those that `layout` gives a place. */
static unsigned extent(uint64_t present, uint64_t layout, bool compacted)
{
	unsigned end = X86_FPU_EXTENDED, next = X86_FPU_EXTENDED;
	for (unsigned n = FIRST_EXTENDED; n < COMPONENTS_END; n++) {
		struct vector_component at;
		if (!(layout >> n & 1))
			continue;
		at = vector_component(n);
		if (compacted) {
			at.offset = at.aligned ? (next + 63) & ~63u : next;
			next = at.offset + at.size;
		}
		if ((present >> n & 1) && at.offset + at.size > end)
			end = at.offset + at.size;
	}
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

/* What the instruction accesses of its image, SDM 1 13.4 and 13.6 on; 0: the exit is set. */
static unsigned state_size(struct engine_vcpu *c, const struct insn *i, uint64_t gva)
{
	uint64_t asked = (uint32_t)c->gpr[RAX] | c->gpr[RDX] << 32, header[XSAVE_HEADER / sizeof(uint64_t)];
	asked &= c->vcpu->xcr0;
	switch (i->detail->emu.info.mnemonic) {
	case ZYDIS_MNEMONIC_XSAVEC:
	case ZYDIS_MNEMONIC_XSAVEC64:
		return extent(asked, asked, true);
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
		break;
	default:
		return extent(asked, asked, false);
	}
	if (!memory_read(c, gva + X86_FPU_HEADER, header, sizeof(header), i->ea)) {
		c->rip = c->base + i->start;
		return 0;
	}
	bool compacted = header[1] & X86_FPU_COMPACTED;
	/* A header that is refused is so before the components are read. */
	if (!is_header(c, header))
		return X86_FPU_EXTENDED;
	unsigned size = extent(asked & header[0], compacted ? header[1] & c->vcpu->xcr0 : asked, compacted);
	return size < c->fpu_size ? size : c->fpu_size;
}

static unsigned operand_size(struct engine_vcpu *c, const struct insn *i, uint64_t gva)
{
	return native_is_state(&i->detail->emu) ? state_size(c, i, gva) : i->detail->size;
}

/* -------------------------------------------------------------------------------------------------------- in, out */

/* The host's address of all of it, if the translation buffer has it. */
static void *span(struct engine_vcpu *c, uint64_t gva, unsigned size, bool write)
{
	uint64_t len = size;
	void *host = memory_span(c, gva, &len, write);
	return len == size ? host : NULL;
}

/* Calls `part` for each run of enabled bytes. */
static bool each_run(struct engine_vcpu *c, uint64_t enabled, unsigned size,
		     bool (*part)(struct engine_vcpu *c, unsigned from, unsigned len, uint64_t gva,
				  struct gm_fault *fault),
		     uint64_t gva, struct gm_fault *fault)
{
	for (unsigned from = 0, end; from < size; from = end) {
		end = from + 1;
		if (!(enabled >> from & 1))
			continue;
		while (end < size && enabled >> end & 1)
			end++;
		if (!part(c, from, end - from, gva + from, fault))
			return false;
	}
	return true;
}

static bool read_part(struct engine_vcpu *c, unsigned from, unsigned len, uint64_t gva, struct gm_fault *fault)
{
	return gm_read_gva(c->vcpu, gva, c->native->buffer + from, len, GM_CPL, fault);
}

static bool probe_part(struct engine_vcpu *c, unsigned from, unsigned len, uint64_t gva, struct gm_fault *fault)
{
	return gm_probe_write_gva(c->vcpu, gva, len, GM_CPL, fault);
}

static bool write_part(struct engine_vcpu *c, unsigned from, unsigned len, uint64_t gva, struct gm_fault *fault)
{
	return memory_write(c, gva, c->native->buffer + from, len, 0);
}

static bool masked_in(struct engine_vcpu *c, const struct insn *i, uint64_t gva)
{
	const struct insn_detail *d = i->detail;
	struct gm_fault fault;
	if ((!d->writes || gm_probe_write_gva(c->vcpu, gva, d->size, GM_CPL, &fault)) &&
	    (!d->reads || read_part(c, 0, d->size, gva, &fault)))
		return true;
	native_fpu_get(c);
	c->native->enabled = vector_enabled(c, d);
	memset(c->native->buffer, 0, d->size);
	if ((!d->writes || each_run(c, c->native->enabled, d->size, probe_part, gva, &fault)) &&
	    (!d->reads || each_run(c, c->native->enabled, d->size, read_part, gva, &fault)))
		return true;
	native_fault_raise(c, i, fault.vector, fault.error, fault.gva);
	return false;
}

/* What alignment checks ask of an operand: SDM 3A table 6-7. */
static bool misaligned(unsigned size, uint64_t gva)
{
	switch (size) {
	case 2:
	case 4:
	case 8:
	case 16: /* these are the processor's choice; AMD's check them */
	case 32:
	case 64:
		return gva & (size - 1);
	case 10: /* x87's own format */
		return gva & 7;
	default:
		return false;
	}
}

/* The mask leaves out all of the operand, whose alignment then does not matter. */
static bool nothing_enabled(struct engine_vcpu *c, const struct insn_detail *d)
{
	native_fpu_get(c);
	c->native->enabled = vector_enabled(c, d);
	return !c->native->enabled;
}

bool native_operand_in(struct engine_vcpu *c, const struct insn *i, uint64_t gva)
{
	const struct insn_detail *d = i->detail;
	struct native *native = c->native;
	struct gm_fault fault;
	native->enabled = NATIVE_ALL_BYTES;
	native->size = d->size;
	if (d->align && gva & (d->align - 1u)) {
		if (d->masked && nothing_enabled(c, d))
			return true;
		interp_raise(c, i, X86_VEC_GP, 0);
		return false;
	}
	native->size = operand_size(c, i, gva);
	if (!native->size)
		return false;
	if (unlikely(c->aligned) && misaligned(native->size, gva)) {
		interp_raise(c, i, X86_VEC_AC, 0);
		return false;
	}
	const void *host = span(c, gva, native->size, d->writes);
	if (host) {
		if (d->reads)
			memcpy(native->buffer, host, native->size);
		return true;
	}
	if (d->masked)
		return masked_in(c, i, gva);
	if (d->writes && !gm_probe_write_gva(c->vcpu, gva, native->size, GM_CPL, &fault)) {
		native_fault_raise(c, i, fault.vector, fault.error, fault.gva);
		return false;
	}
	if (!d->reads || memory_read(c, gva, native->buffer, native->size, i->ea))
		return true;
	c->rip = c->base + i->start;
	return false;
}

bool native_operand_at_hand(struct engine_vcpu *c, const struct insn_detail *d, uint64_t gva, void *to)
{
	const void *host = c->aligned || (d->align && gva & (d->align - 1u)) ? NULL : span(c, gva, d->size, d->writes);
	if (!host)
		return false;
	c->native->size = d->size;
	c->native->enabled = NATIVE_ALL_BYTES;
	memcpy(to, host, d->size);
	return true;
}

bool native_operand_out(struct engine_vcpu *c, const struct insn *i, uint64_t gva)
{
	struct native *native = c->native;
	struct gm_fault fault;
	if (native->enabled != NATIVE_ALL_BYTES)
		return each_run(c, native->enabled, native->size, write_part, gva, &fault);
	void *host = span(c, gva, native->size, true);
	if (host) {
		memcpy(host, native->buffer, native->size);
		return true;
	}
	/* The walk for writing succeeded just before, and nothing has run since. */
	return memory_write(c, gva, native->buffer, native->size, i->ea);
}
