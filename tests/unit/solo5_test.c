/*
 * Solo5's hypercalls: each call's answer, and what a unikernel hands over that is no memory, no block, or out of all
 * bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "hypercalls/abi.h"
#include "monitor/boot/solo5.h"
#include "monitor/device/console.h"
#include "monitor/device/solo5.h"
#include "monitor/host/clock.h"
#include "monitor/vm/vm.h"
#include "tests/unit/ram.h"

#define ARGS	0x10000
#define DATA	0x20000
#define SECTOR	512
#define SECTORS 16
#define BLOCK	1 /* its handle */
#define NOW	1000000u
#define WALL	R3_U64(1700000000123456789)

static struct vm vm;
static struct vcpu vcpu;
static struct solo5 solo5;
static struct solo5_block block;
static uint8_t printed[2 * RAM_SIZE];
static size_t printed_len, over_after;

/* ------------------------------------------------------------------------------------- what the calls reach, recorded
 */

void console_write(struct console *console, const void *data, size_t len)
{
	memcpy(printed + printed_len, data, len);
	printed_len += len;
}

bool vm_is_over(const struct vm *machine)
{
	return machine->ended || printed_len >= over_after;
}

void vm_end(struct vm *machine, int status)
{
	if (machine->ended)
		return;
	machine->ended = true;
	machine->status = status;
}

static void end_with(struct vm *machine, int status, const char *format, va_list args)
{
	vm_end(machine, status);
	vsnprintf(machine->reason, sizeof(machine->reason), format, args);
}

void vm_kill(struct vm *machine, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end_with(machine, VM_STATUS_CRASH, format, args);
	va_end(args);
}

void vm_refused(struct vm *machine, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end_with(machine, VM_STATUS_HOST, format, args);
	va_end(args);
}

void vm_panic(struct vm *machine, const char *why)
{
	vm_end(machine, R3_STATUS_PANIC);
}

uint64_t clock_guest_ns(void)
{
	return NOW;
}

uint64_t clock_guest_wall_ns(void)
{
	return WALL;
}

bool gm_is_ram(const struct guest_mem *gm, uint64_t gpa, uint64_t len)
{
	return within_ram(gpa, len);
}

const struct solo5_block *image_solo5_block(const struct vm *machine, uint64_t handle)
{
	return handle == BLOCK ? &block : NULL;
}

/* ------------------------------------------------------------------------------------------------------------ calls */

static int setup(void **state)
{
	uint8_t sector[SECTOR];

	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(ram, 0xee, sizeof(ram));
	vm.vcpu[0] = &vcpu;
	printed_len = 0;
	over_after = SIZE_MAX;
	block = (struct solo5_block){.fd = memfd_create("block", 0), .capacity = SECTORS * SECTOR, .sector = SECTOR};
	for (unsigned n = 0; n < SECTORS; n++) {
		memset(sector, (int)n, sizeof(sector));
		if (write(block.fd, sector, sizeof(sector)) != sizeof(sector))
			return -1;
	}
	solo5_init(&solo5, &vm);
	return 0;
}

static int teardown(void **state)
{
	return close(block.fd);
}

static void out(enum solo5_call call, uint32_t gpa)
{
	bus_io(&vm.bus, (uint16_t)(SOLO5_PORT + call), 4, true, &gpa);
}

static void ask(enum solo5_call call, const void *args, size_t len)
{
	assert_true(gm_write(&vm.mem, ARGS, args, len));
	out(call, ARGS);
}

static void assert_crashed(const char *why)
{
	assert_true(vm.ended);
	assert_int_equal(vm.status, VM_STATUS_CRASH);
	assert_non_null(strstr(vm.reason, why));
	vm.ended = false;
}

static void walltime(void **state)
{
	uint64_t ns;

	out(SOLO5_WALLTIME, RAM_SIZE - sizeof(ns));
	assert_true(gm_read(&vm.mem, RAM_SIZE - sizeof(ns), &ns, sizeof(ns)));
	assert_true(ns == WALL);
	assert_false(vm.ended);
	out(SOLO5_WALLTIME, RAM_SIZE - sizeof(ns) + 1);
	assert_crashed("Solo5 walltime");
	out(SOLO5_WALLTIME, UINT32_MAX);
	assert_crashed("Solo5 walltime");
}

