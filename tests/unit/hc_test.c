/*
 * The hypercalls but for events and time: what they do, and what they refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "monitor/device/console.h"
#include "monitor/run/inject.h"
#include "tests/unit/hc_fixture.h"

/* Numbers in calls.def have no gaps: as many as there are lines. */
enum {
#define R3_CALL(nr, name, args, doc) IN_ORDER_##name,
#include "hypercalls/calls.def"
#undef R3_CALL
	CALLS
};
#define LAST_CALL (CALLS - 1)

#define BASE_FEATURES                                                                                                  \
	(R3_FEATURE_VIF | R3_FEATURE_CLOCK | R3_FEATURE_EVTCHN | R3_FEATURE_MMU_UPDATE | R3_FEATURE_MULTICALL)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Addresses that must never be believed: unmapped, past the end, in the hole, non-canonical, wrapping. */
static const uint64_t wild[] = {FIX_HOLE,	FIX_RAM,	  FIX_RAM - 1,		FIX_HOLE - 1,
				0x7f8000000000, FIX_NONCANONICAL, FIX_NONCANONICAL - 1, 0xffff800000000000,
				UINT64_MAX,	UINT64_MAX - 7,	  0 - (uint64_t)4096};

static void assert_nothing_raised(struct hc_fixture *f)
{
	assert_false(f->vcpu->event_pending);
	assert_false(f->vm->ended);
}

static int output_waiting(struct hc_fixture *f)
{
	int n = -1;

	console_flush(f->vm->console);
	assert_int_equal(ioctl(f->out[0], FIONREAD, &n), 0);
	return n;
}

/* --------------------------------------------------------------------------------------------------- dispatch */

static void numbers_have_names(void **state)
{
	assert_string_equal(hc_name(0), "abi_version");
	assert_string_equal(hc_name(R3_HC_multicall), "multicall");
	assert_null(hc_name(LAST_CALL + 1));
	assert_null(hc_name(UINT64_MAX));
}

static void unknown_numbers_are_refused(void **state)
{
	struct hc_fixture *f = *state;
	static const uint64_t none[HC_ARGS];

	assert_int_equal(hcf_call(f, LAST_CALL + 1, none), -R3_ENOSYS);
	assert_int_equal(hcf_call(f, 1ull << 32, none), -R3_ENOSYS);
	assert_int_equal(hcf_call(f, UINT64_MAX, none), -R3_ENOSYS);
	assert_nothing_raised(f);
}

static void user_mode_gets_gp(void **state)
{
	struct hc_fixture *f = *state;
	static const uint64_t none[HC_ARGS];

	fix_user(f->m);
	for (uint64_t nr = 0; nr <= LAST_CALL + 1; nr++) {
		f->vcpu->event_pending = false;
		assert_int_equal(hcf_call(f, nr, none), nr);
		assert_true(f->vcpu->event_pending);
		assert_int_equal(f->vcpu->event.vector, X86_VEC_GP);
		assert_true(f->vcpu->event.has_error);
		assert_int_equal(f->vcpu->event.error, 0);
	}
	assert_false(f->vm->ended);
}

static void other_registers_are_kept(void **state)
{
	struct hc_fixture *f = *state;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		f->vcpu->gpr[i] = 0x1111 * i;
	f->vcpu->gpr[RAX] = R3_HC_abi_version;
	hc_dispatch(f->vcpu);
	assert_int_equal(f->vcpu->gpr[RAX], R3_ABI_VERSION);
	for (unsigned i = 1; i < GPR_COUNT; i++)
		assert_int_equal(f->vcpu->gpr[i], 0x1111 * i);
	assert_int_equal(HC(f, features) & BASE_FEATURES, BASE_FEATURES);
}

/* ---------------------------------------------------------------------------------------------------- console */

