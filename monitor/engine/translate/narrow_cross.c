/*
 * From user mode of 32 bits to its kernel by INT or SYSENTER, and back by IRET or SYSEXIT, within one cell. The monitor
 * has seen where a gate leads; a way compares with memory that all is still so, and what the processor would do then is
 * done here: the frame goes to the stack that the TSS names, segments and flags change, and so do the bases that say
 * which window is whose. Until one store all can be undone; from it on all can be gone through with.
 */
#include "monitor/engine/translate/narrow.h"
#include "monitor/vm/vcpu.h"

#define EMIT(...) emit_bytes(&w->e, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define HALF	  sizeof(uint64_t)

#define JUMP_BELOW    0x82
#define JUMP_ZERO     0x84
#define JUMP_NOT_ZERO 0x85

#define REFUSALS_MAX 24
#define FRAME_BYTES  (5 * WORD) /* RIP, CS, RFLAGS, RSP, SS */
#define INNER_BYTES  (3 * WORD)

struct way {
	struct emit e;
	const struct bt_place *other;
	unsigned refusal[REFUSALS_MAX], refusals; /* jumps to the stub */

	/* Looked for by bt_locate_crossing. */
	unsigned offset;
	enum bt_stage stage;
};

/* From here on. */
static void mark(struct way *w, enum bt_stage stage)
{
	if (w->e.len <= w->offset)
		w->stage = stage;
}

static void refuse_if(struct way *w, unsigned jump)
{
	emit8(&w->e, 0x0f);
	emit8(&w->e, jump);
	emit32(&w->e, 0);
	w->refusal[w->refusals++] = w->e.len - 4;
}

/* R10 = the guest's RFLAGS, whose arithmetic is free then; R11 = its stack pointer. */
static void keep_state(struct way *w)
{
	mark(w, BT_BEFORE);
	EMIT(0x49, 0x89, 0xe3); /* MOV R11, RSP */
	mark(w, BT_BORROW);
	emit_state(&w->e, OPCODE_LEA, RSP, offsetof(struct bt_state, stack) + sizeof(((struct bt_state *)0)->stack));
	EMIT(0x9c, 0x41, 0x5a); /* PUSHFQ; POP R10 */
	emit_load(&w->e, R12, SLOT(iflag));
	EMIT(0x4f, 0x8d, 0x14, 0x22); /* LEA R10, [R10 + R12] */
	emit_load(&w->e, R12, SLOT(pushed));
	EMIT(0x4f, 0x8d, 0x14, 0x22);
	mark(w, BT_DECIDE);
}

static void check_permitted(struct way *w, enum bt_cross way)
{
	emit_compare_zero(&w->e, SLOT(may) + way * HALF);
	refuse_if(w, JUMP_ZERO);
}

/* R14 is free. */
static void check_segment(struct way *w, enum bt_cross_segment segment)
{
	const size_t slot = SLOT(cross_segment) + segment * sizeof(struct bt_described);
	emit_load(&w->e, R14, slot + offsetof(struct bt_described, at));
	EMIT(0x4d, OPCODE_LOAD, 0x36); /* MOV R14, [R14] */
	emit_state(&w->e, OPCODE_COMPARE, R14, slot + offsetof(struct bt_described, is));
	refuse_if(w, JUMP_NOT_ZERO);
}

/* R9 is free. */
static void set_selectors(struct way *w, enum bt_cross_segment cs)
{
	emit_load(&w->e, R9, SLOT(cross_selector) + cs * HALF);
	emit_store(&w->e, R9, SLOT(selector) + SREG_CS * HALF);
	emit_load(&w->e, R9, SLOT(cross_selector) + (cs + 1) * HALF);
	emit_store(&w->e, R9, SLOT(selector) + SREG_SS * HALF);
}

