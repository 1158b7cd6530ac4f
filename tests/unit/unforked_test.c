/*
 * Memory of the monitor alone: zeroed, in no child, and gone when it is given back.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/host/unforked.h"

#define SIZE (3 * 4096)

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

static void may_be_refused(void **state)
{
	assert_null(unforked_alloc(SIZE_MAX - SIZE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_the_monitors_alone),
		cmocka_unit_test(may_be_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
