/*
 * Page faults: what is missing is made, what is shared is copied, and what is forbidden becomes a signal.
 */
#include "examples/tinix/core.h"

#define AROUND_PAGES 16 /* of a file are mapped by one fault */
#define AHEAD_PAGES  32 /* of anonymous memory at most, where addresses are touched one after the other */
/* A new program gets these of each area from the start: a fault costs as much as a hundred entries, or thirty copies.
 */
#define FILE_PAGES    256
#define PRIVATE_PAGES 32

static bool permits(const struct vma *vma, unsigned wanted)
{
	if (wanted == PROT_READ) /* the processor has no right to write or execute without that to read */
		return vma->prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
	return (vma->prot & wanted) == wanted;
}

/* A stack reaches down to an address just below it, as far as its limit allows. */
static bool grow_stack(struct mm *mm, struct vma *vma, uint64_t address)
{
	struct list *previous = vma->link.prev;
	uint64_t floor = vma->end - min_u64(current->limits[RLIMIT_STACK].rlim_cur, vma->end - USER_START);

	if (previous != &mm->vmas)
		floor = max_u64(floor, list_entry(previous, struct vma, link)->end + PAGE_SIZE);
	if (!vma->stack || address < floor)
		return false;
	vma->start = page_down(address);
	return true;
}

static void set_entry(struct mm *mm, uint64_t *entry, const void *page, uint64_t bits)
{
	pvg_entry_store(&mm->space, entry, pvg_ptr_to_gpa(page) | bits);
	mm->resident++;
}

/* The first write since fork, or to a private page of a file. */
static enum fault_result copy_on_write(struct mm *mm, const struct vma *vma, uint64_t address, uint64_t *entry)
{
	void *old = pvg_gpa_to_ptr(*entry & X86_PTE_ADDR), *page = old;

	if (!(*entry & PTE_KEEP) && page_refs(old) > 1) {
		page = page_new();
		if (!page)
			return FAULT_NO_MEMORY;
		memcpy(page, old, PAGE_SIZE);
	}
	pvg_entry_store(&mm->space, entry, pvg_ptr_to_gpa(page) | table_bits(vma->prot) | (*entry & PTE_KEEP));
	pvg_entry_sync();
	pvg_entry_flush(address, 1);
	if (page != old)
		page_put(old);
	return FAULT_OK;
}

static uint64_t file_index(const struct vma *vma, uint64_t address)
{
	return (vma->offset + (address - vma->start)) / PAGE_SIZE;
}

/* Maps what is missing of the file's pages around address, in the same table. */
static void map_around(struct mm *mm, const struct vma *vma, uint64_t address, uint64_t *entry, uint64_t bits)
{
	uint64_t window = AROUND_PAGES * PAGE_SIZE, start = max_u64(address & ~(window - 1), vma->start);
	uint64_t end = min_u64((address & ~(window - 1)) + window, vma->end);

	entry -= (address - start) / PAGE_SIZE;
	for (; start < end; start += PAGE_SIZE, entry++) {
		void *page = *entry & X86_PTE_P ? NULL : inode_page(vma->inode, file_index(vma, start));

		if (page)
			set_entry(mm, entry, page, bits);
	}
}

static enum fault_result map_file(struct mm *mm, const struct vma *vma, uint64_t address, uint64_t *entry, bool write)
{
	uint64_t index = file_index(vma, address), bits = table_bits(vma->prot);
	void *page, *copy;

	if (index >= page_up(inode_size(vma->inode)) / PAGE_SIZE)
		return FAULT_BEYOND_FILE;
	page = inode_page(vma->inode, index);
	if (!page)
		return FAULT_NO_MEMORY;
	if (vma->shared) {
		set_entry(mm, entry, page, bits | PTE_KEEP);
	} else if (write) {
		copy = page_new();
		if (copy) {
			memcpy(copy, page, PAGE_SIZE);
			set_entry(mm, entry, copy, bits);
		}
		page_put(page);
		if (!copy)
			return FAULT_NO_MEMORY;
	} else {
		set_entry(mm, entry, page, bits & ~X86_PTE_W);
		map_around(mm, vma, address, entry, bits & ~X86_PTE_W);
	}
	return FAULT_OK;
}

/* How many pages to make at once: ever more while faults follow each other upwards. */
static unsigned pages_ahead(struct mm *mm, const struct vma *vma, uint64_t address, const uint64_t *entry)
{
	uint64_t room = X86_PT_ENTRIES - (address >> X86_PAGE_SHIFT) % X86_PT_ENTRIES;
	unsigned count = 1;

	mm->ahead = address == mm->next_fault ? (unsigned)min_u64(2 * mm->ahead, AHEAD_PAGES) : 1;
	room = min_u64(room, (vma->end - address) / PAGE_SIZE);
	while (count < mm->ahead && count < room && !(entry[count] & X86_PTE_P))
		count++;
	return count;
}

