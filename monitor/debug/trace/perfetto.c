/*
 * Perfetto's form: TrackEvents (perfetto.dev, protos/perfetto/trace/trace_packet.proto and track_event/). A track for
 * each vCPU, on which exits are slices with what they led to inside, faults and interrupts instants; a track for each
 * address space, on which guest code runs; and counters.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "monitor/debug/trace/internal.h"
#include "monitor/debug/trace/protobuf.h"

/* Field numbers as published. */
enum { TRACE_PACKET = 1 };
enum {
	PACKET_CLOCK_SNAPSHOT = 6,
	PACKET_TIMESTAMP = 8,
	PACKET_SEQUENCE_ID = 10,
	PACKET_TRACK_EVENT = 11,
	PACKET_SEQUENCE_FLAGS = 13,
	PACKET_TRACK_DESCRIPTOR = 60,
};
enum { SNAPSHOT_CLOCKS = 1, CLOCK_ID = 1, CLOCK_TIMESTAMP = 2 };
enum {
	DESCRIPTOR_UUID = 1,
	DESCRIPTOR_NAME = 2,
	DESCRIPTOR_PROCESS = 3,
	DESCRIPTOR_PARENT = 5,
	DESCRIPTOR_COUNTER = 8
};
enum { PROCESS_PID = 1, PROCESS_NAME = 6 };
enum { COUNTER_UNIT = 3 };
enum {
	EVENT_ANNOTATIONS = 4,
	EVENT_TYPE = 9,
	EVENT_TRACK = 11,
	EVENT_CATEGORIES = 22,
	EVENT_NAME = 23,
	EVENT_COUNTER_VALUE = 30,
};
enum { ANNOTATION_UINT = 3, ANNOTATION_INT = 4, ANNOTATION_STRING = 6, ANNOTATION_POINTER = 7, ANNOTATION_NAME = 10 };

enum { TYPE_SLICE_BEGIN = 1, TYPE_SLICE_END = 2, TYPE_INSTANT = 3, TYPE_COUNTER = 4 };
enum { UNIT_TIME_NS = 1, UNIT_COUNT = 2 };
enum { CLOCK_REALTIME_ID = 1, CLOCK_BOOTTIME_ID = 6 };

#define INCREMENTAL_STATE_CLEARED 1
/* All packets come from one writer. */
#define SEQUENCE 1

/* Tracks. Roots are page-aligned: the low bit is free for the mode. */
#define UUID_GUEST   1
#define UUID_VCPU    0x100
#define UUID_COUNTER 0x200
#define UUID_SPACE   R3_BIT(62)

/* ------------------------------------------------------------------------------------------------------- packets */

struct packet {
	struct proto proto;
	size_t mark;
};

static void packet_begin(struct packet *packet, uint64_t ns)
{
	proto_reset(&packet->proto);
	packet->mark = proto_begin(&packet->proto, TRACE_PACKET);
	proto_varint(&packet->proto, PACKET_TIMESTAMP, ns);
	proto_varint(&packet->proto, PACKET_SEQUENCE_ID, SEQUENCE);
}

static void packet_write(struct packet *packet, FILE *out)
{
	proto_end(&packet->proto, packet->mark);
	if (!packet->proto.overflow)
		fwrite_unlocked(packet->proto.data, 1, packet->proto.len, out);
}

/* A packet with the beginning of an event on a track; the caller adds to it, and ends `event` and packet. */
static size_t event_begin(struct packet *packet, uint64_t ns, uint64_t track, unsigned type)
{
	size_t event;

	packet_begin(packet, ns);
	event = proto_begin(&packet->proto, PACKET_TRACK_EVENT);
	proto_varint(&packet->proto, EVENT_TYPE, type);
	proto_varint(&packet->proto, EVENT_TRACK, track);
	return event;
}

static void write_slice_end(uint64_t ns, uint64_t track, FILE *out)
{
	struct packet packet;

	proto_end(&packet.proto, event_begin(&packet, ns, track, TYPE_SLICE_END));
	packet_write(&packet, out);
}

