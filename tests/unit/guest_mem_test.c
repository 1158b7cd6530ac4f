/*
 * The door to guest memory: range checks, and linear accesses through the guest's tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

#include "monitor/vm/segment.h"
#include "tests/unit/machine_fixture.h"

static void ranges(void **state)
{
	struct machine_fixture *m = *state;
	struct guest_mem *gm = &m->vm.mem;
	uint8_t byte = 0x5a, back;

	assert_ptr_equal(gm_ptr(gm, 0, FIX_RAM), gm->base);
	assert_ptr_equal(gm_ptr(gm, FIX_RAM - 1, 1), gm->base + FIX_RAM - 1);
	assert_null(gm_ptr(gm, FIX_RAM - 1, 2));
	assert_null(gm_ptr(gm, FIX_RAM, 1));
	assert_non_null(gm_ptr(gm, FIX_RAM, 0));
	assert_null(gm_ptr(gm, FIX_RAM + 1, 0));
	assert_null(gm_ptr(gm, 0, FIX_RAM + 1));
	assert_null(gm_ptr(gm, UINT64_MAX, 2));
	assert_null(gm_ptr(gm, 4096, UINT64_MAX));
	assert_null(gm_ptr(gm, UINT64_MAX, UINT64_MAX));

	assert_true(gm_write(gm, FIX_RAM - 1, &byte, 1));
	assert_true(gm_read(gm, FIX_RAM - 1, &back, 1));
	assert_int_equal(back, byte);
	assert_false(gm_write(gm, FIX_RAM, &byte, 1));
	assert_false(gm_read(gm, UINT64_MAX, &back, 1));
	assert_true(gm_read(gm, FIX_RAM, &back, 0));
}

static void absurd_sizes(void **state)
{
	struct guest_mem gm;
	int err = dup(2);
	assert_int_equal(close(2), 0);
	assert_true(gm_init(&gm, 0) < 0);
	assert_true(gm_init(&gm, 4097) < 0);
	assert_true(gm_init(&gm, UINT64_MAX & ~4095ULL) < 0);
	assert_int_equal(dup2(err, 2), 2);
	close(err);
}

static void ram_is_sealed(void **state)
{
	struct machine_fixture *m = *state;
	assert_int_equal(ftruncate(m->vm.mem.fd, 0), -1);
	assert_int_equal(ftruncate(m->vm.mem.fd, 2 * FIX_RAM), -1);
}

static void page_by_page(void **state)
{
	struct machine_fixture *m = *state;
	struct gm_fault fault;
	uint64_t gva = FIX_HOLE - 4, value = 0x1122334455667788, back = 0;

	/* Across two pages that are not adjacent in RAM. */
	fix_map(m, FIX_HOLE, 0x50000 | X86_PTE_P | X86_PTE_W);
	assert_true(gm_write_gva(m->vcpu, gva, &value, 8, GM_CPL, &fault));
	assert_int_equal(fix_get64(m, 0x50000) & 0xffffffff, 0x11223344);
	assert_true(gm_read_gva(m->vcpu, gva, &back, 8, GM_CPL, &fault));
	assert_int_equal(back, value);
	assert_true(gm_peek(m->vcpu, gva, &back, 8) == 8);

	/* Into a hole: the fault names the first byte missing. */
	fix_map(m, FIX_HOLE, 0);
	assert_int_equal(spt_flush_all(m->vm.spt), 0);
	assert_false(gm_read_gva(m->vcpu, gva, &back, 8, GM_CPL, &fault));
	assert_int_equal(fault.vector, X86_VEC_PF);
	assert_int_equal(fault.gva, FIX_HOLE);
	assert_int_equal(fault.error, 0);
	assert_false(gm_write_gva(m->vcpu, gva, &value, 8, GM_CPL, &fault));
	assert_int_equal(fault.error, X86_PF_W);
	assert_false(gm_probe_write_gva(m->vcpu, gva, 8, GM_CPL, &fault));
	assert_true(gm_peek(m->vcpu, gva, &back, 8) == 4);
}