static void set_window(struct way *w, bool user)
{
	emit_constant64(&w->e, R9, w->other->window);
	EMIT(0xf3, 0x49, 0x0f, 0xae, 0xd9); /* WRGSBASE R9 */
	emit_load(&w->e, R9, SLOT(fs_base) + user * HALF);
	EMIT(0xf3, 0x49, 0x0f, 0xae, 0xd1); /* WRFSBASE R9 */
}

static void set_iflag(struct way *w)
{
	EMIT(0x45, 0x89, 0xe1); /* MOV R9D, R12D */
	EMIT(0x41, 0x81, 0xe1); /* AND R9D, imm32 */
	emit32(&w->e, X86_RFLAGS_IF);
	emit_store(&w->e, R9, SLOT(iflag));
}

static void jump_by_table(struct way *w, const struct bt_place *to)
{
	emit_constant64(&w->e, R9, to->table / 8);
	EMIT(0x66, 0x45, 0x89, 0xc1);		  /* MOV R9W, R8W */
	EMIT(0x42, 0xff, 0x24, 0xcd, 0, 0, 0, 0); /* JMP [R9 * 8] */
}

static void count(struct way *w)
{
	emit_load(&w->e, R9, SLOT(crossings));
	EMIT(0x4d, OPCODE_LEA, 0x49, 0x01); /* LEA R9, [R9 + 1] */
	emit_store(&w->e, R9, SLOT(crossings));
}

/* To the code at R8, by the table. */
static void go(struct way *w, const struct bt_place *to)
{
	EMIT(0x41, 0x54, 0x9d); /* PUSH R12; POPFQ */
	EMIT(0x44, 0x89, 0xec); /* MOV ESP, R13D */
	EMIT(0x41, 0x89, 0xca); /* MOV R10D, ECX */
	jump_by_table(w, to);
}

static void commit(struct way *w, uint32_t level)
{
	emit_store_imm(&w->e, w->e.place->state + SLOT(level), level);
	mark(w, BT_BEHIND);
	count(w);
	go(w, w->other);
}

/* ----------------------------------------------------------------------------------------------------------- INT */

/* R8 = the gate's entry in the state. */
static void find_gate(struct way *w)
{
	EMIT(0x45, 0x89, 0xf0, 0x41, 0x83, 0xe0, BT_GATES - 1);	 /* MOV R8D, R14D; AND R8D, imm8 */
	EMIT(0x4d, 0x6b, 0xc0, (uint8_t)sizeof(struct bt_gate)); /* IMUL R8, R8, imm8 */
	emit_state(&w->e, OPCODE_LEA, R12, SLOT(gates));
	EMIT(0x4d, 0x01, 0xe0);		  /* ADD R8, R12 */
	EMIT(0x4d, OPCODE_COMPARE, 0x30); /* CMP R14, [R8] */
	refuse_if(w, JUMP_NOT_ZERO);
	EMIT(0x4d, OPCODE_LOAD, 0x60, offsetof(struct bt_gate, gate.at)); /* MOV R12, [R8 + at] */
	EMIT(0x4d, OPCODE_LOAD, 0x24, 0x24);
	EMIT(0x4d, OPCODE_COMPARE, 0x60, offsetof(struct bt_gate, gate.is)); /* CMP R12, [R8 + is] */
	refuse_if(w, JUMP_NOT_ZERO);
}

/* R13D = the stack pointer behind the frame, R14 = where the cell has that. */
static void find_stack(struct way *w)
{
	emit_load(&w->e, R12, SLOT(tss_at));
	EMIT(0x45, OPCODE_LOAD, 0x6c, 0x24, X86_TSS_RSP0); /* MOV R13D, [R12 + ESP0] */
	EMIT(0x45, 0x0f, 0xb7, 0x64, 0x24, X86_TSS_SS0);   /* MOVZX R12D, WORD [R12 + SS0] */
	emit_state(&w->e, OPCODE_COMPARE, R12, SLOT(cross_selector) + BT_KERNEL_SS * HALF);
	refuse_if(w, JUMP_NOT_ZERO);
	EMIT(0x41, 0x83, 0xed, FRAME_BYTES); /* SUB R13D, imm8 */
	refuse_if(w, JUMP_BELOW);
	emit_constant64(&w->e, R14, w->other->window);
	EMIT(0x4d, 0x01, 0xee); /* ADD R14, R13 */
}

