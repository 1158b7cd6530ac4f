/*
 * What a user types behind `monitor`: the machine as only the monitor can see it.
 */
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "hypercalls/host/hc.h"
#include "monitor/debug/core/core.h"
#include "monitor/debug/crash/report.h"
#include "monitor/debug/gdb/internal.h"
#include "monitor/debug/state/state.h"
#include "monitor/debug/trace/trace.h"
#include "monitor/device/ioapic.h"
#include "monitor/device/lapic.h"
#include "monitor/device/machine.h"
#include "monitor/device/pic.h"
#include "monitor/host/clock.h"
#include "monitor/vm/state.h"

/* For unwind tables and debug information of the guest's making. */
#define BACKTRACE_NS (10 * CLOCK_NS_PER_SEC)

static void info_registers(struct gdb *gdb, const char *args, FILE *out)
{
	report_registers(gdb_vcpu(gdb), out);
}

static void info_exits(struct gdb *gdb, const char *args, FILE *out)
{
	const struct stats_vcpu *stats = &gdb->vm->stats.vcpu[gdb_vcpu(gdb)->id];

	for (unsigned i = 0; i < STAT_COUNT; i++)
		fprintf(out, "%-12s %12" PRIu64 "\n", stats_exit_names[i], stats->exits[i]);
	fprintf(out, "%-12s %12" PRIu64 "\n", "injected", stats->injected);
	report_exits(gdb_vcpu(gdb), out);
}

static void print_chip(const char *name, const struct pic_chip *chip, FILE *out)
{
	fprintf(out, "%s: base vector 0x%02x, lines %02x, requests %02x, masked %02x, in service %02x\n", name,
		chip->base, chip->lines, chip->irr, chip->imr, chip->isr);
}

static void print_set(const char *name, const uint32_t *set, FILE *out)
{
	fprintf(out, ", %s", name);
	for (unsigned v = 0; v < X86_VEC_COUNT; v++)
		if (set[v / 32] >> v % 32 & 1)
			fprintf(out, " %02x", v);
}

static void print_apics(const struct lapic *apic, const struct ioapic *io, FILE *out)
{
	fprintf(out, "local APIC: task priority %02x, spurious %03x, timer %05x, LINT0 %05x",
		(unsigned)apic->vcpu->cr8 << 4 | apic->task_low, apic->spurious, apic->lvt[LAPIC_LVT_TIMER],
		apic->lvt[LAPIC_LVT_LINT0]);
	print_set("requests", apic->requests, out);
	print_set("in service", apic->in_service, out);
	fprintf(out, "%s\nI/O APIC:", apic->nmi ? ", NMI waits" : "");
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if (!(io->entry[pin] & APIC_MASKED))
			fprintf(out, " pin %u to %02x%s%s", pin, (unsigned)(io->entry[pin] & APIC_VECTOR),
				io->entry[pin] & APIC_LEVEL ? " level" : "", io->lines >> pin & 1 ? " up" : "");
	fputc('\n', out);
}

static void info_irq(struct gdb *gdb, const char *args, FILE *out)
{
	struct vcpu *vcpu = gdb_vcpu(gdb);
	const struct pic *pic = machine_pic(gdb->vm);
	const struct r3_vcpu_info *shared = vcpu_shared(vcpu);

	fprintf(out, "vCPU %u: interrupts %s%s%s\n", vcpu->id, vcpu_if(vcpu) ? "enabled" : "disabled",
		vcpu->interrupt_shadow ? ", in an interrupt shadow" : "", vcpu->halted ? ", halted" : "");
	fprintf(out, "waiting: controller %s, event channels %s\n", machine_irq_pending(vcpu) ? "yes" : "no",
		hc_event_pending(vcpu) ? "yes" : "no");
	print_chip("master 8259", &pic->chip[0], out);
	print_chip("slave 8259 ", &pic->chip[1], out);
	if (machine_lapic(gdb->vm))
		print_apics(machine_lapic(gdb->vm), machine_ioapic(gdb->vm), out);
	if (shared)
		fprintf(out, "shared page at 0x%" PRIx64 ": vif %u, event vector 0x%02x\n", vcpu->pv.shared_gpa,
			shared->vif, vcpu->pv.event_vector);
	else
		fputs("no shared page\n", out);
	report_chain(vcpu, out);
}

static void info_mem(struct gdb *gdb, const char *args, FILE *out)
{
	tables_ranges(gdb_vcpu(gdb), out);
}

static void info_tlb(struct gdb *gdb, const char *args, FILE *out)
{
	tables_pages(gdb_vcpu(gdb), out);
}

static void info_pg(struct gdb *gdb, const char *args, FILE *out)
{
	uint64_t gva;
	char end;

	if (sscanf(args, "%" SCNx64 "%c", &gva, &end) == 1)
		report_walk(gdb_vcpu(gdb), gva, out);
	else
		tables_tree(gdb_vcpu(gdb), out);
}

static void info_shadow(struct gdb *gdb, const char *args, FILE *out)
{
	tables_shadow(gdb_vcpu(gdb), out);
}

static void info_backtrace(struct gdb *gdb, const char *args, FILE *out)
{
	report_backtrace(gdb_vcpu(gdb), 0, BACKTRACE_NS, out);
}

static void info_screen(struct gdb *gdb, const char *args, FILE *out)
{
	if (!machine_print_screen(gdb->vm, out))
		fputs("nothing is on the screen, or the machine has none\n", out);
}

