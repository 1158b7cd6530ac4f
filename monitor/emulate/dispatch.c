/*
 * Which function executes which instruction, and what every instruction has in common: RIP, interrupt shadow, single
 * step.
 */
#include "monitor/emulate/group.h"

/* Run directly in ring 3: does it always trap, or may the processor let it pass? */
enum directness { MAY_PASS, TRAPS };

struct handler {
	emu_function *execute;
	enum directness direct;
};

/* clang-format off */
#define HANDLERS(X) \
	X(CLI, emu_cli, TRAPS) \
	X(STI, emu_sti, TRAPS) \
	X(HLT, emu_hlt, TRAPS) \
	X(CLAC, emu_clac, TRAPS) \
	X(STAC, emu_stac, TRAPS) \
	X(CLTS, emu_clts, TRAPS) \
	/* Where the host has keys, code that runs directly uses its own. */ \
	X(RDPKRU, emu_rdpkru, MAY_PASS) \
	X(WRPKRU, emu_wrpkru, MAY_PASS) \
	X(LMSW, emu_lmsw, TRAPS) \
	X(XSETBV, emu_xsetbv, TRAPS) \
	X(LGDT, emu_lgdt, TRAPS) \
	X(LIDT, emu_lidt, TRAPS) \
	X(LLDT, emu_lldt, TRAPS) \
	X(LTR, emu_ltr, TRAPS) \
	X(SGDT, emu_sgdt, MAY_PASS) \
	X(SIDT, emu_sidt, MAY_PASS) \
	X(SLDT, emu_sldt, MAY_PASS) \
	X(STR, emu_str, MAY_PASS) \
	X(SMSW, emu_smsw, MAY_PASS) \
	X(INVLPG, emu_invlpg, TRAPS) \
	X(INVPCID, emu_invpcid, TRAPS) \
	X(INVD, emu_invd, TRAPS) \
	X(WBINVD, emu_invd, TRAPS) \
	X(IN, emu_in, TRAPS) \
	X(OUT, emu_out, TRAPS) \
	/* With REP and RCX = 0 these do nothing, and trap or not as the processor likes. */ \
	X(INSB, emu_ins, MAY_PASS) \
	X(INSW, emu_ins, MAY_PASS) \
	X(INSD, emu_ins, MAY_PASS) \
	X(OUTSB, emu_outs, MAY_PASS) \
	X(OUTSW, emu_outs, MAY_PASS) \
	X(OUTSD, emu_outs, MAY_PASS) \
	X(RDMSR, emu_rdmsr, TRAPS) \
	X(WRMSR, emu_wrmsr, TRAPS) \
	/* These trap only if the host was asked for it: clock_freeze. */ \
	X(RDTSC, emu_rdtsc, MAY_PASS) \
	X(RDTSCP, emu_rdtsc, MAY_PASS) \
	/* Not in this machine, though the host may have them. */ \
	X(VMCALL, emu_undefined, MAY_PASS) \
	X(SYSENTER, emu_sysenter, MAY_PASS) \
	X(SYSEXIT, emu_sysexit, TRAPS) \
	X(SWAPGS, emu_swapgs, TRAPS) \
	X(SYSRET, emu_sysret, TRAPS) \
	/* A return to the host's own ring-3 selectors would pass. */ \
	X(IRET, emu_iret, MAY_PASS) \
	X(IRETD, emu_iret, MAY_PASS) \
	X(IRETQ, emu_iret, MAY_PASS) \
	/* INT 0x80 is the host's system call. */ \
	X(INT, emu_int, MAY_PASS) \
	X(INT3, emu_int3, TRAPS) \
	X(INTO, emu_into, MAY_PASS) \
	X(INT1, emu_icebp, TRAPS) \
	X(LDS, emu_load_far, MAY_PASS) \
	X(LES, emu_load_far, MAY_PASS) \
	X(LFS, emu_load_far, MAY_PASS) \
	X(LGS, emu_load_far, MAY_PASS) \
	X(LSS, emu_load_far, MAY_PASS) \
	X(LAR, emu_lar, MAY_PASS) \
	X(LSL, emu_lsl, MAY_PASS) \
	X(VERR, emu_verr, MAY_PASS) \
	X(VERW, emu_verw, MAY_PASS)
/* clang-format on */

#define NUMBER(name, execute, direct)  HANDLER_##name,
#define HANDLER(name, execute, direct) [HANDLER_##name] = {execute, direct},
#define PLACE(name, execute, direct)   [ZYDIS_MNEMONIC_##name] = HANDLER_##name,
enum { HANDLER_NONE, HANDLERS(NUMBER) };
static const struct handler handlers[] = {[HANDLER_NONE] = {NULL, MAY_PASS}, HANDLERS(HANDLER)};
/* By mnemonic: there are 1,800 of them, and each pointer costs a start-up its relocation. */
static const uint8_t places[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {HANDLERS(PLACE)};

static const struct handler none;

static bool is_class(const struct emu_insn *insn, unsigned operand, ZydisRegisterClass class)
{
	return insn->operands[operand].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(insn->operands[operand].reg.value) == class;
}

static struct handler find_mov(const struct emu_insn *insn)
{
	for (unsigned i = 0; i < 2; i++) {
		if (is_class(insn, i, ZYDIS_REGCLASS_CONTROL))
			return (struct handler){emu_mov_cr, TRAPS};
		if (is_class(insn, i, ZYDIS_REGCLASS_DEBUG))
			return (struct handler){emu_mov_dr, TRAPS};
		if (is_class(insn, i, ZYDIS_REGCLASS_SEGMENT))
			return (struct handler){emu_mov_sreg, MAY_PASS};
	}
	return none;
}

static struct handler find(const struct emu_insn *insn)
{
	bool far = insn->info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return find_mov(insn);
	case ZYDIS_MNEMONIC_PUSH:
		return is_class(insn, 0, ZYDIS_REGCLASS_SEGMENT) ? (struct handler){emu_push_sreg, MAY_PASS} : none;
	case ZYDIS_MNEMONIC_POP:
		return is_class(insn, 0, ZYDIS_REGCLASS_SEGMENT) ? (struct handler){emu_pop_sreg, MAY_PASS} : none;
	case ZYDIS_MNEMONIC_JMP:
		return far ? (struct handler){emu_far_jump, MAY_PASS} : none;
	case ZYDIS_MNEMONIC_CALL:
		return far ? (struct handler){emu_far_call, MAY_PASS} : none;
	case ZYDIS_MNEMONIC_RET:
		return far ? (struct handler){emu_far_return, MAY_PASS} : none;
	default:
		return handlers[places[insn->info.mnemonic]];
	}
}

