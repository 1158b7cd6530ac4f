/*
 * The command line of `ring3 run`: what each option sets, QEMU's spellings, and that bad input is refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "monitor/cli/common/options.h"
#include "tests/unit/capture.h"

#define ARGS_MAX 24

static struct vm_config config;
static struct capture out, err;

/* Parses the words after "run", which end with NULL. */
static enum options_result parse_list(const char *const *words)
{
	char *argv[ARGS_MAX + 1] = {"run"};
	enum options_result result;
	int argc = 1;

	for (; *words; words++)
		argv[argc++] = (char *)*words;
	capture_start(&out, stdout);
	capture_start(&err, stderr);
	result = options_parse(argc, argv, &config);
	capture_end(&err);
	capture_end(&out);
	return result;
}
static unsigned lines(const char *text)
{
	unsigned count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}
#define parse(...) parse_list((const char *const[]){__VA_ARGS__, NULL})

#define assert_run(...)                                                                                                \
	do {                                                                                                           \
		assert_int_equal(parse(__VA_ARGS__), OPTIONS_RUN);                                                     \
		assert_string_equal(err.text, "");                                                                     \
		assert_string_equal(out.text, "");                                                                     \
	} while (0)

/* Refused, with every line on stderr marked, and the fragment in the first. */
static void check_refusal(enum options_result result, const char *fragment)
{
	const char *line = err.text, *end;

	assert_int_equal(result, OPTIONS_BAD);
	assert_string_equal(out.text, "");
	if (!strstr(err.text, fragment) || strstr(err.text, fragment) > strchr(err.text, '\n'))
		fail_msg("no \"%s\" in the first line of \"%s\"", fragment, err.text);
	for (; (end = strchr(line, '\n')); line = end + 1)
		assert_int_equal(strncmp(line, "ring3: ", 7), 0);
	assert_int_equal(*line, 0);
}
#define assert_refused(fragment, ...) check_refusal(parse(__VA_ARGS__), fragment)

static void test_defaults(void **state)
{
	assert_run("k.elf");
	assert_string_equal(config.kernel, "k.elf");
	assert_string_equal(config.cmdline, "");
	assert_int_equal(config.memory, 64 << 20);
	assert_int_equal(config.vcpus, 1);
	assert_int_equal(config.cpus, 0);
	assert_int_equal(config.module_count, 0);
	assert_true(config.timeout == 0);
	assert_string_equal(config.engine, "trap");
	assert_string_equal(config.transport, "signal");
	assert_null(config.stats_file);
}

static void test_long_options(void **state)
{
	assert_run("--engine", "trap", "--transport=ptrace", "--memory=128M", "--append", "pv=off x", "--module=a",
		   "--module", "d/b root=x -v", "--smp=1", "--cpus=2", "--timeout=1.5", "--stats", "s.json", "k.elf");
	assert_string_equal(config.transport, "ptrace");
	assert_int_equal(config.memory, 128 << 20);
	assert_string_equal(config.cmdline, "pv=off x");
	assert_int_equal(config.module_count, 2);
	assert_string_equal(config.modules[0], "a");
	assert_string_equal(config.modules[1], "d/b");
	assert_string_equal(config.module_texts[1], "d/b root=x -v");
	assert_int_equal(config.cpus, 2);
	assert_true(config.timeout == 1.5);
	assert_string_equal(config.stats_file, "s.json");
}

static void test_short_options(void **state)
{
	assert_run("k.elf", "-m", "32", "-a", "hello");
	assert_int_equal(config.memory, 32 << 20);
	assert_string_equal(config.cmdline, "hello");
	assert_run("-m8M", "k.elf");
	assert_int_equal(config.memory, 8 << 20);
}

static void test_qemu_spellings(void **state)
{
	assert_run("-kernel", "k.elf", "-append", "quiet", "-initrd", "i.img", "-m", "256", "-smp", "1", "-nographic");
	assert_string_equal(config.kernel, "k.elf");
	assert_string_equal(config.cmdline, "quiet");
	assert_string_equal(config.modules[0], "i.img");
	assert_int_equal(config.memory, 256 << 20);
}

