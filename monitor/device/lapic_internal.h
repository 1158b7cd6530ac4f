/*
 * The local APIC's files among themselves.
 */
#ifndef MONITOR_DEVICE_LAPIC_INTERNAL_H
#define MONITOR_DEVICE_LAPIC_INTERNAL_H

#include "hypercalls/x86.h"
#include "monitor/device/lapic.h"
#include "monitor/vm/vcpu.h"

#define LAPIC_ENABLED 0x100u /* of the spurious vector: the software's switch */
#define LAPIC_FLAT    15u

#define LAPIC_ERROR_SENT     0x20u
#define LAPIC_ERROR_RECEIVED 0x40u
#define LAPIC_ERROR_REGISTER 0x80u

#define LAPIC_TIMER_MODE(lvt) ((lvt) >> 17 & 3)
enum lapic_timer_mode { LAPIC_ONE_SHOT, LAPIC_PERIODIC, LAPIC_DEADLINE };

/* The processor has its APIC switched on, and its software too. */
static inline bool lapic_is_on(const struct lapic *apic)
{
	return apic->vcpu->apic_base & X86_APIC_BASE_ENABLE;
}

static inline bool lapic_is_enabled(const struct lapic *apic)
{
	return lapic_is_on(apic) && (apic->spurious & LAPIC_ENABLED);
}

static inline bool lapic_is_x2apic(const struct lapic *apic)
{
	return apic->vcpu->apic_base & X86_APIC_BASE_X2APIC;
}

/* lapic.c */
uint32_t lapic_task_priority(const struct lapic *apic);
uint32_t lapic_processor_priority(const struct lapic *apic);
void lapic_error(struct lapic *apic, uint32_t bit);
void lapic_send(struct lapic *apic); /* what the interrupt command says */
void lapic_local(struct lapic *apic, enum lapic_lvt which);

/* lapic_timer.c: after a change of any register that it depends on; the registers of its own */
void lapic_timer_init(struct lapic *apic, struct timers *timers);
void lapic_timer_set_mode(struct lapic *apic, uint32_t lvt);
void lapic_timer_load(struct lapic *apic, uint32_t initial);
void lapic_timer_divide(struct lapic *apic, uint32_t divide);
uint32_t lapic_timer_count(const struct lapic *apic);

#endif
