/*
 * The digest as JSON, for the page's script (monitor/cli/report/page/page.js).
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/cli/report/digest.h"

/* As many as anybody looks at. */
#define PLACES_SHOWN	 20
#define TABLE_ROWS_SHOWN 300
#define SENSITIVE_SHOWN	 100
#define HYPERCALLS_SHOWN 100

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *counts(const uint64_t *values, unsigned len)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < len; i++)
		json_array_append_new(list, count(values[i]));
	return list;
}

static json_t *costs(const struct digest_costs *c)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "count", count(c->count), "total", count(c->total), "max",
			 count(c->max), "bins", counts(c->bins, DIGEST_BINS));
}

static json_t *reasons(const struct digest *digest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < digest->reasons; i++)
		json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o}", "name", digest->reason[i].name, "exits",
						      count(digest->reason[i].exits), "costs",
						      costs(&digest->reason[i].costs), "buckets",
						      counts(digest->reason[i].buckets, digest->buckets)));
	return list;
}

static json_t *events(const struct digest *digest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < digest->event_count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o}", "kind", digest->event[i].kind, "reason",
						      digest->event[i].reason, "count", count(digest->event[i].count),
						      "cost", count(digest->event[i].cost)));
	return list;
}

/* ---------------------------------------------------------------------------------------------------------- places */

static int by_cost(const void *a, const void *b)
{
	const struct digest_place *const *left = a, *const *right = b;
	uint64_t l = (*left)->cost, r = (*right)->cost;

	if (l != r)
		return l < r ? 1 : -1;
	return ((*left)->rip > (*right)->rip) - ((*left)->rip < (*right)->rip);
}

static json_t *place(const struct digest *digest, const struct digest_place *p)
{
	json_t *by_reason = json_object();
	char rip[24];

	snprintf(rip, sizeof(rip), "%#jx", (uintmax_t)p->rip);
	for (unsigned i = 0; i < digest->reasons; i++)
		if (p->reasons[i])
			json_object_set_new(by_reason, digest->reason[i].name, count(p->reasons[i]));
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "rip", rip, "symbol", p->symbol, "count", count(p->count), "cost",
			 count(p->cost), "reasons", by_reason);
}

static json_t *places(const struct digest *digest)
{
	const struct digest_place **sorted = calloc(DIGEST_PLACES, sizeof(const struct digest_place *));
	json_t *list = json_array();
	unsigned len = 0;

	for (unsigned i = 0; sorted && i < DIGEST_PLACES; i++)
		if (digest->place[i].count)
			sorted[len++] = &digest->place[i];
	if (len)
		qsort(sorted, len, sizeof(const struct digest_place *), by_cost);
	for (unsigned i = 0; i < len && i < PLACES_SHOWN; i++)
		json_array_append_new(list, place(digest, sorted[i]));
	free(sorted);
	return list;
}

/* ------------------------------------------------------------------------------------------- header and summary */

/* The first entries of a list or an object, and how many there are; null if it is not there. */
static json_t *some(const json_t *from, const char *key, size_t most)
{
	json_t *value = json_object_get(from, key), *copy, *item;
	const char *name;
	size_t i = 0;

	if (json_is_array(value)) {
		copy = json_array();
		json_array_foreach(value, i, item)
		{
			if (i < most)
				json_array_append(copy, item);
		}
		return json_pack("{s:o, s:o}", "of", count(json_array_size(value)), "entries", copy);
	}
	if (!json_is_object(value))
		return json_null();
	copy = json_object();
	json_object_foreach(value, name, item)
	{
		if (i++ < most)
			json_object_set(copy, name, item);
	}
	return json_pack("{s:o, s:o}", "of", count(json_object_size(value)), "entries", copy);
}

/* Strings and numbers alone: a trace's author decides on their content, not on their shape. */
static json_t *scalars(const json_t *from)
{
	json_t *copy = json_object(), *value;
	const char *key;

	json_object_foreach((json_t *)from, key, value)
	{
		if (json_is_string(value) || json_is_integer(value) || json_is_null(value))
			json_object_set(copy, key, value);
	}
	return copy;
}

json_t *digest_json(const struct digest *digest, const char *trace)
{
	json_t *document = json_object();

	/* Sets nothing where memory is out; the script copes with what is missing. */
	json_object_set_new(document, "trace", json_string(trace));
	json_object_set_new(document, "ring3", json_string(R3_VERSION));
	json_object_set_new(document, "lines", count(digest->lines));
	json_object_set_new(document, "bad", count(digest->bad));
	json_object_set_new(document, "events", count(digest->events));
	json_object_set_new(document, "header", scalars(digest->header));
	json_object_set_new(document, "summary", digest->summary ? scalars(digest->summary) : json_null());
	json_object_set_new(document, "arguments", some(digest->header, "arguments", 100));
	json_object_set_new(document, "bucket_ns", count(digest->bucket_ns));
	json_object_set_new(document, "buckets", count(digest->buckets));
	json_object_set_new(document, "guest", counts(digest->guest, digest->buckets));
	json_object_set_new(document, "monitor", counts(digest->monitor, digest->buckets));
	json_object_set_new(document, "halted", counts(digest->halted, digest->buckets));
	json_object_set_new(document, "guest_ns", count(digest->guest_ns));
	json_object_set_new(document, "reasons", reasons(digest));
	json_object_set_new(document, "event_kinds", events(digest));
	json_object_set_new(document, "places", places(digest));
	json_object_set_new(document, "elsewhere", costs(&digest->elsewhere));
	json_object_set_new(document, "waits", costs(&digest->waits));
	json_object_set_new(document, "sensitive", some(digest->summary, "sensitive", SENSITIVE_SHOWN));
	json_object_set_new(document, "hypercalls", some(digest->summary, "hypercalls", HYPERCALLS_SHOWN));
	json_object_set_new(document, "guest_tables", some(digest->summary, "guest_tables", TABLE_ROWS_SHOWN));
	json_object_set_new(document, "shadow_tables", some(digest->summary, "shadow_tables", TABLE_ROWS_SHOWN));
	return document;
}
