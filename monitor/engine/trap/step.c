/*
 * The monitor's own single steps. The trap flag is the real one, so what reads or writes RFLAGS is looked after here.
 */
#include "monitor/engine/trap/step.h"

#include "monitor/vm/engine.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vcpu.h"

/* SDM 2A 2.1.1, 2.2.1 and 2B PUSHF, POPF. */
#define PREFIX_OPERAND_SIZE 0x66
#define PREFIX_REX	    0x40
#define PREFIX_REX_MASK	    0xf0
#define OPCODE_PUSHF	    0x9c
#define OPCODE_POPF	    0x9d
/* The flag in the second byte of the image that PUSHF stores. */
#define TF_BYTE 1
#define TF_BIT	(X86_RFLAGS_TF >> 8)

static uint8_t flags_opcode(struct vcpu *vcpu)
{
	uint8_t insn[3];
	size_t len = gm_peek(vcpu, vcpu->rip, insn, sizeof(insn)), at = 0;
	while (at < len && (insn[at] == PREFIX_OPERAND_SIZE || (insn[at] & PREFIX_REX_MASK) == PREFIX_REX))
		at++;
	return at < len && (insn[at] == OPCODE_PUSHF || insn[at] == OPCODE_POPF) ? insn[at] : 0;
}

struct step step_begin(struct vcpu *vcpu)
{
	struct step step = {0};
	step.ours = (vcpu->window_wanted || vcpu->debug.step) && !(vcpu->rflags & X86_RFLAGS_TF);
	if (step.ours) {
		step.opcode = flags_opcode(vcpu);
		vcpu->rflags |= X86_RFLAGS_TF;
	}
	return step;
}

/* The guest may have changed the stack's mapping meanwhile: then there is nothing of ours to hide in it. */
static void hide_pushed(struct vcpu *vcpu)
{
	uint8_t byte;
	uint64_t at = vcpu->gpr[RSP] + TF_BYTE;
	if (gm_peek(vcpu, at, &byte, sizeof(byte)) != sizeof(byte))
		return;
	byte &= (uint8_t)~TF_BIT;
	gm_poke(vcpu, at, &byte, sizeof(byte));
}

void step_end(struct step step, struct vcpu *vcpu, struct vm_exit *exit)
{
	if (!step.ours)
		return;
	bool through = exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_DB && (exit->error & X86_DR6_BS);
	/* POPF loaded the flag that the guest wants. */
	if (!through || step.opcode != OPCODE_POPF)
		vcpu->rflags &= ~X86_RFLAGS_TF;
	if (!through)
		return;
	if (step.opcode == OPCODE_PUSHF)
		hide_pushed(vcpu);
	exit->reason = EXIT_KICK;
	vcpu->debug.step = false;
}
