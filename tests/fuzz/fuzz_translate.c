/*
 * libFuzzer target: whatever bytes guest code is made of, the block compiled from them keeps the rules.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/translate_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OPTIONS (BT_FPU | BT_AVX | BT_IF | BT_CLOCK | BT_READ | BT_BASES | BT_SWAPS | BT_LOADS)

/* Where the code lies, and the form: the two lowest bits of the first byte. */
static const struct {
	uint64_t gva;
	unsigned form, may; /* what else the flavour may have */
} forms[] = {
	{0x200000, 0, OPTIONS},
	{0x7f0000215000, 0, OPTIONS},
	{0xffffffff81000000, BT_UPPER, OPTIONS | BT_GS_SLOT},
	{0x80100000, BT_NARROW, OPTIONS | BT_USER},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4 || size > 4096)
		return 0;
	const unsigned form = data[0] & 3;
	struct bt_source source = {.gva = forms[form].gva,
				   .bytes = data + 3,
				   .len = (unsigned)size - 3,
				   .site_mask = {data[2] * 0x01010101u, data[2] * 0x10101010u},
				   .flavour = forms[form].form | (data[1] * 9u & forms[form].may)};
	const char *rule = broken_rule(&source);
	if (rule) {
		fprintf(stderr, "%s\n", rule);
		abort();
	}
	return 0;
}
