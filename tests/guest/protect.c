/*
 * The kernel against itself: what the library takes away at start, by the faults that it leads to.
 */
#include <pvguest/pvguest.h>

static const char constant[] = "constant";
static char variable[16] = {(char)0xc3}; /* RET */

static void read_byte(void *arg)
{
	(void)*(volatile char *)arg;
}

static void write_byte(void *arg)
{
	*(volatile char *)arg = 1;
}

static void call(void *arg)
{
	((void (*)(void))arg)();
}

/* Error code of the page fault at that address, or -1 if there was none. */
static int64_t fault_of(void (*access)(void *arg), const void *at)
{
	struct pvg_caught caught;

	if (!pvg_catch(access, (void *)(uintptr_t)at, &caught))
		return -1;
	return caught.vector == X86_VEC_PF && caught.cr2 == (uint64_t)at ? (int64_t)caught.error : -2;
}

static void check_flat(void)
{
	pvg_test_equal((uint64_t)fault_of(call, variable), (uint64_t)-1, "the flat map executes data");
	pvg_test_equal((uint64_t)fault_of(write_byte, constant), (uint64_t)-1, "and writes to constants");
	pvg_test_equal((uint64_t)fault_of(read_byte, pvg_gpa_to_ptr(0)), (uint64_t)-1, "and has a page 0");
}

static void check_protected(void)
{
	char *page = pvg_page_alloc();

	pvg_test_equal((uint64_t)fault_of(read_byte, pvg_gpa_to_ptr(0)), 0, "page 0 is absent");
	pvg_test_equal((uint64_t)fault_of(read_byte, pvg_gpa_to_ptr(X86_PAGE_SIZE)), (uint64_t)-1, "and only that");
	pvg_test_equal((uint64_t)fault_of(write_byte, check_flat), X86_PF_P | X86_PF_W, "text cannot be written");
	pvg_test_equal((uint64_t)fault_of(write_byte, constant), X86_PF_P | X86_PF_W, "nor can constants");
	pvg_test_equal((uint64_t)fault_of(call, constant), X86_PF_P | X86_PF_I, "constants cannot be executed");
	pvg_test_equal((uint64_t)fault_of(call, variable), X86_PF_P | X86_PF_I, "nor can data");
	page[0] = (char)0xc3;
	pvg_test_equal((uint64_t)fault_of(call, page), X86_PF_P | X86_PF_I, "nor can pages of the allocator");
	pvg_page_free(page);
}

int main(const char *cmdline)
{
	char map[8];

	(void)cmdline;
	pvg_option("map", map, sizeof(map));
	if (!pvg_strcmp(map, "flat"))
		check_flat();
	else
		check_protected();
	return pvg_test_finish();
}
