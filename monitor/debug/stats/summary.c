/*
 * A running guest in a few lines.
 */
#include "monitor/debug/stats/summary.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "monitor/host/clock.h"
#include "monitor/vm/vm.h"

#define MIB ((double)(1 << 20))

/* All vCPUs together. */
static struct stats_vcpu sum_of(const struct vm *vm)
{
	struct stats_vcpu sum = {0};

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		const struct stats_vcpu *s = &vm->stats.vcpu[i];
		for (unsigned kind = 0; kind < STAT_COUNT; kind++)
			sum.exits[kind] += s->exits[kind];
		sum.guest_tsc += s->guest_tsc;
		sum.monitor_tsc += s->monitor_tsc;
		sum.injected += s->injected;
		sum.interpreted += s->interpreted;
	}
	return sum;
}

static void print_exits(const struct stats_vcpu *sum, uint64_t now, FILE *out)
{
	static uint64_t asked_ns, before[STAT_COUNT];
	double seconds = (double)(now - asked_ns) / (double)CLOCK_NS_PER_SEC;
	uint64_t total = 0, total_before = 0;

	for (unsigned kind = 0; kind < STAT_COUNT; kind++) {
		total += sum->exits[kind];
		total_before += before[kind];
	}
	fprintf(out, "ring3: exits %" PRIu64 " (%.0f/s %s)", total, (double)(total - total_before) / seconds,
		total_before ? "since last asked" : "on average");
	for (unsigned kind = 0; kind < STAT_COUNT; kind++) {
		if (sum->exits[kind])
			fprintf(out, ", %s %" PRIu64 " (%.0f/s)", stats_exit_names[kind], sum->exits[kind],
				(double)(sum->exits[kind] - before[kind]) / seconds);
	}
	fputc('\n', out);
	asked_ns = now;
	memcpy(before, sum->exits, sizeof(before));
}

static void print_memory(struct vm *vm, FILE *out)
{
	struct spt_stats shadow = {0};
	struct stat ram = {0};

	fstat(vm->mem.fd, &ram);
	spt_get_stats(vm->spt, &shadow);
	fprintf(out,
		"ring3: memory %.0f MiB, %.1f MiB of it in use; shadow: %" PRIu64 " address spaces"
		" map %.1f MiB; cells %u\n",
		(double)vm->mem.size / MIB, (double)ram.st_blocks * 512 / MIB, shadow.spaces,
		(double)shadow.mapped_bytes / MIB, vm->engine_ops->cells ? vm->engine_ops->cells(vm) : 0);
}

void summary_print(struct vm *vm, FILE *out)
{
	uint64_t now = clock_ns() - vm->stats.start_ns;
	struct stats_vcpu sum = sum_of(vm);
	double guest = (double)clock_tsc_to_ns(sum.guest_tsc), monitor = (double)clock_tsc_to_ns(sum.monitor_tsc);

	fprintf(out, "ring3: %s up %.3f s, engine %s, %u vCPU%s\n", vm->config->kernel,
		(double)now / (double)CLOCK_NS_PER_SEC, vm->engine_ops->name, vm->vcpu_count,
		vm->vcpu_count == 1 ? "" : "s");
	print_exits(&sum, now, out);
	fprintf(out, "ring3: time in the guest %.3f s (%.1f %%), in the monitor, waiting included, %.3f s (%.1f %%)\n",
		guest / (double)CLOCK_NS_PER_SEC, 100 * guest / (double)now, monitor / (double)CLOCK_NS_PER_SEC,
		100 * monitor / (double)now);
	print_memory(vm, out);
}
