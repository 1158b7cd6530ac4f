/*
 * The state component of protection keys (SDM 1 13.5.7), which is the vCPU's and no processor's: XSAVE, XRSTOR and
 * their like are executed without it, on an image that does not mention it, and around that it is put there, or taken
 * from there. In either form of an image it lies behind all others that a guest can have.
 */
#include <string.h>

#include "monitor/engine/interpret/native.h"
#include "monitor/vm/vm.h"

#define PKRU 9
_Static_assert(X86_XCR0_PKRU == 1u << PKRU && !(NATIVE_COMPONENTS >> PKRU), "behind all others");

struct header {
	uint64_t present, layout;
};

static struct header get_header(const struct engine_vcpu *c)
{
	struct header header;
	memcpy(&header, c->native->buffer + X86_FPU_HEADER, sizeof(header));
	return header;
}

static void set_header(struct engine_vcpu *c, struct header header)
{
	memcpy(c->native->buffer + X86_FPU_HEADER, &header, sizeof(header));
}

/* Where the image at hand has it. */
static uint8_t *place(struct engine_vcpu *c, uint64_t layout)
{
	return c->native->buffer + native_state_place(layout, PKRU);
}

void native_keys_before(struct engine_vcpu *c, const struct insn *i)
{
	struct header header = get_header(c);
	uint64_t asked = native_state_asked(c) & X86_XCR0_PKRU;
	c->native->pkru = asked ? 0 : c->vcpu->pkru;
	if (i->detail->writes || !(c->vcpu->xcr0 & X86_XCR0_PKRU) || !native_state_is_good(c))
		return;
	if (asked & header.present)
		memcpy(&c->native->pkru, place(c, header.layout), sizeof(c->native->pkru));
	header.present &= ~X86_XCR0_PKRU;
	header.layout &= ~X86_XCR0_PKRU;
	set_header(c, header);
}

static void save(struct engine_vcpu *c, const struct insn *i)
{
	const struct native_saving saving = native_state_saving(&i->detail->emu);
	const uint64_t value = c->vcpu->pkru, used = value ? X86_XCR0_PKRU : 0;
	struct header header = get_header(c);
	header.present = (header.present & ~X86_XCR0_PKRU) | used;
	/* What the task says of it is not to be relied upon. */
	if (saving.compacted)
		header.layout = native_state_asked(c) | X86_FPU_COMPACTED;
	if (used || !saving.part)
		memcpy(place(c, saving.compacted ? header.layout : 0), &value, sizeof(value));
	set_header(c, header);
}

void native_keys_after(struct engine_vcpu *c, const struct insn *i)
{
	if (i->detail->writes) {
		if (native_state_asked(c) & X86_XCR0_PKRU)
			save(c, i);
		return;
	}
	if (c->native->pkru == c->vcpu->pkru)
		return;
	c->vcpu->pkru = c->native->pkru;
	c->paging = vcpu_paging(c->vcpu);
	memory_revalidate(c);
}
