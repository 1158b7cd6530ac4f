/*
 * What the tests of shadowpt stand on: a guest's RAM, a host that applies a space's ops to a list of runs, and a second
 * walker, written from the manual alone, to compare with.
 */
#ifndef SHADOWPT_WORLD_H
#define SHADOWPT_WORLD_H

#include "shadowpt/shadowpt.h"

#define WORLD_PHYSICAL_BITS 40

struct host_run {
	uint64_t gva, gpa, len;
	unsigned prot;
};

/* A space's real address space: runs in ascending order. */
struct host {
	struct host_run *runs;
	size_t count, capacity;
};

struct world {
	struct spt_config config;
	struct spt_range upper; /* the view of upper spaces */
	struct spt *spt;
	uint8_t *ram;
	unsigned maps, unmaps, protects; /* ops so far */
	struct host_run last_map;
	unsigned fail_in;				     /* the op that many from now fails, 1 the next; 0: none */
	const struct spt_space *fail_space;		     /* all ops on it fail */
	void (*on_frame)(struct world *world, uint64_t gpa); /* before each use of a table */
	void (*on_written)(struct world *world, uint64_t gpa); /* the watch's callback */
	unsigned written;				       /* its calls */
};

#define WORLD_OP_ERROR (-77)

/* spt_config.memory_max of the worlds made from now on. */
extern uint64_t world_memory_max;
struct world *world_create(uint64_t ram_size, uint64_t gva_lowest, uint64_t gva_limit);
void world_destroy(struct world *world);
uint64_t *world_entry(struct world *world, uint64_t table, unsigned index);
unsigned world_ops(const struct world *world);

/* Kernel mode's upper half is one space for roots that agree about it. */
void world_share(struct world *world, uint64_t start, uint64_t end);
/* The space, with a host behind it. */
struct spt_space *world_space(struct world *world, uint64_t cr3, enum spt_mode mode);
struct host *world_host(struct spt_space *space);
/* Empties the host without the library's knowledge. */
void world_clear(struct spt_space *space);
/* Frees the host and discards the space. */
void world_discard(struct spt_space *space);
/* The page at gva, if mapped. */
bool host_find(const struct host *host, uint64_t gva, struct host_run *page);

struct reference {
	bool ok, user, accessed, dirty; /* accessed: at all levels; dirty: the leaf */
	uint64_t gpa, page_len;
	unsigned prot;
	uint32_t error;
};

/* Walks; with mark, sets accessed and dirty bits on success. */
struct reference reference_walk(struct world *world, const struct spt_cpu *cpu, uint64_t gva, uint32_t access,
				bool mark);

#endif
