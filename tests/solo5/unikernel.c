/*
 * A small unikernel for Solo5's hvt interface, written against the interface alone: the command line says what it does,
 * its status says whether that went well.
 */
#include <stddef.h>
#include <stdint.h>

#include "monitor/boot/solo5.h"

/* The notes: which interface, and which devices. */
struct note {
	uint32_t name_size, size, type;
	char name[8];
};

#define NOTE(what, bytes)                                                                                              \
	{                                                                                                              \
		.name_size = sizeof(SOLO5_NOTE_NAME), .size = (bytes), .type = (what), .name = SOLO5_NOTE_NAME         \
	}

static const struct {
	struct note note;
	struct solo5_abi abi;
} abi __attribute__((section(".note.solo5.abi"), aligned(4), used)) = {
	NOTE(SOLO5_NOTE_ABI, sizeof(struct solo5_abi)),
	{.target = SOLO5_TARGET_HVT, .version = SOLO5_ABI_VERSION},
};

#ifdef WITH_DISK
#define ENTRIES 2
#else
#define ENTRIES 1
#endif

static const struct {
	struct note note;
	uint32_t padding;
	uint32_t version, entries;
	struct solo5_entry entry[ENTRIES];
} manifest __attribute__((section(".note.solo5.manifest"), aligned(8), used)) = {
	NOTE(SOLO5_NOTE_DEVICES, sizeof(manifest) - sizeof(struct note)),
	0,
	SOLO5_MANIFEST_VERSION,
	ENTRIES,
	{
		{.type = SOLO5_RESERVED},
#ifdef WITH_DISK
		{.name = "disk", .type = SOLO5_BLOCK},
#endif
	},
};

/* -------------------------------------------------------------------------------------------------------- the calls */

static void call(unsigned number, volatile void *arguments)
{
	uint32_t gpa = (uint32_t)(uintptr_t)arguments;

	__asm__ volatile("outl %0, %w1" : : "a"(gpa), "d"(SOLO5_PORT + number) : "memory");
}

static void say(const char *text)
{
	size_t len = 0;

	while (text[len])
		len++;
	struct solo5_puts puts = {.data = (uintptr_t)text, .len = len};
	call(SOLO5_PUTS, &puts);
}

static _Noreturn void halt(int status)
{
	struct solo5_halt halt = {.status = status};

	for (;;)
		call(SOLO5_HALT, &halt);
}

static void expect(int good, const char *what)
{
	if (good)
		return;
	say("not so: ");
	say(what);
	say("\n");
	halt(1);
}

static uint64_t wall(void)
{
	struct solo5_walltime time = {0};

	call(SOLO5_WALLTIME, &time);
	return time.ns;
}

/* ------------------------------------------------------------------------------------------------------ what it does
 */

extern uint8_t _start[];
static const char constant[] = "constant";
static uint8_t data[8192] = {0xc3}; /* RET */

static void hello(const struct solo5_boot_info *info)
{
	say("Hello, ");
	say((const char *)info->cmdline);
	say("\n");
}

static void times(const struct solo5_boot_info *info)
{
	const uint64_t wait = 20000000;
	struct solo5_poll poll = {.timeout_ns = wait, .ready = ~0ull, .result = -1};
	uint64_t before = wall(), tsc = __builtin_ia32_rdtsc();

	expect(info->tsc_hz > 100000000, "the counter's rate is known");
	call(SOLO5_POLL, &poll);
	tsc = __builtin_ia32_rdtsc() - tsc;
	expect(poll.result == 0 && poll.ready == 0, "nothing is ready");
	expect(wall() - before >= wait, "a poll waits");
	expect(tsc / (info->tsc_hz / 1000) >= wait / 1000000, "by the counter too");
	poll.timeout_ns = 0;
	call(SOLO5_POLL, &poll);
}

static void memory(const struct solo5_boot_info *info)
{
	volatile uint8_t *end = (volatile uint8_t *)(info->memory - 1);

	expect(info->kernel_end > (uintptr_t)data && info->kernel_end % 4096 == 0, "the kernel's end");
	*end = 0x5a;
	expect(*end == 0x5a, "all RAM is there");
	expect(((const struct solo5_manifest *)info->manifest)->entries == ENTRIES, "the manifest");
}

