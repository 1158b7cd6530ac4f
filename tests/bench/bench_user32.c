/*
 * What a 32-bit program can measure of the Linux it runs on: some of bench_user's measures, in the form that program
 * prints them. Freestanding, so that no 32-bit C library is needed. As process 1 it powers the machine off at its end.
 *
 *   bench_user32 [--budget MILLISECONDS] [NAME...]
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SYS_EXIT = 1,
	SYS_FORK = 2,
	SYS_READ = 3,
	SYS_WRITE = 4,
	SYS_CLOSE = 6,
	SYS_WAITPID = 7,
	SYS_GETPID = 20,
	SYS_KILL = 37,
	SYS_PIPE = 42,
	SYS_GETPPID = 64,
	SYS_SIGACTION = 67,
	SYS_REBOOT = 88,
	SYS_MUNMAP = 91,
	SYS_SYSLOG = 103,
	SYS_MMAP2 = 192,
	SYS_CLOCK_GETTIME = 265,
};

#define PAGE	    4096u
#define FRESH_PAGES 512u
#define MAP_LENGTH  (16 * PAGE)
#define TABLE_WORDS (16u << 20)
#define STEP	    1000u

#define SAMPLES	  21
#define SAMPLE_NS 500000u

#define PROT_READ_WRITE	  3
#define PRIVATE_ANONYMOUS 0x22
#define SIGUSR1		  10
#define CLOCK_MONOTONIC	  1
#define AT_SYSINFO	  32

#define SYSLOG_CONSOLE_OFF 6
#define REBOOT_MAGIC	   0xfee1dead
#define REBOOT_MAGIC2	   672274793
#define REBOOT_POWER_OFF   0x4321fedc

/* ----------------------------------------------------------------------------------------------------------- calls */

/* Where the kernel has the entry that is fastest here. */
static uint32_t entry;

static int call_int(int number)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number) : "memory");
	return result;
}

static int call(int number, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	int result;

	__asm__ volatile("call *%6"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "m"(entry)
			 : "memory");
	return result;
}

static uint32_t map(uint32_t length)
{
	uint32_t address;

	/* All six arguments: EBP has the last one, and the entry is in memory. */
	__asm__ volatile("push %%ebp\n\txor %%ebp, %%ebp\n\tint $0x80\n\tpop %%ebp"
			 : "=a"(address)
			 : "a"(SYS_MMAP2), "b"(0), "c"(length), "d"(PROT_READ_WRITE), "S"(PRIVATE_ANONYMOUS), "D"(-1)
			 : "memory");
	return address;
}