static void console_write_prints(void **state)
{
	struct hc_fixture *f = *state;
	char got[16];

	fix_put(f->m, FIX_DATA, "hello", 5);
	assert_int_equal(HC(f, console_write, FIX_DATA, 5), 5);
	assert_int_equal(HC(f, console_write, FIX_DATA, 0), 0);
	assert_int_equal(output_waiting(f), 5);
	assert_int_equal(read(f->out[0], got, sizeof(got)), 5);
	assert_memory_equal(got, "hello", 5);
	/* Across many pages, in one call. */
	assert_int_equal(HC(f, console_write, FIX_CODE + 123, 40000), 40000);
	assert_int_equal(output_waiting(f), 40000);
}

static void console_write_refuses(void **state)
{
	struct hc_fixture *f = *state;

	for (size_t i = 0; i < COUNT(wild); i++)
		assert_int_equal(HC(f, console_write, wild[i], 8), -R3_EFAULT);
	assert_int_equal(HC(f, console_write, FIX_DATA, R3_CONSOLE_MAX + 1), -R3_EINVAL);
	assert_int_equal(HC(f, console_write, FIX_DATA, UINT64_MAX), -R3_EINVAL);
	assert_int_equal(output_waiting(f), 0);
	/* What lies before the fault is taken, in whole chunks. */
	assert_int_equal(HC(f, console_write, FIX_HOLE - 8192, 20000), 8192);
	assert_int_equal(output_waiting(f), 8192);
	assert_nothing_raised(f);
}

static void console_size_of_none_is_unknown(void **state)
{
	struct hc_fixture *f = *state;

	assert_int_equal(HC(f, console_size), 0);
	assert_nothing_raised(f);
}

static void console_read_takes_input_once(void **state)
{
	struct hc_fixture *f = *state;
	char got[8] = "";

	assert_int_equal(HC(f, console_read, FIX_DATA, 8), 0);
	assert_int_equal(write(f->in[1], "abcdef", 6), 6);
	hcf_await_input(f, 6);
	assert_int_equal(HC(f, console_read, FIX_DATA, 4), 4);
	/* A bad pointer loses nothing. */
	for (size_t i = 0; i < COUNT(wild); i++)
		assert_int_equal(HC(f, console_read, wild[i], 2), -R3_EFAULT);
	assert_int_equal(HC(f, console_read, FIX_DATA + 4, UINT64_MAX), 2);
	assert_int_equal(HC(f, console_read, FIX_DATA, 8), 0);
	gm_read(&f->vm->mem, FIX_DATA, got, 6);
	assert_string_equal(got, "abcdef");
}

/* ---------------------------------------------------------------------------------------------------- control */

static void exit_passes_the_status(void **state)
{
	struct hc_fixture *f = *state;

	assert_int_equal(HC(f, exit, 120), -R3_EINVAL);
	assert_int_equal(HC(f, exit, 1ull << 32), -R3_EINVAL);
	assert_false(f->vm->ended);
	HC(f, exit, 119);
	assert_true(f->vm->ended);
	assert_int_equal(f->vm->status, 119);
}

/* What a terminal would act on is not told as it stands. */
static void panic_says_why(void **state)
{
	struct hc_fixture *f = *state;

	fix_put(f->m, FIX_DATA, "no\x1b[2J\xff\n", 8);
	HC(f, panic, FIX_DATA, 8);
	assert_true(f->vm->ended);
	assert_int_equal(f->vm->status, R3_STATUS_PANIC);
	assert_string_equal(f->vm->reason, "no?[2J??");
}

static void panic_from_nowhere_is_one(void **state)
{
	struct hc_fixture *f = *state;

	HC(f, panic, wild[0], UINT64_MAX);
	assert_int_equal(f->vm->status, R3_STATUS_PANIC);
	assert_string_equal(f->vm->reason, "it does not say why");
}

static void shared_info_wants_a_page_of_ram(void **state)
{
	struct hc_fixture *f = *state;

	assert_int_equal(HC(f, shared_info, FIX_SHARED + 8), -R3_EINVAL);
	assert_int_equal(HC(f, shared_info, FIX_RAM), -R3_EINVAL);
	assert_int_equal(HC(f, shared_info, 0 - (uint64_t)4096), -R3_EINVAL);
	assert_int_equal(f->vcpu->pv.shared_gpa, 0);
	assert_int_equal(HC(f, shared_info, FIX_RAM - 4096), 0);
	assert_int_equal(f->vcpu->pv.shared_gpa, FIX_RAM - 4096);
}

