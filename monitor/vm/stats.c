/*
 * Counting exits and noting marks: what is done while the guest runs. Writing it all down is stats_json.c.
 */
#include "monitor/vm/stats.h"

#include "monitor/host/clock.h"

const char *const stats_exit_names[STAT_COUNT] = {
#define X(name) [STAT_##name] = #name,
	STATS_EXITS(X)
#undef X
};

void stats_start(struct stats *stats)
{
	clock_start();
	stats->start_ns = clock_ns();
	stats->start_tsc = clock_tsc();
}

void stats_mark(struct stats *stats, const char *name)
{
	if (stats->mark_count < STATS_MARKS)
		stats->marks[stats->mark_count++] = (struct stats_mark){name, clock_ns() - stats->start_ns};
}

void stats_exit_note(struct stats *stats, unsigned vcpu, enum stats_exit kind, uint64_t rip, unsigned cpl,
		     uint64_t detail)
{
	struct stats_vcpu *s = &stats->vcpu[vcpu];

	s->exits[kind]++;
	s->ring[s->ring_next++ % STATS_RING] = (struct stats_ring_entry){
		.rip = rip, .detail = detail, .tsc = clock_tsc(), .kind = (uint8_t)kind, .cpl = (uint8_t)cpl};
}
