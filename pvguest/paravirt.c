/*
 * pv=on: the operations by hypercall, and by the shared page where that saves the exit: masking interrupts and reading
 * the time are plain memory accesses.
 */
#include "pvguest/internal.h"

#define PTE_QUEUE 512

#define barrier() __asm__ volatile("" : : : "memory")

static struct r3_shared_info shared_page __attribute__((aligned(4096)));
static volatile struct r3_vcpu_info *const vcpu_info = &shared_page.vcpu[0];

static bool switches; /* the monitor has user_switch */

static struct r3_mmu_update pte_queue[PTE_QUEUE];
static unsigned pte_queued;

/* A hypercall that cannot fail unless monitor and library disagree. */
static int64_t must(int64_t result, const char *call)
{
	if (result < 0)
		pvg_panic("hypercall %s: error %ld", call, result);
	return result;
}

static void init(void)
{
	must(pvg_hypercall1(R3_HC_shared_info, pvg_ptr_to_gpa(&shared_page)), "shared_info");
	pvg_shared_info = &shared_page;
	pvg_event_init();
	must(pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_EVENT, PVG_VEC_EVENT), "set_callback");
	/* A monitor that does not know it delivers #DF where other traps go. */
	pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_DOUBLE_FAULT, (uint64_t)pvg_double_fault_stack_top);
	switches = pvg_hypercall0(R3_HC_features) & R3_FEATURE_SWITCH;
}

static void irq_enable(void)
{
	vcpu_info->vif = 1;
	barrier();
	if (vcpu_info->pending) /* came while masked: any hypercall delivers it */
		pvg_hypercall0(R3_HC_abi_version);
}

static void irq_disable(void)
{
	vcpu_info->vif = 0;
	barrier();
}

static bool irq_enabled(void)
{
	return vcpu_info->vif;
}

static void halt(void)
{
	pvg_hypercall0(R3_HC_block);
}

static void trap_enter(void)
{
}

static void trap_leave(const struct pvg_frame *frame)
{
	(void)frame;
	irq_disable(); /* a handler may have unmasked; the return sets vif from the frame */
}

static struct r3_trap_entry trap_table[X86_VEC_COUNT];

static void set_traps(const uint64_t *entries, const uint64_t *user)
{
	for (unsigned vector = 0; vector < X86_VEC_COUNT; vector++)
		trap_table[vector] = (struct r3_trap_entry){
			.vector = (uint8_t)vector,
			.flags = R3_TRAP_MASK | (user[vector / 64] >> (vector % 64) & 1 ? R3_TRAP_DPL : 0),
			.selector = PVG_SEL_KERNEL_CODE,
			.address = entries[vector],
		};
	must(pvg_hypercall2(R3_HC_set_trap_table, (uint64_t)trap_table, X86_VEC_COUNT), "set_trap_table");
}

static void clear_traps(void)
{
	for (unsigned vector = 0; vector < X86_VEC_COUNT; vector++)
		trap_table[vector].address = 0;
	must(pvg_hypercall2(R3_HC_set_trap_table, (uint64_t)trap_table, X86_VEC_COUNT), "set_trap_table");
}

static void set_kernel_stack(uint64_t rsp0)
{
	must(pvg_hypercall1(R3_HC_stack_switch, rsp0), "stack_switch");
}

static void set_syscall_entry(uint64_t entry)
{
	must(pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_SYSCALL, entry), "set_callback");
}

static void set_base(unsigned which, uint64_t base)
{
	must(pvg_hypercall2(R3_HC_set_segment_base, which, base), "set_segment_base");
}

static uint64_t read_cr2(void)
{
	return vcpu_info->cr2;
}

static void load_cr3(uint64_t cr3)
{
	must(pvg_hypercall1(R3_HC_set_root, cr3), "set_root");
}

static void drop_root(uint64_t cr3)
{
	must(pvg_hypercall1(R3_HC_drop_root, cr3), "drop_root");
}

struct batch {
	struct r3_multicall_entry entries[8];
	unsigned count;
};

static void batch_add(struct batch *batch, uint64_t nr, uint64_t a0, uint64_t a1)
{
	batch->entries[batch->count++] = (struct r3_multicall_entry){.nr = nr, .args = {a0, a1}};
}

/* From one context to another: most often the monitor has nothing to do for it. */
static void switch_contexts(struct pvg_user *from, struct pvg_user *to)
{
	struct r3_user_context old = {.fpu = (uint64_t)from->fpu}, new = {
									   .root = to->space->root,
									   .rsp0 = to->stack_top,
									   .fs_base = to->fs_base,
									   .gs_base = to->gs_base,
									   .fpu = (uint64_t)to->fpu,
								   };

	to->space->used = true;
	must(pvg_hypercall2(R3_HC_user_switch, (uint64_t)&old, (uint64_t) & new), "user_switch");
	from->fs_base = old.fs_base;
	from->gs_base = old.gs_base;
}