static void interrupt_flag_moves_with_the_page(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;

	vcpu_set_if(f->vcpu, true);
	shared = hcf_share(f);
	assert_int_equal(shared->vcpu[0].vif, 1);
	shared->vcpu[0].vif = 0;
	assert_false(vcpu_if(f->vcpu));
	assert_int_equal(HC(f, shared_info, FIX_DATA), 0);
	assert_int_equal(((struct r3_shared_info *)gm_ptr(&f->vm->mem, FIX_DATA, 4096))->vcpu[0].vif, 0);
	vcpu_set_if(f->vcpu, true);
	assert_int_equal(HC(f, shared_info, 0), 0);
	assert_true(f->vcpu->rflags & X86_RFLAGS_IF);
	/* The page it left is the guest's again. */
	shared->vcpu[0].pending = 7;
	hc_sync_shared(f->vcpu, true);
	assert_int_equal(shared->vcpu[0].pending, 7);
}

static void pending_is_kept_up_to_date(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared = hcf_share(f);

	hc_sync_shared(f->vcpu, true);
	assert_int_equal(shared->vcpu[0].pending, 1);
	hc_sync_shared(f->vcpu, false);
	assert_int_equal(shared->vcpu[0].pending, 0);
}

/* ------------------------------------------------------------------------------------------------------ traps */

static void put_trap(struct hc_fixture *f, unsigned i, struct r3_trap_entry entry)
{
	fix_put(f->m, FIX_DATA + i * sizeof(entry), &entry, sizeof(entry));
}

static void trap_table_is_installed_whole(void **state)
{
	struct hc_fixture *f = *state;

	put_trap(f, 0, (struct r3_trap_entry){.vector = 14, .flags = R3_TRAP_MASK, .selector = 8, .address = 0x1234});
	put_trap(f, 1, (struct r3_trap_entry){.vector = 3, .flags = R3_TRAP_DPL, .selector = 8, .address = 0x5678});
	assert_int_equal(HC(f, set_trap_table, FIX_DATA, 2), 0);
	assert_true(f->vcpu->pv.has_traps);
	assert_int_equal(f->vcpu->pv.traps[14].address, 0x1234);
	assert_int_equal(f->vcpu->pv.traps[3].flags, R3_TRAP_DPL);
	assert_int_equal(HC(f, set_trap_table, FIX_DATA, 1), 0);
	assert_int_equal(f->vcpu->pv.traps[3].address, 0);
	/* None at all: the IDT again. */
	assert_int_equal(HC(f, set_trap_table, 0, 0), 0);
	assert_false(f->vcpu->pv.has_traps);
}

static void trap_table_is_checked_before_use(void **state)
{
	static const struct r3_trap_entry bad[] = {
		{.vector = 1, .address = FIX_NONCANONICAL},
		{.vector = 1, .address = 0xffff800000000000},
		{.vector = 1, .address = UINT64_MAX},
		{.vector = 1, .address = 0x1000, .flags = 8},
		{.vector = 1, .address = 0x1000, .reserved = 1},
	};
	struct hc_fixture *f = *state;

	put_trap(f, 0, (struct r3_trap_entry){.vector = 0, .address = 0x1000});
	for (size_t i = 0; i < COUNT(bad); i++) {
		put_trap(f, 1, bad[i]);
		assert_int_equal(HC(f, set_trap_table, FIX_DATA, 2), -R3_EINVAL);
		assert_false(f->vcpu->pv.has_traps);
		assert_int_equal(f->vcpu->pv.traps[0].address, 0);
	}
	assert_int_equal(HC(f, set_trap_table, FIX_DATA, 257), -R3_EINVAL);
	assert_int_equal(HC(f, set_trap_table, FIX_DATA, 1ull << 60), -R3_EINVAL);
	for (size_t i = 0; i < COUNT(wild); i++)
		assert_int_equal(HC(f, set_trap_table, wild[i], 1), -R3_EFAULT);
	assert_nothing_raised(f);
}

