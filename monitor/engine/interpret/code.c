/*
 * Decoded code: blocks by the page of guest RAM they were decoded from and the mode they were decoded for. Such a page
 * is watched, so that whoever writes it, an instruction, a device or a neighbour that runs directly, has what was
 * decoded from it dropped first. All of it has a budget; beyond, pages go that were not looked up since the hand last
 * came by (the clock algorithm).
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/boot/image.h"
#include "monitor/engine/interpret/interpret.h"

#include "monitor/engine/interpret/ops.h"
#include "monitor/vm/budget.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

/* A block's instructions start within this many bytes, so that the last ends within 255. */
#define BLOCK_BYTES 240

/* Blocks that a page has room for at first. */
#define BLOCKS_MIN 16

/* What an instruction costs to decode, in executed ones. */
#define DECODED_AS 40

struct code {
	struct code_page **page; /* by frame of guest RAM */
	struct block *dead;
	struct block *single;
	struct stats_code *stats; /* of the machine: bytes, and the most there may be */
	uint64_t hand;		  /* frame to look at next when room is needed */
	bool storing; /* an instruction's own store is being translated: it looks itself whether code is hit */
	bool (*stored)(struct vm *vm, uint64_t gpa, uint64_t len); /* another engine has code too */
	uint64_t hypercall_page;
};

bool code_is_at(const struct code *code, uint64_t gpa)
{
	return code->page[gpa >> X86_PAGE_SHIFT] != NULL;
}

/* ------------------------------------------------------------------------------------------------------ dropping */

static uint64_t block_bytes(const struct block *block)
{
	uint64_t bytes = sizeof(*block) + (block->count + 1) * sizeof(struct insn);
	for (unsigned n = 0; n < block->count; n++)
		bytes += block->insn[n].detail ? sizeof(struct insn_detail) : 0;
	return bytes;
}

static void block_free(struct code *code, struct block *block)
{
	if (!block)
		return;
	code->stats->bytes -= block_bytes(block);
	for (unsigned n = 0; n < block->count; n++)
		free(block->insn[n].detail);
	free(block);
}

static uint64_t page_bytes(const struct code_page *page)
{
	uint64_t bytes = sizeof(*page) + page->room * sizeof(page->block[0]);
	for (unsigned n = 0; n < X86_PAGE_SIZE / CODE_SPAN; n++)
		bytes += page->at[n] ? CODE_SPAN * sizeof(page->at[n][0]) : 0;
	return bytes;
}

/* Blocks stay until none is in execution. */
static void bury(struct code *code, struct code_page *page)
{
	for (unsigned n = 0; n < page->count; n++) {
		page->block[n]->next = code->dead;
		code->dead = page->block[n];
	}
	code->stats->bytes -= page_bytes(page);
	for (unsigned n = 0; n < X86_PAGE_SIZE / CODE_SPAN; n++)
		free(page->at[n]);
	free(page->block);
	free(page);
}

static void drop_page(struct engine_vcpu *c, uint64_t frame)
{
	struct code *code = c->code;
	struct code_page *page = code->page[frame];
	if (!page)
		return;
	code->page[frame] = NULL;
	while (page) {
		struct code_page *next = page->next;
		bury(code, page);
		page = next;
	}
	c->broken = true;
	memory_flush(c);
}

/* shadowpt: a watched page is about to be written. */
static void code_written(void *ctx, uint64_t gpa)
{
	interpret_code_written(ctx, gpa);
}

void interpret_code_written(struct vm *vm, uint64_t gpa)
{
	struct engine_vcpu *c = vm->vcpu[0]->engine;
	if (!c->code->storing)
		drop_page(c, gpa >> X86_PAGE_SHIFT);
}

bool interpret_stores(const struct vm *vm)
{
	return vm->vcpu[0]->engine->code->storing;
}

void interpret_set_stored(struct vm *vm, bool (*stored)(struct vm *vm, uint64_t gpa, uint64_t len))
{
	vm->vcpu[0]->engine->code->stored = stored;
}

void code_store_begin(struct code *code)
{
	code->storing = true;
}

/* True: none is left there. */
static bool store_hits_all(struct engine_vcpu *c, uint64_t gpa, uint64_t len)
{
	struct code *code = c->code;
	bool covered = false;
	if (!code_is_at(code, gpa))
		return true;
	for (const struct code_page *page = code->page[gpa >> X86_PAGE_SHIFT]; page; page = page->next)
		for (uint64_t n = gpa & X86_PAGE_MASK, end = n + len; n < end; n++)
			covered |= page->covered[n / 8] & 1u << n % 8;
	if (covered)
		drop_page(c, gpa >> X86_PAGE_SHIFT);
	else
		memory_watch(c, gpa);
	return covered;
}