static void write_track(uint64_t uuid, const char *name, unsigned counter_unit, FILE *out)
{
	struct packet packet;
	size_t descriptor;

	packet_begin(&packet, 0);
	descriptor = proto_begin(&packet.proto, PACKET_TRACK_DESCRIPTOR);
	proto_varint(&packet.proto, DESCRIPTOR_UUID, uuid);
	proto_varint(&packet.proto, DESCRIPTOR_PARENT, UUID_GUEST);
	proto_string(&packet.proto, DESCRIPTOR_NAME, name);
	if (counter_unit) {
		size_t counter = proto_begin(&packet.proto, DESCRIPTOR_COUNTER);
		proto_varint(&packet.proto, COUNTER_UNIT, counter_unit);
		proto_end(&packet.proto, counter);
	}
	proto_end(&packet.proto, descriptor);
	packet_write(&packet, out);
}

/* -------------------------------------------------------------------------------------------------------- header */

static void write_clock(struct proto *proto, unsigned id, uint64_t ns)
{
	size_t clock = proto_begin(proto, SNAPSHOT_CLOCKS);

	proto_varint(proto, CLOCK_ID, id);
	proto_varint(proto, CLOCK_TIMESTAMP, ns);
	proto_end(proto, clock);
}

/* Times are ns since ring3 started, on what Perfetto takes for the boot clock. */
static void write_clocks(struct trace *trace, FILE *out)
{
	struct packet packet;
	size_t snapshot;
	uint64_t now = clock_ns() - trace->vm->stats.start_ns;

	packet_begin(&packet, now);
	proto_varint(&packet.proto, PACKET_SEQUENCE_FLAGS, INCREMENTAL_STATE_CLEARED);
	snapshot = proto_begin(&packet.proto, PACKET_CLOCK_SNAPSHOT);
	write_clock(&packet.proto, CLOCK_BOOTTIME_ID, now);
	write_clock(&packet.proto, CLOCK_REALTIME_ID, clock_wall_ns());
	proto_end(&packet.proto, snapshot);
	packet_write(&packet, out);
}

static void write_guest(struct trace *trace, FILE *out)
{
	struct packet packet;
	size_t descriptor, process;

	packet_begin(&packet, 0);
	descriptor = proto_begin(&packet.proto, PACKET_TRACK_DESCRIPTOR);
	proto_varint(&packet.proto, DESCRIPTOR_UUID, UUID_GUEST);
	process = proto_begin(&packet.proto, DESCRIPTOR_PROCESS);
	proto_varint(&packet.proto, PROCESS_PID, (uint64_t)getpid());
	proto_string(&packet.proto, PROCESS_NAME, trace->vm->config->kernel);
	proto_end(&packet.proto, process);
	proto_end(&packet.proto, descriptor);
	packet_write(&packet, out);
}

/* ------------------------------------------------------------------------------------------------------ counters */

enum counter { COUNTER_GUEST = STAT_COUNT, COUNTER_MONITOR, COUNTER_PAGES, COUNTER_DROPS, COUNTER_SPACES, COUNTERS };

static void name_counters(FILE *out)
{
	static const char *const names[] = {[COUNTER_GUEST] = "time in the guest",
					    [COUNTER_MONITOR] = "time in the monitor",
					    [COUNTER_PAGES] = "shadow pages mapped",
					    [COUNTER_DROPS] = "shadow entries dropped",
					    [COUNTER_SPACES] = "shadow address spaces"};
	char text[64];

	for (unsigned i = 0; i < COUNTERS; i++) {
		if (i < STAT_COUNT)
			snprintf(text, sizeof(text), "exits: %s", stats_exit_names[i]);
		else
			snprintf(text, sizeof(text), "%s", names[i]);
		write_track(UUID_COUNTER + i, text,
			    i == COUNTER_GUEST || i == COUNTER_MONITOR ? UNIT_TIME_NS : UNIT_COUNT, out);
	}
}

static void perfetto_counters(struct trace *trace, const struct trace_counters *counters, FILE *out)
{
	uint64_t value[COUNTERS];

	memcpy(value, counters->exits, sizeof(counters->exits));
	value[COUNTER_GUEST] = counters->guest_ns;
	value[COUNTER_MONITOR] = counters->monitor_ns;
	value[COUNTER_PAGES] = counters->shadow.pages_mapped;
	value[COUNTER_DROPS] = counters->shadow.drops;
	value[COUNTER_SPACES] = counters->shadow.spaces;
	for (unsigned i = 0; i < COUNTERS; i++) {
		struct packet packet;
		size_t event = event_begin(&packet, counters->ns, UUID_COUNTER + i, TYPE_COUNTER);
		proto_varint(&packet.proto, EVENT_COUNTER_VALUE, value[i]);
		proto_end(&packet.proto, event);
		packet_write(&packet, out);
	}
}

