/*
 * What holds of every block, whatever bytes it was compiled from: for the unit test and the fuzzer.
 */
#ifndef TESTS_UNIT_TRANSLATE_RULES_H
#define TESTS_UNIT_TRANSLATE_RULES_H

#include "monitor/engine/translate/compile.h"

/* Where test blocks lie, and what they refer to. */
#define TEST_BASE     0x210000000000u
#define TEST_STATE    (TEST_BASE + 0x1000)
#define TEST_GATE     (TEST_BASE + 0x2000)
#define TEST_CODE     (TEST_BASE + 0x10000)
#define TEST_TABLE    (TEST_BASE + 0x80000)
#define TEST_IDENTITY (TEST_BASE + 0x20000)

void test_place(struct bt_place *place);
/* Fills the buffer, with the same in each run, and returns a number that comes behind it. */
uint64_t test_random_bytes(uint8_t *bytes, unsigned len);
/* The rule that is broken, or NULL. */
const char *broken_rule(const struct bt_source *source);

#endif
