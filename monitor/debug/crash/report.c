/*
 * The crash report as a whole, and its short parts: reason, chain of exceptions, instruction, last exits.
 */
#include "monitor/debug/crash/report.h"
#include "monitor/debug/state/state.h"
#include "monitor/debug/trace/trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hypercalls/host/hc.h"
#include "monitor/boot/image.h"
#include "monitor/device/machine.h"
#include "monitor/emulate/emulate.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/vm/vm.h"

static void print_reason(const struct vm *vm, const char *what, FILE *out)
{
	fprintf(out, "ring3: the guest %s: ", what);
	for (const char *c = vm->reason; *c; c++)
		fputc(*c >= ' ' && *c <= '~' ? *c : '?', out);
	fputc('\n', out);
}

void report_title(struct vm *vm, FILE *out)
{
	if (vm->reason[0])
		print_reason(vm, vm->status == VM_STATUS_CRASH ? "crashed" : "panicked", out);
	else if (!vm->ended)
		fputs("ring3: the guest runs, and is here\n", out);
	else if (vm->status == VM_STATUS_TIMEOUT)
		fprintf(out, "ring3: the guest was ended after %g s: raise --timeout if that is too soon\n",
			vm->config->timeout);
	else if (events_quit_signal())
		fprintf(out, "ring3: the guest was ended by a signal (%s)\n", strsignal(events_quit_signal()));
}

/* ---------------------------------------------------------------------------------------------------- the chain */

static const char *event_kind(const struct vcpu_event *event)
{
	switch (event->kind) {
	case EVENT_FAULT:
		return "fault";
	case EVENT_TRAP:
		return "trap";
	case EVENT_INTERRUPT:
		return "external";
	case EVENT_SOFT:
		return "INT instruction";
	case EVENT_PRIVILEGED_SOFT:
		return "INT1 instruction";
	}
	return "?";
}

/* SDM 3A 4.7. */
static void print_page_fault(const struct vcpu_event *event, FILE *out)
{
	const char *access = event->error & X86_PF_I ? "fetch" : event->error & X86_PF_W ? "write" : "read";

	fprintf(out, ": %s %s of 0x%016" PRIx64 ", %s%s%s", event->error & X86_PF_U ? "user" : "supervisor", access,
		event->cr2, event->error & X86_PF_P ? "not permitted" : "not mapped",
		event->error & X86_PF_RSVD ? ", reserved bit set" : "",
		event->error & X86_PF_PK ? ", forbidden by its protection key" : "");
}

static void print_event(const struct vcpu_event *event, FILE *out)
{
	fprintf(out, "  vector %u %s (%s)", event->vector, vcpu_vector_name(event->vector), event_kind(event));
	if (event->has_error)
		fprintf(out, ", error 0x%x", event->error);
	if (event->vector == X86_VEC_PF && event->kind == EVENT_FAULT)
		print_page_fault(event, out);
	fputc('\n', out);
}

void report_chain(struct vcpu *vcpu, FILE *out)
{
	if (vcpu->chain_len) {
		fputs("Exceptions that led here, oldest first:\n", out);
		for (unsigned i = 0; i < vcpu->chain_len; i++)
			print_event(&vcpu->chain[i], out);
	} else if (vcpu->last_chain_len) {
		fputs("Latest exceptions that reached a handler, oldest first:\n", out);
		for (unsigned i = 0; i < vcpu->last_chain_len; i++)
			print_event(&vcpu->last_chain[i], out);
	} else {
		fputs("No exception came before.\n", out);
	}
	if (vcpu->event_pending) {
		fputs("Waiting to be delivered:\n", out);
		print_event(&vcpu->event, out);
	}
}

/* ---------------------------------------------------------------------------------------------- the instruction */

void report_instruction(struct vcpu *vcpu, FILE *out)
{
	struct emu_insn insn = {.info = {.machine_mode = emu_mode(vcpu)}}, decoded;
	char text[128];
	/* Without the side effects on the guest that emu_decode has. */
	size_t len = gm_peek(vcpu, vcpu_code_address(vcpu, vcpu->rip), insn.bytes, sizeof(insn.bytes));

	fprintf(out, "At RIP 0x%016" PRIx64, vcpu->rip);
	report_symbol(vcpu->vm, vcpu->rip, out);
	if (!len) {
		fputs(": not mapped\n", out);
		return;
	}
	if (ZYAN_SUCCESS(emu_decode_bytes(insn.info.machine_mode, insn.bytes, len, &decoded)))
		len = decoded.info.length;
	fprintf(out, ": %s\n  bytes", emu_format(&insn, vcpu->rip, text, sizeof(text)));
	for (size_t i = 0; i < len; i++)
		fprintf(out, " %02x", insn.bytes[i]);
	fputc('\n', out);
}

