/*
 * A traced child that executes what a test lays out.
 */
#ifndef TESTS_UNIT_TRANSLATE_CHILD_H
#define TESTS_UNIT_TRANSLATE_CHILD_H

#include <sys/types.h>

/* It has what is mapped now, and has stopped. -1: there is none. */
pid_t test_child(void);
void test_child_end(pid_t child);

#endif