static void stack_and_entry_points_are_checked(void **state)
{
	struct hc_fixture *f = *state;

	assert_int_equal(HC(f, stack_switch, FIX_STACK), 0);
	assert_int_equal(HC(f, stack_switch, FIX_NONCANONICAL), -R3_EINVAL);
	assert_int_equal(f->vcpu->pv.rsp0, FIX_STACK);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_SYSCALL, FIX_CODE), 0);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_SYSCALL, UINT64_MAX), -R3_EINVAL);
	assert_int_equal(f->vcpu->pv.syscall_entry, FIX_CODE);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_EVENT, 255), 0);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_EVENT, 31), -R3_EINVAL);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_EVENT, 256), -R3_EINVAL);
	assert_int_equal(f->vcpu->pv.event_vector, 255);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_EVENT, 0), 0);
	assert_int_equal(f->vcpu->pv.event_vector, 0);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_DIRECT, 1), 0);
	assert_true(f->vcpu->pv.direct);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_DIRECT, 2), -R3_EINVAL);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_SITES, 1), 0);
	assert_true(f->vcpu->pv.sites);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_SITES, 2), -R3_EINVAL);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_DOUBLE_FAULT, FIX_CODE), 0);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_DOUBLE_FAULT, FIX_NONCANONICAL), -R3_EINVAL);
	assert_int_equal(f->vcpu->pv.double_fault_stack, FIX_CODE);
	assert_int_equal(HC(f, set_callback, 5, 0), -R3_EINVAL);
}

static void segment_bases(void **state)
{
	struct hc_fixture *f = *state;

	assert_int_equal(HC(f, set_segment_base, R3_SEGBASE_FS, 0x1000), 0);
	assert_int_equal(HC(f, set_segment_base, R3_SEGBASE_GS, 0x2000), 0);
	assert_int_equal(HC(f, set_segment_base, R3_SEGBASE_KERNEL_GS, UINT64_MAX), 0);
	assert_int_equal(HC(f, set_segment_base, R3_SEGBASE_FS, FIX_NONCANONICAL), -R3_EINVAL);
	assert_int_equal(HC(f, set_segment_base, 3, 0), -R3_EINVAL);
	assert_int_equal(f->vcpu->sreg[SREG_FS].base, 0x1000);
	assert_int_equal(f->vcpu->sreg[SREG_GS].base, 0x2000);
	assert_int_equal(f->vcpu->kernel_gs_base, UINT64_MAX);
}

static void iret_loads_the_context(void **state)
{
	struct hc_fixture *f = *state;
	const struct r3_iret_frame frame = {
		.rax = 0xaaaa,
		.rcx = 0xcccc,
		.r11 = 0x1111,
		.rip = FIX_USER_CODE,
		.cs = FIX_UCODE,
		.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF | X86_RFLAGS_CF,
		.rsp = FIX_USER_STACK,
		.ss = FIX_UDATA,
	};

	hcf_share(f);
	f->vcpu->gpr[RSP] = FIX_STACK - sizeof(frame);
	fix_put(f->m, f->vcpu->gpr[RSP], &frame, sizeof(frame));
	assert_int_equal(HC(f, iret), 0xaaaa);
	assert_nothing_raised(f);
	assert_int_equal(f->vcpu->gpr[RCX], 0xcccc);
	assert_int_equal(f->vcpu->gpr[R11], 0x1111);
	assert_int_equal(f->vcpu->gpr[RSP], FIX_USER_STACK);
	assert_int_equal(f->vcpu->rip, FIX_USER_CODE);
	assert_int_equal(f->vcpu->cpl, 3);
	assert_true(vcpu_if(f->vcpu));
	assert_true(f->vcpu->rflags & X86_RFLAGS_CF);
}

