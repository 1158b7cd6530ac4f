/*
 * The text form: one line an event, in the manner of strace.
 *
 *   0.001234567 v0 k 0x101234 main+0x24  exit privileged(instruction="cli") <2.310 us>
 */
#include <inttypes.h>

#include "monitor/debug/trace/internal.h"

static void print_fields(const struct trace_words *words, FILE *out)
{
	for (unsigned i = 0; i < words->count; i++) {
		const struct trace_field *field = &words->field[i];
		fprintf(out, "%s%s=", i ? ", " : "", field->name);
		if (field->form == FIELD_TEXT)
			fprintf(out, "\"%s\"", field->text);
		else
			fprintf(out, field->form == FIELD_HEX ? "0x%" PRIx64 : "%" PRIu64, field->value);
	}
}

static void print_result(const struct trace_event *event, FILE *out)
{
	int64_t result = (int64_t)event->result;
	const char *error = trace_error_name(result);

	if (error)
		fprintf(out, " = -%s", error);
	else
		fprintf(out, " = %" PRId64, result);
}

static void text_event(struct trace *trace, const struct trace_event *event, const struct trace_words *words, FILE *out)
{
	uint64_t seconds = words->ns / CLOCK_NS_PER_SEC, rest = words->ns % CLOCK_NS_PER_SEC;

	fprintf(out, "%3" PRIu64 ".%09" PRIu64 " v%u %s 0x%" PRIx64, seconds, rest, event->vcpu,
		event->cpl == 3 ? "u" : "k", event->rip);
	if (words->symbol)
		fprintf(out, " %s+0x%" PRIx64, words->symbol, words->offset);
	fprintf(out, "  %s %s(", words->kind, words->reason);
	print_fields(words, out);
	fputc(')', out);
	if (event->flags & TRACE_HAS_RESULT)
		print_result(event, out);
	if (event->flags & TRACE_HAS_COST)
		fprintf(out, " <%" PRIu64 ".%03" PRIu64 " us>", words->cost_ns / 1000, words->cost_ns % 1000);
	fputc('\n', out);
}

static void text_begin(struct trace *trace, FILE *out)
{
}

static void text_counters(struct trace *trace, const struct trace_counters *counters, FILE *out)
{
}

const struct trace_format trace_text = {text_begin, text_event, text_counters, text_counters};
