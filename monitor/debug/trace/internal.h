/*
 * What the files of the trace share: the selection of events, the sinks, and the one decoding of an event that all
 * formats print.
 */
#ifndef MONITOR_DEBUG_TRACE_INTERNAL_H
#define MONITOR_DEBUG_TRACE_INTERNAL_H

#include <pthread.h>

#include "monitor/debug/trace/trace.h"
#include "monitor/host/clock.h"
#include "monitor/trace/ring.h"

struct trace;

#define TRACE_SCHEMA  "ring3-trace"
#define TRACE_VERSION 1

/* Address spaces that a Perfetto trace remembers to have named. */
#define TRACE_SPACES 64
/* Counters are recorded about this often while events come. */
#define TRACE_COUNTERS_NS 10000000

/* ------------------------------------------------------------------------------------------------ the selection */

#define TRACE_TERMS 16

/* One term behind the kinds, such as rip=0x100000-0x101fff. Terms of one key are alternatives, keys all must hold. */
struct trace_term {
	enum trace_key { TRACE_KEY_RIP, TRACE_KEY_SYMBOL, TRACE_KEY_REASON, TRACE_KEY_CPL, TRACE_KEY_COUNT } key;
	uint64_t first, last; /* rip, cpl */
	char pattern[64];     /* symbol, reason: as fnmatch(3) takes it */
};

struct trace_filter {
	uint32_t kinds; /* bits by enum trace_kind */
	struct trace_term term[TRACE_TERMS];
	unsigned count;
};

/* NULL is everything. False: *wrong names the term that is none. */
bool trace_filter_parse(const char *text, struct trace_filter *filter, char *wrong, size_t size);
/* The event passes the terms; its kind was looked at before. */
bool trace_filter_match(struct vm *vm, const struct trace_filter *filter, const struct trace_event *event);

/* --------------------------------------------------------------------------------------------------- the decoding */

#define TRACE_FIELDS 12

struct trace_field {
	const char *name;
	enum { FIELD_HEX, FIELD_NUMBER, FIELD_TEXT } form;
	uint64_t value;
	const char *text; /* FIELD_TEXT */
};

/* An event in words. All strings are printable ASCII and live until the next decoding. */
struct trace_words {
	uint64_t ns, cost_ns; /* since the start of the statistics' clock */
	const char *kind, *reason;
	const char *symbol; /* of RIP; NULL: none */
	uint64_t offset;
	struct trace_field field[TRACE_FIELDS];
	unsigned count;
	char text[2][96]; /* what had to be composed */
};

void trace_decode(struct trace *trace, const struct trace_event *event, struct trace_words *words);
/* The reason alone. */
const char *trace_reason(const struct trace_event *event);
/* "EINVAL" for -22 as hypercalls return it; NULL if it is none of theirs. */
const char *trace_error_name(int64_t result);

/* ------------------------------------------------------------------------------------------------------ the sinks */

/* Counters at one moment. */
struct trace_counters {
	uint64_t ns;
	uint64_t exits[STAT_COUNT], guest_ns, monitor_ns, injected, interpreted;
	struct spt_stats shadow;
};

struct trace_sink;

/* A form that a trace is written in. Writing errors show in the stream, and are dealt with by the caller. */
struct trace_format {
	void (*begin)(struct trace *trace, FILE *out);
	void (*event)(struct trace *trace, const struct trace_event *event, const struct trace_words *words, FILE *out);
	void (*counters)(struct trace *trace, const struct trace_counters *counters, FILE *out);
	void (*end)(struct trace *trace, const struct trace_counters *counters, FILE *out);
};

extern const struct trace_format trace_text, trace_json, trace_perfetto;

struct trace_sink {
	const struct trace_format *format; /* NULL: closed */
	FILE *out;
	const char *path; /* for messages */
};

/* -------------------------------------------------------------------------------------------------- the whole */

struct trace {
	struct trace_recorder recorder;
	struct observer observer; /* tells what is gathered when the guest waits */
	struct vm *vm;
	struct trace_filter filter;
	pthread_mutex_t lock; /* of all that follows */
	struct trace_sink text, file;
	bool lost; /* the file is not whole */
	/* Ticks become ns along a line drawn anew, from its own end, each time events are written out. */
	uint64_t line_tsc, line_ns;
	struct clock_rate rate;
	uint64_t spaces[TRACE_SPACES];
	uint64_t counters_due; /* ns */
	uint64_t events;       /* recorded; those that passed the filter */
};

uint64_t trace_ticks_ns(const struct trace *trace, uint64_t ticks);

#endif
