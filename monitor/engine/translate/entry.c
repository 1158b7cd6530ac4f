/*
 * User mode entered and left by the gate alone: when a translated kernel may have that, and where its SYSCALL comes in.
 */
#include "monitor/engine/hybrid/hybrid.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/vm.h"

/*
 * A kernel that uses what is lent so much more often than it enters user mode gets it with each entry, until it has
 * entered as often.
 */
#define LENT_LEFT_MAX 256

/* What the kernel must not have set in its RFLAGS: IRET would do something about it, or leave it to SYSCALL. */
#define ODD (X86_RFLAGS_NT | X86_RFLAGS_IOPL | X86_RFLAGS_AC)

void entry_count(struct translate *t, bool user)
{
	t->lent.entries += user;
	uint64_t now = t->lent.entries + trap_of(t->vm)->direct.total, since = now - t->lent.seen;
	t->lent.seen = now;
	t->lent.left -= since < t->lent.left ? (unsigned)since : t->lent.left;
	t->lent.much = t->lent.left >= (t->lent.much ? 1 : LENT_LEFT_MAX);
}

bool entry_lends(const struct translate *t, const struct vcpu *vcpu)
{
	bool plain = t->callout && (t->mode & BT_IF);
	bool watched = vcpu->debug.attached || vcpu->debug.pause || state_is_told(t->vm);
	return plain && (t->form == FORM_PLAIN || form_moves_gs(t)) && !watched && !t->lent.much &&
	       (vcpu->efer & X86_EFER_SCE) && (vcpu->sfmask & X86_RFLAGS_IF) &&
	       !(vcpu->pv.syscall_entry && vcpu->pv.rsp0);
}

/* SYSCALL's way to the block, made if need be. 0: no room. */
static uint32_t way_to(struct translate *t, struct vcpu *vcpu, struct bt_block *block)
{
	struct bt_place place;
	uint16_t cs = (uint16_t)(vcpu->star >> X86_STAR_SYSCALL_SHIFT) & (uint16_t)~X86_SEL_RPL;
	if (t->entry.block == block && t->entry.star == vcpu->star)
		return t->entry.host;
	if (!cache_has_room(t, BT_THUNK_MAX))
		return 0;
	cache_place(t, t->used, block->flavour, &place);
	unsigned len = bt_compile_entry(&place, cs, cs + 8, cache_address(block->host), t->code + t->used);
	t->entry.host = cache_add(t, block, BT_ENTRY, len);
	t->entry.block = block;
	t->entry.star = vcpu->star;
	return t->entry.host;
}

bool entry_returns(const struct translate *t, const struct vcpu *vcpu)
{
	/* After a page fault the monitor fills the page on the way; IRETQ ends what keeps NMIs waiting. */
	bool moves = t->form == FORM_PLAIN || form_moves_gs(t);
	return moves && !stay_expected(t) && trap_of(t->vm)->direct.lends && !(vcpu->rflags & ODD) &&
	       !vcpu->refill.wanted && vcpu->nmi == NMI_OPEN && !hybrid_interprets_user(vcpu);
}

uint64_t entry_address(struct translate *t, struct vcpu *vcpu)
{
	if (!entry_returns(t, vcpu))
		return 0;
	/* Not entered by the monitor with user mode's RSP, so nobody else has compiled it. */
	struct vm_exit none;
	struct bt_block *block = region_has_room(t) ? region_find(t, vcpu, vcpu->lstar, &none) : NULL;
	uint32_t host = block ? way_to(t, vcpu, block) : 0;
	return host ? cache_address(host) : 0;
}

void entry_take(struct vcpu *vcpu)
{
	vcpu->rip = vcpu->lstar;
	vcpu_set_if(vcpu, false);
	emu_load_syscall_segments(vcpu);
}
