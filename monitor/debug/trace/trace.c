/*
 * From the rings to the sinks, and the start and end of a trace.
 */
#include "monitor/debug/trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/debug/trace/internal.h"
#include "monitor/host/events.h"
#include "monitor/host/output_file.h"
#include "monitor/host/patience.h"

#define OUT_BUFFER 65536

static struct trace *trace_of(const struct vm *vm)
{
	return vm->recorder ? OBSERVER_OWNER(vm->recorder, struct trace, recorder) : NULL;
}

const char *const trace_kind_names[TRACE_KIND_COUNT] = {
#define X(name, description) [TRACE_##name] = #name,
	TRACE_KINDS(X)
#undef X
};

/* ------------------------------------------------------------------------------------------------------- sinks */

static int complain(const char *path, int err)
{
	fprintf(stderr, "ring3: --trace-file %s: cannot write: %s: name a file in a directory that you may write to\n",
		path, output_error(err));
	return -err;
}

/* What is recorded depends on who listens. */
static void set_kinds(struct trace *trace)
{
	bool heard = trace->text.format || trace->file.format;

	trace_record_kinds(trace->vm, heard ? trace->filter.kinds : 0);
}

/* The guest goes on without the trace. */
static void sink_failed(struct trace *trace, struct trace_sink *sink, int err)
{
	if (sink == &trace->file) {
		fprintf(stderr, "ring3: --trace-file %s: %s: the trace ends here, the guest runs on\n", sink->path,
			strerror(err));
		fclose(sink->out);
		trace->lost = true;
	}
	sink->format = NULL;
	set_kinds(trace);
}

static void sink_flush(struct trace *trace, struct trace_sink *sink)
{
	errno = 0;
	if (sink->format && (fflush(sink->out) || ferror(sink->out)))
		sink_failed(trace, sink, errno ? errno : EIO);
}

static const struct trace_format *format_of(const char *path)
{
	static const struct {
		const char *suffix;
		const struct trace_format *format;
	} formats[] = {{".jsonl", &trace_json},
		       {".json", &trace_json},
		       {".pftrace", &trace_perfetto},
		       {".perfetto-trace", &trace_perfetto}};
	size_t len = strlen(path);

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		size_t suffix = strlen(formats[i].suffix);
		if (len > suffix && !strcmp(path + len - suffix, formats[i].suffix))
			return formats[i].format;
	}
	return &trace_text;
}

static int sink_open(struct trace *trace, struct trace_sink *sink, const char *path)
{
	int fd = output_stream(path);
	FILE *out = fd < 0 ? NULL : patience_stream(fd, vm_is_over, trace->vm);

	if (!out)
		return complain(path, fd < 0 ? -fd : errno);
	setvbuf(out, NULL, _IOFBF, OUT_BUFFER);
	*sink = (struct trace_sink){.format = format_of(path), .out = out, .path = path};
	sink->format->begin(trace, out);
	return 0;
}

/* Text on stderr, through a stream of its own: buffered, and closed without closing stderr. */
static bool text_open(struct trace *trace)
{
	int fd;

	if (trace->text.out)
		return true;
	fd = dup(STDERR_FILENO);
	trace->text.out = fd < 0 ? NULL : patience_stream(fd, vm_is_over, trace->vm);
	if (!trace->text.out)
		return false;
	setvbuf(trace->text.out, NULL, _IOFBF, OUT_BUFFER);
	return true;
}

/* --------------------------------------------------------------------------------------------------- the way out */

uint64_t trace_ticks_ns(const struct trace *trace, uint64_t ticks)
{
	return clock_rate_ns(trace->rate, ticks);
}

static uint64_t moment_ns(const struct trace *trace, uint64_t tsc)
{
	if (tsc < trace->line_tsc)
		return trace->line_ns - trace_ticks_ns(trace, trace->line_tsc - tsc);
	return trace->line_ns + trace_ticks_ns(trace, tsc - trace->line_tsc);
}

static void give(struct trace *trace, const struct trace_event *event)
{
	struct trace_words words;

	trace_decode(trace, event, &words);
	words.ns = moment_ns(trace, event->tsc);
	words.cost_ns = trace_ticks_ns(trace, event->cost);
	if (trace->text.format)
		trace->text.format->event(trace, event, &words, trace->text.out);
	if (trace->file.format)
		trace->file.format->event(trace, event, &words, trace->file.out);
}

