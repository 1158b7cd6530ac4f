/*
 * The statistics as a JSON document; docs/stats.md has the schema.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypercalls/host/hc.h"
#include "monitor/boot/image.h"
#include "monitor/emulate/emulate.h"
#include "monitor/host/clock.h"
#include "monitor/host/output_file.h"
#include "monitor/vm/vm.h"

#define STATS_SCHEMA  "ring3-stats"
#define STATS_VERSION 1

/* A JSON string of text that may hold anything a host path or a guest put there: what is not ASCII becomes '?'. */
json_t *stats_json_text(const char *text)
{
	char *copy;
	json_t *json;

	if (!text || !*text)
		return json_null();
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	json = json_string(copy);
	free(copy);
	return json;
}

static json_t *json_count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *json_vcpu(const struct stats_vcpu *s, unsigned id)
{
	json_t *exits = json_object();
	uint64_t total = 0;

	for (unsigned kind = 0; kind < STAT_COUNT; kind++) {
		json_object_set_new(exits, stats_exit_names[kind], json_count(s->exits[kind]));
		total += s->exits[kind];
	}
	return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "id", (int)id, "exits", exits, "exits_total",
			 json_count(total), "injected", json_count(s->injected), "interpreted",
			 json_count(s->interpreted), "guest_ns", json_count(clock_tsc_to_ns(s->guest_tsc)),
			 "monitor_ns", json_count(clock_tsc_to_ns(s->monitor_tsc)));
}

static json_t *json_vcpus(const struct vm *vm)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < vm->vcpu_count; i++)
		json_array_append_new(list, json_vcpu(&vm->stats.vcpu[i], i));
	return list;
}

static json_t *json_marks(const struct stats *stats)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < stats->mark_count; i++)
		json_array_append_new(list, json_pack("{s:s, s:o}", "name", stats->marks[i].name, "ns",
						      json_count(stats->marks[i].ns)));
	return list;
}

static json_t *json_post_codes(const struct stats *stats)
{
	unsigned kept = stats->post_count < STATS_POST_CODES ? stats->post_count : STATS_POST_CODES;
	json_t *list = json_array();

	for (unsigned i = stats->post_count - kept; i != stats->post_count; i++)
		json_array_append_new(list, json_integer(stats->post_codes[i % STATS_POST_CODES]));
	return list;
}

static json_t *json_shadow(const struct vm *vm)
{
	struct spt_stats s = {0};

	if (!vm->spt)
		return json_null();
	spt_get_stats(vm->spt, &s);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "fills", json_count(s.fills),
			 "pages_mapped", json_count(s.pages_mapped), "guest_faults", json_count(s.guest_faults),
			 "drops", json_count(s.drops), "table_writes", json_count(s.table_writes), "resyncs",
			 json_count(s.resyncs), "spaces", json_count(s.spaces), "mapped_bytes",
			 json_count(s.mapped_bytes), "memory_bytes", json_count(s.memory), "memory_bytes_max",
			 json_count(s.memory_max), "evictions", json_count(s.evictions));
}

static json_t *json_code(const struct stats_code *code)
{
	return json_pack("{s:o, s:o, s:o}", "bytes", json_count(code->bytes), "bytes_max", json_count(code->bytes_max),
			 "evictions", json_count(code->evictions));
}

static json_t *json_cache(const struct stats_cache *cache)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "bytes", json_count(cache->bytes), "bytes_max",
			 json_count(cache->bytes_max), "blocks", json_count(cache->blocks), "flushes",
			 json_count(cache->flushes), "adapted", json_count(cache->adapted));
}

static json_t *json_sites(const struct stats *stats)
{
	return json_pack("{s:o, s:o}", "patched", json_count(stats->sites), "undone", json_count(stats->sites_undone));
}

/* How often the monitor did it. */
static uint64_t done_by_monitor(const uint32_t count[STAT_WAY_COUNT])
{
	return (uint64_t)count[STAT_WAY_trapped] + count[STAT_WAY_clustered] + count[STAT_WAY_interpreted];
}

/* Most frequent first, then in the order of their numbers. */
static int compare_sensitive(const void *a, const void *b, void *stats)
{
	const unsigned x = *(const uint16_t *)a, y = *(const uint16_t *)b;
	const struct stats *s = stats;
	const uint64_t done_x = done_by_monitor(s->sensitive[x]), done_y = done_by_monitor(s->sensitive[y]);

	return done_x != done_y ? (done_x < done_y ? 1 : -1) : (int)x - (int)y;
}

