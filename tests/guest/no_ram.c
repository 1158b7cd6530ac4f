/*
 * Reads where there is no RAM, and no device, as often as reads=N says: all ones, each of them the monitor's.
 */
#include <pvguest/pvguest.h>

#define NO_RAM R3_U64(0xfd000000)

int main(const char *cmdline)
{
	const volatile uint32_t *words = (const volatile uint32_t *)PVG_SPACE_BASE;
	char text[12];
	unsigned long reads = pvg_option("reads", text, sizeof(text)) ? pvg_strtoul(text) : 1, right = 0;

	pvg_assert(!pvg_map(pvg_space_current(), PVG_SPACE_BASE, NO_RAM, 1, X86_PTE_W));
	for (unsigned long n = 0; n < reads; n++)
		right += words[n % 1024] == UINT32_MAX;
	pvg_test_equal(right, reads, "reads of nothing are all ones");
	return pvg_test_finish();
}