static void iret_with_a_bad_frame_changes_nothing(void **state)
{
	struct hc_fixture *f = *state;
	const struct r3_iret_frame frame = {.rax = 0xaaaa, .rcx = 0xcccc, .rip = FIX_NONCANONICAL, .cs = FIX_UCODE};

	for (size_t i = 0; i < COUNT(wild); i++) {
		f->vcpu->gpr[RSP] = wild[i];
		assert_int_equal(HC(f, iret), -R3_EFAULT);
		assert_int_equal(f->vcpu->gpr[RSP], wild[i]);
		assert_nothing_raised(f);
	}
	f->vcpu->gpr[RSP] = FIX_STACK - sizeof(frame);
	f->vcpu->gpr[RCX] = 5;
	fix_put(f->m, f->vcpu->gpr[RSP], &frame, sizeof(frame));
	assert_int_equal(HC(f, iret), R3_HC_iret);
	assert_true(f->vcpu->event_pending);
	assert_int_equal(f->vcpu->event.vector, X86_VEC_GP);
	assert_int_equal(f->vcpu->gpr[RCX], 5);
	assert_int_equal(f->vcpu->cpl, 0);
}

/* -------------------------------------------------------------------------------------------------------- mmu */

static void set_root_checks_reserved_bits(void **state)
{
	struct hc_fixture *f = *state;

	assert_int_equal(HC(f, set_root, UINT64_MAX), -R3_EINVAL);
	assert_int_equal(HC(f, set_root, R3_BIT(CPU_PHYSICAL_BITS)), -R3_EINVAL);
	assert_int_equal(f->vcpu->cr3, FIX_PML4);
	assert_int_equal(HC(f, set_root, FIX_PML4 | X86_CR3_PWT), 0);
	assert_int_equal(f->vcpu->cr3, FIX_PML4 | X86_CR3_PWT);
	assert_nothing_raised(f);
}

static void put_update(struct hc_fixture *f, unsigned i, uint64_t gpa, uint64_t value)
{
	struct r3_mmu_update update = {gpa, value};

	fix_put(f->m, FIX_DATA + i * sizeof(update), &update, sizeof(update));
}

static void mmu_update_writes_entries(void **state)
{
	struct hc_fixture *f = *state;
	const uint64_t hole_entry = FIX_PT + FIX_HOLE / X86_PAGE_SIZE * 8;

	assert_int_equal(HC(f, mmu_update, FIX_DATA, 0), 0);
	put_update(f, 0, hole_entry, FIX_CODE | X86_PTE_P | X86_PTE_W);
	assert_int_equal(HC(f, mmu_update, FIX_DATA, 1), 1);
	assert_int_equal(fix_get64(f->m, hole_entry) & ~(X86_PTE_A | X86_PTE_D), FIX_CODE | X86_PTE_P | X86_PTE_W);
	assert_int_equal(HC(f, console_write, FIX_HOLE, 8), 8);
	put_update(f, 0, hole_entry, 0);
	assert_int_equal(HC(f, mmu_update, FIX_DATA, 1), 1);
	assert_int_equal(HC(f, console_write, FIX_HOLE, 8), -R3_EFAULT);
}

static void mmu_update_stops_at_the_first_wrong_one(void **state)
{
	static const uint64_t bad[] = {FIX_RAM, FIX_RAM - 4, 0x1001, UINT64_MAX - 7, UINT64_MAX};
	struct hc_fixture *f = *state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		put_update(f, 0, bad[i], 1);
		assert_int_equal(HC(f, mmu_update, FIX_DATA, 1), -R3_EINVAL);
		put_update(f, 0, 0x40000, 0x11);
		put_update(f, 1, bad[i], 1);
		put_update(f, 2, 0x40008, 0x22);
		fix_put64(f->m, 0x40008, 0);
		assert_int_equal(HC(f, mmu_update, FIX_DATA, 3), 1);
		assert_int_equal(fix_get64(f->m, 0x40000), 0x11);
		assert_int_equal(fix_get64(f->m, 0x40008), 0);
	}
	for (size_t i = 0; i < COUNT(wild); i++)
		assert_int_equal(HC(f, mmu_update, wild[i], 1), -R3_EFAULT);
	assert_int_equal(HC(f, mmu_update, FIX_DATA, R3_MMU_UPDATE_MAX + 1), -R3_EINVAL);
	assert_nothing_raised(f);
}

