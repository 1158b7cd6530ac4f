/*
 * Sensitive instructions done where they stand, on the virtual state beside the cache: what they change or read is in
 * the page that the monitor fills before it resumes the cell and reads when the cell comes out.
 */
#include "monitor/engine/translate/internal.h"
#include "monitor/vm/vcpu.h"

#define HERE	    .rip = c->rip
#define NEXT_RIP    .rip = c->next
#define MARK(...)   compiler_mark(c, (struct bt_locus){__VA_ARGS__})
#define STACK_LOAD  ((const uint8_t[]){0x48, 0x8b, 0x0c, 0x24}) /* MOV RCX, [RSP] */
#define STACK_STORE ((const uint8_t[]){0x48, 0x89, 0x0c, 0x24}) /* MOV [RSP], RCX */
#define ADD_RAX	    ((const uint8_t[]){0x48, 0x8d, 0x0c, 0x01}) /* LEA RCX, [RCX + RAX] */

static void set_if(struct compiler *c, uint32_t flag)
{
	emit_store_imm(&c->e, c->e.place->state + SLOT(iflag), flag);
}

static void land(struct compiler *c, unsigned from)
{
	emit_skip_end(&c->e, from);
}

/* The monitor executes the instruction after all. RCX is in its slot. */
static void give_up(struct compiler *c)
{
	emit_load(&c->e, RCX, SLOT(rcx));
	compiler_mark_exact(c, c->rip);
	emit_pad_for_patch(&c->e, 1);
	emit_jump(&c->e, 0);
	compiler_patch(c, compiler_exit(c, BT_INSN, c->rip));
}

static bool inside_cli(struct compiler *c)
{
	set_if(c, 0);
	return true;
}

/* The instruction behind it must lie in the block too, since no interrupt may come between the two. */
static bool inside_sti(struct compiler *c)
{
	if (!c->followed)
		return false;
	emit_store(&c->e, RCX, SLOT(rcx));
	MARK(HERE, .undo = BT_COUNTER);
	emit_load(&c->e, RCX, SLOT(hold));
	unsigned go = emit_hop(&c->e, OPCODE_JRCXZ);
	give_up(c);
	land(c, go);
	MARK(HERE, .undo = BT_COUNTER);
	emit_load(&c->e, RCX, SLOT(rcx));
	compiler_mark_exact(c, c->rip);
	set_if(c, X86_RFLAGS_IF);
	c->sti = true;
	return true;
}

/* What the processor pushes has IF set, and nothing of what is virtual. */
static bool inside_pushf(struct compiler *c)
{
	if (c->insn.info.operand_width != 64)
		return false;
	emit8(&c->e, OPCODE_PUSHF);
	MARK(HERE, .rsp = 8);
	emit_store(&c->e, RCX, SLOT(rcx));
	emit_store(&c->e, RAX, SLOT(rax));
	MARK(HERE, .rsp = 8, .undo = BT_BOTH);
	emit_bytes(&c->e, STACK_LOAD, sizeof(STACK_LOAD));
	emit_load(&c->e, RAX, SLOT(iflag));
	emit_bytes(&c->e, ADD_RAX, sizeof(ADD_RAX));
	emit_load(&c->e, RAX, SLOT(pushed));
	emit_bytes(&c->e, ADD_RAX, sizeof(ADD_RAX));
	emit_bytes(&c->e, STACK_STORE, sizeof(STACK_STORE));
	MARK(NEXT_RIP, .undo = BT_BOTH);
	emit_load(&c->e, RAX, SLOT(rax));
	emit_load(&c->e, RCX, SLOT(rcx));
	return true;
}

/* It may change arithmetic flags before it is sure to be done: it is made anew, and then loads them all. */
static bool inside_popf(struct compiler *c)
{
	static const uint8_t test_ecx[] = {0xf7, 0xc1}, and_ecx[] = {0x81, 0xe1},
			     or_ecx[] = {0x83, 0xc9, X86_RFLAGS_FIXED};
	if (c->insn.info.operand_width != 64)
		return false;
	emit_store(&c->e, RCX, SLOT(rcx));
	MARK(HERE, .undo = BT_COUNTER);
	emit_bytes(&c->e, STACK_LOAD, sizeof(STACK_LOAD));
	emit_bytes(&c->e, test_ecx, sizeof(test_ecx));
	emit32(&c->e, ~(uint32_t)BT_POPF_FREE);
	unsigned odd = emit_hop(&c->e, OPCODE_JNZ);
	emit_bytes(&c->e, or_ecx, sizeof(or_ecx));
	emit_state(&c->e, OPCODE_TEST, RCX, SLOT(hold));
	unsigned go = emit_hop(&c->e, OPCODE_JZ);
	land(c, odd);
	give_up(c);
	land(c, go);
	MARK(HERE, .undo = BT_COUNTER);
	emit_bytes(&c->e, and_ecx, sizeof(and_ecx));
	emit32(&c->e, X86_RFLAGS_IF);
	emit8(&c->e, OPCODE_POPF);
	MARK(NEXT_RIP, .undo = BT_POPPED);
	emit_store(&c->e, RCX, SLOT(iflag));
	MARK(NEXT_RIP, .undo = BT_COUNTER);
	emit_load(&c->e, RCX, SLOT(rcx));
	return true;
}

