/*
 * Random sequences of 32-bit code, as engine `translate` compiles it and on the processor itself, in compatibility
 * mode:
 *
 *   random_narrow [--seed N] [--count N] [--first N] [--show]
 *
 * A traced child does both on the same memory: guest addresses are its own low 4 GiB, and the window. What the compiler
 * leaves to the monitor is no part of sequences. The first that end otherwise are shown, and what differs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/vm/vcpu.h"
#include "tests/random/narrow_child.h"
#include "tests/random/sequence.h"
#include "tests/random/series.h"
#include "tests/unit/translate_rules.h"

#define ITEMS_MAX  8
#define TRIES	   1000
#define BLOCKS_MAX 64
#define KEPT                                                                                                           \
	(X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_OF | X86_RFLAGS_DF)
#define OPCODE_HLT 0xf4
#define FAILED_MAX 20

static struct {
	struct series series;
	uint64_t skipped, blocks;
} test;

struct narrow_sequence {
	struct narrow_state start;
	unsigned flavour, size;
	uint8_t code[NARROW_CODE_MAX];
};

/* ------------------------------------------------------------------------------------------------------ generating */

static unsigned below(struct seq_random *r, unsigned limit)
{
	return (unsigned)(seq_random(r) >> 32) % limit;
}

/* Random bytes of what instructions begin with, behind prefixes that may not count. */
static void draw_bytes(struct seq_random *r, uint8_t bytes[X86_INSN_MAX])
{
	static const uint8_t prefixes[] = {0x66, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf2, 0xf3, 0xf0};
	unsigned at = 0, most = below(r, 4) ? 2 : X86_INSN_MAX - 1;
	for (unsigned n = 0; n < X86_INSN_MAX; n++)
		bytes[n] = (uint8_t)below(r, 256);
	while (at < most && below(r, most > 2 ? 12 : 3))
		bytes[at++] = prefixes[below(r, sizeof(prefixes))];
	if (at + 1 < X86_INSN_MAX && !below(r, 2))
		bytes[at] = 0x0f;
}

/* By chance, or to tell where it runs. */
static bool is_steady(const struct emu_insn *insn)
{
	return insn->info.meta.category != ZYDIS_CATEGORY_RDRAND && insn->info.meta.category != ZYDIS_CATEGORY_RDSEED;
}

/* The compiler does it all: it neither leaves nor may leave. */
static bool is_compiled(const uint8_t *bytes, unsigned len, unsigned flavour)
{
	static struct bt_code code;
	struct bt_place place;
	struct bt_source source = {.gva = NARROW_CODE, .bytes = bytes, .len = len, .flavour = flavour};
	narrow_place(&place);
	if (!bt_compile(&source, &place, &code) || code.insns != 1)
		return false;
	for (unsigned n = 0; n < code.exit_count; n++)
		if (code.exits[n].kind == BT_INSN)
			return false;
	return true;
}

static uint32_t some_address(struct seq_random *r)
{
	static const uint32_t areas[] = {NARROW_DATA, NARROW_DATA, NARROW_STACK, NARROW_TOP, NARROW_CODE};
	return areas[below(r, 5)] + (below(r, 8) ? 0x200 + below(r, 0xc00) : X86_PAGE_SIZE - below(r, 24));
}

/* A displacement of 32 bits leads to an area, or not far away from where registers do. */
static void lead(struct seq_random *r, const struct emu_insn *insn, uint8_t *bytes)
{
	const bool absolute =
		!insn->info.raw.modrm.offset || (insn->info.raw.modrm.mod == 0 && insn->info.raw.modrm.rm == 5);
	uint32_t disp = absolute ? some_address(r) : below(r, 128) - 64;
	if (insn->info.raw.disp.size == 32 && below(r, 8))
		memcpy(bytes + insn->info.raw.disp.offset, &disp, sizeof(disp));
}

/* An instruction that is compiled; 0: none was found. A direct jump's displacement is `over`. */
static unsigned draw(struct seq_random *r, uint8_t bytes[X86_INSN_MAX], unsigned flavour, unsigned *displacement)
{
	struct emu_insn insn;
	for (unsigned n = 0; n < TRIES; n++) {
		draw_bytes(r, bytes);
		if (ZYAN_FAILED(emu_decode_bytes(ZYDIS_MACHINE_MODE_LEGACY_32, bytes, X86_INSN_MAX, &insn)) ||
		    !is_steady(&insn) || !is_compiled(bytes, insn.info.length, flavour))
			continue;
		lead(r, &insn, bytes);
		*displacement = insn.info.raw.imm[0].is_relative ? insn.info.raw.imm[0].offset : 0;
		return insn.info.length;
	}
	return 0;
}

