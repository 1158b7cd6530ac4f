/*
 * Blocks: bytes in, bytes out.
 */
#include <string.h>

#include "monitor/engine/translate/internal.h"
#include "monitor/vm/vcpu.h"

/* All stubs, and what is pushed. */
#define STUBS_MAX ((BT_EXITS + 1) * BT_STUB_MAX)

static bool is_narrow(const struct bt_source *source)
{
	return source->flavour & BT_NARROW;
}

void compiler_mark(struct compiler *c, struct bt_locus locus)
{
	if (!c->locus || c->e.len > c->offset)
		return;
	*c->locus = locus;
	c->locus->shadow = c->shadow && locus.rip == c->rip;
	bool exact = locus.undo == BT_EXACT && !locus.rsp;
	/* What scratch registers hold between host instructions of 32-bit code does not outlast an exit. */
	exact &= !(is_narrow(c->source) && locus.rip == c->rip);
	c->locus->resume = exact ? c->offset : locus.rip == c->rip ? c->start : BT_NOWHERE;
}

void compiler_mark_exact(struct compiler *c, uint64_t rip)
{
	compiler_mark(c, (struct bt_locus){.rip = rip});
}

struct bt_exit *compiler_exit(struct compiler *c, enum bt_exit_kind kind, uint64_t target)
{
	struct bt_exit *exit = &c->code->exits[c->code->exit_count++];
	*exit = (struct bt_exit){.kind = kind, .target = target};
	return exit;
}

void compiler_patch(struct compiler *c, struct bt_exit *exit)
{
	exit->patch = (uint16_t)(c->e.len - 4);
}

void compiler_link(struct compiler *c, uint64_t target)
{
	compiler_mark_exact(c, target);
	emit_jump_for_patch(&c->e);
	compiler_patch(c, compiler_exit(c, BT_LINK, target));
}

void compiler_done_inside(struct compiler *c)
{
	c->code->inside[c->code->inside_count++] = (uint16_t)emu_id(&c->insn);
}

bool compiler_copy(struct compiler *c)
{
	if (c->is_quick && c->quick.relative)
		return c->quick.address ? compiler_copy_lea(c)
					: compiler_copy_absolute(c, c->quick.segment) ||
						  compiler_copy_through_register(c, c->quick.segment);
	if (c->is_quick) {
		if (c->quick.segment)
			emit8(&c->e, c->quick.segment);
		emit_bytes(&c->e, c->insn.bytes, c->insn.info.length);
		return true;
	}
	return c->source->flavour & BT_UPPER ? upper_copy(c, c->user) : compile_copy(c);
}

/* Through RSP as a value: where that is not the guest's. */
static bool is_odd_indirect(const struct compiler *c)
{
	uint8_t segment;
	const ZydisDecodedOperand *op = &c->insn.operands[0];
	return (c->source->flavour & BT_UPPER) &&
	       (!upper_segment(c, &segment) ||
		(op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value == ZYDIS_REGISTER_RSP));
}

/* What it does is not what the host's processor does with it, but what the machine's model has. */
static bool is_models(const struct compiler *c)
{
	const struct cpu *model = c->source->model;
	return model && (emu_is_absent(model, &c->insn) || emu_ignores_prefix(model, &c->insn));
}

static enum outcome compile_insn(struct compiler *c)
{
	bool near = c->insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
		    vcpu_canonical(compiler_branch_target(c)),
	     ends;
	c->start = c->e.len;
	compiler_mark_exact(c, c->rip);
	if (!c->is_quick && is_models(c))
		return LEAVES;
	if (is_narrow(c->source))
		return compile_narrow(c);
	switch (c->is_quick ? c->quick.class : bt_classify(&c->insn, c->source->flavour)) {
	case BT_COPY:
		return (c->divides && compile_division(c)) || (c->device && compile_end(c)) || compiler_copy(c)
			       ? GOES_ON
			       : LEAVES;
	case BT_BRANCH:
		if (!near)
			return LEAVES;
		compile_branch(c);
		return GOES_ON;
	case BT_COUNT:
		if (!near)
			return LEAVES;
		compile_count(c);
		return GOES_ON;
	case BT_JUMP:
		if (!near)
			return LEAVES;
		compiler_link(c, compiler_branch_target(c));
		return ENDS;
	case BT_CALL:
		if (!near)
			return LEAVES;
		compile_call(c);
		return ENDS;
	case BT_RETURN:
		compile_return(c);
		return ENDS;
	case BT_JUMP_INDIRECT:
	case BT_CALL_INDIRECT:
		if (is_odd_indirect(c))
			return LEAVES;
		compile_indirect(c, c->insn.info.mnemonic == ZYDIS_MNEMONIC_CALL);
		return ENDS;
	case BT_INSIDE:
		ends = c->insn.info.mnemonic == ZYDIS_MNEMONIC_IRETQ;
		if (ends ? !compile_iret(c) : !compile_virtual(c))
			return LEAVES;
		compiler_done_inside(c);
		return ends ? ENDS : GOES_ON;
	case BT_LEAVE:
		if (!compile_lent(c))
			return LEAVES;
		compiler_done_inside(c);
		return GOES_ON;
	}
	return LEAVES;
}

