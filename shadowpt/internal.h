/*
 * The inside of shadowpt: what its files share, and the invariants that hold between them.
 *
 * A space is a radix tree of nodes shaped like the page tables it shadows. A node that stands for a guest table is a
 * *use* of that table's frame; its slot i holds what was derived from the guest's entry i. A node without a table is
 * the split of a large spte. A frame with uses has a struct table, whose snapshot[i] is the guest's entry from which
 * every use's slot i was derived, short of accessed and dirty bits set since. Two states of a table:
 *   protected: its frame is locked, so the live entries equal the snapshot;
 *   unsync:    the guest may write it; every use is on its space's unsync list until some comparisons found nothing.
 * No spte maps a locked frame writable. Frames are locked by their table, by a watch, or both.
 *
 * What a guest can name in many places is bounded, so that no single call takes long: the uses of a table, the
 * writable leaves of one piece of memory, and the bytes of all nodes and tables together (spt_make_room).
 *
 * A failed op only marks its space refused: structures stay whole until spt_settle empties the space at the end of
 * the call.
 */
#ifndef SHADOWPT_INTERNAL_H
#define SHADOWPT_INTERNAL_H

#include "shadowpt/shadowpt.h"

/* -------------------------------------------------------------------------------------------------------- lists */

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
	head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_add(struct list *head, struct list *item)
{
	item->next = head;
	item->prev = head->prev;
	head->prev->next = item;
	head->prev = item;
}

/* Leaves item a list of its own, so that removing it again is harmless. */
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