/* Several instructions share these mnemonics. */
static const struct {
	emu_function *execute;
	const char *name;
} shared_names[] = {
	{emu_mov_cr, "mov cr"},	    {emu_mov_dr, "mov dr"},    {emu_mov_sreg, "mov sreg"}, {emu_push_sreg, "push sreg"},
	{emu_pop_sreg, "pop sreg"}, {emu_far_jump, "far jmp"}, {emu_far_call, "far call"}, {emu_far_return, "far ret"},
};

#define SHARED_NAMES (sizeof(shared_names) / sizeof(shared_names[0]))

_Static_assert(ZYDIS_MNEMONIC_MAX_VALUE + SHARED_NAMES < EMU_IDS, "EMU_IDS is above all of them");

unsigned emu_id(const struct emu_insn *insn)
{
	emu_function *execute = find(insn).execute;
	for (unsigned i = 0; i < SHARED_NAMES; i++)
		if (shared_names[i].execute == execute)
			return ZYDIS_MNEMONIC_MAX_VALUE + 1 + i;
	return insn->info.mnemonic;
}

const char *emu_name(unsigned id)
{
	if (id <= ZYDIS_MNEMONIC_MAX_VALUE)
		return ZydisMnemonicGetString((ZydisMnemonic)id);
	id -= ZYDIS_MNEMONIC_MAX_VALUE + 1;
	return id < SHARED_NAMES ? shared_names[id].name : NULL;
}

bool emu_is_sensitive(const struct emu_insn *insn)
{
	return find(insn).execute != NULL;
}

bool emu_reaches_devices(const struct emu_insn *insn)
{
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_IN:
	case ZYDIS_MNEMONIC_OUT:
	case ZYDIS_MNEMONIC_INSB:
	case ZYDIS_MNEMONIC_INSW:
	case ZYDIS_MNEMONIC_INSD:
	case ZYDIS_MNEMONIC_OUTSB:
	case ZYDIS_MNEMONIC_OUTSW:
	case ZYDIS_MNEMONIC_OUTSD:
	case ZYDIS_MNEMONIC_WRMSR:
		return true;
	case ZYDIS_MNEMONIC_MOV: /* the priority that interrupts must have */
		return insn->operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       insn->operands[0].reg.value == ZYDIS_REGISTER_CR8;
	default:
		return false;
	}
}

bool emu_always_traps(const struct emu_insn *insn)
{
	return find(insn).direct == TRAPS;
}

/*
 * The instruction is complete. TF as it was when it began makes a #DB (SDM 3B 17.3.1.4); after SYSRET, TF as it is now,
 * before the first instruction of user mode.
 */
static enum emu_result complete(struct vcpu *vcpu, const struct emu_insn *insn, bool stepping)
{
	/* After a load of SS the trap waits for one more instruction, which runs with TF set and makes its own. */
	bool held = vcpu->interrupt_shadow && insn->info.mnemonic != ZYDIS_MNEMONIC_STI;
	if (insn->info.mnemonic == ZYDIS_MNEMONIC_SYSRET)
		stepping = vcpu->rflags & X86_RFLAGS_TF;
	if (!stepping || held)
		return EMU_DONE;
	vcpu_raise(vcpu, X86_VEC_DB);
	return EMU_RAISED;
}

enum emu_result emu_execute(struct vcpu *vcpu, const struct emu_insn *insn)
{
	emu_function *execute = find(insn).execute;
	if (!execute)
		return EMU_NOT_OURS;

	bool stepping = vcpu->rflags & X86_RFLAGS_TF;
	bool shadow = vcpu->interrupt_shadow;
	uint8_t hits = vcpu->data_hits;
	uint64_t resume = vcpu->rflags & X86_RFLAGS_RF;
	vcpu->interrupt_shadow = false;
	/* An instruction that is through clears RF, whether or not the trap that led here has set it (SDM 3B 17.3.1.1).
	 */
	vcpu->rflags &= ~X86_RFLAGS_RF;
	switch (execute(vcpu, insn)) {
	case STEP_NEXT:
		vcpu->rip += insn->info.length;
		return complete(vcpu, insn, stepping);
	case STEP_STAYS:
		return complete(vcpu, insn, stepping);
	case STEP_FAULT:
		vcpu->interrupt_shadow = shadow;
		vcpu->data_hits = hits;
		vcpu->rflags |= resume;
		return EMU_RAISED;
	case STEP_TRAPPED:
		/* The host set it, as for any fault; an instruction that is through leaves it clear. */
		vcpu->rflags &= ~X86_RFLAGS_RF;
		return EMU_RAISED;
	}
	__builtin_unreachable();
}
