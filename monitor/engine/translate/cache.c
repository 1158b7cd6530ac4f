/*
 * The memory of the code cache: given out from the bottom up, and emptied as a whole when it is full.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/host/clock.h"
#include "monitor/host/prefault.h"
#include "monitor/host/refusal.h"
#include "monitor/host/unforked.h"
#include "monitor/vm/vm.h"

#define CODE_MAX (GATE_CACHE_SIZE - (GATE_CACHE_CODE - GATE_CACHE))
/* One block's code and check always find room in an empty cache, behind what is there from the start. */
#define CODE_MIN 16384

/* Behind the tables for jumps, CPUID's answers. */
#define CACHE_IDENTITY (GATE_CACHE_TABLES + BT_FLAVOURS * BT_TABLE_ENTRIES * sizeof(uint64_t))

#define CHUNK_SIZE (1 << 20)
#define KEPT_MIN   (2 * CHUNK_SIZE)

/* Memory that the host provides at once, larger than anything that is asked for: its fault for each page costs more. */
#define AHEAD (64 << 10)

/* A table is written in parts that are all the same. */
#define PART_ENTRIES 2048

struct bt_chunk {
	struct bt_chunk *next;
	size_t used, ready; /* bytes given out, and those that the host has provided */
	uint8_t bytes[CHUNK_SIZE];
};

_Static_assert(GATE_CACHE_TABLES % (BT_TABLE_ENTRIES * sizeof(uint64_t)) == 0, "an index adds to it without a carry");
_Static_assert(CACHE_IDENTITY + BT_IDENTITIES * sizeof(struct bt_identity) <= GATE_CACHE_CODE,
	       "one table for each flavour, and one more");
_Static_assert(GATE_CACHE_SLOTS + BT_TABLE_ENTRIES * sizeof(uint64_t) <= GATE_CACHE_TABLES, "and form.c's");
_Static_assert(sizeof(struct bt_state) <= GATE_PAGE, "state fits its page");

/*
 * Blocks of one instruction are short, and what is kept of them is not: that has a budget of its own. Checks of
 * indirect jumps need none of it.
 */
bool cache_keeps_much(const struct translate *t)
{
	return t->kept >= (t->limit < KEPT_MIN ? KEPT_MIN : t->limit);
}

void *cache_alloc(struct translate *t, size_t size)
{
	size = (size + 15) & ~(size_t)15;
	if (!t->chunks || t->chunks->used + size > CHUNK_SIZE) {
		struct bt_chunk *chunk = unforked_alloc(sizeof(*chunk));
		if (!chunk)
			return NULL;
		chunk->next = t->chunks;
		chunk->used = chunk->ready = 0;
		t->chunks = chunk;
		t->kept += sizeof(*chunk);
	}
	void *memory = t->chunks->bytes + t->chunks->used;
	t->chunks->used += size;
	if (t->chunks->used > t->chunks->ready) {
		prefault(t->chunks->bytes + t->chunks->ready, AHEAD);
		t->chunks->ready += AHEAD;
	}
	memset(memory, 0, size);
	return memory;
}

static void free_chunks(struct translate *t)
{
	while (t->chunks) {
		struct bt_chunk *next = t->chunks->next;
		unforked_free(t->chunks, sizeof(*t->chunks));
		t->chunks = next;
	}
	t->kept = 0;
}

uint64_t cache_miss(const struct translate *t)
{
	return cache_address(0);
}

uint64_t cache_address(uint32_t host)
{
	return GATE_CACHE_CODE + (uint64_t)host;
}

uint64_t *cache_table(const struct translate *t, unsigned flavour, uint64_t gva)
{
	return &t->tables[flavour % BT_FLAVOURS * BT_TABLE_ENTRIES + gva % BT_TABLE_ENTRIES];
}

