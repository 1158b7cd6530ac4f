/*
 * What the host's processor says of itself. Where the host is itself a guest each CPUID is a trap, of ten microseconds
 * and more: what the C library asked when the program started is not asked again.
 */
#ifndef MONITOR_HOST_CPUID_H
#define MONITOR_HOST_CPUID_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/platform/x86.h>

#define HOST_CPUID_EXTENDED 0x80000000u

struct host_leaf {
	uint32_t eax, ebx, ecx, edx;
};

/* All zeroes where the processor has no such leaf. Fields that differ from one processor of the host to another (APIC
 * IDs) may be those of any. */
struct host_leaf host_cpuid(uint32_t leaf, uint32_t subleaf);

/* EAX to EDX as a program of the host's has them, whatever the leaf; not where CPUID faults. */
void host_cpuid_raw(uint32_t leaf, uint32_t subleaf, uint32_t answer[4]);

/*
 * From now on CPUID faults in this process, and in those it makes: host_cpuid answers from what is known. -1: this host
 * cannot do that, and nothing has changed. host_cpuid_give undoes it.
 */
int host_cpuid_keep(void);
void host_cpuid_give(void);
/* It has been done. */
bool host_cpuid_is_kept(void);
/* Tries it, for a moment. */
bool host_cpuid_can_keep(void);

/* Bytes of an XSAVE image with all that the host's kernel has switched on; 0 without XSAVE. SDM 1 13.2 */
uint32_t host_xsave_size(void);

/* Register 0 of XGETBV; 0 without XSAVE. */
uint64_t host_xcr0(void);
/*
 * The state components that guests have: of those switched on, x87, SSE, AVX, AVX-512. Not protection keys, which are
 * for the host's own pages, nor tiles, which a task has to ask for: signal frames have no room for them.
 */
uint64_t host_state_components(void);
/* Bytes of an XSAVE image in standard form of these; 0 without XSAVE. */
uint32_t host_state_size(void);

/* Where the rights of protection keys lie in an XSAVE image in standard form; 0: nowhere. */
uint32_t host_pkru_place(void);

#endif
