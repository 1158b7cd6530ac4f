/*
 * The port I/O bus, and the devices that are a single port.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hypercalls/abi.h"
#include "hypercalls/x86.h"
#include "monitor/device/console.h"
#include "monitor/device/ports.h"
#include "monitor/vm/vm.h"

/* ------------------------------------------------------------------------- what the ports reach, recorded */

static char printed[64];
static size_t printed_len;

void console_write(struct console *console, const void *data, size_t len)
{
	memcpy(printed + printed_len, data, len);
	printed_len += len;
}

void vm_end(struct vm *vm, int status)
{
	vm->ended = true;
	vm->status = status;
}

void vm_kill(struct vm *vm, const char *format, ...)
{
	vm_end(vm, VM_STATUS_CRASH);
}

void vm_panic(struct vm *vm, const char *why)
{
	vm_end(vm, R3_STATUS_PANIC);
	snprintf(vm->reason, sizeof(vm->reason), "%s", why);
}

void stats_mark(struct stats *stats, const char *name)
{
	stats->marks[stats->mark_count++] = (struct stats_mark){.name = name};
}

/* --------------------------------------------------------------------------------------------------- the bus */

struct access {
	unsigned offset, size;
	bool write;
	uint32_t value;
};

struct probe {
	struct access seen[8];
	unsigned count;
	uint32_t answer;
};

static void probe_access(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct probe *probe = device;

	probe->seen[probe->count++] = (struct access){offset, size, write, write ? *value : 0};
	if (!write)
		*value = probe->answer + offset;
}

static void assert_access(const struct probe *probe, unsigned i, unsigned offset, unsigned size, uint32_t value)
{
	assert_true(i < probe->count);
	assert_int_equal(probe->seen[i].offset, offset);
	assert_int_equal(probe->seen[i].size, size);
	assert_int_equal(probe->seen[i].value, value);
}

static void unclaimed_ports_float(void **state)
{
	struct bus bus = {0};
	uint32_t value = 0;

	bus_io(&bus, 0x1234, 1, false, &value);
	assert_int_equal(value, 0xff);
	bus_io(&bus, 0x1234, 2, false, &value);
	assert_int_equal(value, 0xffff);
	bus_io(&bus, 0xffff, 4, false, &value);
	assert_int_equal(value, 0xffffffff);
	bus_io(&bus, 0x1234, 4, true, &value);
}

static void wide_access_reaches_wide_device_whole(void **state)
{
	struct bus bus = {0};
	struct probe probe = {.answer = 0xcafe0000};
	uint32_t value = 0x11223344;

	bus_register(&bus, 0x100, 8, 4, probe_access, &probe, "probe");
	bus_io(&bus, 0x104, 4, true, &value);
	assert_access(&probe, 0, 4, 4, 0x11223344);
	bus_io(&bus, 0x102, 4, false, &value);
	assert_int_equal(value, 0xcafe0002);
	assert_int_equal(probe.count, 2);
}

static void wide_access_is_split_for_byte_device(void **state)
{
	struct bus bus = {0};
	struct probe probe = {.answer = 0x50};
	uint32_t value = 0x11223344;

	bus_register(&bus, 0x100, 2, 1, probe_access, &probe, "probe");
	bus_io(&bus, 0x100, 2, true, &value);
	assert_access(&probe, 0, 0, 1, 0x44);
	assert_access(&probe, 1, 1, 1, 0x33);
	/* Across the end: the missing bytes float. */
	bus_io(&bus, 0x101, 4, false, &value);
	assert_int_equal(value, 0xffffff51);
	bus_io(&bus, 0x0ff, 2, false, &value);
	assert_int_equal(value, 0x50ff);
}