static void mmu_update_takes_many(void **state)
{
	struct hc_fixture *f = *state;
	const uint64_t table = 0x50000, entries = 0x80000;

	for (uint64_t i = 0; i < R3_MMU_UPDATE_MAX; i++) {
		fix_put64(f->m, table + i * 16, entries + i * 8);
		fix_put64(f->m, table + i * 16 + 8, i << 12);
	}
	assert_int_equal(HC(f, mmu_update, table, R3_MMU_UPDATE_MAX), R3_MMU_UPDATE_MAX);
	for (uint64_t i = 0; i < R3_MMU_UPDATE_MAX; i++)
		assert_int_equal(fix_get64(f->m, entries + i * 8), i << 12);
	/* The table runs into the hole: the blocks before it count. */
	assert_int_equal(HC(f, mmu_update, table, 0), 0);
	for (uint64_t i = 0; i < 256; i++) {
		fix_put64(f->m, FIX_HOLE - 4096 + i * 16, entries);
		fix_put64(f->m, FIX_HOLE - 4096 + i * 16 + 8, 0);
	}
	assert_int_equal(HC(f, mmu_update, FIX_HOLE - 4096, 300), 256);
}

static void mmu_flush_takes_every_range(void **state)
{
	struct hc_fixture *f = *state;

	assert_int_equal(HC(f, mmu_flush, R3_FLUSH_PAGES, FIX_DATA, 1), 0);
	assert_int_equal(HC(f, mmu_flush, R3_FLUSH_PAGES, FIX_DATA + 5, 0), 0);
	assert_int_equal(HC(f, mmu_flush, R3_FLUSH_PAGES, UINT64_MAX, 512), 0);
	assert_int_equal(HC(f, mmu_flush, R3_FLUSH_PAGES, FIX_NONCANONICAL - 4096, 3), 0);
	assert_int_equal(HC(f, mmu_flush, R3_FLUSH_PAGES, 0, UINT64_MAX), 0);
	assert_int_equal(HC(f, mmu_flush, R3_FLUSH_ROOT), 0);
	assert_int_equal(HC(f, mmu_flush, R3_FLUSH_ALL, UINT64_MAX, UINT64_MAX), 0);
	assert_int_equal(HC(f, mmu_flush, 3), -R3_EINVAL);
	assert_nothing_raised(f);
}

/* ------------------------------------------------------------------------------------- what a flush drops */

static bool visit_count(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	*(uint64_t *)arg += len / X86_PAGE_SIZE;
	return true;
}

static uint64_t pages_mapped(struct spt_space *space)
{
	uint64_t pages = 0;

	spt_space_each(space, visit_count, &pages);
	return pages;
}

/* A space in which the page at FIX_CODE is filled. */
static struct spt_space *filled(struct hc_fixture *f)
{
	struct spt_cpu cpu = vcpu_paging(f->vcpu);
	struct spt_space *space = spt_space_get(f->vm->spt, &(struct spt_cpu){.cr3 = f->vcpu->cr3}, SPT_KERNEL);
	struct spt_outcome outcome;

	assert_non_null(space);
	assert_int_equal(spt_fault(space, &cpu, FIX_CODE, 0, &outcome), SPT_FILLED);
	assert_true(pages_mapped(space) > 0);
	return space;
}

static void flush_drops_shadow_entries(void **state)
{
	struct hc_fixture *f = *state;
	struct spt_space *space = filled(f);
	uint64_t before = pages_mapped(space);

	assert_int_equal(HC(f, mmu_flush, R3_FLUSH_PAGES, FIX_CODE, 1), 0);
	assert_int_equal(pages_mapped(space), before - 1);
	filled(f);
	assert_int_equal(HC(f, mmu_flush, R3_FLUSH_ALL), 0);
	assert_int_equal(pages_mapped(space), 0);
	filled(f);
	assert_int_equal(HC(f, mmu_flush, R3_FLUSH_PAGES, 0, 100000), 0);
	assert_int_equal(pages_mapped(space), 0);
}

/* -------------------------------------------------------------------------------------------------- multicall */

static void put_entry(struct hc_fixture *f, unsigned i, struct r3_multicall_entry entry)
{
	entry.result = 0x7777;
	fix_put(f->m, FIX_DATA + i * sizeof(entry), &entry, sizeof(entry));
}