static void generate_code(struct seq_random *r, struct narrow_sequence *s)
{
	uint8_t bytes[X86_INSN_MAX];
	unsigned jump = 0, displacement;
	memset(s->code, OPCODE_HLT, sizeof(s->code));
	for (unsigned left = 1 + below(r, ITEMS_MAX); left; left--) {
		unsigned len = draw(r, bytes, s->flavour, &displacement);
		memcpy(s->code + s->size, bytes, len);
		if (displacement) /* over the next one */
			memset(s->code + s->size + displacement, 0, len - displacement);
		s->size += len;
		if (jump)
			s->code[jump] = (uint8_t)len;
		jump = displacement ? s->size - len + displacement : 0;
	}
	s->size++;
}

static void generate_state(struct seq_random *r, struct narrow_state *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < 8; n++)
		s->gpr[n] = below(r, 3) ? some_address(r) : (uint32_t)seq_random_value(r);
	if (!below(r, 2))
		s->gpr[RCX] = below(r, 6);
	if (below(r, 8))
		s->gpr[RSP] = NARROW_STACK + 0x800 + 4 * below(r, 64);
	s->rip = NARROW_CODE;
	s->rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF | (seq_random(r) & KEPT);
	for (unsigned n = 0; n < NARROW_MEMORY; n += 8) {
		uint64_t word = below(r, 4) ? seq_random_value(r) : some_address(r);
		memcpy(s->memory + n, &word, sizeof(word));
	}
	for (unsigned n = NARROW_XMM; n < NARROW_XMM_END; n += 8) {
		uint64_t word = seq_random(r);
		memcpy(s->fpu + n, &word, sizeof(word));
	}
	seq_put(s->fpu, 0x37f, 2);
	seq_put(s->fpu + X86_FPU_MXCSR, 0x1f80, 4);
	seq_fpu(r, NARROW_CODE, s->fpu);
}

static void generate_narrow(struct narrow_sequence *s, uint64_t n)
{
	struct seq_random r = seq_random_from(test.series.seed << 32 ^ n);
	s->size = 0;
	s->flavour = BT_NARROW | BT_FPU | BT_AVX | BT_BASES | (below(&r, 2) ? BT_USER : 0);
	generate_code(&r, s);
	generate_state(&r, &s->start);
}

static void print(const struct narrow_sequence *s)
{
	ZydisDisassembledInstruction insn;
	for (unsigned n = 0, len; n < s->size; n += len) {
		bool is = ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LEGACY_32, NARROW_CODE + n, s->code + n,
							     s->size - n, &insn));
		len = is ? insn.info.length : 1;
		printf("%8x  ", NARROW_CODE + n);
		for (unsigned b = 0; b < len; b++)
			printf("%02x", s->code[n + b]);
		printf("%*s%s\n", (int)(32 - 2 * len), "", is ? insn.text : "(bad)");
	}
}

/* --------------------------------------------------------------------------------------------------------- running */

/* As the engine does: block after block, until one faults or leaves. */
static enum narrow_end translated(const struct narrow_sequence *s, struct narrow_state *state)
{
	static struct bt_code code;
	struct bt_place place;
	narrow_place(&place);
	for (unsigned blocks = 0; blocks < BLOCKS_MAX; blocks++) {
		unsigned at = (uint32_t)state->rip - NARROW_CODE;
		if (at >= sizeof(s->code))
			return NARROW_FAULT; /* nothing to execute there */
		struct bt_source source = {
			.gva = state->rip, .bytes = s->code + at, .len = sizeof(s->code) - at, .flavour = s->flavour};
		if (!bt_compile(&source, &place, &code))
			return NARROW_ODD;
		source.len = code.guest_len;
		test.blocks++;
		enum narrow_end end = narrow_block(&source, &place, &code, state);
		if (end != NARROW_GOES_ON)
			return end;
	}
	return NARROW_ODD;
}

/* Where bytes of the window lie elsewhere, or not at all, the interpreter does it: beyond the end of addresses. */
static bool is_handed_over(const struct narrow_sequence *s, const struct narrow_state *state)
{
	unsigned at = (uint32_t)state->rip - NARROW_CODE;
	struct emu_insn insn;
	if (at >= s->size ||
	    ZYAN_FAILED(emu_decode_bytes(ZYDIS_MACHINE_MODE_LEGACY_32, s->code + at, s->size - at, &insn)))
		return false;
	return bt_uses_base(&insn) || insn.info.meta.category == ZYDIS_CATEGORY_BITBYTE;
}

