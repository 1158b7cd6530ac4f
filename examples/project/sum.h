/*
 * Something small enough to begin with: replace it.
 */
#ifndef SUM_H
#define SUM_H

#include <stdint.h>

/* 1 + 2 + ... + last */
uint64_t sum_to(uint64_t last);

#endif