/* Copies of the file's pages, or zeroes, for what is missing of [start, end), which lies in one table; in a row. */
static void make_private(struct mm *mm, const struct vma *vma, uint64_t start, uint64_t end)
{
	uint64_t *entry = table_entry(mm, start), pages = (end - start) / PAGE_SIZE;
	char *copies = entry ? pages_new((unsigned)pages) : NULL;

	for (uint64_t i = 0; copies && i < pages; i++) {
		char *copy = copies + i * PAGE_SIZE, *page = NULL;

		if (!(entry[i] & X86_PTE_P) && vma->inode)
			page = inode_page(vma->inode, file_index(vma, start + i * PAGE_SIZE));
		if (page)
			memcpy(copy, page, PAGE_SIZE);
		if (entry[i] & X86_PTE_P || (vma->inode && !page))
			page_put(copy);
		else
			set_entry(mm, entry + i, copy, table_bits(vma->prot));
		if (page)
			page_put(page);
	}
}

static void map_file_pages(struct mm *mm, const struct vma *vma, uint64_t start, uint64_t end)
{
	uint64_t *entry = table_entry(mm, start);

	for (; entry && start < end; start += PAGE_SIZE, entry++) {
		void *page = *entry & X86_PTE_P ? NULL : inode_page(vma->inode, file_index(vma, start));

		if (page)
			set_entry(mm, entry, page, table_bits(vma->prot));
	}
}

void mm_populate(struct mm *mm)
{
	list_each(node, &mm->vmas)
	{
		const struct vma *vma = list_entry(node, struct vma, link);
		bool private = vma->prot & PROT_WRITE;
		uint64_t end = vma->start + (private ? PRIVATE_PAGES : FILE_PAGES) * PAGE_SIZE;

		end = min_u64(end, vma->end);
		for (uint64_t start = vma->start, next; start < end; start = next) {
			next = min_u64(end, page_down(start) +
						    (X86_PT_ENTRIES - start / PAGE_SIZE % X86_PT_ENTRIES) * PAGE_SIZE);
			if (private && memory_is_plenty())
				make_private(mm, vma, start, next);
			else if (!private && vma->inode)
				map_file_pages(mm, vma, start, next);
		}
	}
}

static enum fault_result map_anonymous(struct mm *mm, const struct vma *vma, uint64_t address, uint64_t *entry)
{
	unsigned count = pages_ahead(mm, vma, address, entry);
	char *pages = pages_new(count);

	if (!pages) {
		count = 1;
		pages = pages_new(count);
	}
	if (!pages)
		return FAULT_NO_MEMORY;
	for (unsigned i = 0; i < count; i++)
		set_entry(mm, entry + i, pages + i * PAGE_SIZE, table_bits(vma->prot));
	mm->next_fault = address + count * PAGE_SIZE;
	return FAULT_OK;
}

enum fault_result mm_fault(struct mm *mm, uint64_t address, unsigned wanted)
{
	struct vma *vma = address < USER_END ? vma_find(mm, address) : NULL;
	enum fault_result result;
	uint64_t *entry;

	address = page_down(address);
	if (!vma || (address < vma->start && !grow_stack(mm, vma, address)))
		return FAULT_UNMAPPED;
	if (!permits(vma, wanted))
		return FAULT_FORBIDDEN;
	entry = table_entry(mm, address);
	if (!entry)
		return FAULT_NO_MEMORY;
	if (*entry & X86_PTE_P)
		return wanted == PROT_WRITE && !(*entry & X86_PTE_W) ? copy_on_write(mm, vma, address, entry)
								     : FAULT_OK;
	result = vma->inode ? map_file(mm, vma, address, entry, wanted == PROT_WRITE)
			    : map_anonymous(mm, vma, address, entry);
	pvg_entry_sync();
	return result;
}

/*
 * Linux's page of system calls at a fixed address in the upper half, which old C libraries still call: three functions,
 * VSYSCALL_SIZE apart. The page is not there; the call is made here, and returned from.
 */
#define VSYSCALL_PAGE 0xffffffffff600000ul
#define VSYSCALL_SIZE 1024

static bool vsyscall(struct pvg_frame *frame, uint64_t address)
{
	static const uint16_t calls[] = {__NR_gettimeofday, __NR_time, __NR_getcpu};
	const uint64_t arg[6] = {frame->rdi, frame->rsi, frame->rdx};
	uint64_t offset = address - VSYSCALL_PAGE, back;

	if (offset % VSYSCALL_SIZE || offset / VSYSCALL_SIZE >= sizeof(calls) / sizeof(calls[0]))
		return false;
	if (copy_from_user(&back, frame->rsp, sizeof(back)) || back >= USER_END)
		return false;
	frame->rax = (uint64_t)syscall_run(calls[offset / VSYSCALL_SIZE], arg);
	frame->rip = back;
	frame->rsp += sizeof(back);
	return true;
}