/* The number is the port, and all 32 bits go to it: anything else is no call. */
static void no_calls(void **state)
{
	static uint8_t before[RAM_SIZE];
	uint32_t value = ARGS;

	memcpy(before, ram, sizeof(ram));
	bus_io(&vm.bus, SOLO5_PORT, 4, true, &value);
	bus_io(&vm.bus, SOLO5_PORT + SOLO5_CALLS, 4, true, &value);
	bus_io(&vm.bus, SOLO5_PORT + SOLO5_HALT, 2, true, &value);
	bus_io(&vm.bus, SOLO5_PORT + SOLO5_WALLTIME, 1, true, &value);
	assert_false(vm.ended);
	assert_memory_equal(before, ram, sizeof(ram));
	bus_io(&vm.bus, SOLO5_PORT + SOLO5_HALT, 4, false, &value);
	assert_int_equal(value, UINT32_MAX);
}

static void puts_call(uint64_t data, uint64_t len)
{
	const struct solo5_puts call = {data, len};

	ask(SOLO5_PUTS, &call, sizeof(call));
}

static void prints(void **state)
{
	gm_write(&vm.mem, DATA, "hello", 5);
	puts_call(DATA, 5);
	assert_int_equal(printed_len, 5);
	assert_memory_equal(printed, "hello", 5);
	puts_call(DATA, 0);
	puts_call(RAM_SIZE, 0);
	assert_int_equal(printed_len, 5);
	assert_false(vm.ended);
	puts_call(0, RAM_SIZE);
	assert_int_equal(printed_len, 5 + RAM_SIZE);
	assert_memory_equal(printed + 5, ram, RAM_SIZE);
}

static void prints_no_more_than_there_is(void **state)
{
	static const uint64_t bad[][2] = {{DATA, RAM_SIZE - DATA + 1},
					  {RAM_SIZE, 1},
					  {UINT64_MAX, 2},
					  {DATA, UINT64_MAX},
					  {DATA, UINT64_MAX - DATA + 1}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		puts_call(bad[i][0], bad[i][1]);
		assert_crashed("Solo5 puts");
	}
	out(SOLO5_PUTS, RAM_SIZE - sizeof(struct solo5_puts) + 1);
	assert_crashed("Solo5 puts: arguments");
	assert_int_equal(printed_len, 0);
	/* Whoever wants its end does not wait for all of it. */
	over_after = 1;
	puts_call(0, RAM_SIZE);
	assert_int_equal(printed_len, 4096);
	assert_false(vm.ended);
}

static void poll_call(uint64_t timeout_ns)
{
	struct solo5_poll call = {.timeout_ns = timeout_ns, .ready = ~R3_U64(0), .result = 77};

	vcpu.halted = vcpu.wakes = false;
	ask(SOLO5_POLL, &call, sizeof(call));
	assert_true(gm_read(&vm.mem, ARGS, &call, sizeof(call)));
	assert_true(call.ready == 0);
	assert_int_equal(call.result, 0);
	assert_true(vcpu.halted && vcpu.wakes);
}

static void polls(void **state)
{
	poll_call(500);
	assert_true(timers_next(&vm.timers) == NOW + 500);
	timers_run(&vm.timers, NOW + 499);
	assert_true(vcpu.halted);
	timers_run(&vm.timers, NOW + 500);
	assert_false(vcpu.halted || vcpu.wakes);
	poll_call(0);
	timers_run(&vm.timers, NOW);
	assert_false(vcpu.halted);
	/* For ever is long, and no time in the past. */
	poll_call(UINT64_MAX);
	assert_true(timers_next(&vm.timers) == TIMER_NEVER - 1);
	poll_call(UINT64_MAX - NOW);
	assert_true(timers_next(&vm.timers) == TIMER_NEVER - 1);
	poll_call(UINT64_MAX - NOW - 2);
	assert_true(timers_next(&vm.timers) == TIMER_NEVER - 2);
	vcpu.halted = false;
	out(SOLO5_POLL, RAM_SIZE - 8);
	assert_crashed("Solo5 poll");
	assert_false(vcpu.halted);
}

static int32_t transfer(enum solo5_call number, uint64_t handle, uint64_t offset, uint64_t data, uint64_t len)
{
	struct solo5_transfer call = {.handle = handle, .offset = offset, .data = data, .len = len, .result = 77};

	ask(number, &call, sizeof(call));
	assert_true(gm_read(&vm.mem, ARGS, &call, sizeof(call)));
	return call.result;
}