bool code_store_end(struct engine_vcpu *c, uint64_t gpa, uint64_t len)
{
	struct code *code = c->code;
	code->storing = false;
	if (!gm_is_ram(&c->vm->mem, gpa, 1))
		return false;
	bool unseen = store_hits_all(c, gpa, len), kept = code->stored && code->stored(c->vm, gpa, len);
	return unseen && !kept;
}

void code_drop_all(struct engine_vcpu *c)
{
	for (uint64_t frame = 0; frame < c->vm->mem.size >> X86_PAGE_SHIFT; frame++)
		drop_page(c, frame);
}

static void free_dead(struct code *code)
{
	while (code->dead) {
		struct block *next = code->dead->next;
		block_free(code, code->dead);
		code->dead = next;
	}
}

/* Once round lets every page go, twice round each that is there. */
static void make_room(struct engine_vcpu *c)
{
	struct code *code = c->code;
	uint64_t frames = c->vm->mem.size >> X86_PAGE_SHIFT, enough = code->stats->bytes_max / 8 * 7;
	for (uint64_t looks = 2 * frames; looks && code->stats->bytes > enough; looks--) {
		struct code_page *page = code->page[code->hand];
		bool used = false;
		for (struct code_page *mode = page; mode; mode = mode->next) {
			used |= mode->used;
			mode->used = false;
		}
		if (page && !used) {
			drop_page(c, code->hand);
			free_dead(code);
			code->stats->evictions++;
		}
		code->hand = (code->hand + 1) % frames;
	}
}

void code_collect(struct engine_vcpu *c)
{
	struct code *code = c->code;
	bool full = native_is_full(c->native);
	if (full)
		code_drop_all(c);
	free_dead(code);
	if (code->stats->bytes > code->stats->bytes_max)
		make_room(c);
	if (full)
		native_reset(c->native);
	c->broken = false;
}

/* ------------------------------------------------------------------------------------------------------ building */

static bool leave_with(struct engine_vcpu *c, struct vm_exit exit)
{
	*c->exit = exit;
	c->leave = true;
	return false;
}

/* What c->rip is fetched from. */
static bool fetch(struct engine_vcpu *c, struct spt_translation *at)
{
	uint64_t gva = code_address(c, c->rip);
	if (!vcpu_canonical(gva) || (!c->wide && c->rip > c->cs_limit))
		return leave_with(c, (struct vm_exit){.reason = EXIT_EXCEPTION, .vector = X86_VEC_GP});
	if (!spt_translate(c->vm->spt, &c->paging, gva, X86_PF_I | c->user, at))
		return leave_with(c, (struct vm_exit){EXIT_EXCEPTION, X86_VEC_PF, at->error, gva});
	memory_note_fetch(c, gva, at);
	return true;
}

static bool is_hypercall(const struct engine_vcpu *c, uint64_t gpa)
{
	return c->wide && c->code->hypercall_page && gpa == c->code->hypercall_page;
}

static bool translate(struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu, uint64_t gpa, bool single)
{
	*i = (struct insn){.base = GPR_ZERO, .index = GPR_ZERO};
	if (is_hypercall(c, gpa)) {
		i->run = op_hypercall;
		return true;
	}
	return decode_insn(c, i, emu, single);
}

/* Where it lies in its block, known only now: what is relative to RIP becomes relative to the block's. */
static void place(struct insn *i, unsigned start, unsigned end)
{
	i->start = (uint8_t)start;
	i->end = (uint8_t)end;
	if (i->base == GPR_RIP)
		i->disp += end;
}