/* Nobody learns what the kernel has mapped; and what nobody may access is not there. */
static uint64_t shown_error(uint64_t address, uint64_t error)
{
	const struct vma *vma = address < USER_END ? vma_find(current->mm, address) : NULL;

	if (address >= USER_END)
		return error | X86_PF_P;
	return vma && address >= vma->start && !permits(vma, PROT_READ) ? error & ~(uint64_t)X86_PF_P : error;
}

static void page_fault(struct pvg_frame *frame, void *arg)
{
	uint64_t address = pvg_fault_address();
	unsigned wanted = frame->error & X86_PF_W ? PROT_WRITE : frame->error & X86_PF_I ? PROT_EXEC : PROT_READ;

	if (!(frame->cs & X86_SEL_RPL))
		pvg_panic_frame(frame, "page fault in the kernel");
	account(true);
	if (wanted == PROT_EXEC && vsyscall(frame, address))
		return;
	current->usage.minor_faults++;
	current->core->trap_vector = X86_VEC_PF;
	current->core->trap_error = shown_error(address, frame->error);
	current->core->trap_address = address;
	switch (mm_fault(current->mm, address, wanted)) {
	case FAULT_OK:
		break;
	case FAULT_UNMAPPED:
		signal_force(SIGSEGV, SEGV_MAPERR, address);
		break;
	case FAULT_FORBIDDEN:
		signal_force(SIGSEGV, SEGV_ACCERR, address);
		break;
	case FAULT_BEYOND_FILE:
		signal_force(SIGBUS, BUS_ADRERR, address);
		break;
	case FAULT_NO_MEMORY:
		log("out of memory: killing %s (pid %d)\n", current->name, current->pid);
		signal_force(SIGKILL, SI_KERNEL, address);
		break;
	}
}

/* Exceptions that become signals as they are; some tell the address of the instruction. */
static const struct {
	uint8_t vector, signal;
	bool at_rip;
	int code;
} exceptions[] = {
	{X86_VEC_DE, SIGFPE, true, FPE_INTDIV},	 {X86_VEC_DB, SIGTRAP, true, TRAP_TRACE},
	{X86_VEC_BP, SIGTRAP, false, SI_KERNEL}, {X86_VEC_OF, SIGSEGV, false, SI_KERNEL},
	{X86_VEC_BR, SIGSEGV, false, SI_KERNEL}, {X86_VEC_UD, SIGILL, true, ILL_ILLOPN},
	{X86_VEC_NM, SIGSEGV, false, SI_KERNEL}, {X86_VEC_NP, SIGBUS, false, SI_KERNEL},
	{X86_VEC_SS, SIGBUS, false, SI_KERNEL},	 {X86_VEC_GP, SIGSEGV, false, SI_KERNEL},
	{X86_VEC_MF, SIGFPE, true, FPE_FLTINV},	 {X86_VEC_AC, SIGBUS, false, BUS_ADRALN},
	{X86_VEC_XM, SIGFPE, true, FPE_FLTINV},
};

/* Which of the floating-point exceptions it was: flags that are up and not masked, the lowest first (SDM 8.6, 11.5). */
static int float_code(uint64_t vector)
{
	const struct _fpstate *fpu = current->core->user.fpu;
	static const struct {
		unsigned flags;
		int code;
	} codes[] = {
		{0x01, FPE_FLTINV}, {0x04, FPE_FLTDIV}, {0x08, FPE_FLTOVF}, {0x12, FPE_FLTUND}, {0x20, FPE_FLTRES}};
	unsigned flags;

	save_fpu();
	flags = vector == X86_VEC_MF ? fpu->swd & ~fpu->cwd : fpu->mxcsr & ~(fpu->mxcsr >> 7);
	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (flags & codes[i].flags)
			return codes[i].code;
	return FPE_FLTINV;
}

static void exception(struct pvg_frame *frame, void *arg)
{
	uint64_t vector = frame->vector;

	if (!(frame->cs & X86_SEL_RPL))
		pvg_panic_frame(frame, "%s in the kernel", pvg_vector_name((unsigned)vector));
	account(true);
	current->core->trap_vector = vector;
	current->core->trap_error = frame->error;
	for (unsigned i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
		int code = exceptions[i].code;

		if (exceptions[i].vector != vector)
			continue;
		if (vector == X86_VEC_MF || vector == X86_VEC_XM)
			code = float_code(vector);
		signal_force(exceptions[i].signal, code, exceptions[i].at_rip ? frame->rip : 0);
	}
}

void fault_init(void)
{
	pvg_trap_register(X86_VEC_PF, page_fault, NULL);
	for (unsigned i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
		pvg_trap_register(exceptions[i].vector, exception, NULL);
}