static void user_switch(struct pvg_user *from, struct pvg_user *to)
{
	struct batch batch;

	if (switches && from && to && from != to) {
		switch_contexts(from, to);
		return;
	}
	batch.count = 0;
	if (from) {
		batch_add(&batch, R3_HC_get_segment_base, R3_SEGBASE_FS, 0);
		batch_add(&batch, R3_HC_get_segment_base, R3_SEGBASE_GS, 0);
	}
	batch_add(&batch, R3_HC_set_user_root, to ? to->space->root : 0, 0);
	if (from || to)
		batch_add(&batch, R3_HC_fpu_switch, from ? (uint64_t)from->fpu : 0, to ? (uint64_t)to->fpu : 0);
	if (to)
		to->space->used = true;
	if (to && to != from) {
		batch_add(&batch, R3_HC_stack_switch, to->stack_top, 0);
		batch_add(&batch, R3_HC_set_segment_base, R3_SEGBASE_FS, to->fs_base);
		batch_add(&batch, R3_HC_set_segment_base, R3_SEGBASE_GS, to->gs_base);
	}
	must(pvg_multicall(batch.entries, batch.count), "multicall");
	/* A base may look like an error. */
	for (unsigned i = from ? 2 : 0; i < batch.count; i++)
		must(batch.entries[i].result, "in user_switch");
	if (from) {
		from->fs_base = (uint64_t)batch.entries[0].result;
		from->gs_base = (uint64_t)batch.entries[1].result;
	}
}

/* Loading nothing would load the initial state: what is only stored is loaded again. */
static void fpu_switch(void *store, void *load)
{
	must(pvg_hypercall2(R3_HC_fpu_switch, (uint64_t)store, (uint64_t)(load ? load : store)), "fpu_switch");
}

static void pte_sync(void)
{
	unsigned count = pte_queued;

	pte_queued = 0;
	if (count && must(pvg_hypercall2(R3_HC_mmu_update, (uint64_t)pte_queue, count), "mmu_update") != count)
		pvg_panic("hypercall mmu_update: not all of %u entries were taken", count);
}

static void pte_write(uint64_t *entry, uint64_t value)
{
	if (pte_queued == PTE_QUEUE)
		pte_sync();
	pte_queue[pte_queued++] = (struct r3_mmu_update){pvg_ptr_to_gpa(entry), value};
}

/* mmu_update itself drops what the old entry led to. */
static void pte_replaced(uint64_t gva)
{
	(void)gva;
}

static void invlpg(uint64_t gva)
{
	must(pvg_hypercall3(R3_HC_mmu_flush, R3_FLUSH_PAGES, gva, 1), "mmu_flush");
}

static void flush_tlb(void)
{
	must(pvg_hypercall3(R3_HC_mmu_flush, R3_FLUSH_ROOT, 0, 0), "mmu_flush");
}

static uint64_t clock_ns(void)
{
	const volatile struct r3_clock *clock = &shared_page.clock;
	uint64_t ticks, system_ns;
	uint32_t version, mul;
	int shift;

	do {
		version = clock->version;
		ticks = pvg_rdtsc() - clock->tsc;
		system_ns = clock->system_ns;
		mul = clock->mul;
		shift = clock->shift;
	} while (version & 1 || version != clock->version);
	ticks = shift < 0 ? ticks >> -shift : ticks << shift;
	return system_ns + (uint64_t)((unsigned __int128)ticks * mul >> 32);
}

static void timer_arm(uint64_t deadline_ns)
{
	must(pvg_hypercall1(R3_HC_set_timer, deadline_ns == PVG_TIMER_OFF ? 0 : deadline_ns), "set_timer");
}

static void console_write(const char *bytes, size_t len)
{
	while (len) {
		size_t part = len < R3_CONSOLE_MAX ? len : R3_CONSOLE_MAX;
		int64_t taken = pvg_hypercall2(R3_HC_console_write, (uint64_t)bytes, part);

		if (taken <= 0) /* nobody could be told */
			return;
		bytes += taken;
		len -= (size_t)taken;
	}
}

static int console_read(void)
{
	uint8_t c;
	int64_t count = pvg_hypercall2(R3_HC_console_read, (uint64_t)&c, 1);

	return count == 1 ? c : count == -R3_EPIPE ? PVG_INPUT_ENDED : PVG_NO_INPUT;
}

static int64_t console_size(void)
{
	return pvg_hypercall0(R3_HC_console_size);
}

static _Noreturn void end(unsigned status)
{
	for (;;)
		pvg_hypercall1(R3_HC_exit, status);
}

static void panic(const char *why)
{
	pvg_hypercall2(R3_HC_panic, (uint64_t)why, pvg_strlen(why));
}

const struct pvg_ops pvg_paravirt_ops = {
	.name = "on",
	.init = init,
	.irq_enable = irq_enable,
	.irq_disable = irq_disable,
	.irq_enabled = irq_enabled,
	.halt = halt,
	.trap_enter = trap_enter,
	.trap_leave = trap_leave,
	.trap_return = pvg_trap_return_hypercall,
	.set_traps = set_traps,
	.clear_traps = clear_traps,
	.set_kernel_stack = set_kernel_stack,
	.set_syscall_entry = set_syscall_entry,
	.set_base = set_base,
	.read_cr2 = read_cr2,
	.load_cr3 = load_cr3,
	.drop_root = drop_root,
	.user_switch = user_switch,
	.fpu_switch = fpu_switch,
	.pte_write = pte_write,
	.pte_sync = pte_sync,
	.pte_replaced = pte_replaced,
	.invlpg = invlpg,
	.flush_tlb = flush_tlb,
	.irq_bind = pvg_event_bind,
	.irq_mask = pvg_event_mask,
	.clock_ns = clock_ns,
	.timer_arm = timer_arm,
	.console_write = console_write,
	.console_read = console_read,
	.console_size = console_size,
	.exit = end,
	.panic = panic,
};
