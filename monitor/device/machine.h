/*
 * The devices of the machine: one visible list that attaches them to the bus, and what the run loop asks of them.
 */
#ifndef MONITOR_DEVICE_MACHINE_H
#define MONITOR_DEVICE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct vm;
struct vcpu;
struct state_list;

/* Makes and attaches all devices; sets vm->machine. 0 or negative errno with a message printed. */
int machine_init(struct vm *vm);
void machine_exit(struct vm *vm);

/* The list of what its devices hold, of vm->machine (monitor/vm/state.h). */
extern const struct state_list machine_state;

/* An interrupt waits at the interrupt controller for this vCPU. */
bool machine_irq_pending(struct vcpu *vcpu);
/* One waits for a lower priority: of CR8, or of what is in service. */
bool machine_irq_held(struct vcpu *vcpu);
/* Takes it, as the processor's INTA cycle does: the vector. Precondition: machine_irq_pending. */
uint8_t machine_irq_ack(struct vcpu *vcpu);
/* The controller's line that raises the vector; the vector itself if it is none of its. */
unsigned machine_irq_line(const struct vm *vm, uint8_t vector);

/* Takes a non-maskable interrupt that waits for this vCPU. */
bool machine_take_nmi(struct vcpu *vcpu);

/* The interrupt controllers, to look at; the first processor's local APIC, NULL: the machine has no APICs. */
const struct pic *machine_pic(const struct vm *vm);
const struct ioapic *machine_ioapic(const struct vm *vm);
struct lapic *machine_lapic(const struct vm *vm);
/* Runs what is due: expired timers, console output. True if console input came since the last call. vCPU stopped. */
bool machine_poll(struct vm *vm, uint64_t now);
/* When machine_poll wants to be called next, clock_machine_ns() time, TIMER_NEVER if only on an event. */
uint64_t machine_deadline(struct vm *vm);
/* The vCPU is about to wait, or the guest ended: console output must not linger. */
void machine_flush(struct vm *vm);
/* Prints what the screen shows; false if there is none, or nothing on it. */
bool machine_print_screen(const struct vm *vm, FILE *out);
/* Writes the graphics that the screen shows as a PPM image; false if there is no screen, or it shows text. */
bool machine_write_picture(const struct vm *vm, FILE *out);
/* Prints the last lines of what firmware has said on its debug port; false if it said nothing. */
bool machine_print_firmware(const struct vm *vm, unsigned lines, FILE *out);

#endif
