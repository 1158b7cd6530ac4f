/*
 * Hypercalls: a CALL to the page that the monitor filled in. Numbers R3_HC_*, arguments and errors: hypercalls/abi.h.
 * In an image whose note no monitor honoured, every call returns -R3_ENOSYS.
 */
#ifndef PVGUEST_HYPERCALL_H
#define PVGUEST_HYPERCALL_H

#include <stdint.h>

#include <pvguest/language.h>

#include "hypercalls/abi.h"

PVG_BEGIN

extern char pvg_hypercall_page[R3_HYPERCALL_PAGE_SIZE];

static inline int64_t pvg_hypercall6(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
				     uint64_t a5)
{
	register uint64_t r10 __asm__("r10") = a3;
	register uint64_t r8 __asm__("r8") = a4;
	register uint64_t r9 __asm__("r9") = a5;
	int64_t result;

	__asm__ volatile("call pvg_hypercall_page"
			 : "=a"(result)
			 : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "cc", "memory");
	return result;
}

static inline int64_t pvg_hypercall0(uint64_t nr)
{
	int64_t result;

	__asm__ volatile("call pvg_hypercall_page" : "=a"(result) : "a"(nr) : "rcx", "r11", "cc", "memory");
	return result;
}

static inline int64_t pvg_hypercall1(uint64_t nr, uint64_t a0)
{
	int64_t result;

	__asm__ volatile("call pvg_hypercall_page" : "=a"(result) : "a"(nr), "D"(a0) : "rcx", "r11", "cc", "memory");
	return result;
}

static inline int64_t pvg_hypercall2(uint64_t nr, uint64_t a0, uint64_t a1)
{
	int64_t result;

	__asm__ volatile("call pvg_hypercall_page"
			 : "=a"(result)
			 : "a"(nr), "D"(a0), "S"(a1)
			 : "rcx", "r11", "cc", "memory");
	return result;
}

static inline int64_t pvg_hypercall3(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	int64_t result;

	__asm__ volatile("call pvg_hypercall_page"
			 : "=a"(result)
			 : "a"(nr), "D"(a0), "S"(a1), "d"(a2)
			 : "rcx", "r11", "cc", "memory");
	return result;
}

static inline int64_t pvg_hypercall4(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	return pvg_hypercall6(nr, a0, a1, a2, a3, 0, 0);
}

static inline int64_t pvg_hypercall5(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
	return pvg_hypercall6(nr, a0, a1, a2, a3, a4, 0);
}

/* Runs count (at most R3_MULTICALL_MAX) calls in one; 0 or -R3_E*; each entry's own result is in entry->result. */
static inline int64_t pvg_multicall(struct r3_multicall_entry *entries, uint64_t count)
{
	return pvg_hypercall2(R3_HC_multicall, (uint64_t)entries, count);
}

PVG_END

#endif
