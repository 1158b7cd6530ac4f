/*
 * The local APIC: requests, priorities, service, and messages (SDM 3A 10.4 to 10.8). Registers are in
 * lapic_registers.c, the timer in lapic_timer.c.
 */
#include "monitor/device/lapic_internal.h"

#include "hypercalls/x86.h"
#include "monitor/vm/vcpu.h"

#define LOWEST_VECTOR 16 /* those below are the processor's own */
#define BROADCAST     0xffu

/* ------------------------------------------------------------------------------------------- sets of vectors */

static void set_add(uint32_t *set, uint8_t vector)
{
	set[vector / 32] |= 1u << vector % 32;
}

static void set_remove(uint32_t *set, uint8_t vector)
{
	set[vector / 32] &= ~(1u << vector % 32);
}

static bool set_has(const uint32_t *set, uint8_t vector)
{
	return set[vector / 32] >> vector % 32 & 1;
}

/* The highest vector in the set; 0: it is empty. */
static uint8_t set_highest(const uint32_t *set)
{
	for (unsigned n = LAPIC_SET_WORDS; n-- > 0;)
		if (set[n])
			return (uint8_t)(n * 32 + 31 - (unsigned)__builtin_clz(set[n]));
	return 0;
}

/* ------------------------------------------------------------------------------------------------- priorities */

uint32_t lapic_task_priority(const struct lapic *apic)
{
	return (uint32_t)apic->vcpu->cr8 << 4 | apic->task_low;
}

uint32_t lapic_processor_priority(const struct lapic *apic)
{
	uint32_t task = lapic_task_priority(apic), service = set_highest(apic->in_service) & 0xf0u;

	return task >> 4 >= service >> 4 ? task : service;
}

bool lapic_pending(const struct lapic *apic)
{
	uint8_t request = set_highest(apic->requests);

	return request && lapic_is_on(apic) && request >> 4 > lapic_processor_priority(apic) >> 4;
}

bool lapic_held(const struct lapic *apic)
{
	return set_highest(apic->requests) && lapic_is_on(apic) && !lapic_pending(apic);
}

uint8_t lapic_ack(struct lapic *apic)
{
	uint8_t vector = set_highest(apic->requests);

	if (!lapic_pending(apic))
		return (uint8_t)apic->spurious;
	set_remove(apic->requests, vector);
	set_add(apic->in_service, vector);
	return vector;
}

void lapic_end(struct lapic *apic)
{
	uint8_t vector = set_highest(apic->in_service);

	if (!vector)
		return;
	set_remove(apic->in_service, vector);
	if (set_has(apic->levels, vector))
		apic->ended(apic->arg, vector);
}

bool lapic_ends_quietly(const struct lapic *apic)
{
	unsigned in_service = 0, waiting = 0;

	for (unsigned n = 0; n < LAPIC_SET_WORDS; n++) {
		in_service += (unsigned)__builtin_popcount(apic->in_service[n]);
		waiting += (unsigned)__builtin_popcount(apic->requests[n]);
	}
	return in_service == 1 && !waiting && !set_has(apic->levels, set_highest(apic->in_service));
}

bool lapic_passes_8259(const struct lapic *apic)
{
	uint32_t line = apic->lvt[LAPIC_LVT_LINT0];

	if (!lapic_is_on(apic))
		return true;
	return !(line & APIC_MASKED) && APIC_MODE(line) == APIC_EXTINT;
}

bool lapic_take_nmi(struct lapic *apic)
{
	bool waits = apic->nmi;

	apic->nmi = false;
	return waits;
}

/* --------------------------------------------------------------------------------------------------- messages */

void lapic_error(struct lapic *apic, uint32_t bit)
{
	bool news = !(apic->error_next & bit);

	apic->error_next |= bit;
	if (news)
		lapic_local(apic, LAPIC_LVT_ERROR);
}

/* False: it does not go anywhere. */
static bool accept(struct lapic *apic, uint8_t vector, bool level)
{
	if (!lapic_is_enabled(apic))
		return false;
	if (vector < LOWEST_VECTOR) {
		lapic_error(apic, LAPIC_ERROR_RECEIVED);
		return false;
	}
	set_add(apic->requests, vector);
	if (level)
		set_add(apic->levels, vector);
	else
		set_remove(apic->levels, vector);
	return true;
}

void lapic_local(struct lapic *apic, enum lapic_lvt which)
{
	uint32_t entry = apic->lvt[which];

	if (entry & APIC_MASKED)
		return;
	switch (which == LAPIC_LVT_TIMER || which == LAPIC_LVT_ERROR ? APIC_FIXED : APIC_MODE(entry)) {
	case APIC_FIXED:
		accept(apic, entry & APIC_VECTOR, false);
		return;
	case APIC_NMI:
		apic->nmi = true;
		return;
	default:
		return;
	}
}

static bool in_set(const struct lapic *apic, uint32_t destination)
{
	if (lapic_is_x2apic(apic))
		return destination >> 16 == apic->logical >> 16 && (destination & apic->logical & 0xffff);
	uint32_t mine = apic->logical >> 24;
	if (apic->format >> 28 == LAPIC_FLAT)
		return destination & mine;
	return destination >> 4 == mine >> 4 && (destination & mine & 15);
}

static bool concerns(const struct lapic *apic, const struct apic_message *message)
{
	uint32_t everybody = lapic_is_x2apic(apic) ? UINT32_MAX : BROADCAST;

	if (message->destination == everybody || message->destination == BROADCAST)
		return true;
	return message->logical ? in_set(apic, message->destination) : message->destination == apic->id;
}

/* One processor: what would start or stop it does not come from itself. */
static bool act_on(struct lapic *apic, const struct apic_message *message)
{
	switch (message->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return accept(apic, message->vector, message->level);
	case APIC_NMI:
		apic->nmi = true;
		return true;
	default:
		return false;
	}
}

bool lapic_receive(struct lapic *apic, const struct apic_message *message)
{
	return lapic_is_on(apic) && concerns(apic, message) && act_on(apic, message);
}

enum shorthand { SHORT_NONE, SHORT_SELF, SHORT_ALL, SHORT_OTHERS };

void lapic_send(struct lapic *apic)
{
	uint32_t low = (uint32_t)apic->command, high = apic->command >> 32;
	struct apic_message message = {
		.destination = lapic_is_x2apic(apic) ? high : high >> 24,
		.logical = low & APIC_LOGICAL,
		.mode = APIC_MODE(low),
		.vector = low & APIC_VECTOR,
	};
	enum shorthand shorthand = low >> 18 & 3;

	if (message.mode == APIC_FIXED && message.vector < LOWEST_VECTOR) {
		lapic_error(apic, LAPIC_ERROR_SENT);
		return;
	}
	if (shorthand == SHORT_SELF || shorthand == SHORT_ALL)
		act_on(apic, &message);
	else if (shorthand == SHORT_NONE)
		lapic_receive(apic, &message);
}
