/*
 * Adding up the events of a trace.
 */
#include "monitor/cli/report/digest.h"

#include <stdlib.h>
#include <string.h>

/* No time or cost is longer: 2^60 ns are 36 years, and sums stay far from overflow. */
#define NS_MAX (1ull << 60)

/* A time or an amount; `missing` if it is not there. False: it is something else. */
static bool get_ns(const json_t *object, const char *key, uint64_t missing, uint64_t *ns)
{
	const json_t *value = json_object_get(object, key);

	*ns = missing;
	if (!value)
		return true;
	if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > NS_MAX)
		return false;
	*ns = (uint64_t)json_integer_value(value);
	return true;
}

static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
	/* Not in the middle of a character. */
	for (size_t len = strlen(to); from[len] && len && ((unsigned char)to[len - 1] & 0x80);) {
		bool first = ((unsigned char)to[--len] & 0xc0) == 0xc0;

		to[len] = '\0';
		if (first)
			break;
	}
}

/* ---------------------------------------------------------------------------------------------------------- costs */

/* Two bins an octave: the highest bit, and the one below. */
static unsigned bin_of(uint64_t ns)
{
	unsigned octave, bin;

	if (ns < 2)
		return 0;
	octave = 63 - (unsigned)__builtin_clzll(ns);
	bin = 2 * octave + ((ns >> (octave - 1)) & 1);
	return bin < DIGEST_BINS ? bin : DIGEST_BINS - 1;
}

static void add_cost(struct digest_costs *costs, uint64_t ns)
{
	costs->count++;
	costs->total += ns;
	costs->bins[bin_of(ns)]++;
	if (ns > costs->max)
		costs->max = ns;
}

/* ------------------------------------------------------------------------------------------------------- timeline */

static void halve(uint64_t *buckets)
{
	for (unsigned i = 0; i < DIGEST_BUCKETS / 2; i++)
		buckets[i] = buckets[2 * i] + buckets[2 * i + 1];
	memset(buckets + DIGEST_BUCKETS / 2, 0, DIGEST_BUCKETS / 2 * sizeof(*buckets));
}

/* The bucket of a time; before it lies beyond the last, each is made to stand for twice as much. */
static unsigned bucket_of(struct digest *digest, uint64_t ns)
{
	while (ns / digest->bucket_ns >= DIGEST_BUCKETS) {
		digest->bucket_ns *= 2;
		digest->buckets = (digest->buckets + 1) / 2;
		halve(digest->guest);
		halve(digest->monitor);
		halve(digest->halted);
		for (unsigned i = 0; i < digest->reasons; i++)
			halve(digest->reason[i].buckets);
	}
	unsigned bucket = (unsigned)(ns / digest->bucket_ns);

	if (bucket >= digest->buckets)
		digest->buckets = bucket + 1;
	return bucket;
}

/* Spreads a stretch of time over the buckets it touches. */
static void add_span(struct digest *digest, uint64_t *buckets, uint64_t from, uint64_t to)
{
	unsigned last = bucket_of(digest, to);

	for (unsigned i = bucket_of(digest, from); i <= last; i++) {
		uint64_t start = i * digest->bucket_ns, end = start + digest->bucket_ns;

		buckets[i] += (to < end ? to : end) - (from > start ? from : start);
	}
}

/* ---------------------------------------------------------------------------------------------------------- events */

static struct digest_event *find_event(struct digest *digest, const char *kind, const char *reason)
{
	struct digest_event *event = digest->event;
	char kept_kind[sizeof(event->kind)], kept_reason[sizeof(event->reason)];

	copy_text(kept_kind, sizeof(kept_kind), kind);
	copy_text(kept_reason, sizeof(kept_reason), reason);
	for (unsigned i = 0; i < digest->event_count; i++, event++)
		if (!strcmp(event->kind, kept_kind) && !strcmp(event->reason, kept_reason))
			return event;
	if (digest->event_count == DIGEST_EVENTS)
		return &digest->event[DIGEST_EVENTS - 1];
	digest->event_count++;
	/* The last place stands for all that come after it. */
	if (digest->event_count == DIGEST_EVENTS) {
		strcpy(kept_kind, "others");
		strcpy(kept_reason, "");
	}
	memcpy(event->kind, kept_kind, sizeof(kept_kind));
	memcpy(event->reason, kept_reason, sizeof(kept_reason));
	return event;
}

