/*
 * The compiler of engine `translate` for code of 32 bits: the rules hold of random bytes, above all that nothing of
 * what was emitted reaches memory outside the window.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/translate_rules.h"

#define BLOCKS_RANDOM 20000
#define GVA	      0x80100000u
#define ALL_FLAVOURS  (BT_FPU | BT_AVX | BT_USER | BT_IF | BT_CLOCK | BT_READ | BT_BASES)

static void test_rules_hold_of_random_bytes(void **state)
{
	uint8_t bytes[200];
	for (unsigned n = 0; n < BLOCKS_RANDOM; n++) {
		uint64_t random = test_random_bytes(bytes, sizeof(bytes));
		struct bt_source source = {n & 1 ? GVA : 0xffffffc0, bytes, 1 + (unsigned)(random % sizeof(bytes)),
					   BT_NARROW | ((unsigned)(random >> 8) & ALL_FLAVOURS), .hypercall = false};
		const char *rule = broken_rule(&source);
		if (rule)
			fail_msg("block %u: %s", n, rule);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_hold_of_random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
