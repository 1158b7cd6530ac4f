/*
 * libFuzzer target: whatever bytes guest code is made of, the block compiled from them keeps the rules.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/translate_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3 || size > 4096)
		return 0;
	bool upper = data[0] & 0x40;
	struct bt_source source = {.gva = upper		   ? 0xffffffff81000000
					  : data[0] & 0x80 ? 0x7f0000215000
							   : 0x200000,
				   .bytes = data + 2,
				   .len = (unsigned)size - 2,
				   .user_mask = data[1] * 0x01010101u,
				   .flavour = (data[0] & 31) | (upper ? BT_UPPER : 0)};
	const char *rule = broken_rule(&source);
	if (rule) {
		fprintf(stderr, "%s\n", rule);
		abort();
	}
	return 0;
}