static void perfetto_begin(struct trace *trace, FILE *out)
{
	char name[32];

	write_clocks(trace, out);
	write_guest(trace, out);
	for (unsigned i = 0; i < trace->vm->config->vcpus; i++) {
		snprintf(name, sizeof(name), "vCPU %u", i);
		write_track(UUID_VCPU + i, name, 0, out);
	}
	name_counters(out);
}

/* -------------------------------------------------------------------------------------------------------- events */

/* The track of an address space, named when it is first met; one that was forgotten is named again, which is no harm.
 */
static uint64_t space_track(struct trace *trace, uint64_t root, bool user, FILE *out)
{
	uint64_t uuid = UUID_SPACE | root | user;
	uint64_t *known = &trace->spaces[(root >> X86_PAGE_SHIFT ^ user) % TRACE_SPACES];
	char name[64];

	if (*known == uuid)
		return uuid;
	*known = uuid;
	snprintf(name, sizeof(name), "%s mode, root 0x%" PRIx64, user ? "user" : "kernel", root);
	write_track(uuid, name, 0, out);
	return uuid;
}

static void annotate(struct proto *proto, const char *name, unsigned form, uint64_t value)
{
	size_t annotation = proto_begin(proto, EVENT_ANNOTATIONS);

	proto_varint(proto, form, value);
	proto_string(proto, ANNOTATION_NAME, name);
	proto_end(proto, annotation);
}

static void annotate_text(struct proto *proto, const char *name, const char *text)
{
	size_t annotation = proto_begin(proto, EVENT_ANNOTATIONS);

	proto_string(proto, ANNOTATION_STRING, text);
	proto_string(proto, ANNOTATION_NAME, name);
	proto_end(proto, annotation);
}

static void annotate_all(struct proto *proto, const struct trace_event *event, const struct trace_words *words)
{
	annotate(proto, "rip", ANNOTATION_POINTER, event->rip);
	annotate(proto, "cpl", ANNOTATION_UINT, event->cpl);
	if (words->symbol)
		annotate_text(proto, "symbol", words->symbol);
	for (unsigned i = 0; i < words->count; i++) {
		const struct trace_field *field = &words->field[i];
		if (field->form == FIELD_TEXT)
			annotate_text(proto, field->name, field->text);
		else
			annotate(proto, field->name, field->form == FIELD_HEX ? ANNOTATION_POINTER : ANNOTATION_UINT,
				 field->value);
	}
	if (event->flags & TRACE_HAS_RESULT)
		annotate(proto, "result", ANNOTATION_INT, event->result);
}

/* Guest code ran until this exit. */
static void write_stay(struct trace *trace, const struct trace_event *event, uint64_t ns, FILE *out)
{
	uint64_t ran = trace_ticks_ns(trace, event->arg[7]);
	uint64_t track = space_track(trace, event->root, event->cpl == 3, out);
	struct packet packet;
	size_t begin;

	if (ran > ns)
		return;
	begin = event_begin(&packet, ns - ran, track, TYPE_SLICE_BEGIN);
	proto_string(&packet.proto, EVENT_NAME, "guest code");
	proto_end(&packet.proto, begin);
	packet_write(&packet, out);
	write_slice_end(ns, track, out);
}

static void perfetto_event(struct trace *trace, const struct trace_event *event, const struct trace_words *words,
			   FILE *out)
{
	uint64_t track = UUID_VCPU + event->vcpu;
	bool slice = event->flags & TRACE_HAS_COST;
	struct packet packet;
	size_t begin;

	if (event->kind == TRACE_exit && event->arg[7])
		write_stay(trace, event, words->ns, out);
	begin = event_begin(&packet, words->ns, track, slice ? TYPE_SLICE_BEGIN : TYPE_INSTANT);
	proto_string(&packet.proto, EVENT_CATEGORIES, words->kind);
	proto_string(&packet.proto, EVENT_NAME, words->reason);
	annotate_all(&packet.proto, event, words);
	proto_end(&packet.proto, begin);
	packet_write(&packet, out);
	if (slice)
		write_slice_end(words->ns + words->cost_ns, track, out);
}

const struct trace_format trace_perfetto = {perfetto_begin, perfetto_event, perfetto_counters, perfetto_counters};
