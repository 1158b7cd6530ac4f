/*
 * Shadow page tables: the memory-management unit of the virtual processor, as a pure library.
 *
 * The guest keeps page tables (gpte) in its own RAM; a *space* is what the host really maps for one root and one mode
 * (spte). The library walks the guest's tables as the processor does (SDM 3A 4.5 to 4.10), fills a space on a fault,
 * remembers what it mapped and from which table frames, and drops it when the guest invalidates or changes a table.
 * It touches the outside only through struct spt_ops, knows no Linux header, and is not thread-safe: one caller at a
 * time. Guest tables may change at any moment under it (hostile or another vCPU): every entry is read once per step.
 */
#ifndef SHADOWPT_H
#define SHADOWPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypercalls/x86.h"

struct spt;
struct spt_space;

/*
 * A kernel space holds supervisor and user pages, a user space user pages only. An upper space holds the upper part of
 * what kernel mode has, of four-level tables: one for all roots whose top-level entries for it are the same. Who gives
 * upper spaces a view takes what lies from its first range's top-level entry on out of that of kernel spaces.
 */
enum spt_mode { SPT_KERNEL, SPT_USER, SPT_UPPER };
#define SPT_MODES 3

/* The library's own negative error, beside those of the ops: memory is out. The value is Linux's ENOMEM. */
#define SPT_ENOMEM 12

/* What a mapping permits; reading is always permitted. */
#define SPT_WRITE 1u
#define SPT_EXEC  2u

struct spt_ops {
	/*
	 * Host address of guest RAM [gpa, gpa+4096), gpa page-aligned; NULL outside RAM. The pointer stays valid while
	 * the struct spt lives.
	 */
	void *(*frame)(void *ctx, uint64_t gpa);
	/*
	 * Effects on the space's real address space. All addresses and lengths are multiples of 4096. May be queued,
	 * but must be in force, in order, before the space next runs guest code. map replaces what was there. Return 0
	 * or a negative error. After an error the library takes the space for empty: spt_fault returns
	 * SPT_HOST_REFUSED for its own space; any other space is unmapped, all ranges of its view, by more ops, and as
	 * long as that fails, every call that may return an op's error returns it. Ops must not call back.
	 */
	int (*map)(void *ctx, struct spt_space *space, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot);
	int (*unmap)(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len);
	int (*protect)(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len, unsigned prot);
	/* Has what is queued for the space take effect now, so that the host gets its memory back. NULL: never queued.
	 */
	int (*settle)(void *ctx, struct spt_space *space);
};

/* Addresses of the guest's that a space can map; page-aligned. */
struct spt_range {
	uint64_t start, end;
};

/* All that a space can map: disjoint, with more than LEVEL_HUGE's page between one and the next. */
#define SPT_RANGES 4
struct spt_view {
	struct spt_range range[SPT_RANGES];
	unsigned count;
};

struct spt_config {
	uint64_t ram_size;	/* bytes from gpa 0, multiple of 4096 */
	struct spt_view view;	/* of kernel and user spaces, at first; upper spaces have none then */
	unsigned physical_bits; /* guest MAXPHYADDR; entry bits above it are reserved */
	/* [hole_start, hole_end) is no RAM, multiples of 4096 with 1 GiB's border between; equal: there is none */
	uint64_t hole_start;
	uint64_t hole_end;
	/*
	 * Bytes that the shadow tables of all spaces may take, the host's own page tables for what they map included;
	 * beyond, the space that faulted longest ago is emptied. 0: no bound. A single fault may go beyond it by what
	 * splitting all of RAM into pages takes, RAM/128.
	 */
	uint64_t memory_max;
};

/*
 * How linear addresses become physical ones (SDM 3A 4.1.1). In all but the first they have 32 bits and bits above are
 * ignored; then a space's view is all of its 4 GiB.
 */
enum spt_paging {
	SPT_4_LEVEL,
	SPT_NO_PAGING, /* as they are, and everything is permitted */
	SPT_32_BIT,    /* two levels of 4-byte entries */
	SPT_PAE,       /* two levels of 8-byte entries below four registers */
};

