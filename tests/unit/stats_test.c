/*
 * Statistics: counting, the ring of the last exits, and the JSON document read back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "monitor/emulate/emulate.h"
#include "monitor/vm/vm.h"
#include "tests/unit/capture.h"

static struct vm vm;
static struct vm_config config;
static char dir[] = "/tmp/ring3-stats-XXXXXX", path[64];

static int setup(void **state)
{
	memset(&vm, 0, sizeof(vm));
	config = (struct vm_config){.kernel = "k.elf", .engine = "trap", .transport = "signal", .cmdline = ""};
	vm.config = &config;
	vm.vcpu_count = 1;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/stats.json", dir);
	stats_start(&vm.stats);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return rmdir(dir);
}

static json_t *read_back(void)
{
	json_error_t error;
	json_t *document = json_load_file(path, 0, &error);

	if (!document)
		fail_msg("line %d: %s", error.line, error.text);
	return document;
}

static json_int_t number(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		fail_msg("%s is no integer", key);
	return json_integer_value(value);
}

static const char *text(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static unsigned files_in_dir(void)
{
	DIR *d = opendir(dir);
	unsigned count = 0;

	for (struct dirent *e = readdir(d); e; e = readdir(d))
		count += e->d_name[0] != '.';
	closedir(d);
	return count;
}

static void test_ring(void **state)
{
	struct stats_vcpu *s = &vm.stats.vcpu[0];

	for (unsigned i = 0; i < STATS_RING + 3; i++)
		stats_exit_note(&vm.stats, 0, i % 2 ? STAT_halt : STAT_hypercall, 0x1000 + i, 3, i);
	assert_int_equal(s->exits[STAT_hypercall], 10);
	assert_int_equal(s->exits[STAT_halt], 9);
	assert_int_equal(s->ring_next, STATS_RING + 3);
	assert_int_equal(s->ring[0].rip, 0x1000 + STATS_RING);
	assert_int_equal(s->ring[3].detail, 3);
	assert_int_equal(s->ring[3].kind, STAT_halt);
	assert_int_equal(s->ring[3].cpl, 3);
	assert_true(s->ring[2].tsc >= s->ring[1].tsc);
}

static void test_too_many_marks(void **state)
{
	for (unsigned i = 0; i < STATS_MARKS + 5; i++)
		stats_mark(&vm.stats, "mark");
	assert_int_equal(vm.stats.mark_count, STATS_MARKS);
}

static void test_names(void **state)
{
	for (unsigned i = 0; i < STAT_COUNT; i++)
		assert_non_null(stats_exit_names[i]);
	assert_string_equal(stats_exit_names[STAT_shadow_fill], "shadow_fill");
}

static void check_vcpu(json_t *vcpu)
{
	json_t *exits = json_object_get(vcpu, "exits");

	assert_int_equal(number(vcpu, "id"), 0);
	assert_int_equal(json_object_size(exits), STAT_COUNT);
	assert_int_equal(number(exits, "privileged"), 2);
	assert_int_equal(number(exits, "syscall"), 1);
	assert_int_equal(number(exits, "kick"), 0);
	assert_int_equal(number(vcpu, "exits_total"), 3);
	assert_int_equal(number(vcpu, "injected"), 7);
	assert_int_equal(number(vcpu, "interpreted"), 12345);
	assert_true(number(vcpu, "guest_ns") > number(vcpu, "monitor_ns"));
	assert_true(number(vcpu, "monitor_ns") > 0);
}

static void fill(void)
{
	stats_mark(&vm.stats, "first");
	stats_mark(&vm.stats, "second");
	stats_exit_note(&vm.stats, 0, STAT_privileged, 0, 0, 0);
	stats_exit_note(&vm.stats, 0, STAT_privileged, 0, 0, 0);
	stats_exit_note(&vm.stats, 0, STAT_syscall, 0, 3, 0);
	vm.stats.vcpu[0].injected = 7;
	vm.stats.vcpu[0].interpreted = 12345;
	vm.stats.vcpu[0].guest_tsc = 2000000;
	vm.stats.vcpu[0].monitor_tsc = 1000000;
	vm.stats.post_codes[0] = 0x11;
	vm.stats.post_codes[1] = 0x22;
	vm.stats.post_count = 2;
	vm.status = 42;
}

static void test_document(void **state)
{
	json_t *document, *marks, *exit, *codes;

	fill();
	assert_int_equal(stats_write(&vm, path), 0);
	document = read_back();
	assert_string_equal(text(document, "schema"), "ring3-stats");
	assert_int_equal(number(document, "version"), 1);
	assert_string_equal(text(document, "image"), "k.elf");
	assert_string_equal(text(document, "engine"), "trap");
	assert_string_equal(text(document, "transport"), "signal");
	exit = json_object_get(document, "exit");
	assert_int_equal(number(exit, "status"), 42);
	assert_true(json_is_null(json_object_get(exit, "reason")));
	assert_true(number(document, "wall_ns") > 0);
	assert_int_equal(json_array_size(json_object_get(document, "vcpus")), 1);
	check_vcpu(json_array_get(json_object_get(document, "vcpus"), 0));
	marks = json_object_get(document, "marks");
	assert_int_equal(json_array_size(marks), 2);
	assert_string_equal(text(json_array_get(marks, 1), "name"), "second");
	assert_true(number(json_array_get(marks, 1), "ns") >= number(json_array_get(marks, 0), "ns"));
	codes = json_object_get(document, "post_codes");
	assert_int_equal(json_array_size(codes), 2);
	assert_int_equal(json_integer_value(json_array_get(codes, 1)), 0x22);
	assert_true(json_is_null(json_object_get(document, "shadow")));
	assert_true(number(json_object_get(document, "memory"), "monitor_peak_bytes") > 0);
	json_decref(document);
	assert_int_equal(files_in_dir(), 1);
}

static void test_instructions_by_frequency(void **state)
{
	static const ZydisMnemonic met[] = {ZYDIS_MNEMONIC_OUT, ZYDIS_MNEMONIC_CLI, ZYDIS_MNEMONIC_IN,
					    ZYDIS_MNEMONIC_STI};
	const size_t count = sizeof(met) / sizeof(met[0]);
	json_t *list;

	vm.stats.sensitive[met[0]][STAT_WAY_interpreted] = 3;
	vm.stats.sensitive[met[1]][STAT_WAY_trapped] = vm.stats.sensitive[met[1]][STAT_WAY_clustered] = 1;
	vm.stats.sensitive[met[2]][STAT_WAY_clustered] = 2;
	vm.stats.sensitive[met[3]][STAT_WAY_translated] = 9; /* which the monitor had nothing to do with */
	list = stats_json_sensitive(&vm.stats);
	assert_int_equal(json_array_size(list), count);
	for (size_t n = 0; n < count; n++)
		assert_string_equal(text(json_array_get(list, n), "instruction"), emu_name(met[n]));
	json_decref(list);
}