static void push_frame(struct way *w)
{
	EMIT(0x45, OPCODE_STORE, 0x0e); /* MOV [R14], R9D */
	emit_load(&w->e, R12, SLOT(selector) + SREG_CS * HALF);
	EMIT(0x45, OPCODE_STORE, 0x66, WORD);	  /* MOV [R14 + 4], R12D */
	EMIT(0x45, OPCODE_STORE, 0x56, 2 * WORD); /* MOV [R14 + 8], R10D */
	EMIT(0x45, OPCODE_STORE, 0x5e, 3 * WORD); /* MOV [R14 + 12], R11D */
	emit_load(&w->e, R12, SLOT(selector) + SREG_SS * HALF);
	EMIT(0x45, OPCODE_STORE, 0x66, 4 * WORD); /* MOV [R14 + 16], R12D */
}

static void compile_in(struct way *w)
{
	keep_state(w);
	check_permitted(w, BT_CROSS_IN);
	find_gate(w);
	check_segment(w, BT_KERNEL_CS);
	check_segment(w, BT_KERNEL_SS);
	find_stack(w);
	push_frame(w);
	set_window(w, false);
	EMIT(0x4d, 0x89, 0xd4, 0x4d, 0x23, 0x60,
	     offsetof(struct bt_gate, kept));				 /* MOV R12, R10; AND R12, [R8 + kept] */
	EMIT(0x45, OPCODE_LOAD, 0x40, offsetof(struct bt_gate, target)); /* MOV R8D, [R8 + target] */
	set_selectors(w, BT_KERNEL_CS);
	set_iflag(w);
	commit(w, 0);
}

/* ---------------------------------------------------------------------------------------------------------- IRET */

/* R8D, R9D and R12D = RIP, CS and RFLAGS on the stack, which lies at R14 in the cell. */
static void read_frame(struct way *w)
{
	emit_constant64(&w->e, R14, w->e.place->window);
	EMIT(0x4d, 0x01, 0xde);			 /* ADD R14, R11 */
	EMIT(0x45, OPCODE_LOAD, 0x06);		 /* MOV R8D, [R14] */
	EMIT(0x45, 0x0f, 0xb7, 0x4e, WORD);	 /* MOVZX R9D, WORD [R14 + 4] */
	EMIT(0x45, OPCODE_LOAD, 0x66, 2 * WORD); /* MOV R12D, [R14 + 8] */
	/* Where no breakpoint is on, RF does nothing. */
	EMIT(0x41, 0x81, 0xe4); /* AND R12D, imm32 */
	emit32(&w->e, ~(uint32_t)X86_RFLAGS_RF);
	EMIT(0x41, 0xf7, 0xc4); /* TEST R12D, imm32 */
	emit32(&w->e, ~(uint32_t)BT_POPF_FREE);
	refuse_if(w, JUMP_NOT_ZERO);
	emit_compare_zero(&w->e, SLOT(hold));
	refuse_if(w, JUMP_NOT_ZERO);
}

static void compile_inner(struct way *w)
{
	emit_state(&w->e, OPCODE_COMPARE, R9, SLOT(cross_selector) + BT_KERNEL_CS * HALF);
	refuse_if(w, JUMP_NOT_ZERO);
	check_segment(w, BT_KERNEL_CS);
	EMIT(0x45, OPCODE_LEA, 0x6b, INNER_BYTES); /* LEA R13D, [R11 + 12] */
	mark(w, BT_BEHIND);
	set_iflag(w);
	go(w, w->e.place);
}

