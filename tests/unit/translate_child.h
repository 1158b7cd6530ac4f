/*
 * A traced child that executes what a test lays out.
 */
#ifndef TESTS_UNIT_TRANSLATE_CHILD_H
#define TESTS_UNIT_TRANSLATE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* It has what is mapped now, and has stopped. -1: there is none. */
pid_t test_child(void);
void test_child_end(pid_t child);
/* What it writes with WRFSBASE and WRGSBASE is kept across the host's task switches, of which each step is one. */
bool test_child_keeps_bases(void);

#endif