#define SPT_PDPTES 4

/* The registers that paging depends on, of the vCPU on whose behalf a call is made. */
struct spt_cpu {
	uint64_t cr3;
	enum spt_paging paging;
	bool wp;		    /* CR0.WP */
	bool nxe;		    /* EFER.NXE with CR4.PAE */
	bool smep;		    /* CR4.SMEP */
	bool smap;		    /* CR4.SMAP, and AC does not lift it for these accesses */
	uint32_t user_keys;	    /* PKRU, of SPT_4_LEVEL alone; 0 without CR4.PKE */
	uint32_t kernel_keys;	    /* IA32_PKRS, likewise; 0 without CR4.PKS */
	bool pge;		    /* CR4.PGE: G bits count */
	bool pse;		    /* CR4.PSE: 4 MiB pages; of SPT_32_BIT alone */
	uint64_t pdpte[SPT_PDPTES]; /* of SPT_PAE alone; loaded and checked by the caller */
};

/* By member, for what lies between them has no value. */
static inline bool spt_same_rules(const struct spt_cpu *a, const struct spt_cpu *b)
{
	return a->paging == b->paging && a->wp == b->wp && a->nxe == b->nxe && a->smep == b->smep &&
	       a->smap == b->smap && a->user_keys == b->user_keys && a->kernel_keys == b->kernel_keys &&
	       a->pge == b->pge && a->pse == b->pse;
}
static inline bool spt_same_roots(const struct spt_cpu *a, const struct spt_cpu *b)
{
	bool same = a->cr3 == b->cr3;
	for (unsigned n = 0; n < SPT_PDPTES; n++)
		same = same && a->pdpte[n] == b->pdpte[n];
	return same;
}

struct spt *spt_create(const struct spt_config *config, const struct spt_ops *ops, void *ctx);
void spt_destroy(struct spt *spt);
/* What spaces of that mode can map from now on, NULL: as at first. All spaces are emptied, under the old view. 0 or an
 * op's error. */
int spt_set_view(struct spt *spt, enum spt_mode mode, const struct spt_view *view);

/*
 * The space for (root and paging mode of cpu, mode), made empty if there is none; NULL when memory is out. `owner` is
 * the caller's pointer, NULL in a new space. A space that has no owner lives until the next call of this. Which upper
 * space a root has is found out at each load of CR3, and is the same until the next one.
 */
struct spt_space *spt_space_get(struct spt *spt, const struct spt_cpu *cpu, enum spt_mode mode);
/* The same without making one: NULL if there is none. */
struct spt_space *spt_space_find(struct spt *spt, const struct spt_cpu *cpu, enum spt_mode mode);
/* The mode of the space in which kernel mode has gva. */
enum spt_mode spt_kernel_mode(const struct spt *spt, const struct spt_cpu *cpu, uint64_t gva);
enum spt_paging spt_space_paging(const struct spt_space *space);
void **spt_space_owner(struct spt_space *space);
enum spt_mode spt_space_mode(const struct spt_space *space);
/* Of an upper space: the one that had it last. */
uint64_t spt_space_root(const struct spt_space *space);

/* No table of user mode's, of any root, may have been written since it was looked at: a load of CR3 takes nothing away.
 */
bool spt_users_are_synced(const struct spt *spt);

/*
 * To load the root of that space of user mode would change nothing but the root in force: whatever tables were written
 * has been compared since, its own top level is among those that are, and it has the upper space of the root in force.
 * That of a root stays so as long as spt_agreements is the same.
 */
bool spt_root_agrees(struct spt *spt, const struct spt_space *user);
uint64_t spt_agreements(const struct spt *spt);

/* Forgets and frees the space without any effect: the caller has emptied or discarded the real address space. */
void spt_space_discard(struct spt_space *space);
/* Unmaps everything in the space and keeps it. 0 or an op's error. */
int spt_space_empty(struct spt_space *space);

