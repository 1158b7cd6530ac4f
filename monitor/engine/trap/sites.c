/*
 * Changed copies of pages: what undoes them, and what an exit is to the guest that was in one.
 */
#include "monitor/engine/trap/sites.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "monitor/engine/trap/sites_internal.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/host/cpuid.h"
#include "monitor/vm/vm.h"

#define CPUID_FEATURES	7
#define CPUID_ECX_OSPKE R3_BIT(4)

bool sites_possible(void)
{
	return host_cpuid(CPUID_FEATURES, 0).ecx & CPUID_ECX_OSPKE;
}

uint32_t sites_pkru(const struct sites *sites)
{
	return sites->fd >= 0 ? host_pkru_place() : 0;
}

void sites_init(struct sites *sites, bool wanted, uint64_t *undone)
{
	*sites = (struct sites){.fd = -1, .undone = undone};
	if (!wanted || !sites_possible())
		return;
	int fd = memfd_create("ring3 sites", MFD_CLOEXEC);
	if (fd < 0)
		return;
	void *memory = MAP_FAILED;
	if (!ftruncate(fd, SITES_SLOTS * SLOT_SIZE))
		memory = mmap(NULL, SITES_SLOTS * SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		close(fd);
		return;
	}
	madvise(memory, SITES_SLOTS * SLOT_SIZE, MADV_DONTFORK);
	sites->fd = fd;
	sites->memory = memory;
}

void sites_exit(struct sites *sites)
{
	if (sites->memory)
		munmap(sites->memory, SITES_SLOTS * SLOT_SIZE);
	if (sites->fd > 0)
		close(sites->fd);
	*sites = (struct sites){.fd = -1};
}

/* ------------------------------------------------------------------------------------------------------- undoing */

/* What `keep_page` and `keep_entries` say is somebody else's to map or unmap. */
static int give_back(struct cell *cell, unsigned n, bool keep_page, bool keep_entries)
{
	const struct sites_slot *slot = sites_shown(cell, n);
	struct gate_op op = {SYS_munmap, {slot->entries, GATE_PAGE}};
	uint64_t gva = slot->gva, gpa = slot->gpa;
	int error = 0;

	sites_drop(cell, n);
	++*cell->owner->sites.undone;
	if (!keep_page)
		error = sites_show(cell, gva, PROT_READ | PROT_EXEC, cell->owner->ram_fd, gpa);
	if (!error && !keep_entries)
		error = cell_queue(cell, &op);
	return error;
}

int sites_give_way(struct cell *cell, uint64_t gva, uint64_t len, bool replaced)
{
	int error = 0;

	for (unsigned n = 0; n < SITES_TRIED; n++)
		if (sites_overlap(cell->sites.tried[n] - 1, gva, len))
			cell->sites.tried[n] = 0;
	for (unsigned n = cell->sites.count; n-- && !error;) {
		bool page = sites_overlap(sites_shown(cell, n)->gva, gva, len),
		     entries = sites_overlap(sites_shown(cell, n)->entries, gva, len);
		if (page || entries)
			error = give_back(cell, n, page && replaced, entries && replaced);
	}
	return error;
}

void sites_forget(struct cell *cell)
{
	while (cell->sites.count)
		sites_drop(cell, cell->sites.count - 1);
	memset(&cell->sites, 0, sizeof(cell->sites));
}

/* A cell that cannot be told ends, and its program with it: it must not run what is not the guest's any more. */
static void give_back_now(struct cell *cell, unsigned n)
{
	if (give_back(cell, n, false, false) || cell_flush(cell))
		cell_kill(cell);
}

/* A machine that is compared with another one goes from exit to exit, and has such places as any other. */
static bool is_stepped(const struct vcpu *vcpu)
{
	return vcpu->debug.step || (vcpu->debug.attached && !vcpu->debug.pause);
}

void sites_allow(struct trap *trap, const struct vcpu *vcpu)
{
	struct sites *sites = &trap->cells.sites;
	bool paravirtual = vcpu->pv.syscall_entry && vcpu->pv.rsp0;

	sites->allowed = sites->fd >= 0 && !trap->narrow && (!paravirtual || vcpu->pv.sites) && !is_stepped(vcpu);
	if (sites->allowed || !sites->shown)
		return;
	for (struct cell *cell = trap->cells.all; cell; cell = cell->next)
		while (cell->sites.count)
			give_back_now(cell, cell->sites.count - 1);
}

