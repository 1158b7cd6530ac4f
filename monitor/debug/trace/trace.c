/*
 * The rings, their way out to the sinks, and the start and end of a trace.
 */
#include "monitor/trace/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/debug/trace/internal.h"

#define OUT_BUFFER 65536

const char *const trace_kind_names[TRACE_KIND_COUNT] = {
#define X(name, description) [TRACE_##name] = #name,
	TRACE_KINDS(X)
#undef X
};

/* ------------------------------------------------------------------------------------------------------- sinks */

static int complain(const char *path, int err)
{
	fprintf(stderr, "ring3: --trace-file %s: cannot write: %s: name a file in a directory that you may write to\n",
		path, strerror(err));
	return -err;
}

/* What is recorded depends on who listens. */
static void set_kinds(struct trace *trace)
{
	bool heard = trace->text.format || trace->file.format;

	trace->vm->trace_kinds = heard ? trace->filter.kinds : 0;
}

/* The guest goes on without the trace. */
static void sink_failed(struct trace *trace, struct trace_sink *sink, int err)
{
	if (sink == &trace->file) {
		fprintf(stderr, "ring3: --trace-file %s: %s: the trace ends here, the guest runs on\n", sink->path,
			strerror(err));
		fclose(sink->out);
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
	FILE *out = fopen(path, "we");

	if (!out)
		return complain(path, errno);
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
	trace->text.out = fd < 0 ? NULL : fdopen(fd, "w");
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
	trace->rate = clock_tsc_rate();
	if (tsc <= trace->line_tsc)
		return;
	trace->line_ns = moment_ns(trace, tsc);
	trace->line_tsc = tsc;
}

/* All complete events of one vCPU. */
static void drain(struct trace *trace, struct trace_vcpu *t)
{
	uint64_t tsc = 0;

	pthread_mutex_lock(&trace->lock);
	for (; t->drained < t->next; t->drained++) {
		struct trace_event *event = &t->ring[t->drained % TRACE_RING];
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
	struct trace *trace = vm->trace;

	if (!trace)
		return;
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		if (trace->vcpu[i])
			drain(trace, trace->vcpu[i]);
	}
	pthread_mutex_lock(&trace->lock);
	sink_flush(trace, &trace->text);
	sink_flush(trace, &trace->file);
	pthread_mutex_unlock(&trace->lock);
	timer_arm(&trace->timer, TIMER_NEVER);
}

static void linger_is_over(void *arg, uint64_t now)
{
	trace_flush(arg);
}

/* ------------------------------------------------------------------------------------------------------ recording */

static struct trace_vcpu *trace_vcpu_of(struct vcpu *vcpu)
{
	return vcpu->vm->trace->vcpu[vcpu->id];
}

struct trace_event *trace_record(struct vcpu *vcpu, enum trace_kind kind, unsigned reason)
{
	struct trace *trace = vcpu->vm->trace;
	struct trace_vcpu *t = trace_vcpu_of(vcpu);
	struct trace_event *event;

	/* An exit that makes more events than fit: what is open comes to an end, for once without its cost. */
	if (t->next - t->drained >= TRACE_RING / 2) {
		if (t->open && t->next - t->drained == TRACE_RING) {
			t->open->flags &= (uint8_t)~TRACE_OPEN;
			t->open = NULL;
		}
		drain(trace, t);
	}
	if (trace->timer.deadline == TIMER_NEVER)
		timer_arm(&trace->timer, clock_machine_ns() + TRACE_LINGER_NS);
	event = &t->ring[t->next++ % TRACE_RING];
	event->tsc = clock_tsc();
	event->cost = 0;
	event->rip = vcpu->rip;
	event->root = vcpu_root(vcpu) & X86_PTE_ADDR;
	memset(event->arg, 0, sizeof(event->arg));
	event->result = 0;
	event->kind = (uint8_t)kind;
	event->vcpu = (uint8_t)vcpu->id;
	event->cpl = (uint8_t)vcpu->cpl;
	event->flags = 0;
	event->reason = (uint16_t)reason;
	event->length = 0;
	return event;
}

unsigned trace_last(struct vcpu *vcpu, unsigned count, FILE *out)
{
	struct trace *trace = vcpu->vm->trace;
	struct trace_vcpu *t = trace ? trace->vcpu[vcpu->id] : NULL;
	uint64_t at, kept, found = 0;

	if (!t)
		return 0;
	kept = t->next < TRACE_RING ? t->next : TRACE_RING;
	for (at = t->next; at > t->next - kept && found < count; at--)
		found += !(t->ring[(at - 1) % TRACE_RING].flags & TRACE_SKIP);
	for (; at < t->next; at++) {
		const struct trace_event *event = &t->ring[at % TRACE_RING];
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
	timer_add(&vm->timers, &trace->timer, linger_is_over, vm);
	return trace;
}

/* The rings; there are vCPUs by now. */
static bool make_rings(struct trace *trace)
{
	for (unsigned i = 0; i < R3_MAX_VCPUS && i < trace->vm->config->vcpus; i++) {
		if (!trace->vcpu[i])
			trace->vcpu[i] = calloc(1, sizeof(*trace->vcpu[i]));
		if (!trace->vcpu[i])
			return false;
	}
	return true;
}

/* Nobody listened for a while. */
static void forget(struct trace *trace)
{
	for (unsigned i = 0; i < trace->vm->vcpu_count; i++) {
		struct trace_vcpu *t = trace->vcpu[i];
		t->entered_tsc = t->waits_since = 0;
		t->direct = trace->vm->stats.vcpu[i].exits[STAT_direct];
	}
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

	if (!config->trace_events && !config->trace_file)
		return 0;
	trace = vm->trace = create(vm);
	if (!trace || !make_rings(trace))
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
	struct trace *trace = vm->trace;

	if (!trace && !on)
		return true;
	if (!trace)
		trace = vm->trace = create(vm);
	if (!trace || !make_rings(trace) || !text_open(trace))
		return false;
	trace_flush(vm);
	if (!vm->trace_kinds)
		forget(trace);
	trace->text.format = on ? &trace_text : NULL;
	set_kinds(trace);
	return true;
}

bool trace_text_is_on(const struct vm *vm)
{
	return vm->trace && vm->trace->text.format;
}

void trace_finish(struct vm *vm)
{
	struct trace *trace = vm->trace;
	struct trace_counters counters;

	if (!trace)
		return;
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		if (vm->trace_kinds && trace->vcpu[i])
			trace_exit_done(vm->vcpu[i]);
	}
	vm->trace_kinds = 0;
	trace_flush(vm);
	redraw_line(trace, clock_tsc());
	take_counters(trace, trace->line_ns, &counters);
	if (trace->file.format)
		trace->file.format->end(trace, &counters, trace->file.out);
	if (vm->config->trace_events && !trace->events && vm->vcpu_count)
		fprintf(stderr, "ring3: --trace %s: no event was like that\n", vm->config->trace_events);
}

void trace_down(struct vm *vm)
{
	struct trace *trace = vm->trace;

	if (!trace)
		return;
	sink_flush(trace, &trace->file);
	sink_flush(trace, &trace->text);
	if (trace->file.format && fclose(trace->file.out))
		complain(trace->file.path, errno);
	if (trace->text.out)
		fclose(trace->text.out);
	for (unsigned i = 0; i < R3_MAX_VCPUS; i++)
		free(trace->vcpu[i]);
	free(trace);
	vm->trace = NULL;
	vm->trace_kinds = 0;
}
