/*
 * A block for people to read: guest code beside what was emitted for it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "monitor/engine/translate/translate.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

#define TEXT_MAX 96

/* The instruction at the start of the bytes, and its text; its length, 0: none is there. */
static unsigned describe(ZydisMachineMode mode, const uint8_t *bytes, size_t len, uint64_t rip, char text[TEXT_MAX])
{
	struct emu_insn insn;
	if (ZYAN_FAILED(emu_decode_bytes(mode, bytes, len, &insn)))
		return 0;
	emu_format(&insn, rip, text, TEXT_MAX);
	return insn.info.length;
}

/* What was emitted from one offset to another, a line each; the first has the guest's instruction before it. */
static void list_range(const struct bt_place *place, const struct bt_code *code, unsigned from, unsigned to,
		       const char *beside, FILE *out)
{
	char text[TEXT_MAX];
	if (from == to)
		fprintf(out, "%-58s leaves, see below\n", beside);
	while (from < to) {
		unsigned len =
			describe(ZYDIS_MACHINE_MODE_LONG_64, code->bytes + from, to - from, place->host + from, text);
		if (!len)
			return;
		fprintf(out, "%-58s %s\n", beside, text);
		beside = "";
		from += len;
	}
}

static void list_insns(const struct bt_source *source, const struct bt_place *place, const struct bt_code *code,
		       FILE *out)
{
	char text[TEXT_MAX], beside[TEXT_MAX + 24];
	for (unsigned n = 0; n < code->insns; n++) {
		unsigned at = code->guest_at[n], end = n + 1 < code->insns ? code->start[n + 1] : code->stubs;
		if (source->hypercall ||
		    !describe(bt_mode(source->flavour), source->bytes + at, source->len - at, source->gva + at, text))
			snprintf(text, sizeof(text), "the hypercall page");
		snprintf(beside, sizeof(beside), "0x%" PRIx64 "  %s", source->gva + at, text);
		list_range(place, code, code->start[n], end, beside, out);
	}
}

static void list_exits(const struct bt_place *place, const struct bt_code *code, FILE *out)
{
	static const char *const doors[] = {
		[BT_CALLOUT] = "the monitor executes",
		[BT_IRET] = "gate or monitor execute",
		[BT_SYSRET] = "gate or monitor execute",
	};
	char beside[TEXT_MAX];
	for (unsigned n = 0; n < code->exit_count; n++) {
		const struct bt_exit *exit = &code->exits[n];
		unsigned end = exit->stub + bt_compile_stub(place, (uint8_t[BT_STUB_MAX]){0});
		const char *what = exit->kind == BT_LINK ? "until it is linked, to" : doors[exit->door];
		snprintf(beside, sizeof(beside), "%s 0x%" PRIx64, what, exit->target);
		list_range(place, code, exit->stub, end < code->len ? end : code->len, beside, out);
	}
}

void list_code(struct vcpu *vcpu, uint64_t gva, FILE *out)
{
	static struct bt_code code;
	static uint8_t bytes[X86_PAGE_SIZE];
	struct translate *t = translate_of(vcpu->vm);
	const struct bt_block *block = block_find(t, gva, flavour_of(t, vcpu));
	struct bt_source source = {gva, bytes, 0, flavour_of(t, vcpu), .model = t->model};
	struct bt_place place;
	if (block) {
		source.bytes = block->bytes;
		source.len = block->guest_len;
		source.hypercall = block->hypercall;
		memcpy(source.site_mask, block->site_mask, sizeof(source.site_mask));
	} else {
		source.len = (unsigned)gm_peek(vcpu, gva, bytes, X86_PAGE_SIZE - (gva & X86_PAGE_MASK));
	}
	cache_place(t, block ? block->host : t->used, source.flavour, &place);
	if (!source.len || !bt_compile(&source, &place, &code)) {
		fprintf(out, "0x%" PRIx64 ": no code, or an instruction that reaches into the next page\n", gva);
		return;
	}
	fprintf(out, "block of %u instructions at 0x%" PRIx64 ", %s 0x%" PRIx64 ", %u bytes\n", code.insns, gva,
		block ? "in the cache at" : "not in the cache yet; it would be at", place.host, code.len);
	list_insns(&source, &place, &code, out);
	list_exits(&place, &code, out);
}