static void privilege(void **state)
{
	struct machine_fixture *m = *state;
	struct gm_fault fault;
	uint64_t value = 0;

	fix_user(m);
	assert_true(gm_read_gva(m->vcpu, FIX_USER_DATA, &value, 8, GM_CPL, &fault));
	assert_false(gm_read_gva(m->vcpu, FIX_DATA, &value, 8, GM_CPL, &fault));
	assert_int_equal(fault.error, X86_PF_P | X86_PF_U);
	assert_true(gm_read_gva(m->vcpu, FIX_DATA, &value, 8, GM_SYSTEM, &fault));

	/* CR0.WP decides for the supervisor. */
	fix_map(m, FIX_DATA, FIX_DATA | X86_PTE_P);
	assert_false(gm_write_gva(m->vcpu, FIX_DATA, &value, 8, GM_SYSTEM, &fault));
	assert_int_equal(fault.error, X86_PF_P | X86_PF_W);
	m->vcpu->cr0 &= ~X86_CR0_WP;
	assert_true(gm_write_gva(m->vcpu, FIX_DATA, &value, 8, GM_SYSTEM, &fault));
}

/* SMAP: the kernel's data accesses to user pages need AC, and the processor's own are never allowed. */
static void user_pages(void **state)
{
	struct machine_fixture *m = *state;
	struct gm_fault fault;
	uint64_t value = 0;
	uint8_t code;

	m->vcpu->cr4 |= X86_CR4_SMAP;
	assert_false(gm_read_gva(m->vcpu, FIX_USER_DATA, &value, 8, GM_CPL, &fault));
	assert_int_equal(fault.error, X86_PF_P);
	assert_false(gm_write_gva(m->vcpu, FIX_USER_DATA, &value, 8, GM_CPL, &fault));
	assert_int_equal(fault.error, X86_PF_P | X86_PF_W);
	assert_true(gm_read_gva(m->vcpu, FIX_DATA, &value, 8, GM_CPL, &fault));
	assert_true(gm_fetch(m->vcpu, FIX_USER_CODE, &code, 1, &fault) == 1);
	m->vcpu->rflags |= X86_RFLAGS_AC;
	assert_true(gm_write_gva(m->vcpu, FIX_USER_DATA, &value, 8, GM_CPL, &fault));
	assert_false(gm_read_gva(m->vcpu, FIX_USER_DATA, &value, 8, GM_SYSTEM, &fault));
	assert_int_equal(fault.error, X86_PF_P);
	fix_user(m);
	m->vcpu->rflags &= ~X86_RFLAGS_AC;
	assert_true(gm_read_gva(m->vcpu, FIX_USER_DATA, &value, 8, GM_CPL, &fault));
}

static void fetch(void **state)
{
	struct machine_fixture *m = *state;
	struct gm_fault fault;
	uint8_t bytes[16];
	fix_map(m, FIX_CODE, FIX_CODE | X86_PTE_P | X86_PTE_NX);
	assert_true(gm_fetch(m->vcpu, FIX_CODE - 3, bytes, 16, &fault) == 3);
	assert_int_equal(fault.error, X86_PF_P | X86_PF_I);
	assert_int_equal(fault.gva, FIX_CODE);
}

static void odd_addresses(void **state)
{
	struct machine_fixture *m = *state;
	struct gm_fault fault;
	uint64_t value = 0;

	assert_false(gm_read_gva(m->vcpu, FIX_NONCANONICAL, &value, 8, GM_CPL, &fault));
	assert_int_equal(fault.vector, X86_VEC_GP);
	assert_int_equal(fault.error, 0);
	/* Zero bytes reach nothing, wherever they lie. */
	assert_true(gm_read_gva(m->vcpu, FIX_NONCANONICAL, &value, 0, GM_CPL, &fault));
	/* The top of the address space wraps to address 0. */
	assert_false(gm_read_gva(m->vcpu, UINT64_MAX - 3, &value, 8, GM_CPL, &fault));
	assert_int_equal(fault.vector, X86_VEC_PF);

	/* No RAM behind a mapped page: an empty bus. */
	fix_map(m, FIX_HOLE, 0x40000000 | X86_PTE_P | X86_PTE_W);
	assert_true(gm_write_gva(m->vcpu, FIX_HOLE, &value, 8, GM_CPL, &fault));
	assert_true(gm_read_gva(m->vcpu, FIX_HOLE, &value, 8, GM_CPL, &fault));
	assert_true(value == UINT64_MAX);
	assert_true(gm_peek(m->vcpu, FIX_HOLE, &value, 8) == 0);
	assert_true(gm_peek(m->vcpu, FIX_NONCANONICAL, &value, 8) == 0);
}

