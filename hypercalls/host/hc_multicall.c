/*
 * Hypercalls: several in one. Entries are copied in and out in blocks, and the private copy is what runs. One that gave
 * way is read again, and what it says then goes on.
 */
#include "hypercalls/host/hc_internal.h"
#include "monitor/host/clock.h"
#include "monitor/trace/trace.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

#define ENTRIES_AT_ONCE 32

/* Calls that load a context or wait have no place before others; a multicall in one would have no bound. */
static bool may_batch(uint64_t nr)
{
	return nr != R3_HC_multicall && nr != R3_HC_iret && nr != R3_HC_block;
}

/* False: it gave way. */
static bool run_one(struct vcpu *vcpu, struct r3_multicall_entry *entry)
{
	uint64_t since = trace_wants(vcpu->vm, TRACE_hypercall) ? clock_tsc() : 0;
	int64_t result = may_batch(entry->nr) ? hc_call(vcpu, entry->nr, entry->args) : -R3_EPERM;

	if (result == HC_GAVE_WAY)
		return false;
	vcpu->call.updates = 0;
	entry->result = result;
	stats_hypercall(&vcpu->vm->stats, entry->nr);
	if (since)
		trace_hypercall(vcpu, entry->nr, entry->args, entry->result, since, true);
	return true;
}

/* Runs entries until the guest has ended, or something else is to be done; how many are finished. */
static uint64_t run(struct vcpu *vcpu, struct r3_multicall_entry *entries, uint64_t count)
{
	uint64_t i;

	for (i = 0; i < count && !vcpu->vm->ended && (!i || !hc_gives_way(vcpu->vm)); i++)
		if (!run_one(vcpu, &entries[i]))
			break;
	return i;
}

int64_t hc_call_multicall(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	uint64_t table = arg[0], count = arg[1], *done = &vcpu->call.entries;
	struct r3_multicall_entry entries[ENTRIES_AT_ONCE];
	struct gm_fault fault;

	if (count > R3_MULTICALL_MAX)
		return -R3_EINVAL;
	while (*done < count && !vcpu->vm->ended) {
		uint64_t n = count - *done < ENTRIES_AT_ONCE ? count - *done : ENTRIES_AT_ONCE;
		uint64_t at = table + *done * sizeof(entries[0]);

		if (!gm_read_gva(vcpu, at, entries, n * sizeof(entries[0]), GM_CPL, &fault))
			return -R3_EFAULT;
		n = run(vcpu, entries, n);
		if (n && !gm_write_gva(vcpu, at, entries, n * sizeof(entries[0]), GM_CPL, &fault))
			return -R3_EFAULT;
		*done += n;
		if (*done < count && hc_gives_way(vcpu->vm))
			return HC_GAVE_WAY;
	}
	return 0;
}