/* What is open where the sequence ended with a fault: REP CMPS and SCAS as in processor.c, PUSHA and POPA half done. */
static void find_open(const struct narrow_sequence *s, const struct narrow_state *state, bool *flags, bool *rest)
{
	unsigned at = (uint32_t)state->rip - NARROW_CODE;
	struct emu_insn insn;
	*flags = *rest = false;
	if (at >= s->size ||
	    ZYAN_FAILED(emu_decode_bytes(ZYDIS_MACHINE_MODE_LEGACY_32, s->code + at, s->size - at, &insn)))
		return;
	*flags = insn.info.meta.category == ZYDIS_CATEGORY_STRINGOP;
	*rest = insn.info.mnemonic == ZYDIS_MNEMONIC_PUSHAD || insn.info.mnemonic == ZYDIS_MNEMONIC_POPAD;
}

static unsigned differ(const char *what, const uint8_t *want, const uint8_t *got, unsigned from, unsigned to)
{
	for (unsigned n = from; n < to; n++)
		if (want[n] != got[n])
			return (unsigned)printf("%s at %#x: translated %#x, processor %#x\n", what, n, got[n], want[n]);
	return 0;
}

static unsigned report(const struct narrow_sequence *s, const struct narrow_state *want, const struct narrow_state *got)
{
	unsigned bad = 0;
	bool flags, rest;
	find_open(s, want, &flags, &rest);
	if (want->rip != got->rip)
		bad += (unsigned)printf("ends translated at %#lx, processor %#lx\n", got->rip, want->rip);
	for (unsigned n = 0; n < 8 && !rest; n++)
		if (want->gpr[n] != got->gpr[n])
			bad += (unsigned)printf("register %u: translated %#lx, processor %#lx\n", n, got->gpr[n],
						want->gpr[n]);
	if ((want->rflags ^ got->rflags) & KEPT && !flags)
		bad += (unsigned)printf("flags: translated %#lx, processor %#lx\n", got->rflags, want->rflags);
	if (!rest)
		bad += differ("memory", want->memory, got->memory, 0, NARROW_MEMORY);
	bad += differ("FPU image", want->fpu, got->fpu, 0, X86_FPU_FOP);
	bad += differ("FPU image", want->fpu, got->fpu, X86_FPU_MXCSR, X86_FPU_MXCSR + 4);
	bad += differ("FPU image", want->fpu, got->fpu, X86_FPU_ST, NARROW_XMM_END);
	return bad + differ("FPU image", want->fpu, got->fpu, NARROW_YMM, NARROW_YMM_END);
}

static bool same(uint64_t index)
{
	static struct narrow_sequence s;
	static struct narrow_state want, got;
	generate_narrow(&s, index);
	if (test.series.show)
		print(&s);
	want = got = s.start;
	narrow_write(s.code);
	enum narrow_end end = translated(&s, &got);
	if (end == NARROW_ODD || narrow_native(&want, s.flavour & BT_USER) != NARROW_FAULT ||
	    (want.rip != got.rip && is_handed_over(&s, &got))) {
		test.skipped++;
		return true;
	}
	if (!report(&s, &want, &got))
		return true;
	printf("sequence %lu of seed %lu differs:\n", index, test.series.seed);
	print(&s);
	return false;
}

static bool host_runs_narrow(void)
{
	static const uint8_t code[NARROW_CODE_MAX] = {0x40, 0xf4}; /* INC EAX; HLT */
	static struct narrow_state state = {.rip = NARROW_CODE};
	narrow_write(code);
	return narrow_native(&state, false) == NARROW_FAULT && state.rip == NARROW_CODE + 1 && state.gpr[RAX] == 1;
}

int main(int argc, char **argv)
{
	unsigned failed = 0;
	if (!series_parse(argc, argv, "Random sequences of 32-bit code: translated against the processor",
			  &test.series))
		return 2;
	if (narrow_start()) {
		perror("random_narrow: cannot start the child");
		return 2;
	}
	if (!host_runs_narrow()) {
		narrow_end();
		printf("left out: programs of this host have no compatibility mode, or no segments of their own\n");
		return 77;
	}
	for (uint64_t n = 0; n < test.series.count && failed < FAILED_MAX; n++)
		failed += !same(test.series.first + n);
	narrow_end();
	printf("%lu sequences from %lu of seed %lu, %lu blocks: %u differ, %lu left out\n", test.series.count,
	       test.series.first, test.series.seed, test.blocks, failed, test.skipped);
	return failed != 0 || test.skipped > test.series.count / 4;
}