json_t *stats_json_sensitive(const struct stats *stats)
{
	static const char *const ways[] = {
#define X(name) #name,
		STATS_WAYS(X)
#undef X
	};
	json_t *list = json_array();
	uint16_t met[STATS_SENSITIVE];
	unsigned met_count = 0;

	_Static_assert(EMU_IDS == STATS_SENSITIVE, "each instruction has its counters");
	for (unsigned id = 0; id < STATS_SENSITIVE; id++)
		if (done_by_monitor(stats->sensitive[id]) || stats->sensitive[id][STAT_WAY_translated])
			met[met_count++] = (uint16_t)id;
	qsort_r(met, met_count, sizeof(met[0]), compare_sensitive, (void *)stats);
	for (unsigned n = 0; n < met_count; n++) {
		json_t *entry = json_pack("{s:s}", "instruction", emu_name(met[n]));

		for (unsigned way = 0; way < STAT_WAY_COUNT; way++)
			json_object_set_new(entry, ways[way], json_count(stats->sensitive[met[n]][way]));
		json_array_append_new(list, entry);
	}
	return list;
}

json_t *stats_json_hypercalls(const struct stats *stats)
{
	json_t *object = json_object();

	for (unsigned nr = 0; nr < STATS_HYPERCALLS; nr++) {
		if (stats->hypercalls[nr] && hc_name(nr))
			json_object_set_new(object, hc_name(nr), json_count(stats->hypercalls[nr]));
	}
	return object;
}

static json_t *json_memory(const struct vm *vm)
{
	struct rusage usage = {0};
	struct stat ram = {0};

	if (vm->mem.size)
		fstat(vm->mem.fd, &ram);
	getrusage(RUSAGE_SELF, &usage);
	return json_pack("{s:o, s:o, s:o}", "ram_bytes", json_count(vm->mem.size), "touched_bytes",
			 json_count((uint64_t)ram.st_blocks * 512), "monitor_peak_bytes",
			 json_count((uint64_t)usage.ru_maxrss * 1024));
}

json_t *stats_json(const struct vm *vm)
{
	const struct vm_config *config = vm->config;

	return json_pack(
		"{s:s, s:i, s:o, s:o, s:o, s:{s:i, s:o}, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"schema", STATS_SCHEMA, "version", STATS_VERSION, "image", stats_json_text(config->kernel), "engine",
		stats_json_text(vm->engine_ops ? vm->engine_ops->name : config->engine), "transport",
		stats_json_text(config->transport), "exit", "status", vm->status, "reason", stats_json_text(vm->reason),
		"wall_ns", json_count(clock_ns() - vm->stats.start_ns), "vcpus", json_vcpus(vm), "marks",
		json_marks(&vm->stats), "post_codes", json_post_codes(&vm->stats), "shadow", json_shadow(vm), "code",
		json_code(&vm->stats.code), "cache", json_cache(&vm->stats.cache), "memory", json_memory(vm),
		"contended", json_count(vm->stats.contended), "sites", json_sites(&vm->stats), "sensitive",
		stats_json_sensitive(&vm->stats), "hypercalls", stats_json_hypercalls(&vm->stats));
}

static int complain(const char *path, int err)
{
	fprintf(stderr, "ring3: --stats %s: cannot write: %s: name a file in a directory that you may write to\n", path,
		output_error(err));
	return -err;
}

int stats_check_path(const char *path)
{
	int err = output_check(path);

	return err ? complain(path, -err) : 0;
}

static int dump(json_t *document, int fd)
{
	errno = 0;
	if (json_dumpfd(document, fd, JSON_INDENT(2)) < 0 || write(fd, "\n", 1) != 1)
		return errno ? -errno : -EIO;
	return 0;
}

int stats_write(struct vm *vm, const char *path)
{
	json_t *document = stats_json(vm);
	struct output_file file;
	int err;

	if (!document)
		return complain(path, ENOMEM);
	err = output_open(&file, path);
	if (!err)
		err = output_finish(&file, dump(document, file.fd));
	json_decref(document);
	return err ? complain(path, -err) : 0;
}
