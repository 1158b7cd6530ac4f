/*
 * The machine that the guest runs sequences on: its descriptor tables, the sequences' areas, its system registers.
 */
#ifndef TESTS_RANDOM_MACHINE_H
#define TESTS_RANDOM_MACHINE_H

#include <stdint.h>

#include "tests/random/sequence.h"

/* An area of two pages as the guest itself reaches it, and the pages behind it. */
struct machine_areas {
	uint64_t base, prot;
	uint8_t *code, *data, *stack;
};

/* What a sequence may have left in the system's registers. */
struct machine_system {
	uint64_t cr0, cr2, cr3, cr4, cr8, dr[8], msr[7], xcr0;
};

void machine_init(void);
/* Sequences run in the upper half: GS has a base there, and there is user memory of data and stack. */
void machine_init_upper(struct machine_areas *low);
/* Makes and maps the areas from `base`; prot: X86_PTE_U or 0. */
void machine_map(struct machine_areas *areas, uint64_t base, uint64_t prot);
/* Other frames for the code, which hold nothing yet. */
void machine_renew(struct machine_areas *areas);
void machine_read(struct machine_system *system);
/* Puts everything back as machine_init left it. */
void machine_restore(void);

/* An interrupt waits from now on; IF is clear. Afterwards: the vector that ended the sequence. */
void machine_request(void);
void machine_withdraw(uint64_t vector);

#endif
