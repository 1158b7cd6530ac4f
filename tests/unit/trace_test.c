/*
 * Traces: the choice of events, the rings, the wire format, and what recording costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hypercalls/host/hc.h"
#include "monitor/debug/trace/internal.h"
#include "monitor/debug/trace/protobuf.h"

static struct vm vm;
static struct vcpu vcpu;
static struct vm_config config;
static const struct engine_ops engine = {.name = "trap"};
static char path[] = "/tmp/ring3-trace-XXXXXX.pftrace";

static void start(const char *events, const char *file)
{
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	config = (struct vm_config){.kernel = "k.elf",
				    .cmdline = "",
				    .engine = "trap",
				    .transport = "signal",
				    .vcpus = 1,
				    .trace_events = events,
				    .trace_file = file};
	vm.config = &config;
	vm.engine_ops = &engine;
	vm.vcpu[0] = &vcpu;
	vm.vcpu_count = 1;
	vcpu.vm = &vm;
	vcpu.cr3 = 0x5000;
	stats_start(&vm.stats);
	assert_int_equal(trace_up(&vm), 0);
}

static void make_path(const char *suffix)
{
	int fd;

	strcpy(path, "/tmp/ring3-trace-XXXXXX");
	strcat(path, suffix);
	fd = mkstemps(path, (int)strlen(suffix));
	assert_true(fd >= 0);
	close(fd);
}

static void end(void)
{
	trace_finish(&vm);
	trace_down(&vm);
	unlink(path);
}

static struct trace_filter parsed(const char *text)
{
	struct trace_filter filter;
	char wrong[64];

	assert_true(trace_filter_parse(text, &filter, wrong, sizeof(wrong)));
	return filter;
}

static void test_kinds(void **state)
{
	const uint32_t all = (uint32_t)(R3_BIT(TRACE_KIND_COUNT) - 1);

	assert_int_equal(parsed(NULL).kinds, all);
	assert_int_equal(parsed("all").kinds, all);
	assert_int_equal(parsed("exit").kinds, R3_BIT(TRACE_exit));
	assert_int_equal(parsed("exit,irq").kinds, R3_BIT(TRACE_exit) | R3_BIT(TRACE_irq));
	assert_int_equal(parsed("-shadow").kinds, all & ~R3_BIT(TRACE_shadow));
	assert_int_equal(parsed("all,-shadow,-exit").kinds, all & ~(R3_BIT(TRACE_shadow) | R3_BIT(TRACE_exit)));
	assert_int_equal(parsed("cpl=3").kinds, all);
	assert_int_equal(parsed("exit,-exit").kinds, 0);
}

static bool passes(const char *text, uint64_t rip, unsigned cpl, enum trace_shadow reason)
{
	struct trace_filter filter = parsed(text);
	const struct trace_event event = {
		.kind = TRACE_shadow, .rip = rip, .cpl = (uint8_t)cpl, .reason = (uint16_t)reason};

	return trace_filter_match(&vm, &filter, &event);
}

static void test_terms(void **state)
{
	memset(&vm, 0, sizeof(vm));
	assert_true(passes("all", 1, 0, TRACE_SHADOW_MAP));
	assert_true(passes("rip=0x1000-0x1fff", 0x1000, 0, TRACE_SHADOW_MAP));
	assert_true(passes("rip=0x1000-0x1fff", 0x1fff, 0, TRACE_SHADOW_MAP));
	assert_false(passes("rip=0x1000-0x1fff", 0x2000, 0, TRACE_SHADOW_MAP));
	assert_true(passes("rip=0x1000,rip=0x3000", 0x3000, 0, TRACE_SHADOW_MAP));
	assert_true(passes("cpl=3", 0, 3, TRACE_SHADOW_MAP));
	assert_false(passes("cpl=3", 0, 0, TRACE_SHADOW_MAP));
	assert_true(passes("reason=*map", 0, 0, TRACE_SHADOW_UNMAP));
	assert_false(passes("reason=map", 0, 0, TRACE_SHADOW_UNMAP));
	assert_true(passes("reason=map,reason=fill", 0, 0, TRACE_SHADOW_FILL));
	assert_false(passes("reason=fill,cpl=3", 0, 0, TRACE_SHADOW_FILL));
	assert_false(passes("symbol=*", 0, 0, TRACE_SHADOW_FILL)); /* no image: no symbols */
}

static void test_wire_format(void **state)
{
	/* From the encoding's documentation: field 1 = 150; field 2 = "testing"; and a message in field 3. */
	static const uint8_t expected[] = {0x08, 0x96, 0x01, 0x12, 0x07, 't',  'e',  's', 't',
					   'i',	 'n',  'g',  0x1a, 0x83, 0x00, 0x08, 150, 1};
	static struct proto proto;
	size_t mark;

	proto_reset(&proto);
	proto_varint(&proto, 1, 150);
	proto_string(&proto, 2, "testing");
	mark = proto_begin(&proto, 3);
	proto_varint(&proto, 1, 150);
	proto_end(&proto, mark);
	assert_false(proto.overflow);
	assert_int_equal(proto.len, sizeof(expected));
	assert_memory_equal(proto.data, expected, sizeof(expected));
}

