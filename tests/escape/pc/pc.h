/*
 * A hostile kernel of a PC: what its attacks on devices share. Each device is set to something known, and looked at,
 * without changing it; so an attack on one of them can be seen to leave the others as they were.
 */
#ifndef TESTS_ESCAPE_PC_PC_H
#define TESTS_ESCAPE_PC_PC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/modes/console.h"

struct device {
	const char *name;
	void (*set)(void);
	uint64_t (*look)(void);
	void (*attack)(void);
};

/* Each ends with one that has no name. */
extern const struct device port_devices[], chipset_devices[], drive_devices[], memory_devices[], register_devices[];

/* Nothing of the kernel's own: what DMA reaches, and what strings are read from, with the lowest bit of each byte set,
 * and into. */
#define AREA	   0x800000
#define AREA_BYTES 0x10000

/* xorshift64*, after Vigna: the same numbers on every run. */
uint64_t luck(void);
static inline uint64_t below(uint64_t n)
{
	return luck() % n;
}

/* Edges, few bits, and anything. */
uint64_t any_value(void);

/* The last instruction raised this exception; 0: none. */
extern volatile uint64_t raised, resume;
#define TRY(code) "movq $0, raised(%%rip)\n\tmovq $7f, resume(%%rip)\n\t" code "\n7:\tmovq $0, resume(%%rip)\n\t"

/* Interrupts may come in, at most a few. */
void open_window(void);

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "d"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "d"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "d"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port));
	return value;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "d"(port));
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "d"(port));
	return value;
}

/* REP INS and OUTS of `size` bytes an element, by the area. */
void strings(uint16_t port, unsigned size, bool write, uint64_t count);
/* One access of 1, 2 or 4 bytes, or a string of them. */
void any_access(uint16_t port, bool write, uint32_t value);

/* Many of them, to all ports of a device. */
void attack_range(uint16_t base, uint16_t length);

/* Whether the register is there, and takes the value. */
bool read_msr(uint32_t number, uint64_t *value);
bool write_msr(uint32_t number, uint64_t value);

static inline uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * R3_U64(0x9e3779b97f4a7c15) >> 7 ^ sum << 13;
}

/* ends.c: the machine is reset or switched off in the way that the word names; and the longest accesses, for good. */
void end_by(const char *way);
_Noreturn void be_slow(const char *how);

#endif