static uint64_t door_address(const struct bt_place *place, enum bt_door door)
{
	switch (door) {
	case BT_IRET:
		return place->iret;
	case BT_SYSRET:
		return place->sysret;
	case BT_ROOT:
		return place->root;
	default:
		return place->callout;
	}
}

static void emit_stub(struct emit *e, enum bt_door door)
{
	const struct bt_place *place = e->place;
	if (!place->callout) {
		emit_bytes(e, (const uint8_t[]){0x0f, 0x0b}, 2); /* UD2 */
		return;
	}
	uint32_t self = (uint32_t)(place->host + e->len);
	emit_store_imm(e, place->callout_id, self);
	emit_jump(e, door_address(place, door));
}

/* The last exit's stub comes first if the block runs into it. */
static void emit_stubs(struct compiler *c, bool leaves)
{
	struct bt_code *code = c->code;
	code->stubs = c->e.len;
	for (unsigned n = 0; n < code->exit_count; n++) {
		struct bt_exit *exit = &code->exits[leaves ? (n + code->exit_count - 1) % code->exit_count : n];
		exit->stub = (uint16_t)c->e.len;
		if (exit->patch)
			emit_patch(&c->e, exit->patch, c->e.len);
		emit_stub(&c->e, exit->door);
	}
	if (c->literal_at) {
		while (c->e.len % sizeof(c->literal))
			emit8(&c->e, 0);
		emit_patch(&c->e, c->literal_at, c->e.len);
		emit64(&c->e, c->literal);
	}
	code->len = c->e.len;
}

static bool compile_hypercall(struct compiler *c)
{
	c->rip = c->source->gva;
	compiler_mark_exact(c, c->rip);
	emit_jump(&c->e, c->e.place->hypercall);
	c->code->guest_len = c->code->insns = 1;
	c->code->start[0] = c->code->guest_at[0] = 0;
	emit_stubs(c, false);
	return true;
}

static enum bt_door door_of(const struct emu_insn *insn)
{
	if (insn->info.mnemonic == ZYDIS_MNEMONIC_IRETQ)
		return BT_IRET;
	return insn->info.mnemonic == ZYDIS_MNEMONIC_SYSRET && insn->info.operand_width == 64 ? BT_SYSRET : BT_CALLOUT;
}

static bool decode_at(const struct bt_source *source, unsigned at, struct emu_insn *insn)
{
	return ZYAN_SUCCESS(emu_decode_bytes(bt_mode(source->flavour), source->bytes + at, source->len - at, insn));
}

/* A whole instruction lies at the offset. */
static bool has_insn(const struct bt_source *source, unsigned at)
{
	struct emu_insn insn;
	return at < source->len && decode_at(source, at, &insn);
}

/* Likewise for the copy that is compiled again. */
static bool is_site(struct compiler *c, enum bt_site site, unsigned at, unsigned number)
{
	const struct bt_source *source = c->source;
	unsigned offset = (source->gva + at) & X86_PAGE_MASK;
	bool is = source->sites ? source->sites[offset] & 1u << site : source->site_mask[site] & 1u << number;
	c->code->site_mask[site] |= (uint32_t)is << number;
	return is;
}

/* For as many sequences, and the stubs. */
static bool has_room(const struct compiler *c, unsigned sequences)
{
	return c->e.len + sequences * BT_SEQUENCE_MAX + STUBS_MAX <= BT_BLOCK_MAX;
}

/* An instruction at `at` will be in the block, whatever the one before it becomes. */
static bool is_followed(const struct compiler *c, unsigned at)
{
	return c->code->insns + 1 < BT_INSNS && has_room(c, 3) && has_insn(c->source, at);
}