/* Moves all of from to the end of to. */
static inline void list_move_all(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define LIST_ITEM(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* ------------------------------------------------------------------------------------------------------- levels */

#define LEVEL_TOP  X86_PT_LEVELS
#define LEVEL_HUGE 3
#define LEVEL_BIG  2
#define LEVEL_PAGE 1

#define INDEX_BITS 9

/* Beyond these the table's oldest use, or another writable leaf, goes: a host call for each is some milliseconds. */
#define TABLE_USES_MAX 4096
#define WRITERS_MAX    4096

/* Of 4-byte entries. */
#define TABLE_ENTRIES_MAX (2 * X86_PT_ENTRIES)

/* Spaces, when most have no owner that would bound their number. */
#define SPACES_MAX 8192
/* Kernels have one upper half, or two where user mode is to see little of it. */
#define UPPERS_MAX 4

static inline unsigned level_shift(unsigned level)
{
	return X86_PAGE_SHIFT + INDEX_BITS * (level - 1);
}

/* The address of 48 bits, extended. */
static inline uint64_t gva_canonical(uint64_t gva)
{
	return (uint64_t)((int64_t)(gva << 16) >> 16);
}

/* Bytes that one entry of a table of this level covers. */
static inline uint64_t level_size(unsigned level)
{
	return R3_BIT(level_shift(level));
}

static inline unsigned level_index(uint64_t gva, unsigned level)
{
	return (gva >> level_shift(level)) & (X86_PT_ENTRIES - 1);
}

/* ---------------------------------------------------------------------------------------------------- structures */

enum spte_kind { SPTE_NONE, SPTE_LEAF, SPTE_CHILD };

struct spte {
	uint64_t frame : 40; /* leaf: gpa >> X86_PAGE_SHIFT of the whole page, clipped or not */
	uint64_t kind : 2;   /* enum spte_kind */
	uint64_t prot : 2;   /* leaf: SPT_WRITE, SPT_EXEC */
	uint64_t index : 9;  /* leaf: place in its node, to get from here back to the node */
	union {
		struct node *child;
		struct {
			struct spte *next, **link; /* writable leaf: list of the writers of its memory */
		};
	};
};

struct node {
	struct spt_space *space;
	struct table *table; /* the guest table it shadows; NULL in a split large page, and above tables of 32 bits */
	uint64_t gva;	     /* first address it covers */
	unsigned level;
	struct list use;    /* in table->uses */
	struct list unsync; /* in space->unsync while the table is */
	struct spte spte[X86_PT_ENTRIES];
};

struct table {
	uint64_t gpa;
	const void *live; /* the frame, in guest memory */
	struct list uses; /* nodes */
	unsigned use_count;
	bool unsync, narrow; /* entries of 4 bytes */
	unsigned clean;	     /* comparisons in a row that found nothing written */
	uint64_t epoch;	     /* of the last comparison */
	union {
		uint64_t snapshot[X86_PT_ENTRIES];
		uint32_t narrow_snapshot[TABLE_ENTRIES_MAX];
	};
};

struct frame {
	struct spte *writers; /* 4 KiB leaves that map it writable */
	struct table *table;
	uint32_t writer_count;
	uint8_t locks; /* one for a protected table, one for a watch */
	bool watched;
	uint8_t protects; /* times that a table here was protected after comparisons, up to a limit */
};

/* Larger runs of RAM, 2 MiB and 1 GiB, aligned. */
struct region {
	struct spte *writers; /* leaves of that size */
	uint32_t writer_count;
	uint32_t locked; /* frames in it that are locked */
};

/* Powers of two. */
#define SPT_PAGES_KEPT 64
#define SPT_LOCKS_KEPT 64

/* Entries looked at around a fault, at first. */
#define SPT_WINDOW_MIN 16
/* Pages in a row that are mapped at once though they can be written. */
#define SPT_ROW_WRITTEN 32

struct spt_space {
	struct spt *spt;
	uint64_t root;
	enum spt_paging paging;
	enum spt_mode mode;
	void *owner;
	struct spt_space *hash_next;
	struct node *top;    /* NULL: nothing mapped */
	struct list unsync;  /* uses of unsync tables */
	struct list written; /* in spt->written_users while there are any, of user mode's */
	unsigned astray;     /* times that one of its tables was written since its root was loaded last */
	int error;	     /* a refused op's, until settled */
	struct list refused; /* in spt->refused while error is set */
	struct list recent;  /* in spt->recent */
	uint64_t last_lo;    /* what the last fault filled, to see sequences */
	uint64_t last_hi;
	unsigned window;   /* entries to look at around a fault, a power of two */
	struct list upper; /* in spt->uppers */
	uint64_t entry[];  /* of upper spaces: the top-level entry that each slot in use was derived from */
};

struct spt {
	struct spt_config config;
	struct spt_view view[SPT_MODES];
	struct spt_ops ops;
	void *ctx;
	uint64_t reserved; /* physical address bits above physical_bits */
	struct frame *frames;
	struct region *big, *huge;
	struct spt_space **buckets;
	size_t bucket_count;	       /* a power of two */
	struct list refused;	       /* spaces */
	struct list recent;	       /* all spaces, the one that faulted last at the end */
	struct list written_users;     /* spaces of user mode with tables that are unsync */
	struct list uppers;	       /* upper spaces, the one that was loaded last at the end */
	struct spt_space *upper;       /* that of the root loaded last; NULL: it has none yet */
	const void *bound;	       /* the one that was so last */
	uint64_t binds;		       /* how often it became another one */
	uint16_t used[X86_PT_ENTRIES]; /* its top-level entries in use, when spt_agreements was `used_at` */
	unsigned used_count;
	uint64_t used_at;
	unsigned upper_first;	       /* entry of the top level from which on upper spaces have what there is */
	uint64_t epoch;		       /* one per CR3 load, as it is of remaps */
	uint64_t remaps;	       /* all that spt_remaps tells of */
	uint64_t pages;		       /* calls of spt_invlpg, */
	uint64_t page[SPT_PAGES_KEPT]; /* and for which pages, the last of them */
	uint64_t locks;		       /* times that a frame was locked, */
	uint64_t lock[SPT_LOCKS_KEPT]; /* and which, the last of them */
	void (*written[SPT_WATCHERS])(void *ctx, uint64_t gpa);
	struct spt_stats stats;
};

static inline bool spt_in_ram(const struct spt *spt, uint64_t gpa)
{
	const struct spt_config *config = &spt->config;

	return gpa < config->ram_size && !(gpa >= config->hole_start && gpa < config->hole_end);
}

/* With addresses of 32 bits a space can map them all. */
static inline const struct spt_view *spt_space_view(const struct spt_space *space)
{
	static const struct spt_view narrow = {{{0, R3_BIT(32)}}, .count = 1};

	return space->paging == SPT_4_LEVEL ? &space->spt->view[space->mode] : &narrow;
}

/* What of [gva, gva+len), not more than a page of any level, the space can map: one piece, or none of length 0. */
static inline struct spt_range spt_reachable(const struct spt_space *space, uint64_t gva, uint64_t len)
{
	const struct spt_view *view = spt_space_view(space);
	uint64_t last = gva + (len - 1);

	for (unsigned n = 0; n < view->count; n++) {
		const struct spt_range *range = &view->range[n];

		if (last >= range->start && gva < range->end)
			return (struct spt_range){gva > range->start ? gva : range->start,
						  last < range->end ? last + 1 : range->end};
	}
	return (struct spt_range){0};
}

static inline bool spt_reaches(const struct spt_space *space, uint64_t gva)
{
	return spt_reachable(space, gva, 1).end;
}

static inline struct frame *spt_frame(struct spt *spt, uint64_t gpa)
{
	return &spt->frames[gpa >> X86_PAGE_SHIFT];
}

/* Guest tables change under us: every access to an entry goes through one of these. */
static inline uint64_t entry_load(const uint64_t *entry)
{
	return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

static inline bool entry_exchange(uint64_t *entry, uint64_t expected, uint64_t value)
{
	return __atomic_compare_exchange_n(entry, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* --------------------------------------------------------------------------------------------------- walk.c */

/* What the entries of a walk grant together. */
struct rights {
	bool user, write, no_exec;
};

struct walk {
	unsigned steps; /* tables in memory, 0 to 4; the last has the leaf */
	struct {
		uint64_t table; /* gpa of the table */
		void *slot;	/* the entry in guest memory; NULL outside RAM */
		uint64_t entry; /* as read, with the accessed and dirty bits set since */
	} step[X86_PT_LEVELS];
	struct rights above;  /* of all levels but the leaf */
	struct rights rights; /* of all */
	uint64_t gpa;	      /* of the byte */
	uint64_t page_len;
	uint32_t error; /* if it failed */
};

/* As spt_translate, with all that a fill needs to know. */
bool spt_walk_access(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint32_t access, struct walk *walk);
/* The same of entries that have their accessed bits, which changes nothing. */
bool spt_walk_marked(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint32_t access, struct walk *walk);
/* A present leaf entry at level, with no reserved bit set. */
bool spt_entry_is_leaf(const struct spt *spt, const struct spt_cpu *cpu, unsigned level, uint64_t entry);
static inline struct rights spt_rights_with(struct rights rights, const struct spt_cpu *cpu, uint64_t entry)
{
	return (struct rights){
		.user = rights.user && (entry & X86_PTE_U),
		.write = rights.write && (entry & X86_PTE_W),
		.no_exec = rights.no_exec || (cpu->nxe && (entry & X86_PTE_NX)),
	};
}
bool spt_rights_readable(struct rights rights, uint32_t access);
unsigned spt_rights_prot(struct rights rights, const struct spt_cpu *cpu, uint32_t access);
/* First gpa of the page that a leaf entry maps. */
uint64_t spt_entry_page(const struct spt_cpu *cpu, unsigned level, uint64_t entry);

/* -------------------------------------------------------------------------------------------------- space.c */

/* Ops; after one failed, those that follow for the same space do nothing. */
void spt_space_map(struct spt_space *space, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot);
void spt_space_unmap(struct spt_space *space, uint64_t gva, uint64_t len);
void spt_space_protect(struct spt_space *space, uint64_t gva, uint64_t len, unsigned prot);
void spt_space_refuse(struct spt_space *space, int error);
/* Unmaps what the space holds, by one op. */
void spt_space_drop_all(struct spt_space *space);
/* The shadow tables take more than they may. */
bool spt_is_full(const struct spt *spt);
/* Drops what lay below registers of PAE that say otherwise now. */
void spt_space_follow(struct spt_space *space, const struct spt_cpu *cpu);
/* The space is about to be filled: empties others, in the end itself too, if there is no room. */
void spt_make_room(struct spt_space *space);
/*
 * Ends a call: empties the spaces that refused an op. `faulting` is emptied for real by the caller, the others are
 * here. 0, or the error that the caller of the library must see.
 */
int spt_settle(struct spt *spt, struct spt_space *faulting);

/* --------------------------------------------------------------------------------------------------- tree.c */

/* A contiguous piece of a space; len 0 is none. */
struct run {
	uint64_t gva, gpa, len;
	unsigned prot;
};

/* A new empty node without a table, for the addresses around gva. NULL when memory is out. */
struct node *spt_node_create(struct spt_space *space, unsigned level, uint64_t gva);
/* Forgets the node and what is under it; no effect on the host. */
void spt_node_free(struct node *node);
/* Takes the node and what is under it out of its space, and unmaps that. */
void spt_node_cut(struct node *node);
/* Unmaps what slots [first, first+count) hold. */
void spt_node_drop(struct node *node, unsigned first, unsigned count);
/*
 * Has slot i map its whole page to gpa, as far as RAM, limits and locked frames allow, and adds to the run, op by op,
 * what differs from before and the page of `fault` in any case. The run's last piece is left for spt_node_flush.
 */
void spt_node_put(struct node *node, unsigned i, uint64_t gpa, unsigned prot, uint64_t fault, struct run *run);
void spt_node_flush(struct spt_space *space, struct run *run);
/* Drops the guest's page at gva, all of it. */
void spt_space_drop_page(struct spt_space *space, uint64_t gva);
/* Makes every spte of the frame read-only, splitting large ones. */
void spt_frame_write_protect(struct spt *spt, uint64_t gpa);

/* -------------------------------------------------------------------------------------------------- table.c */

/*
 * The table in the frame at gpa, with entries of 4 bytes or of 8, tracked from now on; NULL when memory is out. It
 * lives while it has uses.
 */
struct table *spt_table_get(struct spt *spt, uint64_t gpa, bool narrow);
/*
 * Which of the guest's entries the node's slot i was derived from. Of 4-byte entries a node has a part: half of a page
 * table; a quarter of a directory, each of whose entries stands for two slots.
 */
unsigned spt_slot_entry(const struct node *node, unsigned i);
uint64_t spt_table_live(const struct table *table, unsigned entry);
uint64_t spt_table_snapshot(const struct table *table, unsigned entry);
/* Entry is `value`, which takes nothing away. */
void spt_table_note(struct table *table, unsigned entry, uint64_t value);
/* One use more, for the way to gva; of too many the oldest goes that does not lie on that way. */
void spt_table_add_use(struct table *table, struct node *node, uint64_t gva);
void spt_table_remove_use(struct table *table, struct node *node);
/*
 * Entry i was read as `entry` and is to be used. True if the snapshot agrees. False if something had to be dropped,
 * nodes perhaps, or the entry changed again: the walk is out of date.
 */
bool spt_table_confirm(struct spt *spt, struct table *table, unsigned i, uint64_t entry);
/* What was derived from `old` may be more than `value` grants. */
bool spt_entry_revoked(uint64_t old, uint64_t value);
/* Entry i is `value` now. */
void spt_table_set(struct table *table, unsigned i, uint64_t value);
/* Compares every unsync table of the space with its snapshot, once per epoch; true if the guest wrote one. */
bool spt_space_sync(struct spt_space *space);

/* -------------------------------------------------------------------------------------------------- upper.c */

/* The upper space of cpu's root; NULL: it is none that exists. */
struct spt_space *spt_upper_find(const struct spt *spt, const struct spt_cpu *cpu);
/* The root has that space from now on. */
void spt_upper_bind(struct spt_space *space, uint64_t root);
/* The root is loaded: finds the space that agrees with it, and brings it up to date; if there is none it has none yet.
 */
void spt_upper_load(struct spt *spt, const struct spt_cpu *cpu);
/* Entry i of the root was read as `entry` and is to be used: as spt_table_confirm. */
bool spt_upper_confirm(struct spt_space *space, unsigned i, uint64_t entry);

/* -------------------------------------------------------------------------------------------------- frame.c */

void spt_frame_lock(struct spt *spt, uint64_t gpa);
void spt_frame_unlock(struct spt *spt, uint64_t gpa);
/* Locked frames in the page of this level at gpa. */
bool spt_frames_locked(struct spt *spt, unsigned level, uint64_t gpa);
/* Some space maps it so. */
bool spt_frame_is_writable(struct spt *spt, uint64_t gpa);
/* List of the leaves of that level that map gpa writable. */
struct spte **spt_frame_writers(struct spt *spt, unsigned level, uint64_t gpa);
/* How many these are. */
uint32_t *spt_frame_writer_count(struct spt *spt, unsigned level, uint64_t gpa);
/* The contents change otherwise than by the guest's store: only a watch ends. */
void spt_frame_changed(struct spt *spt, uint64_t gpa);
/* The guest is about to write: a watch ends, a table becomes unsync. */
void spt_frame_written(struct spt *spt, uint64_t gpa);
/* The table's part of it. */
void spt_table_written(struct spt *spt, struct table *table);

#endif