/* ------------------------------------------------------------------------------------------------ translation */

struct spt_translation {
	uint64_t gpa;	   /* of the byte accessed */
	uint64_t page_len; /* 4096, 2 MiB, 4 MiB or 1 GiB: the guest's page; 4096 without paging */
	unsigned prot;	   /* SPT_WRITE, SPT_EXEC as this access's privilege would have it, D bit not considered */
	bool user;	   /* U/S of the combined entries */
	bool global;	   /* outlives a load of CR3 */
	uint32_t error;	   /* when the walk faults: the page-fault error code */
};

/*
 * Walks the guest's tables for an access given as X86_PF_W | X86_PF_U | X86_PF_I bits, with all checks of the
 * processor, and sets accessed and dirty bits if it succeeds. True: out->gpa and the rest are set; the gpa may lie
 * outside RAM; for a write, the caller may store to the page until its next call of the library. False: out->error
 * holds the error code for the guest's #PF; for a non-canonical gva, that of a page not present.
 */
bool spt_translate(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint32_t access,
		   struct spt_translation *out);

/* One step of a walk, for people to read. */
struct spt_step {
	unsigned level;	    /* 4 (PML4) to 1 (PT) */
	unsigned index;	    /* of the entry in its table */
	uint64_t entry_gpa; /* where the entry lies, or a PAE register was loaded from */
	uint64_t entry;	    /* its value; 0 if entry_gpa lies outside RAM */
	uint64_t covers;    /* bytes of linear addresses that an entry of this level stands for */
	uint64_t page_len;  /* present and a leaf: bytes of the page that it maps; else 0 */
	uint64_t page;	    /* and its gpa */
};
/* Walks without setting any bit and without checks; returns the steps made: 1 to 4, none without paging. */
unsigned spt_probe(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, struct spt_step steps[X86_PT_LEVELS]);
/*
 * The same for who looks at all entries: the root's level, 0 without paging, and gpa; how many entries a table of a
 * level has; and what one of them says. The next table lies at its X86_PTE_ADDR.
 */
unsigned spt_root(const struct spt_cpu *cpu, uint64_t *table);
unsigned spt_table_entries(const struct spt_cpu *cpu, unsigned level);
struct spt_step spt_probe_entry(struct spt *spt, const struct spt_cpu *cpu, unsigned level, uint64_t table,
				unsigned index);
/* The gpa of the byte at gva by the same walk; false if none is mapped. */
bool spt_probe_gpa(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint64_t *gpa);

/* ----------------------------------------------------------------------------------------------- shadow paging */

enum spt_result {
	SPT_FILLED,	  /* the space now permits the access, or always did: run on */
	SPT_GUEST_FAULT,  /* the guest's tables forbid it: deliver #PF with out->error */
	SPT_NOT_RAM,	  /* translates to out->gpa, which is no RAM: device or nothing */
	SPT_UNREACHABLE,  /* translates to RAM, but the space's view does not have this gva */
	SPT_HOST_REFUSED, /* an op failed with out->host_error, or memory is out (-SPT_ENOMEM); the space is as if
			     emptied and must be emptied for real */
};

struct spt_outcome {
	uint64_t gpa;
	uint32_t error;
	int host_error;
};

/*
 * A host fault at gva in the space: fill it and what lies around, or say why not. access as in spt_translate, but
 * X86_PF_U is taken from the space's mode. A guest that changes its tables during the call may fault again.
 */
enum spt_result spt_fault(struct spt_space *space, const struct spt_cpu *cpu, uint64_t gva, uint32_t access,
			  struct spt_outcome *out);

/*
 * The same without a fault, before one comes: maps what lies at gva and around it if nothing is mapped there and the
 * guest's entries have their accessed bits already; else it does nothing. 0, or an op's error as host_error above.
 */
int spt_prefill(struct spt_space *space, const struct spt_cpu *cpu, uint64_t gva);

/* The space maps something at gva that has these rights. */
bool spt_maps(const struct spt_space *space, uint64_t gva, unsigned prot);

