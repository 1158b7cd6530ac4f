/*
 * What travels between I/O APIC and local APIC: SDM 3A 10.11, 82093AA data sheet 3.2.4.
 */
#ifndef MONITOR_DEVICE_APIC_H
#define MONITOR_DEVICE_APIC_H

#include <stdbool.h>
#include <stdint.h>

enum apic_mode {
	APIC_FIXED,
	APIC_LOWEST,
	APIC_SMI,
	APIC_NMI = 4,
	APIC_INIT,
	APIC_STARTUP,
	APIC_EXTINT,
};

struct apic_message {
	uint32_t destination;
	bool logical; /* the destination is a set of processors, not one */
	bool level;   /* its end is told to the I/O APIC */
	enum apic_mode mode;
	uint8_t vector;
};

/* Bits that redirection entries, local vectors and the interrupt command have in common. */
#define APIC_VECTOR	0x000000ffu
#define APIC_MODE(v)	((enum apic_mode)((v) >> 8 & 7))
#define APIC_LOGICAL	0x00000800u
#define APIC_REMOTE_IRR 0x00004000u
#define APIC_LEVEL	0x00008000u
#define APIC_MASKED	0x00010000u

#endif
