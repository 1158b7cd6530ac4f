/*
 * The memory operand of an instruction that runs natively: to the buffer before, and back after. What cannot be
 * accessed as a whole may be accessible as far as the instruction's mask goes.
 */
#include <string.h>

#include "monitor/engine/interpret/native.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

void native_fault_raise(struct engine_vcpu *c, const struct insn *i, uint8_t vector, uint32_t error, uint64_t gva)
{
	bool stack = vector == X86_VEC_GP && (i->ea & EA_STACK);
	interp_raise(c, i, stack ? X86_VEC_SS : vector, error);
	c->exit->gva = gva;
}

static unsigned operand_size(struct engine_vcpu *c, const struct insn *i, uint64_t gva)
{
	return native_is_state(&i->detail->emu) ? native_state_size(c, i, gva) : i->detail->size;
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