static void take_counters(const struct trace *trace, uint64_t ns, struct trace_counters *counters)
{
	struct vm *vm = trace->vm;

	memset(counters, 0, sizeof(*counters));
	counters->ns = ns;
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		const struct stats_vcpu *s = &vm->stats.vcpu[i];
		for (unsigned kind = 0; kind < STAT_COUNT; kind++)
			counters->exits[kind] += s->exits[kind];
		counters->guest_ns += trace_ticks_ns(trace, s->guest_tsc);
		counters->monitor_ns += trace_ticks_ns(trace, s->monitor_tsc);
		counters->injected += s->injected;
		counters->interpreted += s->interpreted;
	}
	if (vm->spt)
		spt_get_stats(vm->spt, &counters->shadow);
}

static void give_counters(struct trace *trace, uint64_t ns)
{
	struct trace_counters counters;

	if (!trace->file.format || ns < trace->counters_due)
		return;
	trace->counters_due = ns + TRACE_COUNTERS_NS;
	take_counters(trace, ns, &counters);
	trace->file.format->counters(trace, &counters, trace->file.out);
}

static void redraw_line(struct trace *trace, uint64_t tsc)
{
	if (tsc > trace->line_tsc) {
		/* At the rate that what came before was told by, or time would go back. */
		trace->line_ns = moment_ns(trace, tsc);
		trace->line_tsc = tsc;
	}
	trace->rate = clock_tsc_rate();
}

/* All complete events of one vCPU. */
static void drain(struct trace_recorder *recorder, struct trace_ring *t)
{
	struct trace *trace = OBSERVER_OWNER(recorder, struct trace, recorder);
	uint64_t tsc = 0;

	pthread_mutex_lock(&trace->lock);
	for (; t->drained < t->next; t->drained++) {
		struct trace_event *event = &t->event[t->drained % TRACE_RING];
		if (event->flags & TRACE_OPEN)
			break;
		tsc = event->tsc;
		if (!trace_filter_match(trace->vm, &trace->filter, event)) {
			event->flags |= TRACE_SKIP;
			continue;
		}
		trace->events++;
		give(trace, event);
	}
	if (tsc) {
		redraw_line(trace, tsc);
		give_counters(trace, trace->line_ns);
	}
	pthread_mutex_unlock(&trace->lock);
}

void trace_flush(struct vm *vm)
{
	struct trace *trace = trace_of(vm);

	if (!trace)
		return;
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		if (trace->recorder.ring[i])
			drain(&trace->recorder, trace->recorder.ring[i]);
	}
	pthread_mutex_lock(&trace->lock);
	sink_flush(trace, &trace->text);
	sink_flush(trace, &trace->file);
	pthread_mutex_unlock(&trace->lock);
	timer_arm(&trace->recorder.timer, TIMER_NEVER);
}

static void linger_is_over(void *arg, uint64_t now)
{
	trace_flush(arg);
}

static void rest(struct observer *self, struct vcpu *vcpu)
{
	trace_flush(vcpu->vm);
}

static const struct observer_ops observer_ops = {.rest = rest};

/* SIGUSR2 turns the text on and off, also where nobody asked for a trace before. */
static void attend(struct observer *self, struct vm *vm)
{
	if (events_take(SIGUSR2) && !trace_text_switch(vm, !trace_text_is_on(vm)))
		fprintf(stderr, "ring3: this host has no memory left for a trace\n");
}

static struct observer signal_observer = {&(const struct observer_ops){.attend = attend}};

unsigned trace_last(struct vcpu *vcpu, unsigned count, FILE *out)
{
	struct trace *trace = trace_of(vcpu->vm);
	struct trace_ring *t = trace ? trace->recorder.ring[vcpu->id] : NULL;
	uint64_t at, kept, found = 0;

	if (!t)
		return 0;
	kept = t->next < TRACE_RING ? t->next : TRACE_RING;
	for (at = t->next; at > t->next - kept && found < count; at--)
		found += !(t->event[(at - 1) % TRACE_RING].flags & TRACE_SKIP);
	for (; at < t->next; at++) {
		const struct trace_event *event = &t->event[at % TRACE_RING];
		struct trace_words words;
		if (event->flags & TRACE_SKIP)
			continue;
		trace_decode(trace, event, &words);
		words.ns = moment_ns(trace, event->tsc);
		words.cost_ns = trace_ticks_ns(trace, event->cost);
		trace_text.event(trace, event, &words, out);
	}
	return (unsigned)found;
}

