/*
 * Hypercalls with arguments that no well-meaning guest passes: each has its error, and none does harm (pv=on).
 */
#include <pvguest/pvguest.h>

#define HOLE	      PVG_SPACE_BASE
#define EDGE	      (PVG_SPACE_BASE + 0x200000) /* one page, then nothing */
#define MONITOR	      PVG_SPACE_END
#define NON_CANONICAL R3_U64(0x8000000000000000)
#define WRAPPING      (0 - R3_U64(16))
#define BEYOND_RAM    R3_BIT(45)

#define expect(error, call, what) pvg_test_equal((uint64_t)(call), (uint64_t)(int64_t)(error), what)

#define CALL1(name, a)	     pvg_hypercall1(R3_HC_##name, (uint64_t)(a))
#define CALL2(name, a, b)    pvg_hypercall2(R3_HC_##name, (uint64_t)(a), (uint64_t)(b))
#define CALL3(name, a, b, c) pvg_hypercall3(R3_HC_##name, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c))

static void test_numbers(void)
{
	expect(R3_ABI_VERSION, pvg_hypercall0(R3_HC_abi_version), "abi_version");
	expect(-R3_ENOSYS, pvg_hypercall0(0xfff), "a number beyond the last");
	expect(-R3_ENOSYS, pvg_hypercall0(R3_BIT(32)), "a number whose low half is a call");
	expect(-R3_ENOSYS, pvg_hypercall0(UINT64_MAX), "the largest number");
	expect(-R3_ENOSYS, pvg_hypercall0(R3_BIT(63)), "the smallest negative one");
}

static void test_console(void)
{
	static const char text[] = "# abc\n";

	memcpy((char *)EDGE + X86_PAGE_SIZE - sizeof(text) + 1, text, sizeof(text) - 1);
	pvg_console_flush();
	expect(-R3_EFAULT, CALL2(console_write, HOLE, 1), "console_write from a hole");
	expect(-R3_EFAULT, CALL2(console_write, MONITOR, 1), "console_write from the monitor's slot");
	expect(-R3_EFAULT, CALL2(console_write, NON_CANONICAL, 1), "console_write from a non-canonical address");
	expect(-R3_EFAULT, CALL2(console_write, WRAPPING, 64), "console_write of a range that wraps");
	expect(-R3_EINVAL, CALL2(console_write, text, R3_CONSOLE_MAX + 1), "console_write of too much");
	expect(-R3_EINVAL, CALL2(console_write, text, UINT64_MAX), "console_write of everything");
	expect(0, CALL2(console_write, HOLE, 0), "console_write of nothing");
	expect(sizeof(text) - 1, CALL2(console_write, EDGE + X86_PAGE_SIZE - sizeof(text) + 1, sizeof(text) - 1),
	       "console_write up to the edge");
	pvg_test(CALL2(console_write, EDGE + X86_PAGE_SIZE - 1, 2) <= 1, "console_write over the edge");
	expect(0, CALL2(console_read, text, 0), "console_read of nothing");
}

static void test_control(void)
{
	expect(-R3_EINVAL, CALL1(exit, R3_EXIT_MAX + 1), "exit with a status that is the monitor's");
	expect(-R3_EINVAL, CALL1(exit, UINT64_MAX), "exit with a negative status");
	expect(-R3_EINVAL, CALL1(shared_info, 0x200001), "shared_info not page-aligned");
	expect(-R3_EINVAL, CALL1(shared_info, BEYOND_RAM), "shared_info beyond RAM");
	expect(-R3_EINVAL, CALL1(shared_info, 0 - X86_PAGE_SIZE), "shared_info at the last page there is");
	expect(-R3_EINVAL, CALL2(set_segment_base, 3, 0), "set_segment_base of no segment");
	expect(-R3_EINVAL, CALL2(set_segment_base, R3_SEGBASE_FS, NON_CANONICAL), "set_segment_base, non-canonical");
}

static void test_traps(void)
{
	struct r3_trap_entry entry = {.vector = 3, .selector = PVG_SEL_KERNEL_CODE, .address = 0x200000};

	expect(-R3_EINVAL, CALL2(set_trap_table, &entry, X86_VEC_COUNT + 1), "set_trap_table of too many");
	expect(-R3_EFAULT, CALL2(set_trap_table, HOLE, 1), "set_trap_table from a hole");
	entry.address = NON_CANONICAL;
	expect(-R3_EINVAL, CALL2(set_trap_table, &entry, 1), "set_trap_table, non-canonical handler");
	entry.address = 0x200000;
	entry.flags = 0xff;
	expect(-R3_EINVAL, CALL2(set_trap_table, &entry, 1), "set_trap_table, unknown flags");
	expect(-R3_EINVAL, CALL1(stack_switch, NON_CANONICAL), "stack_switch, non-canonical");
	expect(-R3_EINVAL, CALL2(set_callback, 9, 0), "set_callback of no type");
	expect(-R3_EINVAL, CALL2(set_callback, R3_CALLBACK_EVENT, X86_VEC_GP), "set_callback, an exception's vector");
	expect(-R3_EINVAL, CALL2(set_callback, R3_CALLBACK_EVENT, X86_VEC_COUNT), "set_callback, no vector");
	expect(-R3_EINVAL, CALL2(set_callback, R3_CALLBACK_SYSCALL, NON_CANONICAL), "set_callback, non-canonical");
}