static uint32_t length(const char *text)
{
	uint32_t len = 0;

	while (text[len])
		len++;
	return len;
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static char line[512];
static uint32_t used;

static void put(const char *text)
{
	while (*text && used < sizeof(line))
		line[used++] = *text++;
}

static void flush(void)
{
	call(SYS_WRITE, 1, (uint32_t)line, used, 0);
	used = 0;
}

static _Noreturn void leave(int status)
{
	if (call(SYS_GETPID, 0, 0, 0, 0) == 1)
		call(SYS_REBOOT, REBOOT_MAGIC, REBOOT_MAGIC2, REBOOT_POWER_OFF, 0);
	for (;;)
		call(SYS_EXIT, (uint32_t)status, 0, 0, 0);
}

static _Noreturn void fail(const char *what)
{
	put("bench_user32: ");
	put(what);
	put("\n");
	flush();
	leave(1);
}

/* --------------------------------------------------------------------------------------------------------- numbers */

static uint64_t divide(uint64_t number, uint32_t by)
{
	uint32_t high = (uint32_t)(number >> 32) / by, rest = (uint32_t)(number >> 32) % by, low;

	__asm__("divl %4" : "=a"(low), "=d"(rest) : "a"((uint32_t)number), "d"(rest), "r"(by));
	return (uint64_t)high << 32 | low;
}

static void put_number(uint64_t number, unsigned least)
{
	char digits[24], *at = digits + sizeof(digits) - 1;

	for (*at = 0; number || least; number = divide(number, 10), least -= least > 0)
		*--at = (char)('0' + (number - divide(number, 10) * 10));
	put(at);
}

/* Of thousandths. */
static void put_ns(const char *name, uint64_t ps)
{
	uint64_t whole = divide(ps, 1000);

	put(name);
	put_number(whole, 1);
	put(".");
	put_number(ps - whole * 1000, 3);
}

static uint64_t now_ns(void)
{
	uint32_t now[2];

	if (call(SYS_CLOCK_GETTIME, CLOCK_MONOTONIC, (uint32_t)now, 0, 0))
		fail("clock_gettime");
	return (uint64_t)now[0] * 1000000000 + now[1];
}

/* -------------------------------------------------------------------------------------------------------- measures */

static uint64_t null_call(uint32_t count)
{
	uint64_t start = now_ns();

	for (uint32_t n = 0; n < count; n++)
		call(SYS_GETPPID, 0, 0, 0, 0);
	return now_ns() - start;
}

static uint64_t null_int(uint32_t count)
{
	uint64_t start = now_ns();

	for (uint32_t n = 0; n < count; n++)
		call_int(SYS_GETPPID);
	return now_ns() - start;
}

static uint32_t map_fresh(uint32_t len)
{
	uint32_t address = map(len);

	if (address > -PAGE)
		fail("mmap2");
	return address;
}

static uint64_t touch(uint32_t count)
{
	uint64_t took = 0;

	for (uint32_t done = 0; done < count; done += FRESH_PAGES) {
		uint32_t address = map_fresh(FRESH_PAGES * PAGE);
		uint64_t start = now_ns();

		for (uint32_t page = 0; page < FRESH_PAGES; page++)
			*(volatile char *)(address + page * PAGE) = 1;
		took += now_ns() - start;
		if (call(SYS_MUNMAP, address, FRESH_PAGES * PAGE, 0, 0))
			fail("munmap");
	}
	return took;
}

static void reap(int child)
{
	int status = -1;

	if (call(SYS_WAITPID, (uint32_t)child, (uint32_t)&status, 0, 0) != child || status)
		fail("a child");
}

static uint64_t fork_exit_wait(uint32_t count)
{
	uint64_t start = now_ns();

	for (uint32_t n = 0; n < count; n++) {
		int child = call(SYS_FORK, 0, 0, 0, 0);

		if (child < 0)
			fail("fork");
		if (!child)
			call(SYS_EXIT, 0, 0, 0, 0);
		reap(child);
	}
	return now_ns() - start;
}

static void pass(int number, int fd)
{
	char token;

	if (call(number, (uint32_t)fd, (uint32_t)&token, 1, 0) != 1)
		fail("a pipe");
}

/* There and back between two processes; the first round is theirs to start in. */
static uint64_t pipe_round_trip(uint32_t count)
{
	int there[2], back[2], child;
	uint64_t start, took;

	if (call(SYS_PIPE, (uint32_t)there, 0, 0, 0) || call(SYS_PIPE, (uint32_t)back, 0, 0, 0))
		fail("pipe");
	child = call(SYS_FORK, 0, 0, 0, 0);
	if (!child) {
		for (uint32_t n = 0; n < count + 1; n++) {
			pass(SYS_READ, there[0]);
			pass(SYS_WRITE, back[1]);
		}
		call(SYS_EXIT, 0, 0, 0, 0);
	}
	start = now_ns();
	for (uint32_t n = 0; n < count + 1; n++) {
		pass(SYS_WRITE, there[1]);
		pass(SYS_READ, back[0]);
		if (!n)
			start = now_ns();
	}
	took = now_ns() - start;
	reap(child);
	for (unsigned n = 0; n < 2; n++) {
		call(SYS_CLOSE, (uint32_t)there[n], 0, 0, 0);
		call(SYS_CLOSE, (uint32_t)back[n], 0, 0, 0);
	}
	return took;
}

static volatile uint32_t caught;

static void on_signal(int number)
{
	caught++;
}

/* The kernel has the way back from the handler. */
static uint64_t signal_handled(uint32_t count)
{
	const uint32_t action[4] = {(uint32_t)on_signal};
	uint32_t self = (uint32_t)call(SYS_GETPID, 0, 0, 0, 0);

	if (call(SYS_SIGACTION, SIGUSR1, (uint32_t)action, 0, 0))
		fail("sigaction");
	caught = 0;
	uint64_t start = now_ns();
	for (uint32_t n = 0; n < count; n++)
		call(SYS_KILL, self, SIGUSR1, 0, 0);
	uint64_t took = now_ns() - start;
	if (caught != count)
		fail("signals got lost");
	return took;
}

static uint64_t map_unmap(uint32_t count)
{
	uint64_t start = now_ns();

	for (uint32_t n = 0; n < count; n++) {
		uint32_t address = map_fresh(MAP_LENGTH);

		*(volatile char *)address = 1;
		call(SYS_MUNMAP, address, MAP_LENGTH, 0, 0);
	}
	return now_ns() - start;
}

static volatile uint32_t sink;

static inline uint32_t xorshift(uint32_t x)
{
	x ^= x << 13;
	x ^= x >> 17;
	return x ^ x << 5;
}

static uint64_t compute(uint32_t count)
{
	uint32_t x = 2463534242u;
	uint64_t start = now_ns();

	for (uint32_t n = 0; n < count; n++)
		x = xorshift(x);
	sink = x;
	return now_ns() - start;
}

/* At random places of 64 MiB, each following from what was read before. */
static uint64_t random_reads(uint32_t count)
{
	static uint32_t *table, x = 2463534242u, sum;

	if (!table) {
		table = (uint32_t *)map_fresh(TABLE_WORDS * sizeof(*table));
		for (uint32_t n = 0; n < TABLE_WORDS; n++)
			table[n] = n;
	}
	uint64_t start = now_ns();
	for (uint32_t n = 0; n < count; n++) {
		x = xorshift(x);
		sum += table[(x + sum) % TABLE_WORDS];
	}
	return now_ns() - start;
}

static const struct measure {
	const char *name;
	uint64_t (*run)(uint32_t count);
	uint32_t step, most;
} measures[] = {
	{"syscall", null_call, 1, 0},
	{"int80", null_int, 1, 0},
	{"touch", touch, FRESH_PAGES, 16 * FRESH_PAGES},
	{"fork", fork_exit_wait, 1, 0},
	{"pipe", pipe_round_trip, 1, 0},
	{"signal", signal_handled, 1, 0},
	{"mmap", map_unmap, 1, 0},
	{"compute", compute, STEP, 0},
	{"memory", random_reads, STEP, 0},
};

/* ----------------------------------------------------------------------------------------------------- one measure */

static uint32_t whole_steps(const struct measure *m, uint64_t count)
{
	uint32_t most = m->most ? m->most : UINT32_MAX / 2;

	if (count > most)
		count = most;
	return count < m->step ? m->step : (uint32_t)count / m->step * m->step;
}

/* Operations that fill a sample: doubles them until twice running they take long enough to go by. */
static uint32_t calibrate(const struct measure *m, uint32_t sample_ns, uint64_t *all)
{
	for (uint32_t count = m->step, next;; count = next) {
		uint64_t took = m->run(count), again = took < sample_ns / 4 ? took : m->run(count);

		*all += 2 * (uint64_t)count;
		if (again < took)
			took = again;
		if (took >= sample_ns / 4)
			return whole_steps(m, divide((uint64_t)count * sample_ns, (uint32_t)took));
		next = whole_steps(m, (uint64_t)count * 2);
		if (next == count)
			return count;
	}
}

static void take(const struct measure *m, uint32_t budget_ms)
{
	uint64_t samples[SAMPLES], all = 0;
	uint32_t sample_ns = budget_ms * 1000000u / SAMPLES;
	uint32_t count = calibrate(m, sample_ns > SAMPLE_NS ? sample_ns : SAMPLE_NS, &all);

	for (unsigned n = 0; n < SAMPLES; n++) {
		uint64_t ps = divide(m->run(count) * 1000, count);
		unsigned at = n;

		for (; at && samples[at - 1] > ps; at--)
			samples[at] = samples[at - 1];
		samples[at] = ps;
	}
	put("bench: ");
	put(m->name);
	put_ns(" median ", samples[SAMPLES / 2]);
	put_ns(" p10 ", samples[SAMPLES / 10]);
	put_ns(" p90 ", samples[SAMPLES - 1 - SAMPLES / 10]);
	put(" samples ");
	put_number(SAMPLES, 1);
	put(" count ");
	put_number(count, 1);
	put(" all ");
	put_number(all + SAMPLES * (uint64_t)count, 1);
	put("\n");
	flush();
}

static bool wanted(const char *name, char **names)
{
	bool any = *names;

	for (; *names; names++)
		if (same(*names, name))
			return true;
	return !any;
}

static uint32_t number_of(const char *text)
{
	uint32_t number = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + (uint32_t)(*text - '0');
	return number;
}

void start(uint32_t *stack);
__asm__(".globl _start\n_start: mov %esp, %eax\n and $-16, %esp\n sub $12, %esp\n push %eax\n call start\n");

void start(uint32_t *stack)
{
	char **words = (char **)(stack + 1), **environment = words + stack[0] + 1;
	uint32_t budget_ms = 300;

	/* What the kernel says would stand in the middle of our lines. */
	if (call(SYS_GETPID, 0, 0, 0, 0) == 1)
		call(SYS_SYSLOG, SYSLOG_CONSOLE_OFF, 0, 0, 0);
	while (*environment)
		environment++;
	for (uint32_t *at = (uint32_t *)environment + 1; at[0]; at += 2)
		if (at[0] == AT_SYSINFO)
			entry = at[1];
	for (words++; *words && length(*words) > 2 && (*words)[0] == '-' && (*words)[1] == '-' && words[1]; words += 2)
		if (same(*words, "--budget") && number_of(words[1]))
			budget_ms = number_of(words[1]);
	put("bench: start\n");
	flush();
	uint64_t began = now_ns();
	for (unsigned n = 0; n < sizeof(measures) / sizeof(measures[0]); n++)
		if (wanted(measures[n].name, words))
			take(&measures[n], budget_ms);
	put("bench: end ");
	put_number(now_ns() - began, 1);
	put("\n");
	flush();
	leave(0);
}