/* -------------------------------------------------------------------------------------------- reading registers */

/* The slot of a virtual register that is only read; 0: there is none. */
static size_t slot_of(ZydisRegister reg)
{
	switch (reg) {
	case ZYDIS_REGISTER_CR0:
		return SLOT(cr0);
	case ZYDIS_REGISTER_CR2:
		return SLOT(cr2);
	case ZYDIS_REGISTER_CR3:
		return SLOT(root.now);
	case ZYDIS_REGISTER_CR4:
		return SLOT(cr4);
	case ZYDIS_REGISTER_CR8:
		return SLOT(cr8);
	case ZYDIS_REGISTER_DR4:
	case ZYDIS_REGISTER_DR5:
		return 0;
	default:
		break;
	}
	size_t index = (size_t)ZydisRegisterGetId(reg) * sizeof(uint64_t);
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_SEGMENT:
		return SLOT(selector) + index;
	case ZYDIS_REGCLASS_DEBUG:
		return index < sizeof(((struct bt_state *)0)->dr) ? SLOT(dr) + index : 0;
	default:
		return 0;
	}
}

/* MOV to a general register, all of it or its low 16 bits; not to RSP where that holds more than the guest's. */
static bool inside_read(struct compiler *c, size_t slot)
{
	const ZydisDecodedOperand *to = &c->insn.operands[0];
	if (!slot || to->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	const unsigned reg = ZydisRegisterGetId(to->reg.value);
	if (reg == RSP && (c->source->flavour & BT_UPPER))
		return false;
	switch (ZydisRegisterGetClass(to->reg.value)) {
	case ZYDIS_REGCLASS_GPR64:
	case ZYDIS_REGCLASS_GPR32:
		emit_load(&c->e, reg, slot);
		return true;
	case ZYDIS_REGCLASS_GPR16:
		emit_load_word(&c->e, reg, slot);
		return true;
	default:
		return false;
	}
}

/* The host's number of its CPU is none of the guest's. */
static bool inside_rdtscp(struct compiler *c)
{
	static const uint8_t fenced_rdtsc[] = {0x0f, 0xae, 0xe8, 0x0f, 0x31}; /* LFENCE; RDTSC */
	emit_bytes(&c->e, fenced_rdtsc, sizeof(fenced_rdtsc));
	MARK(NEXT_RIP, .undo = BT_AUX);
	emit_load(&c->e, RCX, SLOT(tsc_aux));
	return true;
}

bool compile_inside(struct compiler *c)
{
	bool flags = c->source->flavour & BT_IF, reads = c->source->flavour & BT_READ;
	switch (c->insn.info.mnemonic) {
	case ZYDIS_MNEMONIC_RDTSCP:
		return c->source->flavour & BT_CLOCK && inside_rdtscp(c);
	case ZYDIS_MNEMONIC_CLI:
		return flags && inside_cli(c);
	case ZYDIS_MNEMONIC_STI:
		return flags && inside_sti(c);
	case ZYDIS_MNEMONIC_PUSHFQ:
		return flags && inside_pushf(c);
	case ZYDIS_MNEMONIC_POPFQ:
		return flags && inside_popf(c);
	case ZYDIS_MNEMONIC_SMSW:
		return reads && inside_read(c, SLOT(cr0));
	/* Caches are the host's business, and stay coherent. */
	case ZYDIS_MNEMONIC_INVD:
	case ZYDIS_MNEMONIC_WBINVD:
		return reads;
	case ZYDIS_MNEMONIC_SLDT:
		return reads && inside_read(c, SLOT(ldtr));
	case ZYDIS_MNEMONIC_STR:
		return reads && inside_read(c, SLOT(tr));
	case ZYDIS_MNEMONIC_MOV:
		return reads && c->insn.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       inside_read(c, slot_of(c->insn.operands[1].reg.value));
	default:
		return false;
	}
}
