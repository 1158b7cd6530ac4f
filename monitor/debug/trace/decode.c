/*
 * An event in words: reason, symbol, arguments by name. What all formats print comes from here.
 */
#include <inttypes.h>
#include <string.h>

#include "hypercalls/host/hc.h"
#include "monitor/boot/image.h"
#include "monitor/debug/trace/internal.h"
#include "monitor/emulate/emulate.h"

static const char *const exit_names[] = {
	[TRACE_EXIT_INTERPRETED - STAT_COUNT] = "interpreted",
	[TRACE_EXIT_EMULATED - STAT_COUNT] = "emulated",
	[TRACE_EXIT_DEAD - STAT_COUNT] = "dead",
	[TRACE_EXIT_OTHER - STAT_COUNT] = "other",
};

static const char *hypercall_name(uint64_t nr)
{
	const char *name = hc_name(nr);

	return name ? name : "unknown";
}

const char *trace_reason(const struct trace_event *event)
{
	static const char *const irq[] = {"pending", "delivered"};
	static const char *const shadow[] = {"fill", "map", "unmap", "protect"};
	static const char *const device[] = {"read", "write"};
	static const char *const switches[] = {"to_kernel", "to_user", "root"};
	unsigned reason = event->reason;

	switch ((enum trace_kind)event->kind) {
	case TRACE_exit:
		return reason < STAT_COUNT ? stats_exit_names[reason] : exit_names[reason - STAT_COUNT];
	case TRACE_hypercall:
		return hypercall_name(event->arg[6]);
	case TRACE_fault:
		return vcpu_vector_name((uint8_t)reason);
	case TRACE_irq:
		return irq[reason];
	case TRACE_shadow:
		return shadow[reason];
	case TRACE_device:
		return device[reason];
	case TRACE_switch:
		return switches[reason];
	case TRACE_timer:
		return "expired";
	case TRACE_KIND_COUNT:
		break;
	}
	return "?";
}