/* What people paste: taken without a word, with a line where it means nothing here, refused where a guest misses it. */
static void test_pasted_words(void **state)
{
	assert_run("-nodefaults", "-no-user-config", "-no-reboot", "-serial", "stdio", "-serial", "mon:stdio",
		   "-monitor", "none", "-display", "none", "-vga", "none", "-net", "none", "-debugcon", "stdio", "-rtc",
		   "base=utc", "k.elf", "-smp", "1");
	assert_string_equal(err.text, "");
	assert_run("-d", "int", "-D", "log", "-kernel", "k.elf");
	assert_string_equal(config.trace_events, "fault,irq");
	assert_string_equal(config.trace_file, "log");
	assert_string_equal(err.text, "");
	assert_int_equal(parse("-enable-kvm", "-cpu", "host", "k.elf", "-accel", "kvm", "-M", "q35", "-serial", "pty",
			       "-d", "in_asm", "-no-shutdown", "-usb", "-rtc", "base=localtime"),
			 OPTIONS_RUN);
	assert_null(config.trace_events);
	assert_int_equal(lines(err.text), 9);
	assert_non_null(strstr(err.text, "ring3: -cpu host has no meaning here and is left out: CPUID"));
	assert_non_null(strstr(err.text, "ring3: -enable-kvm has no meaning"));
	assert_non_null(strstr(err.text, "ring3: -serial pty has no meaning"));
	/* At the end, and as a value of another option. */
	assert_int_equal(parse("k.elf", "-cpu"), OPTIONS_RUN);
	assert_run("k.elf", "-d");
	assert_run("--append", "-cpu", "k.elf");
	assert_string_equal(config.cmdline, "-cpu");
	assert_run("-hda", "a.img", "-drive", "file=b.img,if=ide,format=raw,readonly=on", "k.elf");
	assert_int_equal(config.disk_count, 2);
	assert_string_equal(config.disks[0].path, "a.img");
	assert_string_equal(config.disks[1].path, "b.img");
	assert_true(config.disks[1].readonly && !config.disks[0].readonly);
	assert_refused("a disk is file=FILE,format=raw", "-drive", "file=x,format=qcow2", "k.elf");
	assert_refused("a disk is file=FILE,format=raw", "-drive", "file=x", "k.elf");
	assert_refused("--net:service=tap100: there are no network devices", "--net:service=tap100", "k.hvt");
	assert_refused("there are no network devices", "--net-mac:service=02:00:00:00:00:01", "k.hvt");
	assert_refused("there is no option '-device'", "k.elf", "-device", "e1000");
	assert_refused("there is no option '-device'", "k.elf", "-device", "isa-debug-exit,iobase=0x501");
	assert_refused("there is no option '-device'", "k.elf", "-device");
	assert_int_equal(parse("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "k.elf"), OPTIONS_RUN);
	assert_int_equal(lines(err.text), 1);
	assert_non_null(strstr(err.text, "port 0xf4 is there"));
	assert_run("-cdrom", "a.iso", "k.elf");
	assert_string_equal(config.cdrom.path, "a.iso");
	assert_true(config.cdrom.readonly);
	assert_run("-drive", "file=b.iso,media=cdrom", "--boot", "dca", "k.elf");
	assert_string_equal(config.cdrom.path, "b.iso");
	assert_string_equal(config.boot_order, "dca");
	assert_refused("there is one drive", "-cdrom", "a.iso", "--cdrom", "b.iso", "k.elf");
	assert_refused("leave out the overlay", "--cdrom", "a.iso,overlay=b", "k.elf");
}

static void test_disks(void **state)
{
	assert_run("--disk", "a.img,overlay=a.over", "k.elf");
	assert_string_equal(config.disks[0].path, "a.img");
	assert_string_equal(config.disks[0].overlay, "a.over");
	assert_refused("name a file", "--disk", ",readonly", "k.elf");
	assert_refused("'ro' is none of readonly", "--disk", "a.img,ro", "k.elf");
	assert_refused("'overlay=' is none of", "--disk", "a.img,overlay=", "k.elf");
	assert_refused("leave out readonly", "--disk", "a.img,readonly,overlay=b", "k.elf");
	assert_refused("no more than 2 disks", "--disk", "a", "--disk", "b", "--disk", "c", "k.elf");
	assert_run("--floppy", "a.img,readonly", "-fdb", "b.img", "-boot", "order=ac", "k.elf");
	assert_int_equal(config.floppy_count, 2);
	assert_string_equal(config.floppies[0].path, "a.img");
	assert_string_equal(config.floppies[1].path, "b.img");
	assert_true(config.floppies[0].readonly && !config.floppies[1].readonly);
	assert_string_equal(config.boot_order, "ac");
	assert_run("-drive", "if=floppy,format=raw,file=c.img", "--boot", "a", "k.elf");
	assert_string_equal(config.floppies[0].path, "c.img");
	assert_int_equal(config.disk_count, 0);
	assert_refused("no more than 2 floppy drives", "-fda", "a", "-fda", "b", "-fda", "c", "k.elf");
	assert_refused("there is no network", "--boot", "n", "k.elf");
	assert_refused("give a for the floppy", "--boot", "order=", "k.elf");
	assert_run("--machine", "testdev", "k.elf");
	assert_true(config.testdev);
	assert_refused("is not testdev", "--machine", "q35", "k.elf");
}

/* A value may look like an option: it is none. */
static void test_values_are_left_alone(void **state)
{
	assert_run("-append", "-kernel", "k.elf");
	assert_string_equal(config.cmdline, "-kernel");
	assert_run("--app", "-smp", "k.elf");
	assert_string_equal(config.cmdline, "-smp");
	assert_run("-a", "-accel", "k.elf");
	assert_string_equal(config.cmdline, "-accel");
	assert_run("--append=-initrd", "--", "-kernel");
	assert_string_equal(config.kernel, "-kernel");
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t bytes;
	} cases[] = {
		{"1", 0, 1 << 20},
		{"64", 0, 64 << 20},
		{"4096K", 0, 4 << 20},
		{"16m", 0, 16 << 20},
		{"3G", 0, 3ULL << 30},
		{"1T", 0, 1ULL << 40},
		{"0", 0, 0},
		{"", -EINVAL, 0},
		{"x", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{"1MB", -EINVAL, 0},
		{"1.5G", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1Q", -EINVAL, 0},
		{"17592186044415M", 0, 17592186044415ULL << 20},
		{"17592186044416", -ERANGE, 0},
		{"16777216T", -ERANGE, 0},
		{"99999999999999999999", -ERANGE, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 0;

		assert_int_equal(options_size(cases[i].text, &bytes), cases[i].err);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

static void test_memory_bounds(void **state)
{
	assert_run("-m", "2M", "k.elf");
	assert_int_equal(config.memory, 2 << 20);
	assert_refused("--memory 1M is too little: give at least 2M", "-m", "1M", "k.elf");
	assert_refused("--memory 0 is too little", "-m", "0", "k.elf");
	assert_refused("--memory 2T is too much: give at most 1T", "-m", "2T", "k.elf");
	assert_refused("--memory 99999999999999999999G is too much", "-m", "99999999999999999999G", "k.elf");
	assert_refused("steps of 2M: give 4M", "-m", "3M", "k.elf");
	assert_refused("'lots' is no size", "-m", "lots", "k.elf");
}

static void test_bad_values(void **state)
{
	assert_refused("there is no engine 'warp': choose from trap", "--engine", "warp", "k.elf");
	assert_refused("there is no transport 'fax': choose from signal ptrace", "--transport", "fax", "k.elf");
	assert_refused("--cpus: '3' is none of 1, 2, auto", "--cpus", "3", "k.elf");
	assert_refused("--smp 2: this build gives a guest one processor", "-smp", "2", "k.elf");
	assert_refused("--smp: '0' is no number", "--smp=0", "k.elf");
	assert_refused("--smp: 'two' is no number", "--smp=two", "k.elf");
	assert_refused("--timeout: '0' is no time", "--timeout", "0", "k.elf");
	assert_refused("--timeout: '-1' is no time", "--timeout", "-1", "k.elf");
	assert_refused("--timeout: 'nan' is no time", "--timeout", "nan", "k.elf");
	assert_refused("--timeout: 'inf' is no time", "--timeout", "inf", "k.elf");
	assert_refused("--timeout: '1s' is no time", "--timeout", "1s", "k.elf");
	assert_refused("--timeout 1e300 is too long", "--timeout", "1e300", "k.elf");
}

static void test_cpu(void **state)
{
	assert_run("k.elf");
	assert_false(config.cpu.chosen);
	assert_run("--cpu", "x86-64-v2,-popcnt", "k.elf");
	assert_int_equal(config.cpu.wish[CPU_popcnt], CPU_WITHOUT);
	assert_int_equal(config.cpu.wish[CPU_sse4_2], CPU_WANTED);
	assert_refused("--cpu: there is no model 'z80': choose from host i686", "--cpu", "z80", "k.elf");
	assert_refused("--cpu: '+warp' is no +FEATURE, -FEATURE or vendor", "--cpu=host,+warp", "k.elf");
	assert_int_equal(parse("--cpu", "help"), OPTIONS_DONE);
}

static void test_unknown_options(void **state)
{
	assert_refused("unrecognized option '--frobnicate'", "--frobnicate", "k.elf");
	assert_refused("there is no option '-netdev'", "-netdev", "user,id=n", "k.elf");
	assert_refused("invalid option -- 'Z'", "-Z", "k.elf");
	assert_refused("requires an argument", "k.elf", "-m");
	assert_refused("requires an argument", "k.elf", "-append");
}

static void test_kernel(void **state)
{
	assert_refused("no kernel: name the guest's file", "-m", "8");
	assert_refused("'verbose' is one argument too many, the kernel is k.elf", "k.elf", "verbose");
	assert_refused("'l.elf' is one argument too many, the kernel is k.elf", "-kernel", "k.elf", "l.elf");
}

static void test_too_many_modules(void **state)
{
	const char *words[VM_MODULES_MAX + 3] = {0};

	for (unsigned i = 0; i < VM_MODULES_MAX; i++)
		words[i] = "--module=m";
	words[VM_MODULES_MAX] = "k.elf";
	assert_int_equal(parse_list(words), OPTIONS_RUN);
	words[VM_MODULES_MAX + 1] = "--module=n";
	check_refusal(parse_list(words), "--module n: there can be no more than 16 modules");
}

static void test_gdb(void **state)
{
	assert_run("-s", "k.elf");
	assert_string_equal(config.gdb, OPTIONS_GDB_DEFAULT);
	assert_false(config.gdb_stop);
	assert_run("-S", "-gdb", "tcp::1234", "k.elf");
	assert_string_equal(config.gdb, "tcp::1234");
	assert_true(config.gdb_stop);
	assert_run("--gdb=unix:/tmp/s", "k.elf");
	assert_run("--gdb=[::1]:0", "k.elf");
	assert_run("--gdb=stdio", "k.elf");
	assert_refused("-S without a debugger", "-S", "k.elf");
	for (const char *const *bad = (const char *const[]){"", "1234", ":", ":65536", ":x", ":12 ", "unix:", NULL};
	     *bad; bad++)
		assert_refused("is no address", "--gdb", *bad, "k.elf");
}

static void test_traces(void **state)
{
	assert_run("--trace", "all,-irq,rip=0x1000-0x2000,symbol=main*,reason=mmu_*,cpl=3", "k.elf");
	assert_run("--trace=exit", "--trace-file=t.jsonl", "k.elf");
	assert_string_equal(config.trace_events, "exit");
	assert_string_equal(config.trace_file, "t.jsonl");
	for (const char *const *bad = (const char *const[]){"", "exits", "exit,", "rip=", "rip=2-1", "rip=1-2x",
							    "cpl=x", "symbol=", "--exit", NULL};
	     *bad; bad++)
		assert_refused("is no event", "--trace", *bad, "k.elf");
}

static void test_help(void **state)
{
	assert_int_equal(parse("--help"), OPTIONS_DONE);
	assert_string_equal(err.text, "");
	assert_non_null(strstr(out.text, "Usage: ring3 run [OPTION...] KERNEL"));
	assert_non_null(strstr(out.text, "--transport=signal|ptrace"));
	assert_non_null(strstr(out.text, "--gdb=ADDR"));
	assert_non_null(strstr(out.text, "--trace=EVENTS"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),      cmocka_unit_test(test_long_options),
		cmocka_unit_test(test_short_options), cmocka_unit_test(test_qemu_spellings),
		cmocka_unit_test(test_pasted_words),  cmocka_unit_test(test_values_are_left_alone),
		cmocka_unit_test(test_disks),	      cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_memory_bounds), cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_cpu),	      cmocka_unit_test(test_unknown_options),
		cmocka_unit_test(test_kernel),	      cmocka_unit_test(test_too_many_modules),
		cmocka_unit_test(test_gdb),	      cmocka_unit_test(test_traces),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