/* ------------------------------------------------------------------------------------------------ the last exits */

/* What the detail of an exit is called: hypercalls, instructions and exceptions have names. */
static const char *detail_name(const struct stats_ring_entry *entry)
{
	switch (entry->kind) {
	case STAT_hypercall:
		return hc_name(entry->detail);
	case STAT_privileged:
	case STAT_clustered:
		return ZydisMnemonicGetString((ZydisMnemonic)entry->detail);
	case STAT_exception:
		return vcpu_vector_name((uint8_t)entry->detail);
	default:
		return NULL;
	}
}

static void print_exit(struct vm *vm, const struct stats_ring_entry *entry, FILE *out)
{
	const char *name = detail_name(entry);

	fprintf(out, "  %10.3f us  CPL %u  0x%016" PRIx64 "  %-11s ",
		(double)clock_tsc_to_ns(entry->tsc - vm->stats.start_tsc) / 1000, entry->cpl, entry->rip,
		stats_exit_names[entry->kind]);
	if (name)
		fputs(name, out);
	else
		fprintf(out, "0x%" PRIx64, entry->detail);
	report_symbol(vm, entry->rip, out);
	fputc('\n', out);
}

/* What is traced says more than what is always counted. */
static bool print_trace(struct vcpu *vcpu, FILE *out)
{
	if (!vcpu->vm->trace_kinds)
		return false;
	fputs("Last events of the trace:\n", out);
	return trace_last(vcpu, TRACE_LAST, out);
}

void report_exits(struct vcpu *vcpu, FILE *out)
{
	const struct stats_vcpu *s = &vcpu->vm->stats.vcpu[vcpu->id];
	uint64_t kept = s->ring_next < STATS_RING ? s->ring_next : STATS_RING;

	if (print_trace(vcpu, out))
		return;
	fprintf(out, "Last %" PRIu64 " of %" PRIu64 " exits:\n", kept, s->ring_next);
	for (uint64_t i = s->ring_next - kept; i < s->ring_next; i++)
		print_exit(vcpu->vm, &s->ring[i % STATS_RING], out);
}

/* ------------------------------------------------------------------------------------------------------ as a whole */

static pid_t tracee_of(struct vcpu *vcpu)
{
	const struct engine_ops *ops = vcpu->vm->engine_ops;

	return ops->tracee ? ops->tracee(vcpu) : 0;
}

/* Of the end of what firmware has said. */
#define FIRMWARE_LINES 12

static bool print_screen(struct vm *vm, FILE *out)
{
	return machine_print_screen(vm, out);
}

static bool print_firmware(struct vm *vm, FILE *out)
{
	return machine_print_firmware(vm, FIRMWARE_LINES, out);
}

/* With a title, if there is anything to print. */
static void report_titled(struct vm *vm, const char *title, bool (*print)(struct vm *vm, FILE *out), FILE *out)
{
	char *text = NULL;
	size_t size;
	FILE *piece = open_memstream(&text, &size);

	if (!piece)
		return;
	bool any = print(vm, piece);
	fclose(piece);
	if (any)
		fprintf(out, "%s:\n%s", title, text);
	free(text);
}

static void report_place(struct vcpu *vcpu, FILE *out)
{
	if (vcpu->vm->vcpu_count > 1)
		fprintf(out, "vCPU %u:\n", vcpu->id);
	if (vcpu->halted && vcpu_if(vcpu))
		fputs("Halted, waiting for an interrupt.\n", out);
	report_instruction(vcpu, out);
}

static void report_whole(struct vcpu *vcpu, FILE *out)
{
	report_cause(vcpu, out);
	report_chain(vcpu, out);
	report_place(vcpu, out);
	report_registers(vcpu, out);
	report_stack(vcpu, out);
	report_walks(vcpu, out);
	report_exits(vcpu, out);
	report_titled(vcpu->vm, "Screen", print_screen, out);
	report_titled(vcpu->vm, "Firmware", print_firmware, out);
}

void report_write(struct vm *vm, enum report_size size, uint64_t patience_ns, FILE *out)
{
	report_title(vm, out);
	fprintf(out, "  image %s, engine %s, transport %s\n", image_path(vm), vm->engine_ops->name,
		vm->config->transport);
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpu[i];
		if (size == REPORT_WHOLE)
			report_whole(vcpu, out);
		else
			report_place(vcpu, out);
		if (size != REPORT_PLACE)
			report_backtrace(vcpu, tracee_of(vcpu), patience_ns, out);
	}
}