static unsigned find_reason(struct digest *digest, const char *name)
{
	char kept[sizeof(digest->reason[0].name)];

	copy_text(kept, sizeof(kept), name);
	for (unsigned i = 0; i < digest->reasons; i++)
		if (!strcmp(digest->reason[i].name, kept))
			return i;
	if (digest->reasons == DIGEST_REASONS)
		return DIGEST_REASONS - 1;
	strcpy(digest->reason[digest->reasons].name, digest->reasons == DIGEST_REASONS - 1 ? "others" : kept);
	return digest->reasons++;
}

static struct digest_place *find_place(struct digest *digest, uint64_t rip)
{
	/* Fibonacci hashing; at most half the places are taken, so a free one is near. */
	unsigned slot = (unsigned)(rip * 0x9e3779b97f4a7c15ull >> 52) % DIGEST_PLACES;

	while (digest->place[slot].count && digest->place[slot].rip != rip)
		slot = (slot + 1) % DIGEST_PLACES;
	if (digest->place[slot].count)
		return &digest->place[slot];
	if (digest->places == DIGEST_PLACES / 2)
		return NULL;
	digest->places++;
	digest->place[slot].rip = rip;
	return &digest->place[slot];
}

static bool add_place(struct digest *digest, const json_t *event, unsigned reason, uint64_t cost)
{
	const char *text = json_string_value(json_object_get(event, "rip")),
		   *symbol = json_string_value(json_object_get(event, "symbol"));
	struct digest_place *place;
	char *end;
	uint64_t rip = text ? strtoull(text, &end, 16) : 0;

	if (!text || end == text || *end)
		return false;
	place = find_place(digest, rip);
	if (!place) {
		add_cost(&digest->elsewhere, cost);
		return true;
	}
	if (!place->count && symbol)
		copy_text(place->symbol, sizeof(place->symbol), symbol);
	place->count++;
	place->cost += cost;
	place->reasons[reason]++;
	return true;
}

/* A halt lasts until an interrupt comes: its time is neither guest's nor monitor's. */
static bool add_exit(struct digest *digest, const json_t *event, const char *name, uint64_t ns, uint64_t cost)
{
	uint64_t guest;
	unsigned reason;

	if (!get_ns(json_object_get(event, "args"), "guest_ns", 0, &guest))
		return false;
	reason = find_reason(digest, name);
	if (!add_place(digest, event, reason, strcmp(name, "halt") ? cost : 0))
		return false;
	if (guest > ns)
		guest = ns;
	digest->guest_ns += guest;
	digest->reason[reason].exits++;
	if (json_object_get(event, "cost_ns"))
		add_cost(&digest->reason[reason].costs, cost);
	add_span(digest, digest->guest, ns - guest, ns);
	add_span(digest, strcmp(name, "halt") ? digest->monitor : digest->halted, ns, ns + cost);
	digest->reason[reason].buckets[bucket_of(digest, ns)]++;
	return true;
}

bool digest_event(struct digest *digest, const json_t *event)
{
	const char *kind = json_string_value(json_object_get(event, "kind")),
		   *reason = json_string_value(json_object_get(event, "reason"));
	struct digest_event *sum;
	uint64_t ns, cost, waited;

	if (!kind || !reason || !json_is_integer(json_object_get(event, "ns")) || !get_ns(event, "ns", 0, &ns) ||
	    !get_ns(event, "cost_ns", 0, &cost) ||
	    !get_ns(json_object_get(event, "args"), "waited_ns", UINT64_MAX, &waited))
		return false;
	if (!strcmp(kind, "exit") && !add_exit(digest, event, reason, ns, cost))
		return false;
	if (!strcmp(kind, "irq") && waited != UINT64_MAX)
		add_cost(&digest->waits, waited);
	sum = find_event(digest, kind, reason);
	sum->count++;
	sum->cost += cost;
	digest->events++;
	return true;
}
