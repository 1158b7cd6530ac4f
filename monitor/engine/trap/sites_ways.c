/*
 * Whether code executes the bytes of a place in two ways, one of which begins before it and reaches into it (sites.h).
 * Such code jumps into the middle of what it executes otherwise, and mostly from nearby. So what leads to the last
 * bytes before the place is looked for: what stands in front of it, and all direct jumps and calls of its page.
 */
#include <string.h>

#include "monitor/emulate/emulate.h"
#include "monitor/engine/trap/sites_internal.h"

/* A short jump's, and what makes it sure that decoding has come to where instructions begin. */
#define REACH  (128 + X86_INSN_MAX)
#define RUN_UP 128

#define OPCODE_CALL	0xe8
#define OPCODE_JMP	0xe9
#define OPCODE_TWO	0x0f
#define OPCODE_JCC	0x80
#define OPCODE_JCC_MASK 0xf0

struct ways {
	const uint8_t *page;
	uint64_t offset; /* of the place */
};

/* False: it is none, which may depend on what comes behind it. */
static bool decode(const struct ways *ways, uint64_t at, struct emu_insn *insn)
{
	return ZYAN_SUCCESS(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, ways->page + at, GATE_PAGE - at, insn));
}

/* Who begins to execute at `from` has an instruction that reaches into the place. */
static bool reaches_in(const struct ways *ways, uint64_t from)
{
	struct emu_insn insn;
	while (from < ways->offset) {
		if (!decode(ways, from, &insn))
			return true;
		from += insn.info.length;
	}
	return from != ways->offset;
}

static bool is_before(const struct ways *ways, uint64_t target)
{
	return target < ways->offset && target + X86_INSN_MAX > ways->offset;
}

/* The instructions from `at` to `end`, one after the other, with all that they jump to. False: one reaches in. */
static bool look_along(const struct ways *ways, uint64_t at, uint64_t end)
{
	while (at < end) {
		struct emu_insn insn;
		if (!decode(ways, at, &insn)) {
			if (is_before(ways, at))
				return false;
			at++;
			continue;
		}
		const uint64_t next = at + insn.info.length;
		const bool jumps = insn.info.raw.imm[0].is_relative;
		const uint64_t target = next + (jumps ? insn.info.raw.imm[0].value.u : 0);
		if ((at < ways->offset && next > ways->offset) ||
		    (jumps && is_before(ways, target) && reaches_in(ways, target)))
			return false;
		at = next;
	}
	return true;
}

/* Jumps and calls of 32 bits: of what looks like one and is none hardly any leads here. */
static bool look_far(const struct ways *ways)
{
	for (uint64_t at = 0; at + JMP_LENGTH <= GATE_PAGE; at++) {
		const uint8_t *byte = ways->page + at;
		bool jumps = *byte == OPCODE_CALL || *byte == OPCODE_JMP ||
			     (at && byte[-1] == OPCODE_TWO && (*byte & OPCODE_JCC_MASK) == OPCODE_JCC);
		int32_t distance;
		if (!jumps)
			continue;
		memcpy(&distance, byte + 1, sizeof(distance));
		const uint64_t target = at + JMP_LENGTH + (uint64_t)(int64_t)distance;
		if (is_before(ways, target) && reaches_in(ways, target))
			return false;
	}
	return true;
}

bool sites_has_one_way(const uint8_t *page, const struct site *site)
{
	const struct ways ways = {page, site->offset};
	const uint64_t from = site->offset, to = from + site->length + SYSCALL_LENGTH;
	/* What begins in the page before is not looked at. */
	if (from < X86_INSN_MAX)
		return false;
	return look_along(&ways, from > REACH + RUN_UP ? from - REACH - RUN_UP : 0, from) &&
	       look_along(&ways, to, to + REACH < GATE_PAGE ? to + REACH : GATE_PAGE) && look_far(&ways);
}