static bool compile(struct compiler *c)
{
	struct bt_code *code = c->code;
	const struct bt_source *source = c->source;
	unsigned at = 0;
	enum outcome outcome = GOES_ON;
	code->exit_count = code->insns = code->inside_count = 0;
	memset(code->site_mask, 0, sizeof(code->site_mask));
	code->calls = code->leaves = code->bases = false;
	if (source->hypercall)
		return compile_hypercall(c);
	/* The instruction's, and what goes on behind it. */
	while (outcome == GOES_ON && code->insns < BT_INSNS && has_room(c, 2) && at < source->len) {
		c->user = is_site(c, BT_SITE_USER, at, code->insns);
		c->device = is_site(c, BT_SITE_DEVICE, at, code->insns);
		c->is_quick = !c->user && !c->device && quick_decode(source, at, &c->insn, &c->quick);
		if (!c->is_quick && !decode_at(source, at, &c->insn))
			break;
		code->bases |= !c->is_quick && bt_uses_base(&c->insn);
		code->start[code->insns] = (uint16_t)c->e.len;
		code->guest_at[code->insns] = (uint16_t)at;
		c->rip = source->gva + at;
		c->next = c->rip + c->insn.info.length;
		c->divides = is_site(c, BT_SITE_DIVIDES, at, code->insns);
		at += c->insn.info.length;
		c->shadow = c->sti;
		c->sti = false;
		c->followed = c->insn.info.mnemonic == ZYDIS_MNEMONIC_STI && is_followed(c, at);
		c->e.room = c->e.len + BT_SEQUENCE_MAX;
		outcome = compile_insn(c);
		code->insns++;
	}
	c->e.room = BT_BLOCK_MAX;
	code->guest_len = at;
	if (!code->insns)
		return false;
	code->calls = outcome == ENDS && c->insn.info.mnemonic == ZYDIS_MNEMONIC_CALL;
	code->leaves = outcome == LEAVES;
	if (outcome == GOES_ON)
		compiler_link(c, source->gva + at);
	if (outcome == LEAVES)
		compiler_exit(c, BT_INSN, c->rip)->door = door_of(&c->insn);
	emit_stubs(c, outcome == LEAVES);
	return true;
}

ZydisMachineMode bt_mode(unsigned flavour)
{
	return flavour & BT_NARROW ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LONG_64;
}

bool bt_compile(const struct bt_source *source, const struct bt_place *place, struct bt_code *code)
{
	struct compiler c = {.e = {.bytes = code->bytes, .room = sizeof(code->bytes), .place = place},
			     .source = source,
			     .code = code};
	return compile(&c);
}

bool bt_locate(const struct bt_source *source, const struct bt_place *place, unsigned offset, struct bt_locus *locus)
{
	struct bt_code code;
	struct compiler c = {
		.e = {.bytes = code.bytes, .room = sizeof(code.bytes), .place = place},
		.source = source,
		.code = &code,
		.offset = offset,
		.locus = locus,
	};
	*locus = (struct bt_locus){.rip = source->gva};
	code.stubs = 0;
	return compile(&c) && offset < code.stubs;
}

unsigned bt_compile_stub(const struct bt_place *place, uint8_t *bytes)
{
	struct emit e = {.bytes = bytes, .room = BT_STUB_MAX, .place = place};
	emit_stub(&e, BT_CALLOUT);
	return e.len;
}

unsigned bt_compile_entry(const struct bt_place *place, uint16_t cs, uint16_t ss, uint64_t body, uint8_t *bytes)
{
	struct emit e = {.bytes = bytes, .room = BT_THUNK_MAX, .place = place};
	emit_store_imm(&e, place->state + SLOT(iflag), 0);
	emit_store_imm(&e, place->state + SLOT(selector[SREG_CS]), cs);
	emit_store_imm(&e, place->state + SLOT(selector[SREG_SS]), ss);
	emit_jump(&e, body);
	return e.len;
}

/* LEA RCX, [RCX - value], of 32 bits. */
static void emit_less_half(struct emit *e, uint32_t value)
{
	static const uint8_t lea[] = {0x48, OPCODE_LEA, 0x89};
	emit_bytes(e, lea, sizeof(lea));
	emit32(e, 0 - value);
}

/*
 * RCX becomes 0 if it is the value, and else something else, without a register for 64 bits of a constant: half by
 * half, the upper one in the place of the lower one.
 */
static void emit_less(struct emit *e, uint64_t value)
{
	static const uint8_t swap[] = {0x48, 0x0f, 0xc9}; /* BSWAP RCX */
	uint64_t left = value + (uint64_t)(int32_t)(0 - (uint32_t)value);
	emit_less_half(e, (uint32_t)value);
	if (!left)
		return;
	emit_bytes(e, swap, sizeof(swap));
	left = __builtin_bswap64(left);
	if (left > R3_BIT(31)) {
		emit_less_half(e, 1u << 31);
		left -= R3_BIT(31);
	}
	emit_less_half(e, (uint32_t)left);
}

unsigned bt_compile_thunk(const struct bt_place *place, uint64_t gva, uint64_t body, unsigned *otherwise,
			  uint8_t *bytes)
{
	struct emit e = {.bytes = bytes, .room = BT_THUNK_MAX, .place = place};
	if (place->narrow)
		return narrow_thunk(&e, gva, body, otherwise);
	emit_load(&e, RCX, SLOT(target));
	emit_less(&e, gva);
	unsigned equal = emit_hop(&e, OPCODE_JRCXZ);
	*otherwise = emit_jump_for_patch(&e);
	emit_skip_end(&e, equal);
	emit_load(&e, RCX, SLOT(rcx));
	emit_jump(&e, body);
	return e.len;
}
