/*
 * What the files of the hypercall handlers share.
 */
#ifndef HYPERCALLS_HOST_HC_INTERNAL_H
#define HYPERCALLS_HOST_HC_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "hypercalls/abi.h"
#include "monitor/host/clock.h"
#include "monitor/host/timer.h"
#include "monitor/vm/vm.h"

#define HC_ARGS	   6
#define HC_NO_PORT R3_EVTCHN_PORTS

/* The line that the paravirtual clock follows until its next update: ns at a reading of the counter, and the slope. */
struct hc_clock {
	uint64_t tsc, ns;
	struct clock_rate rate;
	uint64_t interval; /* ns until the next update; grows, since the estimate of the rate settles */
	uint64_t due;	   /* the counter at the next update */
	uint64_t start_ns; /* clock_ns() when the clock read 0 */
	uint32_t version;  /* as in the shared page */
};

struct hc {
	struct vm *vm;
	struct r3_shared_info *shared; /* in guest RAM, hostile; NULL: none registered */

	/* Event channels, one bit a port. */
	uint64_t open;
	unsigned virq_port[R3_VIRQ_COUNT]; /* HC_NO_PORT: not bound */
	uint64_t unposted;		   /* became pending while there was no shared page */
	uint64_t delivered;		   /* pending, and the guest was told */

	struct hc_clock clock;
	struct timer timer;
	uint64_t timer_deadline; /* paravirtual time */
};

/* The handlers: hc_call_NAME for each line of calls.def. Arguments are a private copy; the result goes to RAX. */
#define R3_CALL(nr, name, args, doc) int64_t hc_call_##name(struct vcpu *vcpu, const uint64_t arg[HC_ARGS]);
#include "hypercalls/calls.def"
#undef R3_CALL

/* Runs one call by number; -R3_ENOSYS if there is none. */
int64_t hc_call(struct vcpu *vcpu, uint64_t nr, const uint64_t arg[HC_ARGS]);

/*
 * What a handler returns that is not through: it has noted in vcpu->call how far it came, and is called again. It goes
 * at least one step further each time.
 */
#define HC_GAVE_WAY INT64_MIN
/* A long call is to give way: something asks for the monitor's attention. */
static inline bool hc_gives_way(const struct vm *vm)
{
	return atomic_load_explicit(&vm->attention, memory_order_relaxed);
}

/* An address that guest code may have: in the lower canonical half. */
static inline bool hc_address_valid(uint64_t gva)
{
	return gva < (uint64_t)1 << 47;
}

/* hc_event.c */
void hc_event_init(struct hc *hc);
void hc_event_post(struct hc *hc, unsigned port);
/* A shared page was registered: what became pending before shows there. */
void hc_event_publish(struct hc *hc);

/* hc_time.c */
void hc_time_init(struct hc *hc);
/* The same, for a clock on its own: `rate` is the best estimate now. */
void hc_clock_start(struct hc_clock *clock, struct clock_moment now, struct clock_rate rate);
/* Where the clock stands when the counter reads tsc: never less than for an earlier reading, updates or no. */
uint64_t hc_clock_read(const struct hc_clock *clock, uint64_t tsc);
/* Draws the line anew from its own end: forward at once if it was late, a little slower for a while if it was early. */
void hc_clock_update(struct hc_clock *clock, struct clock_moment now, struct clock_rate rate);
/* Writes clock and wall time to the shared page. */
void hc_time_publish(struct hc *hc);
/* Updates the clock and the page if it is time. Cheap when it is not. */
void hc_time_sync(struct hc *hc);

#endif
