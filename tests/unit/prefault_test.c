/*
 * The heap: what a guest made large goes back to the host at the end, and not a page at a time, which would take longer
 * than a signal may wait for its answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/host/prefault.h"

#define PIECES 65536
#define PIECE  2000 /* more than the allocator keeps by itself for the next one */

static void goes_back_in_large_pieces(void **state)
{
	void **piece = malloc(PIECES * sizeof(*piece));
	unsigned trims = 0;

	assert_non_null(piece);
	prefault_heap();
	for (unsigned n = 0; n < PIECES; n++)
		assert_non_null(piece[n] = malloc(PIECE));
	for (unsigned n = PIECES; n-- > 0;) {
		void *end = sbrk(0);

		free(piece[n]);
		trims += sbrk(0) != end;
	}
	free(piece);
	assert_true(trims < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_back_in_large_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
