/*
 * Batches of hypercalls: order, results, limits, and what may not be batched (pv=on).
 */
#include <pvguest/pvguest.h>

#define BATCH 32

static struct r3_multicall_entry entries[R3_MULTICALL_MAX + 1];

static void test_batch(unsigned count)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < count; i++)
		entries[i] = (struct r3_multicall_entry){.nr = R3_HC_abi_version, .result = -1};
	pvg_test_equal((uint64_t)pvg_multicall(entries, count), 0, "a batch of %u", count);
	for (unsigned i = 0; i < count; i++)
		wrong += entries[i].result != R3_ABI_VERSION;
	pvg_test_equal(wrong, 0, "each of %u has its result", count);
}

/* In order: each entry writes what the one before left to be overwritten. */
static void test_order(void)
{
	static uint64_t table[X86_PT_ENTRIES] __attribute__((aligned(4096)));
	static struct r3_mmu_update updates[BATCH];

	for (unsigned i = 0; i < BATCH; i++) {
		updates[i] = (struct r3_mmu_update){pvg_ptr_to_gpa(&table[7]), i << 1};
		entries[i] = (struct r3_multicall_entry){.nr = R3_HC_mmu_update, .args = {(uint64_t)&updates[i], 1}};
	}
	pvg_test_equal((uint64_t)pvg_multicall(entries, BATCH), 0, "a batch of table updates");
	pvg_test_equal(table[7], (BATCH - 1) << 1, "the last one wins");
}

static void test_refused(void)
{
	entries[0] = (struct r3_multicall_entry){.nr = R3_HC_multicall, .args = {(uint64_t)entries, 1}};
	entries[1] = (struct r3_multicall_entry){.nr = 9999};
	entries[2] = (struct r3_multicall_entry){.nr = R3_HC_iret};
	entries[3] = (struct r3_multicall_entry){.nr = R3_HC_block};
	entries[4] = (struct r3_multicall_entry){.nr = R3_HC_abi_version};
	pvg_test_equal((uint64_t)pvg_multicall(entries, 5), 0, "a batch with calls that fail");
	pvg_test_equal((uint64_t)entries[0].result, (uint64_t)-R3_EPERM, "multicall may not nest");
	pvg_test_equal((uint64_t)entries[1].result, (uint64_t)-R3_ENOSYS, "no such call");
	pvg_test_equal((uint64_t)entries[2].result, (uint64_t)-R3_EPERM, "iret may not be batched");
	pvg_test_equal((uint64_t)entries[3].result, (uint64_t)-R3_EPERM, "block may not be batched");
	pvg_test_equal((uint64_t)entries[4].result, R3_ABI_VERSION, "a failed call stops nothing");
}

static void test_limits(void)
{
	pvg_test_equal((uint64_t)pvg_multicall(entries, 0), 0, "an empty batch");
	pvg_test_equal((uint64_t)pvg_multicall(entries, R3_MULTICALL_MAX + 1), (uint64_t)-R3_EINVAL, "too many");
	pvg_test_equal((uint64_t)pvg_multicall(entries, UINT64_MAX), (uint64_t)-R3_EINVAL, "far too many");
	pvg_test_equal((uint64_t)pvg_multicall((void *)PVG_SPACE_BASE, 1), (uint64_t)-R3_EFAULT,
		       "nothing mapped there");
	pvg_test_equal((uint64_t)pvg_multicall((void *)-64ul, 2), (uint64_t)-R3_EFAULT, "an array that wraps");
}

int main(const char *cmdline)
{
	(void)cmdline;
	test_batch(1);
	test_batch(BATCH);
	test_batch(BATCH + 1);
	test_batch(R3_MULTICALL_MAX);
	test_order();
	test_refused();
	test_limits();
	return pvg_test_finish();
}