static void check_user(struct way *w)
{
	EMIT(0x41, 0xf7, 0xc4); /* TEST R12D, imm32 */
	emit32(&w->e, X86_RFLAGS_IF);
	refuse_if(w, JUMP_ZERO);
	emit_state(&w->e, OPCODE_COMPARE, R9, SLOT(cross_selector) + BT_USER_CS * HALF);
	refuse_if(w, JUMP_NOT_ZERO);
	EMIT(0x45, 0x0f, 0xb7, 0x4e, 4 * WORD); /* MOVZX R9D, WORD [R14 + 16] */
	emit_state(&w->e, OPCODE_COMPARE, R9, SLOT(cross_selector) + BT_USER_SS * HALF);
	refuse_if(w, JUMP_NOT_ZERO);
	EMIT(0x45, OPCODE_LOAD, 0x6e, 3 * WORD); /* MOV R13D, [R14 + 12] */
	check_segment(w, BT_USER_CS);
	check_segment(w, BT_USER_SS);
	/* Those that IRET would clear. */
	emit_load(&w->e, R9, SLOT(privileged) + SREG_DS * HALF);
	emit_state(&w->e, OPCODE_OR, R9, SLOT(privileged) + SREG_ES * HALF);
	emit_state(&w->e, OPCODE_OR, R9, SLOT(privileged) + SREG_FS * HALF);
	emit_state(&w->e, OPCODE_OR, R9, SLOT(privileged) + SREG_GS * HALF);
	refuse_if(w, JUMP_NOT_ZERO);
}

static void compile_out(struct way *w)
{
	keep_state(w);
	check_permitted(w, BT_CROSS_OUT);
	read_frame(w);
	emit_state(&w->e, OPCODE_COMPARE, R9, SLOT(selector) + SREG_CS * HALF);
	unsigned outer = w->e.len + 2;
	EMIT(0x0f, JUMP_NOT_ZERO, 0, 0, 0, 0);
	compile_inner(w);
	emit_patch(&w->e, outer, w->e.len);
	mark(w, BT_DECIDE);
	check_user(w);
	set_window(w, true);
	set_selectors(w, BT_USER_CS);
	set_iflag(w);
	commit(w, 3);
}

/* ------------------------------------------------------------------------------------------- SYSENTER and SYSEXIT */

static void end_in_stub(struct way *w)
{
	w->e.len += bt_compile_stub(&(struct bt_place){.host = w->e.place->host + w->e.len,
						       .callout = w->e.place->callout,
						       .callout_id = w->e.place->callout_id},
				    w->e.bytes + w->e.len);
}

static void restore_counter(struct way *w)
{
	EMIT(0x44, OPCODE_STORE, 0xd1); /* MOV ECX, R10D */
}

/* They look at no memory, and flags are the guest's all the way. R12 = IF as it will be. */
static void check_fast(struct way *w, enum bt_cross way)
{
	mark(w, BT_ASIDE);
	emit_load(&w->e, RCX, SLOT(may) + way * HALF);
	unsigned not = emit_hop(&w->e, OPCODE_JRCXZ);
	emit_constant(&w->e, R12, way == BT_CROSS_EXIT ? X86_RFLAGS_IF : 0);
	unsigned masked = 0;
	if (way == BT_CROSS_EXIT) {
		emit_load(&w->e, RCX, SLOT(iflag));
		masked = emit_hop(&w->e, OPCODE_JRCXZ);
	}
	unsigned plain = emit_skip(&w->e);
	emit_skip_end(&w->e, not );
	if (masked)
		emit_skip_end(&w->e, masked);
	restore_counter(w);
	mark(w, BT_DENY);
	end_in_stub(w);
	emit_skip_end(&w->e, plain);
	mark(w, BT_ASIDE);
}

/* To R8 with the stack pointer R13. */
static void go_fast(struct way *w, bool user)
{
	set_window(w, user);
	set_selectors(w, user ? BT_USER_CS : BT_KERNEL_CS);
	restore_counter(w);
	emit_store_imm(&w->e, w->e.place->state + SLOT(level), user ? 3 : 0);
	mark(w, BT_THROUGH);
	emit_store(&w->e, R12, SLOT(iflag));
	count(w);
	EMIT(0x44, 0x89, 0xec); /* MOV ESP, R13D */
	jump_by_table(w, w->other);
}