static void blocks(void **state)
{
	uint8_t got[SECTOR];

	assert_int_equal(transfer(SOLO5_BLOCK_READ, BLOCK, 3 * SECTOR, DATA, 10 * SECTOR), SOLO5_OK);
	for (unsigned n = 0; n < 10; n++)
		assert_true(ram[DATA + n * SECTOR] == n + 3 && ram[DATA + n * SECTOR + SECTOR - 1] == n + 3);
	assert_int_equal(ram[DATA - 1], 0xee);
	assert_int_equal(ram[DATA + 10 * SECTOR], 0xee);
	memset(ram + DATA, 0x5a, 9 * SECTOR);
	assert_int_equal(transfer(SOLO5_BLOCK_WRITE, BLOCK, 7 * SECTOR, DATA, 9 * SECTOR), SOLO5_OK);
	for (unsigned n = 0; n < SECTORS; n++) {
		assert_int_equal(pread(block.fd, got, sizeof(got), n * SECTOR), SECTOR);
		assert_int_equal(got[0], n < 7 ? n : 0x5a);
	}
	assert_int_equal(lseek(block.fd, 0, SEEK_END), SECTORS * SECTOR);
	assert_false(vm.ended);
}

static void blocks_out_of_bounds(void **state)
{
	static const uint64_t bad[][3] = {{0, 0, SECTOR},
					  {2, 0, SECTOR},
					  {UINT64_MAX, 0, SECTOR},
					  {BLOCK, SECTORS * SECTOR, SECTOR},
					  {BLOCK, SECTORS * SECTOR, 0},
					  {BLOCK, (SECTORS - 1) * SECTOR, 2 * SECTOR},
					  {BLOCK, SECTOR, UINT64_MAX},
					  {BLOCK, SECTOR, UINT64_MAX - SECTOR + 1},
					  {BLOCK, UINT64_MAX, SECTOR},
					  {BLOCK, R3_BIT(63), SECTOR}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(transfer(SOLO5_BLOCK_READ, bad[i][0], bad[i][1], DATA, bad[i][2]), SOLO5_EINVAL);
		assert_int_equal(transfer(SOLO5_BLOCK_WRITE, bad[i][0], bad[i][1], DATA, bad[i][2]), SOLO5_EINVAL);
	}
	assert_int_equal(ram[DATA], 0xee);
	assert_int_equal(lseek(block.fd, 0, SEEK_END), SECTORS * SECTOR);
	assert_false(vm.ended);
	transfer(SOLO5_BLOCK_READ, BLOCK, 0, RAM_SIZE - SECTOR + 1, SECTOR);
	assert_crashed("Solo5 block read");
	transfer(SOLO5_BLOCK_WRITE, BLOCK, 0, UINT64_MAX, SECTOR);
	assert_crashed("Solo5 block write");
	out(SOLO5_BLOCK_READ, RAM_SIZE - 16);
	assert_crashed("Solo5 block read: arguments");
}

/* The file is not what it was at the start. */
static void blocks_whose_file_is_cut(void **state)
{
	assert_int_equal(ftruncate(block.fd, 2 * SECTOR), 0);
	assert_int_equal(transfer(SOLO5_BLOCK_READ, BLOCK, 0, DATA, SECTORS * SECTOR), 77);
	assert_int_equal(vm.status, VM_STATUS_HOST);
	assert_non_null(strstr(vm.reason, "it became shorter"));
}

static void no_network(void **state)
{
	for (uint64_t handle = 0; handle < 3; handle++) {
		struct solo5_packet call = {.handle = handle, .data = UINT64_MAX, .len = UINT64_MAX, .result = 77};

		ask(handle % 2 ? SOLO5_NET_WRITE : SOLO5_NET_READ, &call, sizeof(call));
		assert_true(gm_read(&vm.mem, ARGS, &call, sizeof(call)));
		assert_int_equal(call.result, SOLO5_EINVAL);
	}
	assert_false(vm.ended);
	out(SOLO5_NET_READ, RAM_SIZE);
	assert_crashed("Solo5 net");
}

static void halts(void **state)
{
	static const struct {
		int32_t status;
		int ends_with;
	} cases[] = {{0, 0},
		     {7, 7},
		     {R3_EXIT_MAX, R3_EXIT_MAX},
		     {R3_EXIT_MAX + 1, VM_STATUS_CRASH},
		     {-1, VM_STATUS_CRASH},
		     {INT32_MIN, VM_STATUS_CRASH},
		     {SOLO5_STATUS_ABORT, R3_STATUS_PANIC}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct solo5_halt call = {.cookie = 99, .status = cases[i].status};

		vm.ended = false;
		ask(SOLO5_HALT, &call, sizeof(call));
		assert_true(vm.ended);
		assert_int_equal(vm.status, cases[i].ends_with);
	}
	vm.ended = false;
	out(SOLO5_HALT, RAM_SIZE - 8);
	assert_crashed("Solo5 halt");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(walltime),
		T(no_calls),
		T(prints),
		T(prints_no_more_than_there_is),
		T(polls),
		T(blocks),
		T(blocks_out_of_bounds),
		T(blocks_whose_file_is_cut),
		T(no_network),
		T(halts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
