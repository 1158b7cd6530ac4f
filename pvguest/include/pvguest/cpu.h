/*
 * Privileged and sensitive instructions as inline functions, one instruction each. They mean what the manual says on
 * hardware; under ring3 the privileged ones trap and are emulated, whatever pv= is. Portable guest code uses pvg_ops
 * instead.
 */
#ifndef PVGUEST_CPU_H
#define PVGUEST_CPU_H

#include <stdint.h>

#include <pvguest/language.h>

#include "hypercalls/x86.h"

PVG_BEGIN

#define PVG_READ_REG(name, reg)                                                                                        \
	static inline uint64_t pvg_read_##name(void)                                                                   \
	{                                                                                                              \
		uint64_t value;                                                                                        \
		__asm__ volatile("mov %%" reg ", %0" : "=r"(value) : : "memory");                                      \
		return value;                                                                                          \
	}
#define PVG_WRITE_REG(name, reg)                                                                                       \
	static inline void pvg_write_##name(uint64_t value)                                                            \
	{                                                                                                              \
		__asm__ volatile("mov %0, %%" reg : : "r"(value) : "memory");                                          \
	}
#define PVG_REG(name)                                                                                                  \
	PVG_READ_REG(name, #name)                                                                                      \
	PVG_WRITE_REG(name, #name)

PVG_REG(cr0)
PVG_REG(cr2)
PVG_REG(cr3)
PVG_REG(cr4)
PVG_REG(cr8)
PVG_REG(dr0)
PVG_REG(dr1)
PVG_REG(dr2)
PVG_REG(dr3)
PVG_REG(dr6)
PVG_REG(dr7)

#undef PVG_REG
#undef PVG_READ_REG
#undef PVG_WRITE_REG

static inline void pvg_cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void pvg_sti(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* Enables interrupts and waits for one. The interrupt shadow of STI closes the gap between the two. */
static inline void pvg_sti_hlt(void)
{
	__asm__ volatile("sti; hlt" : : : "memory");
}

static inline void pvg_invlpg(uint64_t gva)
{
	__asm__ volatile("invlpg (%0)" : : "r"(gva) : "memory");
}

static inline uint64_t pvg_rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void pvg_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t pvg_rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline uint8_t pvg_inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t pvg_inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t pvg_inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void pvg_outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void pvg_outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void pvg_outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

/* Writes count bytes to one port with REP OUTSB. */
static inline void pvg_outsb(uint16_t port, const void *bytes, uint64_t count)
{
	__asm__ volatile("cld; rep outsb" : "+S"(bytes), "+c"(count) : "d"(port) : "memory");
}

/* Reads count bytes from one port with REP INSB. */
static inline void pvg_insb(uint16_t port, void *bytes, uint64_t count)
{
	__asm__ volatile("cld; rep insb" : "+D"(bytes), "+c"(count) : "d"(port) : "memory");
}

/* The operand of LGDT, LIDT (SDM 3A 2.4). */
struct pvg_table_register {
	uint16_t limit; /* bytes - 1 */
	uint64_t base;
} __attribute__((packed));

static inline void pvg_lgdt(const struct pvg_table_register *table)
{
	__asm__ volatile("lgdt %0" : : "m"(*table) : "memory");
}

static inline void pvg_lidt(const struct pvg_table_register *table)
{
	__asm__ volatile("lidt %0" : : "m"(*table) : "memory");
}

static inline void pvg_ltr(uint16_t selector)
{
	__asm__ volatile("ltr %0" : : "rm"(selector) : "memory");
}

static inline void pvg_lldt(uint16_t selector)
{
	__asm__ volatile("lldt %0" : : "rm"(selector) : "memory");
}

PVG_END

#endif
