/*
 * JSON Lines: a header, events and counters, a summary; one object a line. docs/traces.md has every field.
 */
#include <inttypes.h>
#include <jansson.h>

#include "monitor/debug/state/state.h"
#include "monitor/debug/trace/internal.h"

/* The guest decides how many there are. */
#define SHADOW_RANGES_MAX 2000
#define GUEST_RANGES_MAX  2000

static json_t *hex(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return json_string(text);
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* Memory that is out shows as a record that is not there; the next may fit again. */
static void write_line(json_t *record, FILE *out)
{
	if (record && !json_dumpf(record, out, JSON_COMPACT))
		fputc('\n', out);
	json_decref(record);
}

/* ------------------------------------------------------------------------------------------------------- header */

static json_t *arguments(const struct vm_config *config)
{
	json_t *list = json_array();

	for (int i = 0; i < config->argc; i++)
		json_array_append_new(list, stats_json_text(config->argv[i]));
	return list;
}

static json_t *kinds(const struct trace *trace)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < TRACE_KIND_COUNT; i++) {
		if (trace->filter.kinds & R3_BIT(i))
			json_array_append_new(list, json_string(trace_kind_names[i]));
	}
	return list;
}

static void json_begin(struct trace *trace, FILE *out)
{
	const struct vm_config *config = trace->vm->config;
	uint64_t began = clock_wall_ns() - (clock_ns() - trace->vm->stats.start_ns);

	write_line(json_pack("{s:s, s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:o, s:o, s:o}", "type", "header",
			     "schema", TRACE_SCHEMA, "version", TRACE_VERSION, "ring3", R3_VERSION, "arguments",
			     arguments(config), "image", stats_json_text(config->kernel), "cmdline",
			     stats_json_text(config->cmdline), "engine",
			     stats_json_text(trace->vm->engine_ops ? trace->vm->engine_ops->name : config->engine),
			     "transport", stats_json_text(config->transport), "cpus", (int)config->cpus, "vcpus",
			     (int)config->vcpus, "ram_bytes", number(trace->vm->memory), "start_unix_ns", number(began),
			     "kinds", kinds(trace)),
		   out);
}

/* ------------------------------------------------------------------------------------------------------- events */

static json_t *fields(const struct trace_words *words)
{
	json_t *object = json_object();

	for (unsigned i = 0; i < words->count; i++) {
		const struct trace_field *field = &words->field[i];
		json_t *value = field->form == FIELD_TEXT  ? json_string(field->text)
				: field->form == FIELD_HEX ? hex(field->value)
							   : number(field->value);
		json_object_set_new(object, field->name, value);
	}
	return object;
}

static void json_event(struct trace *trace, const struct trace_event *event, const struct trace_words *words, FILE *out)
{
	json_t *record =
		json_pack("{s:s, s:o, s:i, s:i, s:o, s:o}", "type", "event", "ns", number(words->ns), "vcpu",
			  (int)event->vcpu, "cpl", (int)event->cpl, "root", hex(event->root), "rip", hex(event->rip));
	char place[128];

	if (words->symbol) {
		snprintf(place, sizeof(place), "%s+0x%" PRIx64, words->symbol, words->offset);
		json_object_set_new(record, "symbol", json_string(place));
	}
	json_object_set_new(record, "kind", json_string(words->kind));
	json_object_set_new(record, "reason", json_string(words->reason));
	json_object_set_new(record, "args", fields(words));
	if (event->flags & TRACE_HAS_RESULT)
		json_object_set_new(record, "result", json_integer((json_int_t)event->result));
	if (event->flags & TRACE_HAS_COST)
		json_object_set_new(record, "cost_ns", number(words->cost_ns));
	write_line(record, out);
}

static json_t *exits(const struct trace_counters *counters)
{
	json_t *object = json_object();

	for (unsigned i = 0; i < STAT_COUNT; i++)
		json_object_set_new(object, stats_exit_names[i], number(counters->exits[i]));
	return object;
}