static void test_events(void)
{
	expect(-R3_EINVAL, CALL1(evtchn_bind_virq, R3_VIRQ_COUNT), "evtchn_bind_virq of no virq");
	expect(-R3_EBADF, CALL1(evtchn_send, R3_EVTCHN_PORTS), "evtchn_send beyond the last port");
	expect(-R3_EBADF, CALL1(evtchn_send, R3_EVTCHN_PORTS - 1), "evtchn_send to a port never opened");
	expect(-R3_EBADF, CALL1(evtchn_send, UINT64_MAX), "evtchn_send to the largest number");
	expect(-R3_EBADF, CALL1(evtchn_close, 12345), "evtchn_close of no port");
	expect(0, CALL1(set_timer, UINT64_MAX), "set_timer at the end of time");
	expect(0, CALL1(set_timer, 0), "set_timer off");
}

static void test_mmu(void)
{
	struct r3_mmu_update update = {.entry_gpa = 0x200001};

	expect(-R3_EINVAL, CALL2(mmu_update, &update, 1), "mmu_update, not aligned");
	update.entry_gpa = BEYOND_RAM;
	expect(-R3_EINVAL, CALL2(mmu_update, &update, 1), "mmu_update beyond RAM");
	update.entry_gpa = 0 - R3_U64(8);
	expect(-R3_EINVAL, CALL2(mmu_update, &update, 1), "mmu_update of the last word there is");
	expect(-R3_EFAULT, CALL2(mmu_update, HOLE, 1), "mmu_update from a hole");
	expect(-R3_EFAULT, CALL2(mmu_update, WRAPPING, 2), "mmu_update from a range that wraps");
	expect(-R3_EINVAL, CALL2(mmu_update, &update, R3_MMU_UPDATE_MAX + 1), "mmu_update of too many");
	expect(0, CALL2(mmu_update, HOLE, 0), "mmu_update of none");
	expect(-R3_EINVAL, CALL3(mmu_flush, 7, 0, 0), "mmu_flush, unknown operation");
	expect(0, CALL3(mmu_flush, R3_FLUSH_PAGES, UINT64_MAX, UINT64_MAX), "mmu_flush of more than there is");
	expect(0, CALL3(mmu_flush, R3_FLUSH_PAGES, MONITOR, 1), "mmu_flush of the monitor's slot");
	expect(-R3_EINVAL, CALL1(set_root, UINT64_MAX), "set_root with reserved bits");
}

/* All but RAX, RCX and R11 is kept. */
static void test_registers(void)
{
	uint64_t sum;

	__asm__ volatile("mov $1, %%rdi\n\tmov $2, %%rsi\n\tmov $3, %%rdx\n\tmov $4, %%r10\n\tmov $5, %%r8\n\t"
			 "mov $6, %%r9\n\tmov $7, %%rbx\n\tmov $8, %%r12\n\tmov $9, %%r13\n\tmov $10, %%r14\n\t"
			 "mov $11, %%r15\n\t"
			 "xor %%eax, %%eax\n\tcall pvg_hypercall_page\n\t"
			 "lea (%%rdi,%%rsi), %%rax\n\tadd %%rdx, %%rax\n\tadd %%r10, %%rax\n\tadd %%r8, %%rax\n\t"
			 "add %%r9, %%rax\n\tadd %%rbx, %%rax\n\tadd %%r12, %%rax\n\tadd %%r13, %%rax\n\t"
			 "add %%r14, %%rax\n\tadd %%r15, %%rax"
			 : "=a"(sum)
			 :
			 : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
			   "memory", "cc");
	pvg_test_equal(sum, 66, "a hypercall keeps the other registers");
}

int main(const char *cmdline)
{
	void *page = pvg_page_alloc();

	(void)cmdline;
	pvg_assert(page && !pvg_map(pvg_space_current(), EDGE, pvg_ptr_to_gpa(page), 1, X86_PTE_W));
	test_numbers();
	test_console();
	test_control();
	test_traps();
	test_events();
	test_mmu();
	test_registers();
	return pvg_test_finish();
}