void sites_written(void *ctx, uint64_t gpa)
{
	struct vm *vm = ctx;
	struct sites *sites = &trap_of(vm)->cells.sites;

	for (unsigned n = 0; n < SITES_REFUSED; n++)
		if (sites->refused[n] == gpa)
			sites->refused[n] = SITES_NONE;
	for (struct cell *cell = trap_of(vm)->cells.all; cell; cell = cell->next) {
		memset(cell->sites.tried, 0, sizeof(cell->sites.tried));
		for (unsigned n = cell->sites.count; n--;)
			if (sites_shown(cell, n)->gpa == gpa)
				give_back_now(cell, n);
	}
}

/* The program does with this page what the copy would show: it is left alone. */
static void refuse(struct trap *trap, struct cell *cell, unsigned n, struct vm_exit *exit)
{
	struct sites *sites = &trap->cells.sites;

	sites->refused[sites->refusals++ % SITES_REFUSED] = sites_shown(cell, n)->gpa;
	give_back_now(cell, n);
	*exit = (struct vm_exit){.reason = EXIT_KICK};
}

/* --------------------------------------------------------------------------------------------------------- exits */

static const struct site *site_at(const struct sites_slot *slot, uint64_t offset, unsigned len)
{
	for (unsigned n = 0; n < slot->count; n++)
		if (offset - slot->site[n].offset < len)
			return &slot->site[n];
	return NULL;
}

/*
 * RIP is in the page of entries: at the beginning of one nothing has happened; behind the copied instruction, that has;
 * and once RCX is loaded the SYSCALL has. A step that ends at the beginning is made again, on the page as it is.
 */
static void leave_entry(struct trap *trap, struct cell *cell, unsigned n, struct vcpu *vcpu, struct vm_exit *exit)
{
	const struct sites_slot *slot = sites_shown(cell, n);
	const uint64_t at = vcpu->rip - slot->entries, from = at - JMP_LENGTH - LEAD_OFFSET;
	const struct site *site = site_at(slot, from, ENTRY_LENGTH);
	const uint64_t in_entry = site ? from - site->offset : ENTRY_LENGTH, length = site ? site->length : 0;
	bool kick = exit->reason == EXIT_KICK;

	if (site && !in_entry && (kick || exit->reason == EXIT_EXCEPTION)) {
		vcpu->rip = slot->gva + site->offset;
		if (!kick && exit->vector == X86_VEC_DB)
			refuse(trap, cell, n, exit);
	} else if (site && in_entry == length && kick) {
		vcpu->rip = slot->gva + site->offset + length;
	} else if (kick && (in_entry == length + LEA_LENGTH || at == TAIL || at == TAIL_JMP)) {
		vcpu->rip = vcpu->gpr[RCX];
		exit->reason = EXIT_SYSCALL;
	} else if (!kick) {
		/* To the guest there is nothing at all. */
		*exit = (struct vm_exit){
			.reason = EXIT_EXCEPTION, .vector = X86_VEC_PF, .error = X86_PF_I, .gva = vcpu->rip};
	}
}

/* Between the first byte of the jump and the SYSCALL. */
static bool is_within(const struct sites_slot *slot, uint64_t offset)
{
	for (unsigned n = 0; n < slot->count; n++)
		if (offset > slot->site[n].offset && offset < slot->site[n].offset + slot->site[n].length)
			return true;
	return false;
}

void sites_take_exit(struct trap *trap, struct cell *cell, struct vcpu *vcpu, struct vm_exit *exit)
{
	for (unsigned n = cell->sites.count; n--;) {
		const struct sites_slot *slot = sites_shown(cell, n);
		uint64_t offset = vcpu->rip - slot->gva;
		bool exception = exit->reason == EXIT_EXCEPTION;
		bool fault = exception && exit->vector == X86_VEC_PF;
		if (sites_overlap(vcpu->rip, slot->entries, GATE_PAGE) && exit->reason != EXIT_DEAD)
			leave_entry(trap, cell, n, vcpu, exit);
		else if (fault && sites_overlap(exit->gva, slot->gva, GATE_PAGE))
			refuse(trap, cell, n, exit);
		else if (exception && exit->vector == X86_VEC_UD && is_within(slot, offset))
			refuse(trap, cell, n, exit);
		else
			continue;
		return;
	}
}