static void info_devices(struct gdb *gdb, const char *args, FILE *out)
{
	state_print(&machine_state, gdb->vm->machine, args, out);
}

static void info_firmware(struct gdb *gdb, const char *args, FILE *out)
{
	if (!machine_print_firmware(gdb->vm, UINT_MAX, out))
		fputs("no firmware has said anything: it is there with --bios FILE\n", out);
}

static void info_code(struct gdb *gdb, const char *args, FILE *out)
{
	struct vcpu *vcpu = gdb_vcpu(gdb);
	const struct engine_ops *ops = gdb->vm->engine_ops;
	uint64_t gva;
	char end;

	if (!ops->list_code)
		fprintf(out, "engine %s does not translate: take --engine translate\n", ops->name);
	else
		ops->list_code(vcpu, sscanf(args, "%" SCNx64 "%c", &gva, &end) == 1 ? gva : vcpu->rip, out);
}

static void core(struct gdb *gdb, const char *args, FILE *out)
{
	const char *path = *args ? args : gdb->vm->config->core_file;

	if (path)
		core_write(gdb->vm, path, out);
	else
		fputs("core to which file? Start ring3 with --core FILE\n", out);
}

static void stop_on(struct gdb *gdb, const char *args, FILE *out)
{
	if (!strcmp(args, "nothing")) {
		gdb->stop_on = 0;
		return;
	}
	for (unsigned i = 0; i < STAT_COUNT; i++) {
		if (!strcmp(args, stats_exit_names[i])) {
			gdb->stop_on |= 1u << i;
			return;
		}
	}
	fputs("stop on what? nothing, or one of", out);
	for (unsigned i = 0; i < STAT_COUNT; i++)
		fprintf(out, " %s", stats_exit_names[i]);
	fputc('\n', out);
}

static void trace(struct gdb *gdb, const char *args, FILE *out)
{
	bool on = !strcmp(args, "on");

	if (!on && strcmp(args, "off"))
		fprintf(out, "the trace is %s; `trace on` or `trace off`\n", trace_text_is_on(gdb->vm) ? "on" : "off");
	else if (!trace_text_switch(gdb->vm, on))
		fputs("this host has no memory left for a trace\n", out);
}

static void trace_tail(struct gdb *gdb, const char *args, FILE *out)
{
	if (!trace_last(gdb_vcpu(gdb), TRACE_LAST, out))
		fputs("no events: `trace on` has them recorded\n", out);
}

static void quit(struct gdb *gdb, const char *args, FILE *out)
{
	gdb_dismiss(gdb);
}

static void system_reset(struct gdb *gdb, const char *args, FILE *out)
{
	fputs("the guest stands before its first instruction again; gdb learns that with: maintenance flush "
	      "register-cache\n",
	      out);
	reset_want(gdb);
}

static void help(struct gdb *gdb, const char *args, FILE *out);

static const struct topic {
	const char *name;
	void (*perform)(struct gdb *gdb, const char *args, FILE *out);
	const char *summary;
} topics[] = {
	{"info registers", info_registers, "all registers, system ones included, flags by name"},
	{"info mem", info_mem, "what the guest's page tables map: ranges and permissions"},
	{"info tlb", info_tlb, "the same page by page"},
	{"info pg", info_pg, "the guest's page tables as a tree; with an address (hexadecimal), its walk"},
	{"info shadow", info_shadow, "what is really mapped beneath, and where it differs from the guest's tables"},
	{"info irq", info_irq, "interrupt flag, controllers, event channels, exceptions under way"},
	{"info screen", info_screen, "what the guest shows on its VGA"},
	{"info devices", info_devices, "all that the devices hold; with a name (pic, lapic.lvt), that"},
	{"info firmware", info_firmware, "what PC firmware has said on its debug port"},
	{"info exits", info_exits, "exits by reason, and the last ones"},
	{"info code", info_code, "what engine translate executes for the code at RIP, or at an address (hexadecimal)"},
	{"info backtrace", info_backtrace, "the call chain as the monitor unwinds it"},
	{"core", core, "write a core of the guest, which gdb opens, to the file that --core named"},
	{"stop on", stop_on, "REASON: stop after an exit of that kind; `nothing` ends it"},
	{"trace last", trace_tail, "the last events"},
	{"trace", trace, "on, off: text on ring3's stderr, as --trace prints it; see docs/traces.md"},
	{"system_reset", system_reset, "begin again, stopped before the first instruction"},
	{"quit", quit, "end the guest"},
	{"help", help, "this list"},
};

#define TOPIC_COUNT (sizeof(topics) / sizeof(topics[0]))

static void help(struct gdb *gdb, const char *args, FILE *out)
{
	for (size_t i = 0; i < TOPIC_COUNT; i++)
		fprintf(out, "%-16s %s\n", topics[i].name, topics[i].summary);
}

void monitor_command(struct gdb *gdb, const char *line, FILE *out)
{
	for (size_t i = 0; i < TOPIC_COUNT; i++) {
		size_t len = strlen(topics[i].name);
		if (strncmp(line, topics[i].name, len) || (line[len] && line[len] != ' '))
			continue;
		topics[i].perform(gdb, line + len + strspn(line + len, " "), out);
		return;
	}
	fputs("there is no such command; `monitor help` lists them\n", out);
}