static void assert_aborts(uint16_t base, uint16_t length)
{
	struct bus bus = {0};
	struct probe probe = {0};
	int status;
	pid_t child;

	bus_register(&bus, 0x100, 8, 1, probe_access, &probe, "probe");
	child = fork();
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		bus_register(&bus, base, length, 1, probe_access, &probe, "other");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void overlap_is_a_broken_invariant(void **state)
{
	assert_aborts(0x107, 1);
	assert_aborts(0x0f8, 9);
	assert_aborts(0x0f0, 0x40);
	assert_aborts(0xffff, 2);
	assert_aborts(0x200, 0);
}

/* --------------------------------------------------------------------------------------------- single ports */

static struct vm *machine(void)
{
	static const struct vm_config config;
	static struct vm vm;

	memset(&vm, 0, sizeof(vm));
	printed_len = 0;
	debugcon_attach(&vm);
	exit_port_attach(&vm);
	post_attach(&vm);
	panic_port_attach(&vm);
	vm.config = &config;
	return &vm;
}

static uint32_t in(struct vm *vm, uint16_t port, unsigned size)
{
	uint32_t value = 0;

	bus_io(&vm->bus, port, size, false, &value);
	return value;
}

static void out(struct vm *vm, uint16_t port, unsigned size, uint32_t value)
{
	bus_io(&vm->bus, port, size, true, &value);
}

static void debugcon_prints_and_identifies(void **state)
{
	struct vm *vm = machine();

	out(vm, X86_PORT_DEBUGCON, 1, 'h');
	out(vm, X86_PORT_DEBUGCON, 1, 'i');
	assert_int_equal(printed_len, 2);
	assert_memory_equal(printed, "hi", 2);
	assert_int_equal(in(vm, X86_PORT_DEBUGCON, 1), 0xe9);
}

static void exit_port_passes_the_status(void **state)
{
	static const struct {
		unsigned size;
		uint32_t value;
		int status;
	} cases[] = {{1, 0, 0},
		     {1, 7, 7},
		     {2, 119, 119},
		     {4, 119, 119},
		     {4, 33, 33},
		     {1, 120, VM_STATUS_CRASH},
		     {4, 0x80000000, VM_STATUS_CRASH}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vm *vm = machine();

		assert_int_equal(in(vm, X86_PORT_EXIT, 1), 0);
		assert_false(vm->ended);
		out(vm, X86_PORT_EXIT, cases[i].size, cases[i].value);
		assert_true(vm->ended);
		assert_int_equal(vm->status, cases[i].status);
	}
}

/* As QEMU's isa-debug-exit: never 0. */
static void exit_port_of_test_kernels(void **state)
{
	static const struct vm_config config = {.testdev = true};
	static const struct {
		uint32_t value;
		int status;
	} cases[] = {{0, 1}, {1, 3}, {0x7f, 0xff}, {0x80, 1}, {UINT32_MAX, 0xff}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vm *vm = machine();

		vm->config = &config;
		out(vm, X86_PORT_EXIT, 4, cases[i].value);
		assert_true(vm->ended);
		assert_int_equal(vm->status, cases[i].status);
	}
}

static void say(struct vm *vm, const char *words)
{
	for (; *words; words++)
		out(vm, X86_PORT_PANIC_TEXT, 1, (uint8_t)*words);
}

static void panic_port_tells_what_it_knows(void **state)
{
	struct vm *vm = machine();

	assert_int_equal(in(vm, X86_PORT_PANIC, 1), X86_PANIC_PANICKED);
	assert_int_equal(in(vm, X86_PORT_PANIC_TEXT, 1), 0);
	out(vm, X86_PORT_PANIC, 1, 0);
	out(vm, X86_PORT_PANIC, 1, (uint8_t)~X86_PANIC_PANICKED); /* a crash kernel is loaded, and what nobody knows */
	assert_false(vm->ended);
	out(vm, X86_PORT_PANIC, 1, 0xff);
	assert_int_equal(vm->status, R3_STATUS_PANIC);
	assert_string_equal(vm->reason, "its console says why");
}

/* A word to two ports is a byte to each, the event first. */
static void panic_port_takes_the_reason(void **state)
{
	struct vm *vm = machine();

	say(vm, "no init found");
	assert_false(vm->ended);
	out(vm, X86_PORT_PANIC, 2, X86_PANIC_PANICKED | '!' << 8);
	assert_int_equal(vm->status, R3_STATUS_PANIC);
	assert_string_equal(vm->reason, "no init found");
	assert_string_equal(vm->last_words, "no init found!");
}

static void panic_port_keeps_to_its_room(void **state)
{
	struct vm *vm = machine();

	for (unsigned i = 0; i < 10 * R3_PANIC_MAX; i++)
		out(vm, X86_PORT_PANIC_TEXT, 1, 'x');
	assert_int_equal(strlen(vm->last_words), R3_PANIC_MAX);
	assert_false(vm->dismissed || vm->leaves || vm->ended); /* what lies behind */
	vm = machine();
	out(vm, X86_PORT_PANIC_TEXT, 1, 0); /* is no end of what was said: there is nothing yet */
	say(vm, "one");
	out(vm, X86_PORT_PANIC_TEXT, 1, 0);
	say(vm, "two");
	assert_string_equal(vm->last_words, "onetwo");
}

static void post_codes_are_kept(void **state)
{
	struct vm *vm = machine();

	for (unsigned i = 0; i < 70; i++)
		out(vm, X86_PORT_POST, 1, i);
	assert_int_equal(vm->stats.post_count, 70);
	assert_int_equal(vm->stats.post_codes[69 % 64], 69);
	assert_int_equal(vm->stats.post_codes[69 % 64 + 1], 6);
	assert_int_equal(in(vm, X86_PORT_POST, 1), 69);
}

static void post_marks_leave_room_for_others(void **state)
{
	struct vm *vm = machine();

	out(vm, X86_PORT_POST, 1, 0x3f);
	out(vm, X86_PORT_POST, 1, 0x3f);
	assert_int_equal(vm->stats.mark_count, 1);
	assert_string_equal(vm->stats.marks[0].name, "post 0x3f");
	for (unsigned i = 0; i < 1000; i++)
		out(vm, X86_PORT_POST, 1, i & 0xff);
	assert_int_equal(vm->stats.mark_count, STATS_MARKS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unclaimed_ports_float),
		cmocka_unit_test(wide_access_reaches_wide_device_whole),
		cmocka_unit_test(wide_access_is_split_for_byte_device),
		cmocka_unit_test(overlap_is_a_broken_invariant),
		cmocka_unit_test(debugcon_prints_and_identifies),
		cmocka_unit_test(exit_port_passes_the_status),
		cmocka_unit_test(exit_port_of_test_kernels),
		cmocka_unit_test(panic_port_tells_what_it_knows),
		cmocka_unit_test(panic_port_takes_the_reason),
		cmocka_unit_test(panic_port_keeps_to_its_room),
		cmocka_unit_test(post_codes_are_kept),
		cmocka_unit_test(post_marks_leave_room_for_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