const struct block *code_single(struct engine_vcpu *c)
{
	struct code *code = c->code;
	struct emu_insn emu;
	struct spt_translation at;
	block_free(code, code->single);
	code->single = NULL;
	c->rip = interp_rip(c);
	if (c->visits) {
		leave_with(c, (struct vm_exit){.reason = EXIT_KICK});
		return NULL;
	}
	if (!fetch(c, &at))
		return NULL;
	c->vcpu->rip = c->rip;
	if (emu_decode(c->vcpu, &emu) != EMU_DONE) {
		leave_with(c, (struct vm_exit){.reason = EXIT_EMULATED});
		return NULL;
	}
	struct block *block = calloc(1, sizeof(*block) + 2 * sizeof(struct insn));
	if (!block) {
		vm_refused(c->vm, "no memory left for decoded code: end other programs first");
		leave_with(c, (struct vm_exit){.reason = EXIT_DEAD});
		return NULL;
	}
	block->count = 1;
	block->single = true;
	translate(c, &block->insn[0], &emu, at.gpa, true);
	place(&block->insn[0], 0, emu.info.length);
	block->insn[1] = (struct insn){.run = op_end, .start = emu.info.length, .end = emu.info.length};
	code->single = block;
	code->stats->bytes += block_bytes(block);
	return block;
}

static void cover(struct code_page *page, uint64_t from, unsigned len)
{
	for (uint64_t n = from; n < from + len; n++)
		page->covered[n / 8] |= (uint8_t)(1u << n % 8);
}

/* The debugger may want to stop before what lies there in its page: all addresses of the page are alike to a block. */
static bool stops_at(const struct engine_vcpu *c, uint64_t offset)
{
	for (unsigned i = 0; i < ENGINE_WATCHES; i++)
		if ((c->stops & 1u << i) && (c->watch.address[i] & X86_PAGE_MASK) == offset)
			return true;
	return false;
}

/* For one more block, at the offset. */
static bool has_room(struct code *code, struct code_page *page, unsigned offset)
{
	unsigned room = page->room ? 2 * page->room : BLOCKS_MIN;
	uint16_t **span = &page->at[offset / CODE_SPAN];
	if (!*span) {
		*span = calloc(CODE_SPAN, sizeof(**span));
		if (!*span)
			return false;
		code->stats->bytes += CODE_SPAN * sizeof(**span);
	}
	if (page->count < page->room)
		return true;
	struct block **block = realloc(page->block, room * sizeof(page->block[0]));
	if (!block)
		return false;
	code->stats->bytes += (room - page->room) * sizeof(page->block[0]);
	page->block = block;
	page->room = room;
	return true;
}

/*
 * Decodes what lies at gpa; NULL if not even one instruction can be, or memory is out. The bytes are copied once: code
 * that runs beside may change them at any moment.
 */
static struct block *build(struct engine_vcpu *c, struct code_page *page, uint64_t gpa)
{
	struct insn insns[BLOCK_INSNS + 1];
	uint8_t bytes[BLOCK_BYTES + X86_INSN_MAX];
	unsigned count = 0, at = 0;
	uint64_t offset = gpa & X86_PAGE_MASK;
	unsigned room = (unsigned)(X86_PAGE_SIZE - offset);
	struct emu_insn emu;
	if (room > sizeof(bytes))
		room = sizeof(bytes);
	if (!gm_read(&c->vm->mem, gpa, bytes, room))
		return NULL;
	for (bool ended = false; !ended && count < BLOCK_INSNS && at < BLOCK_BYTES && at < room;) {
		if (at && stops_at(c, offset + at))
			break;
		unsigned len =
			is_hypercall(c, gpa + at) ? 0 : decode_quick(c, &insns[count], bytes + at, room - at, &ended);
		if (!len) {
			if (ZYAN_FAILED(emu_decode_bytes(emu_mode(c->vcpu), bytes + at, room - at, &emu)))
				break;
			ended = translate(c, &insns[count], &emu, gpa + at, false);
			len = emu.info.length;
		}
		place(&insns[count++], at, at + len);
		at += len;
	}
	if (!count || !has_room(c->code, page, (unsigned)offset))
		return NULL;
	insns[count] = (struct insn){.run = op_end, .start = (uint8_t)at, .end = (uint8_t)at};
	pairs_make(insns, count + 1);
	struct block *block = malloc(sizeof(*block) + (count + 1) * sizeof(struct insn));
	if (!block)
		return NULL;
	*block = (struct block){.count = count};
	if (c->visits)
		c->limit -= c->limit < count * DECODED_AS ? c->limit : count * DECODED_AS;
	memcpy(block->insn, insns, (count + 1) * sizeof(struct insn));
	cover(page, offset, at);
	page->block[page->count++] = block;
	page->at[offset / CODE_SPAN][offset % CODE_SPAN] = (uint16_t)page->count;
	c->code->stats->bytes += block_bytes(block);
	return block;
}