static json_t *all_counters(const char *type, const struct trace_counters *counters)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "type", type, "ns",
			 number(counters->ns), "exits", exits(counters), "guest_ns", number(counters->guest_ns),
			 "monitor_ns", number(counters->monitor_ns), "injected", number(counters->injected),
			 "interpreted", number(counters->interpreted), "shadow_fills", number(counters->shadow.fills),
			 "shadow_pages", number(counters->shadow.pages_mapped), "shadow_drops",
			 number(counters->shadow.drops), "shadow_spaces", number(counters->shadow.spaces));
}

static void json_counters(struct trace *trace, const struct trace_counters *counters, FILE *out)
{
	write_line(all_counters("counters", counters), out);
}

/* ------------------------------------------------------------------------------------------------------ summary */

/* The root that a list of ranges is of. */
struct tables {
	json_t *list;
	uint64_t root;
	const char *space; /* shadow */
};

static void add_guest_range(void *arg, const struct tables_range *range)
{
	struct tables *tables = arg;

	json_array_append_new(tables->list,
			      json_pack("{s:o, s:o, s:o, s:o, s:s}", "root", hex(tables->root), "gva", hex(range->gva),
					"gpa", hex(range->gpa), "bytes", number(range->len), "rights", range->rights));
}

static bool add_shadow_range(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	static const char *const rights[] = {"r--", "rw-", "r-x", "rwx"};
	struct tables *tables = arg;

	json_array_append_new(tables->list, json_pack("{s:o, s:s, s:o, s:o, s:o, s:s}", "root", hex(tables->root),
						      "space", tables->space, "gva", hex(gva), "gpa", hex(gpa), "bytes",
						      number(len), "rights", rights[prot & (SPT_WRITE | SPT_EXEC)]));
	return json_array_size(tables->list) < SHADOW_RANGES_MAX;
}

/* Of the roots in force: the kernel's, and user mode's where that is another. */
static json_t *guest_tables(struct vm *vm)
{
	struct tables tables = {.list = json_array()};

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpu[i];
		tables.root = vcpu->cr3 & X86_PTE_ADDR;
		tables_each_range(vcpu, tables.root, GUEST_RANGES_MAX, add_guest_range, &tables);
		if (vcpu_user_root(vcpu) == vcpu->cr3)
			continue;
		tables.root = vcpu_user_root(vcpu) & X86_PTE_ADDR;
		tables_each_range(vcpu, tables.root, GUEST_RANGES_MAX, add_guest_range, &tables);
	}
	return tables.list;
}

static void add_space(struct vcpu *vcpu, struct tables *tables, uint64_t root, enum spt_mode mode)
{
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_space *space;

	paging.cr3 = root;
	space = spt_space_find(vcpu->vm->spt, &paging, mode);
	tables->root = root & X86_PTE_ADDR;
	tables->space = mode == SPT_USER ? "user" : "kernel";
	if (space)
		spt_space_each(space, add_shadow_range, tables);
}

static json_t *shadow_tables(struct vm *vm)
{
	struct tables tables = {.list = json_array()};

	for (unsigned i = 0; i < vm->vcpu_count && vm->spt; i++) {
		add_space(vm->vcpu[i], &tables, vm->vcpu[i]->cr3, SPT_KERNEL);
		add_space(vm->vcpu[i], &tables, vm->vcpu[i]->cr3, SPT_UPPER);
		add_space(vm->vcpu[i], &tables, vcpu_user_root(vm->vcpu[i]), SPT_USER);
	}
	return tables.list;
}

static void json_end(struct trace *trace, const struct trace_counters *counters, FILE *out)
{
	struct vm *vm = trace->vm;
	json_t *record = all_counters("summary", counters);

	json_object_set_new(record, "events", number(trace->events));
	json_object_set_new(record, "exit_status", json_integer(vm->status));
	json_object_set_new(record, "exit_reason", stats_json_text(vm->reason));
	json_object_set_new(record, "sensitive", stats_json_sensitive(&vm->stats));
	json_object_set_new(record, "hypercalls", stats_json_hypercalls(&vm->stats));
	json_object_set_new(record, "guest_tables", guest_tables(vm));
	json_object_set_new(record, "shadow_tables", shadow_tables(vm));
	write_line(record, out);
}

const struct trace_format trace_json = {json_begin, json_event, json_counters, json_end};