static int64_t result(struct hc_fixture *f, unsigned i)
{
	return (int64_t)fix_get64(f->m, FIX_DATA + i * sizeof(struct r3_multicall_entry) + 8);
}

/* Dispatches while something asks for attention all the time: how often it gave way. */
static unsigned dispatch_through(struct hc_fixture *f)
{
	unsigned times = 0;

	atomic_store(&f->vm->attention, true);
	for (hc_dispatch(f->vcpu); f->vcpu->call.unfinished; hc_dispatch(f->vcpu))
		times++;
	atomic_store(&f->vm->attention, false);
	return times;
}

static void long_calls_give_way(void **state)
{
	struct hc_fixture *f = *state;
	const uint64_t target = 0x40000, table = 0x50000;

	for (uint64_t i = 0; i < 8; i++) {
		fix_put64(f->m, table + i * 16, target + i * 8);
		fix_put64(f->m, table + i * 16 + 8, (i + 1) << 12);
		fix_put64(f->m, target + i * 8, 0);
	}
	f->vcpu->gpr[RAX] = R3_HC_mmu_update;
	f->vcpu->gpr[RDI] = table;
	f->vcpu->gpr[RSI] = 8;
	assert_int_equal(dispatch_through(f), 7);
	assert_int_equal(f->vcpu->gpr[RAX], 8);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(fix_get64(f->m, target + i * 8), (i + 1) << 12);
	/* Each entry of a multicall, and each update of an entry. */
	put_entry(f, 0, (struct r3_multicall_entry){.nr = R3_HC_abi_version});
	put_entry(f, 1, (struct r3_multicall_entry){.nr = R3_HC_mmu_update, .args = {table, 8}});
	put_entry(f, 2, (struct r3_multicall_entry){.nr = R3_HC_mmu_update, .args = {table + 64, 2}});
	f->vcpu->gpr[RAX] = R3_HC_multicall;
	f->vcpu->gpr[RDI] = FIX_DATA;
	f->vcpu->gpr[RSI] = 3;
	assert_int_equal(dispatch_through(f), 1 + 8 + 1);
	assert_int_equal(f->vcpu->gpr[RAX], 0);
	assert_int_equal(result(f, 0), R3_ABI_VERSION);
	assert_int_equal(result(f, 1), 8);
	assert_int_equal(result(f, 2), 2);
	assert_int_equal(f->vm->stats.hypercalls[R3_HC_multicall], 1);
	assert_int_equal(f->vm->stats.hypercalls[R3_HC_mmu_update], 3);
	assert_nothing_raised(f);
}

static void multicall_runs_in_order(void **state)
{
	struct hc_fixture *f = *state;

	put_entry(f, 0, (struct r3_multicall_entry){.nr = R3_HC_abi_version});
	put_entry(f, 1, (struct r3_multicall_entry){.nr = 999});
	put_entry(f, 2, (struct r3_multicall_entry){.nr = R3_HC_stack_switch, .args = {0x1000}});
	put_entry(f, 3, (struct r3_multicall_entry){.nr = R3_HC_stack_switch, .args = {0x2000}});
	assert_int_equal(HC(f, multicall, FIX_DATA, 0), 0);
	assert_int_equal(result(f, 0), 0x7777);
	assert_int_equal(HC(f, multicall, FIX_DATA, 4), 0);
	assert_int_equal(result(f, 0), R3_ABI_VERSION);
	assert_int_equal(result(f, 1), -R3_ENOSYS);
	assert_int_equal(result(f, 2), 0);
	assert_int_equal(f->vcpu->pv.rsp0, 0x2000);
}

