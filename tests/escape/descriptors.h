/*
 * Descriptors changed beside a monitor that reads them, for seeded.c: pv=off only.
 */
#ifndef TESTS_ESCAPE_DESCRIPTORS_H
#define TESTS_ESCAPE_DESCRIPTORS_H

#include "escape.h"

/* For who changes: one change, anywhere in user mode. */
void descriptors_change(uint64_t luck);

/* For the kernel: tables of its own that change, and one way to read them. The IDT only where SIDT tells the guest's.
 */
void descriptors_begin(bool with_idt);
void descriptors_look(uint64_t luck);

#endif