/* INVLPG: drops the page of gva from the current root's spaces, global or not. */
int spt_invlpg(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva);
/*
 * MOV CR3 with cpu->cr3 already the new value: afterwards the spaces of that root agree with the guest's tables in all
 * but global entries. Costs in proportion to the table frames written since, not to what is mapped.
 */
int spt_cr3_load(struct spt *spt, const struct spt_cpu *cpu);
/* Drops every translation of every root (change of CR0.WP, CR4.PGE, CR4.SMEP, EFER.NXE; flush of everything). */
int spt_flush_all(struct spt *spt);
/*
 * Stores value in the guest page-table entry at entry_gpa (8-byte aligned, in RAM: the caller checked) and drops, in
 * every root, what was derived from the old one.
 */
int spt_entry_write(struct spt *spt, uint64_t entry_gpa, uint64_t value);

/*
 * The monitor itself wrote guest RAM [gpa, gpa+len), or is about to before its next call: table frames and watched
 * frames inside are treated as written by the guest. What lies outside RAM is ignored.
 */
void spt_note_write(struct spt *spt, uint64_t gpa, uint64_t len);

/* -------------------------------------------------------------------------------------------- watching frames */

enum spt_watcher {
	SPT_WATCH_CODE,	 /* whoever keeps code decoded or translated */
	SPT_WATCH_SITES, /* whoever shows changed copies of pages */
	SPT_WATCHERS
};

/*
 * Write-protects the frame at gpa in every space; outside RAM it does nothing. The next guest write to it reaches
 * spt_fault, which calls `written` of each watcher once, takes the watch off and lets the write proceed. spt_translate
 * for a write, spt_entry_write, spt_note_write and accessed and dirty bits set on the guest's behalf end a watch
 * likewise. Table frames are watched by the library itself in the same way; both may hold for one frame. `written` must
 * not call the library. Returns 0 or an op's error.
 */
int spt_watch(struct spt *spt, uint64_t gpa);
void spt_unwatch(struct spt *spt, uint64_t gpa);
void spt_set_written(struct spt *spt, enum spt_watcher who, void (*written)(void *ctx, uint64_t gpa));

/* ------------------------------------------------------------------------------------------------- to look at */

struct spt_stats {
	uint64_t fills;	       /* faults answered by mapping */
	uint64_t pages_mapped; /* pages that those mapped, fill-around included */
	uint64_t guest_faults; /* faults handed to the guest */
	uint64_t drops;	       /* sptes dropped */
	uint64_t table_writes; /* write faults on watched table frames */
	uint64_t resyncs;      /* table frames compared on a CR3 load */
	uint64_t spaces;       /* spaces alive now */
	uint64_t upper_spaces; /* upper ones among them */
	uint64_t mapped_bytes; /* what they all map now */
	uint64_t memory;       /* bytes they take now, as spt_config.memory_max counts them */
	uint64_t memory_max;   /* the most that may be */
	uint64_t evictions;    /* spaces emptied because it was too much */
};
/*
 * How often translations may have gone out of date: in all, by loads of CR3, which leave global ones, and by
 * spt_invlpg. What a software TLB reads by is good as long as this stays the same.
 */
struct spt_remaps {
	uint64_t all, loads, pages;
};
struct spt_remaps spt_remaps(const struct spt *spt);
/* The page of spt_invlpg number n, from 0; false: that is forgotten. */
bool spt_page_remapped(const struct spt *spt, uint64_t n, uint64_t *gva);
/* How often a frame came to be one that cannot be stored to without a walk; and which that was as number n, from 0;
 * false: that is forgotten. */
uint64_t spt_locks(const struct spt *spt);
bool spt_frame_locked(const struct spt *spt, uint64_t n, uint64_t *gpa);

void spt_get_stats(const struct spt *spt, struct spt_stats *out);

/* Calls visit for each mapped run of the space in ascending order, until it returns false. */
void spt_space_each(struct spt_space *space,
		    bool (*visit)(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot), void *arg);

#endif