static void test_post_codes_wrap(void **state)
{
	json_t *document, *codes;

	for (unsigned i = 0; i < STATS_POST_CODES + 2; i++)
		vm.stats.post_codes[vm.stats.post_count++ % STATS_POST_CODES] = (uint8_t)i;
	assert_int_equal(stats_write(&vm, path), 0);
	document = read_back();
	codes = json_object_get(document, "post_codes");
	assert_int_equal(json_array_size(codes), STATS_POST_CODES);
	assert_int_equal(json_integer_value(json_array_get(codes, 0)), 2);
	assert_int_equal(json_integer_value(json_array_get(codes, STATS_POST_CODES - 1)), STATS_POST_CODES + 1);
	json_decref(document);
}

/* What a guest or a path put into a string must not make the document unreadable. */
static void test_hostile_text(void **state)
{
	json_t *document;

	config.kernel = "bad\xff\"\n.elf";
	strcpy(vm.reason, "quote \" and \x01 and \xc3");
	assert_int_equal(stats_write(&vm, path), 0);
	document = read_back();
	assert_string_equal(text(document, "image"), "bad?\"\n.elf");
	assert_string_equal(text(json_object_get(document, "exit"), "reason"), "quote \" and \x01 and ?");
	json_decref(document);
}

static void test_replaces(void **state)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	struct stat st;

	assert_int_equal(write(fd, "old", 3), 3);
	close(fd);
	umask(022);
	assert_int_equal(stats_check_path(path), 0);
	assert_int_equal(stats_write(&vm, path), 0);
	json_decref(read_back());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600); /* as before */
	assert_int_equal(files_in_dir(), 1);
}

static void test_check_leaves_no_trace(void **state)
{
	assert_int_equal(stats_check_path(path), 0);
	assert_int_equal(files_in_dir(), 0);
}

static void refused(const char *where, const char *fragment)
{
	struct capture c;
	int checked, written;

	capture_start(&c, stderr);
	checked = stats_check_path(where);
	written = stats_write(&vm, where);
	capture_end(&c);
	assert_true(checked < 0);
	assert_true(written < 0);
	if (!strstr(c.text, fragment))
		fail_msg("no \"%s\" in \"%s\"", fragment, c.text);
	assert_int_equal(strncmp(c.text, "ring3: --stats ", 15), 0);
}

static void test_unwritable(void **state)
{
	refused("/nonexistent/stats.json", "No such file or directory: name a file in a directory");
	refused("/tmp", "Is a directory");
	refused("/proc/stats.json", "cannot write");
}

/* Renaming would destroy a device; it is written to instead. */
static void test_device(void **state)
{
	struct stat st;

	assert_int_equal(stats_check_path("/dev/null"), 0);
	assert_int_equal(stats_write(&vm, "/dev/null"), 0);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ring),
		T(too_many_marks),
		T(names),
		T(document),
		T(instructions_by_frequency),
		T(post_codes_wrap),
		T(hostile_text),
		T(replaces),
		T(check_leaves_no_trace),
		T(unwritable),
		T(device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
