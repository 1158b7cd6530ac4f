/*
 * Hypercalls with pointers, counts and numbers that no honest guest passes.
 */
#include "escape.h"

static const uint64_t wild[] = {
	0,
	1,
	7,
	0xfff,
	0x1000,
	GATE_TEXT - 1,
	GATE_TEXT,
	GATE_XCHG,
	GATE_END - 1,
	0x7fffffffffff,
	0x800000000000,
	0x8000000000000000,
	0xffff7fffffffffff,
	0xffff800000000000,
	0xffffffffffffffff - 4095,
	0xfffffffffffffff0,
	0xffffffffffffffff,
};
#define WILD (sizeof(wild) / sizeof(wild[0]))

/* Those that end the guest, wait, or load a context have their turn elsewhere. */
static bool comes_back(unsigned nr)
{
	return nr != R3_HC_exit && nr != R3_HC_block && nr != R3_HC_iret && nr != R3_HC_set_root &&
	       nr != R3_HC_set_trap_table && nr != R3_HC_set_callback && nr != R3_HC_stack_switch &&
	       nr != R3_HC_shared_info;
}

static uint64_t ram_end(void)
{
	const struct hvm_start_info *info = pvg_start_info();
	const struct hvm_memmap_entry *map = pvg_gpa_to_ptr(info->memmap_paddr);
	uint64_t end = 0;

	for (uint32_t i = 0; i < info->memmap_entries; i++)
		if (map[i].addr + map[i].size > end)
			end = map[i].addr + map[i].size;
	return end;
}

static uint64_t any(uint64_t end)
{
	switch (luck() % 4) {
	case 0:
		return end - luck() % 5000;
	case 1:
		return luck() >> luck() % 64;
	default:
		return wild[luck() % WILD];
	}
}

void attack_pointers(void)
{
	uint64_t end = ram_end();

	for (unsigned nr = 0; nr < 24; nr++) {
		if (!comes_back(nr))
			continue;
		for (unsigned a = 0; a < WILD; a++)
			for (unsigned b = 0; b < WILD; b++)
				pvg_hypercall6(nr, wild[a], wild[b], wild[(a + b) % WILD], wild[a], wild[b], wild[a]);
		for (unsigned i = 0; i < 200; i++)
			pvg_hypercall6(nr, any(end), any(end), any(end), any(end), any(end), any(end));
	}
	for (unsigned i = 0; i < WILD; i++)
		pvg_hypercall6(wild[i] + 1000, 0, 0, 0, 0, 0, 0);
	/* Set-up calls: refused, or harmless and undone at once. */
	for (unsigned i = 0; i < WILD; i++) {
		pvg_hypercall2(R3_HC_set_trap_table, wild[i], 1 + i * 100);
		pvg_hypercall2(R3_HC_set_callback, 2 + i, wild[i]);
		pvg_hypercall1(R3_HC_exit, 120 + wild[i] % 1000);
	}
	pvg_test(true, "no call did harm");
}

void attack_multicall(void)
{
	static struct r3_multicall_entry inner[2] = {{.nr = R3_HC_abi_version}, {.nr = R3_HC_abi_version}};
	static struct r3_multicall_entry outer[3];

	outer[0] = (struct r3_multicall_entry){.nr = R3_HC_multicall, .args = {(uint64_t)inner, 2}};
	outer[1] = (struct r3_multicall_entry){.nr = R3_HC_multicall, .args = {(uint64_t)outer, 3}};
	outer[2] = (struct r3_multicall_entry){.nr = R3_HC_abi_version};
	inner[0].result = 99;
	pvg_test_equal((uint64_t)pvg_multicall(outer, 3), 0, "the outer call runs");
	pvg_test_equal((uint64_t)outer[0].result, (uint64_t)-R3_EPERM, "one in it is refused");
	pvg_test_equal((uint64_t)outer[1].result, (uint64_t)-R3_EPERM, "one of itself is refused");
	pvg_test_equal((uint64_t)outer[2].result, R3_ABI_VERSION, "the next entry runs");
	pvg_test_equal((uint64_t)inner[0].result, 99, "the inner entries did not run");
	/* A table that the calls in it overwrite. */
	outer[0] = (struct r3_multicall_entry){.nr = R3_HC_console_read, .args = {(uint64_t)outer, sizeof(outer)}};
	pvg_multicall(outer, 3);
	pvg_test(pvg_multicall((void *)GATE_XCHG, 1) < 0, "a table in the gate is refused");
	pvg_test(pvg_multicall(outer, ~0ull) < 0, "a huge count is refused");
}

static void call_page(void *arg)
{
	((void (*)(void))arg)();
}

/* The hypercall page is the guest's own memory. With pv=on the way back from a trap leads through it as well. */
void attack_hypercall_page(void)
{
	static const uint8_t codes[][4] = {{0x0f, 0x0b}, {0x0f, 0x05, 0xc3},	  {0xcd, 0x80, 0xc3}, {0xcc},
					   {0xf4},	 {0xfa, 0x0f, 0x05, 0xc3}};
	static uint8_t copy[R3_HYPERCALL_PAGE_SIZE] __attribute__((aligned(4096)));
	struct pvg_caught caught;
	unsigned level;
	uint64_t page = (uint64_t)pvg_hypercall_page, *entry = pvg_lookup(pvg_space_current(), page, &level);

	memcpy(copy, pvg_hypercall_page, sizeof(copy));
	*entry |= X86_PTE_W;
	pvg_invlpg(page);
	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		memcpy(pvg_hypercall_page, codes[i], sizeof(codes[i]));
		if (i != 4) /* HLT waits */
			pvg_catch(call_page, pvg_hypercall_page, &caught);
		memcpy(pvg_hypercall_page, copy, sizeof(copy));
	}
	pvg_test_equal((uint64_t)pvg_hypercall0(R3_HC_abi_version), R3_ABI_VERSION, "restored, it works");
	pvg_catch(call_page, copy, &caught);
	pvg_test(true, "a copy of it elsewhere does no harm");
}