void cache_place(const struct translate *t, uint32_t host, unsigned flavour, struct bt_place *place)
{
	*place = (struct bt_place){
		.host = cache_address(host),
		.state = GATE_CACHE_STATE,
		.table = GATE_CACHE_TABLES + flavour % BT_FLAVOURS * BT_TABLE_ENTRIES * sizeof(uint64_t),
		.identity = CACHE_IDENTITY,
		.slots = GATE_CACHE_SLOTS,
		.narrow = flavour & BT_NARROW,
		.window = flavour & BT_USER && t->one_cell ? BT_WINDOW_USER : BT_WINDOW_BASE,
		.sets_bases = t->sets_bases,
		.hypercall = gate_address(gate_hypercall),
		.callout = t->callout,
		.iret = gate_address(gate_iret),
		.sysret = gate_address(gate_sysret),
		.root = gate_address(gate_root),
		.callout_id = GATE_XCHG + offsetof(struct gate_xchg, callout),
	};
	memcpy(place->cross, t->cross[flavour % BT_USER], sizeof(place->cross));
}

bool cache_has_room(const struct translate *t, unsigned len)
{
	return t->used + len <= t->limit && t->piece_count < t->piece_max;
}

uint32_t cache_add(struct translate *t, struct bt_block *block, enum bt_piece_kind kind, unsigned len)
{
	uint32_t host = t->used;
	t->pieces[t->piece_count++] = (struct bt_piece){host, block, kind};
	t->used += (len + BT_ALIGN - 1) / BT_ALIGN * BT_ALIGN;
	if (t->used + BT_BLOCK_MAX > t->ready && t->ready < t->limit) {
		prefault(t->code + t->ready, AHEAD);
		t->ready += AHEAD;
	}
	t->vm->stats.cache.bytes = t->used;
	return host;
}

const struct bt_piece *cache_piece(const struct translate *t, uint32_t host)
{
	unsigned low = 0, high = t->piece_count;
	if (host >= t->used)
		return NULL;
	while (high - low > 1) {
		unsigned middle = (low + high) / 2;
		if (t->pieces[middle].host <= host)
			low = middle;
		else
			high = middle;
	}
	return &t->pieces[low];
}

static unsigned crosses_from(enum bt_cross way)
{
	return bt_crosses_in(way) ? BT_USER : 0;
}

static void places_of_crossing(const struct translate *t, uint32_t host, unsigned flavour, enum bt_cross way,
			       struct bt_place *place, struct bt_place *other)
{
	cache_place(t, host, flavour | BT_NARROW | crosses_from(way), place);
	cache_place(t, host, flavour | BT_NARROW | (crosses_from(way) ^ BT_USER), other);
}

static void add_crossings(struct translate *t)
{
	struct bt_place place, other;
	memset(t->cross, 0, sizeof(t->cross));
	for (unsigned flavour = 0; flavour < BT_USER && t->one_cell && (t->mode & BT_NARROW); flavour++)
		for (enum bt_cross way = BT_CROSS_IN; way < BT_CROSSES; way++) {
			places_of_crossing(t, t->used, flavour, way, &place, &other);
			cache_begin_table(t, flavour | (crosses_from(way) ^ BT_USER));
			unsigned len = bt_compile_crossing(&place, &other, way, t->code + t->used);
			t->cross[flavour][way] = cache_address(cache_add(t, NULL, BT_CROSSING, len));
		}
}

enum bt_stage cache_stage(const struct translate *t, const struct bt_piece *piece, uint32_t host)
{
	struct bt_place place, other;
	for (unsigned flavour = 0; flavour < BT_USER; flavour++)
		for (enum bt_cross way = BT_CROSS_IN; way < BT_CROSSES; way++)
			if (t->cross[flavour][way] == cache_address(piece->host)) {
				places_of_crossing(t, piece->host, flavour, way, &place, &other);
				return bt_locate_crossing(&place, &other, way, host - piece->host);
			}
	return BT_BEFORE;
}

/* Blocks and pages are in chunks. What is watched stays so: the interpreter may have code there too. */
static void forget_blocks(struct translate *t)
{
	if (!t->chunks)
		return;
	memset(t->frames, 0, (t->vm->mem.size >> X86_PAGE_SHIFT) * sizeof(t->frames[0]));
	memset(t->hash, 0, sizeof(t->hash));
	free_chunks(t);
	memset(t->live, 0, sizeof(t->live));
}