static struct code_page *page_get(struct engine_vcpu *c, uint64_t gpa)
{
	struct code_page **slot = &c->code->page[gpa >> X86_PAGE_SHIFT];
	struct code_page *page = *slot;
	while (page && page->key != c->key)
		page = page->next;
	if (page)
		return page;
	page = calloc(1, sizeof(*page));
	if (!page)
		return NULL;
	page->key = c->key;
	page->next = *slot;
	c->code->stats->bytes += sizeof(*page);
	*slot = page;
	memory_protect(c, gpa);
	memory_watch(c, gpa & ~X86_PAGE_MASK);
	return page;
}

/* NULL: nothing has been decoded there. */
static struct block *page_block(const struct code_page *page, uint64_t gpa)
{
	unsigned offset = gpa & X86_PAGE_MASK;
	const uint16_t *span = page->at[offset / CODE_SPAN];
	unsigned n = span ? span[offset % CODE_SPAN] : 0;
	return n ? page->block[n - 1] : NULL;
}

/* The block at c->rip by a walk; *global: what it was found by outlives a load of CR3. */
static const struct block *code_lookup(struct engine_vcpu *c, bool *global)
{
	struct spt_translation at;
	if (!fetch(c, &at))
		return NULL;
	uint64_t gpa = at.gpa;
	*global = interp_is_global(c, &at);
	struct code_page *page = gm_is_ram(&c->vm->mem, gpa, 1) ? page_get(c, gpa) : NULL;
	if (!page)
		return code_single(c);
	page->used = true;
	struct block *block = page_block(page, gpa);
	if (!block) {
		block = build(c, page, gpa);
		/* Before the next block: this one is about to be executed. */
		c->broken |= c->code->stats->bytes > c->code->stats->bytes_max || native_is_full(c->native);
	}
	/* What crosses the page, or cannot be decoded, is decoded each time. */
	return block ? block : code_single(c);
}

/* The block reaches beyond the limit of CS, which is not a matter of the key. */
static bool beyond_limit(const struct engine_vcpu *c, const struct block *block)
{
	return !c->wide && c->rip + block->insn[block->count].start > R3_U64(1) + c->cs_limit;
}

const struct block *code_find(struct engine_vcpu *c)
{
	c->rip = interp_rip(c);
	uint64_t gva = code_address(c, c->rip);
	struct jump *jump = jump_of(c, gva);
	bool known = jump_is_good(c, jump, gva), global = false;
	const struct block *block = likely(known) ? jump->block : code_lookup(c, &global);
	if (!block || block == c->code->single)
		return block;
	if (!known)
		*jump = (struct jump){gva, global ? c->global : c->generation, (struct block *)block};
	return unlikely(beyond_limit(c, block)) ? code_single(c) : block;
}

const struct block *code_find_after(struct engine_vcpu *c, const struct block *from)
{
	/* Where RIP is no linear address, the same one may be elsewhere. A debugger's stops are looked at between. */
	if (!from || from->single || unlikely(!c->flat || c->stops))
		return code_find(c);
	uint64_t generation = c->generation;
	const struct block *to = code_find(c);
	/* Finding it may have decoded a page for the first time, or dropped all there was. */
	if (to && !to->single && generation == c->generation) {
		struct block *origin = (struct block *)from;
		origin->after[origin->turn++ % 2] = *jump_of(c, c->rip);
	}
	return to;
}

struct code *code_create(struct engine_vcpu *c)
{
	struct code *code = calloc(1, sizeof(*code));
	if (!code)
		return NULL;
	code->page = calloc(c->vm->mem.size >> X86_PAGE_SHIFT, sizeof(struct code_page *));
	if (!code->page) {
		free(code);
		return NULL;
	}
	code->stats = &c->vm->stats.code;
	code->stats->bytes_max = budget_code(c->vm->mem.size);
	code->hypercall_page = c->vm->image ? image_hypercall_page(c->vm) : 0;
	spt_set_written(c->vm->spt, SPT_WATCH_CODE, code_written);
	return code;
}

/* Hundreds of MiB in small pieces: to give them back one by one takes longer than the host takes for all. */
static struct code *volatile left_to_host;

void code_destroy(struct engine_vcpu *c)
{
	struct code *code = c->code;
	if (!code)
		return;
	spt_set_written(c->vm->spt, SPT_WATCH_CODE, NULL);
	if (c->vm->leaves) {
		left_to_host = code;
		c->code = NULL;
		return;
	}
	code_drop_all(c);
	code_collect(c);
	block_free(code, code->single);
	free(code->page);
	free(code);
	c->code = NULL;
}
