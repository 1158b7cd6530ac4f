/*
 * The local APIC of a processor (SDM 3A chapter 10): registers among memory (xAPIC) and as MSRs (x2APIC), its timer,
 * and what it makes of messages.
 */
#ifndef MONITOR_DEVICE_LAPIC_H
#define MONITOR_DEVICE_LAPIC_H

#include "monitor/device/apic.h"
#include "monitor/host/timer.h"
#include "monitor/vm/bus.h"

struct vcpu;

#define LAPIC_HZ	1000000000u /* of its timer, before the divider */
#define LAPIC_VERSION	0x14
#define LAPIC_SET_WORDS 8 /* a bit for each vector */

enum lapic_lvt {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_COUNTERS,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVTS
};

/* The upper half of the task priority is the processor's CR8, and the mode is in its IA32_APIC_BASE. */
struct lapic {
	struct vcpu *vcpu;
	struct bus_region *region;
	uint32_t id, task_low, logical, format, spurious;
	uint32_t error, error_next; /* shown, and what the next write to the register will show */
	uint32_t lvt[LAPIC_LVTS];
	uint64_t command; /* ICR */
	uint32_t in_service[LAPIC_SET_WORDS], requests[LAPIC_SET_WORDS], levels[LAPIC_SET_WORDS];
	bool nmi; /* one waits */

	uint32_t divide, initial;
	bool stopped;	   /* it was at 0 when mode or divider changed: until it is loaded */
	uint64_t start;	   /* clock() when the counter was loaded */
	uint64_t deadline; /* IA32_TSC_DEADLINE; 0: none */
	/* The one that expired last, the interval that they come at, and where the next one is looked for; 0: not. */
	uint64_t expired, interval, expected;
	unsigned longer; /* intervals than that, since one was not */
	bool expects;	 /* lapic_expect_deadline has been called */
	struct timer timer;
	uint64_t (*clock)(void); /* ns; tests put their own */

	/* A level-triggered interrupt ended. */
	void (*ended)(void *arg, uint8_t vector);
	void *arg;
};

/*
 * As a PC's firmware leaves it: enabled, the 8259 pair at LINT0 and NMI at LINT1. MMIO at IA32_APIC_BASE, as long as
 * that says so.
 */
void lapic_init(struct lapic *apic, struct vcpu *vcpu, struct bus *bus, struct timers *timers, uint64_t (*clock)(void),
		void (*ended)(void *arg, uint8_t vector), void *arg);

/* A message for whoever it concerns. False: this one is not. */
bool lapic_receive(struct lapic *apic, const struct apic_message *message);

/* An interrupt that the priorities let through waits; lapic_ack takes it. */
bool lapic_pending(const struct lapic *apic);
/* One waits, and the priority of task or processor does not let it in. */
bool lapic_held(const struct lapic *apic);
/* INTA: the vector; without one that waits the spurious one. */
uint8_t lapic_ack(struct lapic *apic);
/* LINT0 lets the 8259's interrupts through. */
bool lapic_passes_8259(const struct lapic *apic);
/* Takes an NMI that waits. */
bool lapic_take_nmi(struct lapic *apic);

/* EOI. Quietly: all that an EOI would do is end the one interrupt in service. */
void lapic_end(struct lapic *apic);
bool lapic_ends_quietly(const struct lapic *apic);
/*
 * For who lets the processor go on past a write of IA32_TSC_DEADLINE, and hands it in with lapic_write_deadline when
 * the vCPU is out: a deadline from here on may be, since the timer is looked at before it is due, or so soon after that
 * nobody can tell. UINT64_MAX: none may.
 */
uint64_t lapic_expect_deadline(struct lapic *apic);

/* IA32_APIC_BASE, IA32_TSC_DEADLINE, and the x2APIC's 800h to 83fh. False: #GP. */
bool lapic_write_base(struct lapic *apic, uint64_t value);
void lapic_write_deadline(struct lapic *apic, uint64_t tsc);
/* The counter that deadlines are of was written. */
void lapic_timer_arm(struct lapic *apic);
bool lapic_read_msr(struct lapic *apic, unsigned index, uint64_t *value);
bool lapic_write_msr(struct lapic *apic, unsigned index, uint64_t value);

#endif