/* By way of the file: the host clears no page before, and maps none here, of which few will be written. */
static void fill_table(const struct translate *t, uint64_t *table)
{
	uint64_t missing[PART_ENTRIES];
	for (unsigned n = 0; n < PART_ENTRIES; n++)
		missing[n] = cache_miss(t);
	for (unsigned n = 0; n < BT_TABLE_ENTRIES; n += PART_ENTRIES)
		if (pwrite(t->fd, missing, sizeof(missing), (uint8_t *)(table + n) - t->memory) != sizeof(missing))
			memcpy(table + n, missing, sizeof(missing));
}

void cache_begin_table(struct translate *t, unsigned flavour)
{
	flavour %= BT_FLAVOURS;
	if (t->begun & 1u << flavour)
		return;
	t->begun |= 1u << flavour;
	fill_table(t, cache_table(t, flavour, 0));
}

void cache_empty(struct translate *t)
{
	struct bt_place place;
	forget_blocks(t);
	t->resume.block = NULL;
	t->entry.block = NULL;
	memset(t->vain, 0, sizeof(t->vain));
	t->used = t->piece_count = 0;
	t->vm->stats.cache.flushes += t->emptied++ != 0;
	t->begun = 0;
	cache_place(t, 0, 0, &place);
	cache_add(t, NULL, BT_THUNK, bt_compile_stub(&place, t->code));
	add_crossings(t);
}

int cache_create(struct translate *t, uint64_t size, bool traced)
{
	uint64_t frames = t->vm->mem.size >> X86_PAGE_SHIFT;
	t->limit = size && size < CODE_MAX ? (uint32_t)(size > CODE_MIN ? size : CODE_MIN) : (uint32_t)CODE_MAX;
	t->piece_max = t->limit / BT_ALIGN;
	t->callout = traced ? 0 : gate_address(gate_callout);
	t->pieces = unforked_alloc(t->piece_max * sizeof(*t->pieces));
	t->frames = calloc(frames, sizeof(*t->frames));
	t->hits = calloc(frames, 1);
	t->stores = calloc(frames, 1);
	if (getrandom(&t->secret, sizeof(t->secret), 0) != sizeof(t->secret))
		t->secret = clock_tsc();
	t->secret |= 1;
	t->fd = memfd_create("ring3 code", MFD_CLOEXEC);
	t->memory = MAP_FAILED;
	if (t->fd >= 0 && !ftruncate(t->fd, GATE_CACHE_SIZE))
		t->memory = mmap(NULL, GATE_CACHE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	if (t->memory == MAP_FAILED || !t->pieces || !t->frames || !t->hits || !t->stores) {
		fprintf(stderr, "ring3: no memory for the code cache: %s; %s\n", strerror(errno),
			refusal_remedy(errno));
		return -ENOMEM;
	}
	madvise(t->memory, GATE_CACHE_SIZE, MADV_DONTFORK);
	t->state = (void *)t->memory;
	t->tables = (void *)(t->memory + (GATE_CACHE_TABLES - GATE_CACHE));
	t->slots = (void *)(t->memory + (GATE_CACHE_SLOTS - GATE_CACHE));
	t->identity = (void *)(t->memory + (CACHE_IDENTITY - GATE_CACHE));
	t->code = t->memory + (GATE_CACHE_CODE - GATE_CACHE);
	cache_empty(t);
	t->vm->stats.cache.bytes_max = t->limit;
	return 0;
}

void cache_destroy(struct translate *t)
{
	free_chunks(t);
	unforked_free(t->pieces, t->piece_max * sizeof(*t->pieces));
	free(t->frames);
	free(t->hits);
	free(t->stores);
	if (t->memory && t->memory != MAP_FAILED)
		munmap(t->memory, GATE_CACHE_SIZE);
	if (t->fd >= 0)
		close(t->fd);
}