static void multicall_does_not_nest(void **state)
{
	static const uint64_t refused[] = {R3_HC_multicall, R3_HC_iret, R3_HC_block};
	struct hc_fixture *f = *state;
	uint64_t rip = f->vcpu->rip;

	for (unsigned i = 0; i < COUNT(refused); i++)
		put_entry(f, i, (struct r3_multicall_entry){.nr = refused[i], .args = {FIX_DATA, 4}});
	put_entry(f, COUNT(refused), (struct r3_multicall_entry){.nr = R3_HC_features});
	assert_int_equal(HC(f, multicall, FIX_DATA, COUNT(refused) + 1), 0);
	for (unsigned i = 0; i < COUNT(refused); i++)
		assert_int_equal(result(f, i), -R3_EPERM);
	assert_int_equal(result(f, COUNT(refused)), HC(f, features));
	assert_false(f->vcpu->halted);
	assert_int_equal(f->vcpu->rip, rip);
	assert_nothing_raised(f);
}

static void multicall_ends_with_the_guest(void **state)
{
	struct hc_fixture *f = *state;

	put_entry(f, 0, (struct r3_multicall_entry){.nr = R3_HC_exit, .args = {5}});
	put_entry(f, 1, (struct r3_multicall_entry){.nr = R3_HC_stack_switch, .args = {0x1000}});
	HC(f, multicall, FIX_DATA, 2);
	assert_true(f->vm->ended);
	assert_int_equal(f->vm->status, 5);
	assert_int_equal(f->vcpu->pv.rsp0, 0);
}

static void multicall_is_bounded_and_checked(void **state)
{
	struct hc_fixture *f = *state;

	assert_int_equal(HC(f, multicall, FIX_DATA, R3_MULTICALL_MAX + 1), -R3_EINVAL);
	assert_int_equal(HC(f, multicall, FIX_DATA, UINT64_MAX), -R3_EINVAL);
	for (size_t i = 0; i < COUNT(wild); i++)
		assert_int_equal(HC(f, multicall, wild[i], 1), -R3_EFAULT);
	for (unsigned i = 0; i < R3_MULTICALL_MAX; i++)
		put_entry(f, i, (struct r3_multicall_entry){.nr = R3_HC_features});
	assert_int_equal(HC(f, multicall, FIX_DATA, R3_MULTICALL_MAX), 0);
	for (unsigned i = 0; i < R3_MULTICALL_MAX; i++)
		assert_int_equal(result(f, i), HC(f, features));
	assert_nothing_raised(f);
}

/* Results that cannot be stored: the calls happened, the guest is told. */
static void multicall_table_must_be_writable(void **state)
{
	struct hc_fixture *f = *state;

	put_entry(f, 0, (struct r3_multicall_entry){.nr = R3_HC_stack_switch, .args = {0x3000}});
	fix_map(f->m, FIX_DATA, FIX_DATA | X86_PTE_P);
	assert_int_equal(HC(f, multicall, FIX_DATA, 1), -R3_EFAULT);
	assert_int_equal(f->vcpu->pv.rsp0, 0x3000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, hcf_setup, hcf_teardown)
	const struct CMUnitTest tests[] = {
		T(numbers_have_names),
		T(unknown_numbers_are_refused),
		T(user_mode_gets_gp),
		T(other_registers_are_kept),
		T(console_write_prints),
		T(console_write_refuses),
		T(console_size_of_none_is_unknown),
		T(console_read_takes_input_once),
		T(exit_passes_the_status),
		T(panic_says_why),
		T(panic_from_nowhere_is_one),
		T(shared_info_wants_a_page_of_ram),
		T(interrupt_flag_moves_with_the_page),
		T(pending_is_kept_up_to_date),
		T(trap_table_is_installed_whole),
		T(trap_table_is_checked_before_use),
		T(stack_and_entry_points_are_checked),
		T(segment_bases),
		T(iret_loads_the_context),
		T(iret_with_a_bad_frame_changes_nothing),
		T(set_root_checks_reserved_bits),
		T(mmu_update_writes_entries),
		T(mmu_update_stops_at_the_first_wrong_one),
		T(mmu_update_takes_many),
		T(mmu_flush_takes_every_range),
		T(flush_drops_shadow_entries),
		T(long_calls_give_way),
		T(multicall_runs_in_order),
		T(multicall_does_not_nest),
		T(multicall_ends_with_the_guest),
		T(multicall_is_bounded_and_checked),
		T(multicall_table_must_be_writable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
