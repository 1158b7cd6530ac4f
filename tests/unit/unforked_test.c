/*
 * Memory of the monitor alone: zeroed, in no child, and gone when it is given back.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/host/unforked.h"

#define PAGE 4096
#define SIZE (3 * PAGE)

static bool is_mapped(void *at)
{
	return !msync(at, SIZE, MS_ASYNC) || errno != ENOMEM;
}

static void is_the_monitors_alone(void **state)
{
	uint8_t *memory = unforked_alloc(SIZE);
	int status = -1;

	assert_non_null(memory);
	for (size_t n = 0; n < SIZE; n++)
		assert_int_equal(memory[n], 0);
	memory[SIZE - 1] = 1;
	pid_t child = fork();
	if (!child)
		_exit(is_mapped(memory));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(memory[SIZE - 1], 1);
	unforked_free(memory, SIZE);
	assert_false(is_mapped(memory));
	unforked_free(NULL, SIZE);
}

#ifndef R3_SANITIZED
static char variable[3 * PAGE]; /* one page at least is its own */

static bool has(const void *at)
{
	uintptr_t page = (uintptr_t)at & ~(uintptr_t)(PAGE - 1);

	return !msync((void *)page, PAGE, MS_ASYNC) || errno != ENOMEM;
}

/* Bit 0: the page of the one; bit 1: of the other. */
static int child_has(const void *variable_at, const void *heap_at)
{
	pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	int status = -1;

	if (!child)
		_exit(has(variable_at) | has(heap_at) << 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void variables_and_heap_are_kept_from_a_child(void **state)
{
	char *block = malloc(1);

	assert_in_range((uintptr_t)block, 0, (uintptr_t)sbrk(0));
	assert_int_equal(child_has(variable + PAGE, block), 3);
	unforked_own(true);
	assert_int_equal(child_has(variable + PAGE, block), 2);
	unforked_own(false);
	unforked_heap(block);
	unforked_own(true);
	assert_int_equal(child_has(variable + PAGE, block), 0);
	unforked_own(false);
	assert_int_equal(child_has(variable + PAGE, block), 3);
	free(block);
}
#endif

static void may_be_refused(void **state)
{
	assert_null(unforked_alloc(SIZE_MAX - SIZE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_the_monitors_alone),
#ifndef R3_SANITIZED
		cmocka_unit_test(variables_and_heap_are_kept_from_a_child),
#endif
		cmocka_unit_test(may_be_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