#ifdef WITH_DISK
static int32_t transfer(unsigned number, uint64_t handle, uint64_t offset, uint64_t len)
{
	struct solo5_transfer move = {.handle = handle, .offset = offset, .data = (uintptr_t)data, .len = len};

	move.result = -1;
	call(number, &move);
	return move.result;
}

static void disk(const struct solo5_boot_info *info)
{
	const struct solo5_entry *entry = &((const struct solo5_manifest *)info->manifest)->entry[1];
	uint64_t size = entry->capacity;

	expect(entry->attached && entry->sector >= 512 && size % entry->sector == 0, "the disk is there");
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	expect(transfer(SOLO5_BLOCK_WRITE, 1, size - sizeof(data), sizeof(data)) == SOLO5_OK, "write");
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = 0;
	expect(transfer(SOLO5_BLOCK_READ, 1, size - sizeof(data), sizeof(data)) == SOLO5_OK, "read");
	for (unsigned i = 0; i < sizeof(data); i++)
		expect(data[i] == (uint8_t)(i * 7), "what was written");
	expect(transfer(SOLO5_BLOCK_READ, 1, size, 512) == SOLO5_EINVAL, "beyond the end");
	expect(transfer(SOLO5_BLOCK_WRITE, 1, size - 512, 1024) == SOLO5_EINVAL, "across the end");
	expect(transfer(SOLO5_BLOCK_READ, 1, ~0ull - 511, 512) == SOLO5_EINVAL, "around");
	expect(transfer(SOLO5_BLOCK_READ, 1, 512, ~0ull - 511) == SOLO5_EINVAL, "everything");
	expect(transfer(SOLO5_BLOCK_READ, 0, 0, 512) == SOLO5_EINVAL, "no disk");
	expect(transfer(SOLO5_BLOCK_READ, ~0ull, 0, 512) == SOLO5_EINVAL, "no handle");
}
#else
static void disk(const struct solo5_boot_info *info)
{
	expect(0, "this one has a disk");
}
#endif

/* What the monitor must refuse; those that return are let pass, which is status 1. */
static void hostile(const char *which)
{
	struct solo5_puts puts = {.data = (uintptr_t)constant, .len = ~0ull};

	switch (which[0]) {
	case 'a':
		call(SOLO5_PUTS, (void *)0xfffffff8);
		break;
	case 'b':
		call(SOLO5_PUTS, &puts);
		break;
	case 'c':
		puts.data = ~0ull;
		puts.len = 2;
		call(SOLO5_PUTS, &puts);
		break;
	case 'd':
		call(SOLO5_WALLTIME, (void *)0xfffffffc);
		break;
	case 'e':
		halt(120);
	case 'f':
		halt(-1);
	case 'r':
		*(volatile char *)constant = 'x';
		break;
	case 'x':
		((void (*)(void))data)();
		break;
	case 't':
		*(volatile uint8_t *)_start = 0;
		break;
	case 'l':
		(void)*(volatile uint8_t *)_start;
		break;
	default:
		break;
	}
}

static int is(const char *text, const char *what)
{
	while (*what && *text == *what)
		text++, what++;
	return !*what;
}

_Noreturn void unikernel(const struct solo5_boot_info *info);
_Noreturn void unikernel(const struct solo5_boot_info *info)
{
	const char *command = (const char *)info->cmdline;

	if (is(command, "time"))
		times(info);
	else if (is(command, "memory"))
		memory(info);
	else if (is(command, "disk"))
		disk(info);
	else if (is(command, "status"))
		halt(42);
	else if (is(command, "abort"))
		halt(SOLO5_STATUS_ABORT);
	else if (is(command, "sleep")) {
		struct solo5_poll poll = {.timeout_ns = ~0ull};
		call(SOLO5_POLL, &poll);
	} else if (is(command, "zero"))
		*(volatile int *)0x1000 = 0;
	else if (is(command, "hostile ")) {
		hostile(command + 8);
		halt(1);
	} else
		hello(info);
	halt(0);
}

/* The stack is aligned as a function's caller leaves it. */
__asm__(".globl _start\n_start: xorl %ebp, %ebp\n andq $-16, %rsp\n call unikernel\n ud2\n");