static void test_wire_overflow(void **state)
{
	static struct proto proto;
	char text[2 * PROTO_STRING];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	proto_reset(&proto);
	proto_string(&proto, 1, text);
	assert_true(proto.len < PROTO_STRING + 8); /* cut, whole otherwise */
	for (int i = 0; i < 100; i++) {
		size_t mark = proto_begin(&proto, 1);
		proto_string(&proto, 1, text);
		proto_varint(&proto, 1, UINT64_MAX);
		proto_end(&proto, mark);
	}
	assert_true(proto.overflow);
	assert_true(proto.len <= PROTO_SIZE);
}

/* Guest code runs and stops once, for a hypercall. */
static void one_exit(uint64_t rip)
{
	const struct vm_exit exit = {.reason = EXIT_HYPERCALL};
	bool taken = false;
	const uint64_t arg[6] = {1, 2};

	OBSERVE(&vm, enter, &vcpu);
	vcpu.rip = rip;
	OBSERVE(&vm, leave, &vcpu, &exit, &taken);
	trace_exit_reason(&vcpu, STAT_hypercall, R3_HC_set_timer, NULL, 0);
	trace_hypercall(&vcpu, R3_HC_set_timer, arg, 0, clock_tsc(), false);
}

static void test_last(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	make_path(".log");
	start("exit", path);
	assert_int_equal(trace_last(&vcpu, 3, out), 0);
	for (uint64_t i = 0; i < 3 * TRACE_RING; i++) {
		const struct vm_exit exit = {.reason = EXIT_KICK};
		bool taken = false;
		OBSERVE(&vm, enter, &vcpu);
		vcpu.rip = i;
		OBSERVE(&vm, leave, &vcpu, &exit, &taken);
		trace_exit_reason(&vcpu, STAT_kick, 0, NULL, 0);
	}
	assert_int_equal(trace_last(&vcpu, 2, out), 2);
	assert_int_equal(trace_last(&vcpu, 100 * TRACE_RING, out), TRACE_RING);
	fclose(out);
	assert_non_null(strstr(text, " k 0x5fe  exit kick("));
	assert_non_null(strstr(text, " k 0x5ff  exit kick("));
	assert_non_null(strstr(text, " k 0x400  exit kick("));
	assert_null(strstr(text, " k 0x3ff  exit kick("));
	free(text);
	end();
}

static void test_no_memory_between(void **state)
{
	/* One exit with more events than the ring holds. */
	const struct vm_exit exit = {.reason = EXIT_HYPERCALL};
	bool taken = false;
	const uint64_t arg[6] = {0};

	make_path(".log");
	start("all,-shadow", path);
	OBSERVE(&vm, enter, &vcpu);
	OBSERVE(&vm, leave, &vcpu, &exit, &taken);
	for (int i = 0; i < 4 * TRACE_RING; i++)
		trace_hypercall(&vcpu, R3_HC_abi_version, arg, 1, clock_tsc(), true);
	OBSERVE(&vm, enter, &vcpu);
	trace_flush(&vm);
	assert_int_equal(OBSERVER_OWNER(vm.recorder, struct trace, recorder)->events, 4 * TRACE_RING + 1);
	end();
}

static double thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The figures in docs/traces.md; as a test, only that nothing is wrong by an order of magnitude. */
static void measure(const char *what, const char *events, const char *file, bool record)
{
	enum { EXITS = 200000 };
	double began;

	if (record)
		start(events, file);
	began = thread_ns();
	for (uint64_t i = 0; i < EXITS; i++) {
		if (record) {
			one_exit(0x1000 + i % 64);
		} else {
			__asm__ volatile("" ::: "memory");
			OBSERVE(&vm, enter, &vcpu);
			if (vm.trace_kinds)
				trace_exit_done(&vcpu);
			if (trace_wants(&vm, TRACE_hypercall))
				trace_exit_done(&vcpu);
		}
	}
	double each = (thread_ns() - began) / EXITS / 2;
	print_message("%-10s %6.1f ns an event\n", what, each);
	assert_true(each < 200000);
	if (record) {
		trace_finish(&vm);
		trace_down(&vm);
	}
}

/* The form goes by the name. */
static void measure_form(const char *what, const char *suffix)
{
	make_path(suffix);
	unlink(path);
	measure(what, "all,-shadow", path, true);
	unlink(path);
}

static void test_cost(void **state)
{
	memset(&vm, 0, sizeof(vm));
	measure("off", NULL, NULL, false);
	measure("recorded", "exit,hypercall,cpl=3", "/dev/null", true);
	measure_form("pftrace", ".pftrace");
	measure_form("jsonl", ".jsonl");
	measure("text", "all,-shadow", "/dev/null", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),	    cmocka_unit_test(test_terms),
		cmocka_unit_test(test_wire_format), cmocka_unit_test(test_wire_overflow),
		cmocka_unit_test(test_last),	    cmocka_unit_test(test_no_memory_between),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