static void compile_enter(struct way *w)
{
	check_fast(w, BT_CROSS_ENTER);
	emit_load(&w->e, R8, SLOT(sysenter_eip));
	emit_load(&w->e, R13, SLOT(sysenter_esp));
	go_fast(w, false);
}

static void compile_exit(struct way *w)
{
	check_fast(w, BT_CROSS_EXIT);
	EMIT(0x41, 0x89, 0xd0, 0x45, 0x89, 0xd5); /* MOV R8D, EDX; MOV R13D, R10D */
	go_fast(w, true);
}

/* ----------------------------------------------------------------------------------------------------------- all */

static void compile_way(struct way *w, enum bt_cross way)
{
	static void (*const compiles[])(struct way *) = {
		[BT_CROSS_IN] = compile_in,
		[BT_CROSS_OUT] = compile_out,
		[BT_CROSS_ENTER] = compile_enter,
		[BT_CROSS_EXIT] = compile_exit,
	};
	compiles[way](w);
	if (!w->refusals)
		return;
	mark(w, BT_REFUSE);
	for (unsigned n = 0; n < w->refusals; n++)
		emit_patch(&w->e, w->refusal[n], w->e.len);
	end_in_stub(w);
}

unsigned bt_compile_crossing(const struct bt_place *place, const struct bt_place *other, enum bt_cross way,
			     uint8_t *bytes)
{
	struct way w = {.e = {.bytes = bytes, .room = BT_CROSSING_MAX, .place = place}, .other = other};
	compile_way(&w, way);
	return w.e.len;
}

enum bt_stage bt_locate_crossing(const struct bt_place *place, const struct bt_place *other, enum bt_cross way,
				 unsigned offset)
{
	uint8_t bytes[BT_CROSSING_MAX];
	struct way w = {
		.e = {.bytes = bytes, .room = BT_CROSSING_MAX, .place = place}, .other = other, .offset = offset};
	compile_way(&w, way);
	return w.stage;
}

/* BT_CROSSES: none. */
static enum bt_cross way_of(const struct compiler *c)
{
	bool user = c->source->flavour & BT_USER;
	switch (c->insn.info.mnemonic) {
	case ZYDIS_MNEMONIC_INT:
		return user ? BT_CROSS_IN : BT_CROSSES;
	case ZYDIS_MNEMONIC_IRETD:
		/* Who stops on the way cannot tell that STI came before. */
		return user || c->shadow ? BT_CROSSES : BT_CROSS_OUT;
	case ZYDIS_MNEMONIC_SYSENTER:
		return user ? BT_CROSS_ENTER : BT_CROSSES;
	case ZYDIS_MNEMONIC_SYSEXIT:
		return user ? BT_CROSSES : BT_CROSS_EXIT;
	default:
		return BT_CROSSES;
	}
}

bool narrow_crosses(const struct compiler *c)
{
	enum bt_cross way = way_of(c);
	return way != BT_CROSSES && (c->source->flavour & BT_IF) && c->e.place->cross[way];
}

enum outcome narrow_cross(struct compiler *c)
{
	static const uint8_t keep_counter[] = {0x41, OPCODE_STORE, 0xca}; /* MOV R10D, ECX */
	enum bt_cross way = way_of(c);
	emit_constant(&c->e, R15, c->rip);
	switch (way) {
	case BT_CROSS_IN:
		emit_constant(&c->e, R9, (uint32_t)c->next);
		emit_constant(&c->e, R14, (uint8_t)c->insn.operands[0].imm.value.u);
		break;
	case BT_CROSS_ENTER:
	case BT_CROSS_EXIT:
		emit_constant(&c->e, R14, c->shadow);
		emit_bytes(&c->e, keep_counter, sizeof(keep_counter));
		break;
	default:
		break;
	}
	emit_jump(&c->e, c->e.place->cross[way]);
	return ENDS;
}