/* Behind the last 32-bit address comes 0 in 16- and 32-bit code, and 4 GiB in 64-bit code. */
static void end_of_32_bits(void **state)
{
	struct machine_fixture *m = *state;
	const uint64_t gva = R3_BIT(32) - 4, low = 0x1111111122222222, value = 0x3333333344444444;
	const uint64_t rights = X86_PTE_P | X86_PTE_W;
	struct gm_fault fault;
	uint64_t back;

	/* The last 2 MiB below 4 GiB are RAM once more; what lies above is not mapped. */
	fix_put64(m, FIX_PML4 + 0x1000 + 3 * 8, 0x50000 | rights);
	fix_put64(m, 0x50000 + 511 * 8, X86_PTE_PS | rights);
	fix_put64(m, 0, low);
	assert_false(gm_write_gva(m->vcpu, gva, &value, 8, GM_CPL, &fault));
	assert_true(fault.gva == R3_BIT(32));

	m->vcpu->sreg[SREG_CS].descriptor = SEG_FLAT_CODE_32(0);
	assert_true(gm_probe_write_gva(m->vcpu, gva, 8, GM_CPL, &fault));
	assert_true(gm_write_gva(m->vcpu, gva, &value, 8, GM_CPL, &fault));
	assert_int_equal(fix_get64(m, FIX_RAM - 8) >> 32, value & 0xffffffff);
	assert_int_equal(fix_get64(m, 0), (low & ~R3_U64(0xffffffff)) | value >> 32);
	assert_true(gm_read_gva(m->vcpu, gva, &back, 8, GM_CPL, &fault));
	assert_true(back == value);

	/* The processor's own tables lie anywhere, whatever code runs. */
	assert_false(gm_read_gva(m->vcpu, gva, &back, 8, GM_SYSTEM, &fault));
	fix_map(m, 0, 0);
	assert_int_equal(spt_flush_all(m->vm.spt), 0);
	assert_false(gm_read_gva(m->vcpu, gva, &back, 8, GM_CPL, &fault));
	assert_int_equal(fault.gva, 0);
}

static void large_pages(void **state)
{
	struct machine_fixture *m = *state;
	uint64_t value = 0;
	fix_put64(m, FIX_DATA + 8, 0x1234);
	fix_put64(m, FIX_PML4 + 0x2000, X86_PTE_P | X86_PTE_W | X86_PTE_PS);
	assert_true(gm_peek(m->vcpu, FIX_DATA + 8, &value, 8) == 8);
	assert_int_equal(value, 0x1234);
	/* Bit 12 of a large page is its PAT bit, no address. */
	fix_put64(m, FIX_PML4 + 0x2000, X86_PTE_P | X86_PTE_W | X86_PTE_PS | R3_BIT(12));
	assert_true(gm_peek(m->vcpu, FIX_DATA + 8, &value, 8) == 8);
	assert_int_equal(value, 0x1234);
	/* No bit was set on the way. */
	assert_int_equal(fix_get64(m, FIX_PML4 + 0x2000), X86_PTE_P | X86_PTE_W | X86_PTE_PS | R3_BIT(12));
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ranges),     T(absurd_sizes), T(ram_is_sealed), T(page_by_page),   T(privilege),
		T(user_pages), T(fetch),	T(odd_addresses), T(end_of_32_bits), T(large_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
