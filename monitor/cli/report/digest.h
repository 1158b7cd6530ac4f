/*
 * A trace (docs/traces.md, JSON Lines) boiled down to what `ring3 report` draws: bounded, whatever its length, and
 * whatever stands in it. Strings are the guest's or anybody's: this is the only file format ring3 reads besides images.
 */
#ifndef MONITOR_CLI_DIGEST_H
#define MONITOR_CLI_DIGEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define DIGEST_BUCKETS	240 /* of the timeline; even */
#define DIGEST_REASONS	24  /* the last stands for all that find no room */
#define DIGEST_EVENTS	200
#define DIGEST_PLACES	4096
#define DIGEST_BINS	84 /* half octaves of ns: up to 2^42, above an hour */
#define DIGEST_LINE_MAX (1 << 20)

struct digest_costs {
	uint64_t count, total, max; /* ns */
	uint64_t bins[DIGEST_BINS];
};

struct digest_reason {
	char name[32];
	uint64_t exits;
	struct digest_costs costs;	  /* of those that say; what was done in one go counts with the first */
	uint64_t buckets[DIGEST_BUCKETS]; /* exits */
};

struct digest_event {
	char kind[16], reason[32];
	uint64_t count, cost;
};

/* Where guest code exited. */
struct digest_place {
	uint64_t rip, count, cost;
	char symbol[96];
	uint32_t reasons[DIGEST_REASONS]; /* exits by reason */
};

struct digest {
	uint64_t lines, bad, events;
	json_t *header, *summary;							 /* NULL: not there */
	uint64_t bucket_ns;								 /* what a bucket stands for */
	unsigned buckets;								 /* used */
	uint64_t guest[DIGEST_BUCKETS], monitor[DIGEST_BUCKETS], halted[DIGEST_BUCKETS]; /* ns in each */
	uint64_t guest_ns;
	struct digest_reason reason[DIGEST_REASONS];
	unsigned reasons;
	struct digest_event event[DIGEST_EVENTS];
	unsigned event_count;
	struct digest_place place[DIGEST_PLACES]; /* by hash of rip; count 0: free */
	unsigned places;
	struct digest_costs elsewhere; /* exits at places that found no room */
	struct digest_costs waits;     /* of interrupts, from pending to delivered */
};

/* Reads to the end. 0, or negative errno of reading; what cannot be understood is counted in bad. *digest is zero. */
int digest_read(struct digest *digest, FILE *in);
/* One event, already checked to be an object. False: it is not as docs/traces.md says. */
bool digest_event(struct digest *digest, const json_t *event);
/* What the page is drawn from. NULL when memory is out. */
json_t *digest_json(const struct digest *digest, const char *trace);
void digest_free(struct digest *digest);

#endif