/* ---------------------------------------------------------------------------------------------------- start and end */

int trace_check_events(const char *text)
{
	struct trace_filter filter;
	char wrong[64];

	if (trace_filter_parse(text, &filter, wrong, sizeof(wrong)))
		return 0;
	fprintf(stderr, "ring3: --trace: '%s' is no event: give all, or some of", wrong);
	for (unsigned i = 0; i < TRACE_KIND_COUNT; i++)
		fprintf(stderr, " %s", trace_kind_names[i]);
	fputs(", and rip=, symbol=, reason=, cpl= to choose among them\n", stderr);
	return -EINVAL;
}

static struct trace *create(struct vm *vm)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	char wrong[1];

	if (!trace)
		return NULL;
	trace->vm = vm;
	trace_filter_parse(vm->config->trace_events, &trace->filter, wrong, sizeof(wrong));
	pthread_mutex_init(&trace->lock, NULL);
	trace->rate = clock_tsc_rate();
	trace->line_tsc = vm->stats.start_tsc;
	trace->recorder.drain = drain;
	timer_add(&vm->timers, &trace->recorder.timer, linger_is_over, vm);
	trace->observer.ops = &observer_ops;
	observer_add(vm, &trace->observer);
	vm->recorder = &trace->recorder;
	return trace;
}

static int out_of_memory(void)
{
	fprintf(stderr, "ring3: this host has no memory left for a trace: end other programs first\n");
	return -ENOMEM;
}

int trace_up(struct vm *vm)
{
	const struct vm_config *config = vm->config;
	struct trace *trace;
	int err = 0;

	observer_add(vm, &signal_observer);
	if (!config->trace_events && !config->trace_file)
		return 0;
	trace = create(vm);
	if (!trace || !trace_rings_make(&trace->recorder, vm->config->vcpus))
		return out_of_memory();
	if (config->trace_file)
		err = sink_open(trace, &trace->file, config->trace_file);
	else if (!trace_text_switch(vm, true))
		err = out_of_memory();
	set_kinds(trace);
	return err;
}

bool trace_text_switch(struct vm *vm, bool on)
{
	struct trace *trace = trace_of(vm);

	if (!trace && !on)
		return true;
	if (!trace)
		trace = create(vm);
	if (!trace || !trace_rings_make(&trace->recorder, vm->config->vcpus) || !text_open(trace))
		return false;
	trace_flush(vm);
	trace->text.format = on ? &trace_text : NULL;
	set_kinds(trace);
	return true;
}

bool trace_text_is_on(const struct vm *vm)
{
	const struct trace *trace = trace_of(vm);

	return trace && trace->text.format;
}

void trace_finish(struct vm *vm)
{
	struct trace *trace = trace_of(vm);
	struct trace_counters counters;

	if (!trace)
		return;
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		if (vm->trace_kinds && trace->recorder.ring[i])
			trace_exit_done(vm->vcpu[i]);
	}
	trace_record_kinds(vm, 0);
	trace_flush(vm);
	redraw_line(trace, clock_tsc());
	take_counters(trace, trace->line_ns, &counters);
	if (trace->file.format)
		trace->file.format->end(trace, &counters, trace->file.out);
	sink_flush(trace, &trace->file);
	if (trace->lost)
		vm_output_lost(vm);
	if (vm->config->trace_events && !trace->events && vm->vcpu_count)
		fprintf(stderr, "ring3: --trace %s: no event was like that\n", vm->config->trace_events);
}

void trace_down(struct vm *vm)
{
	struct trace *trace = trace_of(vm);

	observer_remove(vm, &signal_observer);
	if (!trace)
		return;
	sink_flush(trace, &trace->file);
	sink_flush(trace, &trace->text);
	if (trace->file.format && fclose(trace->file.out))
		complain(trace->file.path, errno);
	if (trace->text.out)
		fclose(trace->text.out);
	trace_record_kinds(vm, 0);
	observer_remove(vm, &trace->observer);
	trace_rings_free(&trace->recorder);
	free(trace);
	vm->recorder = NULL;
}