const char *trace_error_name(int64_t result)
{
	switch (-result) {
	case R3_EPERM:
		return "EPERM";
	case R3_EBADF:
		return "EBADF";
	case R3_EAGAIN:
		return "EAGAIN";
	case R3_EFAULT:
		return "EFAULT";
	case R3_EBUSY:
		return "EBUSY";
	case R3_EINVAL:
		return "EINVAL";
	case R3_ENOSPC:
		return "ENOSPC";
	case R3_ENOSYS:
		return "ENOSYS";
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------------------------- fields */

static void add(struct trace_words *words, const char *name, unsigned form, uint64_t value)
{
	if (words->count < TRACE_FIELDS)
		words->field[words->count++] = (struct trace_field){.name = name, .form = form, .value = value};
}

static void add_text(struct trace_words *words, const char *name, const char *text)
{
	if (words->count < TRACE_FIELDS)
		words->field[words->count++] = (struct trace_field){.name = name, .form = FIELD_TEXT, .text = text};
}

/* SDM 3A 4.7. */
static const char *access_text(char *text, size_t size, uint64_t error, bool guest_fault)
{
	snprintf(text, size, "%s %s%s%s%s", error & X86_PF_U ? "user" : "supervisor",
		 error & X86_PF_I   ? "fetch"
		 : error & X86_PF_W ? "write"
				    : "read",
		 guest_fault ? error & X86_PF_P ? ", not permitted" : ", not mapped" : "",
		 error & X86_PF_RSVD ? ", reserved bit set" : "",
		 error & X86_PF_PK ? ", forbidden by its protection key" : "");
	return text;
}

/* The same instruction at the same place comes again and again. */
static const char *instruction_text(const struct trace_event *event)
{
	static struct {
		uint64_t rip;
		uint8_t bytes[15], code_bits;
		char text[80];
	} cache[64];
	unsigned slot = (event->rip ^ event->rip >> 6) % 64;
	struct emu_insn insn;

	if (cache[slot].rip != event->rip || cache[slot].code_bits != event->code_bits ||
	    memcmp(cache[slot].bytes, event->bytes, sizeof(event->bytes)) || !cache[slot].text[0]) {
		memcpy(insn.bytes, event->bytes, sizeof(insn.bytes));
		insn.info.machine_mode = emu_mode_of(event->code_bits);
		cache[slot].rip = event->rip;
		cache[slot].code_bits = event->code_bits;
		memcpy(cache[slot].bytes, event->bytes, sizeof(event->bytes));
		emu_format(&insn, event->rip, cache[slot].text, sizeof(cache[slot].text));
	}
	return cache[slot].text;
}

static void decode_syscall(const struct trace_event *event, struct trace_words *words)
{
	static const char *const names[] = {"rdi", "rsi", "rdx", "r10", "r8", "r9"};

	add(words, "nr", FIELD_NUMBER, event->arg[0]);
	for (unsigned i = 0; i < 6; i++)
		add(words, names[i], FIELD_HEX, event->arg[i + 1]);
}

static void decode_exit(const struct trace *trace, const struct trace_event *event, struct trace_words *words)
{
	switch (event->reason) {
	case STAT_hypercall:
		add_text(words, "call", hypercall_name(event->arg[0]));
		break;
	case STAT_shadow_fill:
	case STAT_page_fault:
		add(words, "gva", FIELD_HEX, event->arg[0]);
		add_text(words, "access",
			 access_text(words->text[0], sizeof(words->text[0]),
				     event->cpl == 3 ? event->arg[1] | X86_PF_U : event->arg[1] & ~X86_PF_U, false));
		break;
	case STAT_unmappable:
		add(words, "gva", FIELD_HEX, event->arg[0]);
		break;
	case STAT_exception:
		add_text(words, "vector", vcpu_vector_name((uint8_t)event->arg[0]));
		add(words, "error", FIELD_HEX, event->arg[1]);
		break;
	case STAT_syscall:
		decode_syscall(event, words);
		break;
	case STAT_soft_int:
		add(words, "vector", FIELD_NUMBER, event->arg[0]);
		break;
	case STAT_direct:
		add(words, "count", FIELD_NUMBER, event->arg[0]);
		break;
	}
	if (event->length)
		add_text(words, "instruction", instruction_text(event));
	if (event->arg[7])
		add(words, "guest_ns", FIELD_NUMBER, trace_ticks_ns(trace, event->arg[7]));
}

static void decode_hypercall(const struct trace_event *event, struct trace_words *words)
{
	unsigned count = hc_argument_count(event->arg[6]);

	for (unsigned i = 0; i < count; i++)
		add(words, hc_argument(event->arg[6], i), FIELD_HEX, event->arg[i]);
	if (!hc_name(event->arg[6]))
		add(words, "nr", FIELD_NUMBER, event->arg[6]);
	if (event->flags & TRACE_NESTED)
		add_text(words, "in", "multicall");
}

static void decode_fault(const struct trace_event *event, struct trace_words *words)
{
	static const char *const kinds[] = {[EVENT_FAULT] = "fault",
					    [EVENT_TRAP] = "trap",
					    [EVENT_INTERRUPT] = "interrupt",
					    [EVENT_SOFT] = "INT instruction",
					    [EVENT_PRIVILEGED_SOFT] = "INT1 instruction"};

	add(words, "vector", FIELD_NUMBER, event->reason);
	if (event->arg[5])
		add(words, "error", FIELD_HEX, event->arg[0]);
	if (event->reason == X86_VEC_PF && event->arg[4] == EVENT_FAULT) {
		add(words, "cr2", FIELD_HEX, event->arg[1]);
		add_text(words, "access", access_text(words->text[0], sizeof(words->text[0]), event->arg[0], true));
	}
	add_text(words, "cause", kinds[event->arg[4]]);
	if (event->arg[6] != event->reason)
		add_text(words, "after", vcpu_vector_name((uint8_t)event->arg[6]));
	if (event->arg[2]) {
		add(words, "handler", FIELD_HEX, event->arg[2]);
		add(words, "handler_cpl", FIELD_NUMBER, event->arg[3]);
	} else {
		add_text(words, "handler", "none: the guest ends");
	}
}

static void decode_irq(const struct trace *trace, const struct trace_event *event, struct trace_words *words)
{
	if (event->reason == TRACE_IRQ_PENDING) {
		add_text(words, "held_by",
			 event->arg[5]	 ? "interrupt shadow"
			 : event->arg[1] ? "nothing"
					 : "interrupt flag");
		return;
	}
	add(words, "vector", FIELD_NUMBER, event->arg[0]);
	add_text(words, "source", event->arg[1] ? "event channel" : "controller");
	if (!event->arg[1])
		add(words, "line", FIELD_NUMBER, event->arg[2]);
	add(words, "waited_ns", FIELD_NUMBER, trace_ticks_ns(trace, event->arg[3]));
	add(words, "handler", FIELD_HEX, event->arg[4]);
}

static void decode_shadow(const struct trace_event *event, struct trace_words *words)
{
	static const char *const rights[] = {"r--", "rw-", "r-x", "rwx"};

	add_text(words, "space", event->arg[4] == SPT_USER ? "user" : "kernel");
	add(words, "gva", FIELD_HEX, event->arg[0]);
	switch (event->reason) {
	case TRACE_SHADOW_FILL:
		add(words, "pages", FIELD_NUMBER, event->arg[2]);
		add_text(words, "access", access_text(words->text[0], sizeof(words->text[0]), event->arg[3], false));
		return;
	case TRACE_SHADOW_MAP:
		add(words, "gpa", FIELD_HEX, event->arg[1]);
		break;
	}
	add(words, "bytes", FIELD_NUMBER, event->arg[2]);
	if (event->reason != TRACE_SHADOW_UNMAP)
		add_text(words, "rights", rights[event->arg[3] & (SPT_WRITE | SPT_EXEC)]);
}

static const char *region_name(const struct bus *bus, uint64_t gpa)
{
	for (unsigned i = 0; i < bus->regions; i++) {
		const struct bus_region *region = &bus->region[i];
		if (gpa >= region->base && gpa - region->base < region->length)
			return region->name;
	}
	return NULL;
}

static const char *port_name(const struct bus *bus, uint16_t port)
{
	for (unsigned i = 0; i < bus->count; i++) {
		const struct bus_range *range = &bus->range[i];
		if (port >= range->base && port - range->base < range->length)
			return range->name;
	}
	return NULL;
}

static void decode_device(const struct trace *trace, const struct trace_event *event, struct trace_words *words)
{
	const struct bus *bus = &trace->vm->bus;
	bool memory = event->arg[3];
	const char *name = memory ? region_name(bus, event->arg[0]) : port_name(bus, (uint16_t)event->arg[0]);

	add(words, memory ? "gpa" : "port", FIELD_HEX, event->arg[0]);
	add(words, "bytes", FIELD_NUMBER, event->arg[1]);
	add(words, "value", FIELD_HEX, event->arg[2]);
	add_text(words, "device", name ? name : "none");
}

static void decode_switch(const struct trace_event *event, struct trace_words *words)
{
	add(words, "from_root", FIELD_HEX, event->arg[0]);
	add(words, "from_cpl", FIELD_NUMBER, event->arg[1]);
	add(words, "to_root", FIELD_HEX, event->root);
	add(words, "to_cpl", FIELD_NUMBER, event->cpl);
}

void trace_decode(struct trace *trace, const struct trace_event *event, struct trace_words *words)
{
	words->kind = trace_kind_names[event->kind];
	words->reason = trace_reason(event);
	words->symbol = image_symbol(trace->vm, event->rip, &words->offset);
	words->count = 0;
	switch ((enum trace_kind)event->kind) {
	case TRACE_exit:
		decode_exit(trace, event, words);
		break;
	case TRACE_hypercall:
		decode_hypercall(event, words);
		break;
	case TRACE_fault:
		decode_fault(event, words);
		break;
	case TRACE_irq:
		decode_irq(trace, event, words);
		break;
	case TRACE_shadow:
		decode_shadow(event, words);
		break;
	case TRACE_device:
		decode_device(trace, event, words);
		break;
	case TRACE_switch:
		decode_switch(event, words);
		break;
	case TRACE_timer:
		add(words, "deadline_ns", FIELD_NUMBER, event->arg[0] - trace->vm->stats.start_ns);
		add(words, "late_ns", FIELD_NUMBER, event->arg[1]);
		break;
	case TRACE_KIND_COUNT:
		break;
	}
}
