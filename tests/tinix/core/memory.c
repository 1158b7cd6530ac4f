/*
 * Memory under tinix: mappings of all kinds, rights, what is shared and what is not, bad pointers, exhaustion; and that
 * registers do not leak from one process to another.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#include "child.h"
#include "tap.h"

#define PAGE 4096ul

static char *map(size_t pages, int prot, int flags)
{
	return mmap(NULL, pages * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);
}

static int touch(void *arg)
{
	*(volatile char *)arg = 1;
	return 0;
}

static int peek(void *arg)
{
	return *(volatile char *)arg & 0x7f;
}

static bool all_are(const char *memory, size_t len, char value)
{
	for (size_t i = 0; i < len; i++)
		if (memory[i] != value)
			return false;
	return true;
}

static void anonymous(void)
{
	char *memory = map(64, PROT_READ | PROT_WRITE, MAP_PRIVATE), *hole;

	check(memory != MAP_FAILED && all_are(memory, 64 * PAGE, 0), "fresh memory is zero");
	memset(memory, 7, 64 * PAGE);
	check(!munmap(memory + 16 * PAGE, 16 * PAGE), "a hole in the middle");
	check_equal(run_child(touch, memory + 20 * PAGE), SIGSEGV, "is not accessible");
	check(memory[15 * PAGE] == 7 && memory[32 * PAGE] == 7, "what lies around it stays");
	hole = mmap(memory + 16 * PAGE, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0);
	check(hole == memory + 16 * PAGE && all_are(hole, 16 * PAGE, 0), "and is zero when mapped again");
	memset(hole, 8, PAGE);
	check(!madvise(hole, 16 * PAGE, MADV_DONTNEED) && all_are(hole, PAGE, 0), "MADV_DONTNEED makes it zero");
	check(mmap(memory, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED &&
		      errno == EEXIST,
	      "MAP_FIXED_NOREPLACE replaces nothing");
	munmap(memory, 64 * PAGE);
	check_equal(run_child(touch, memory), SIGSEGV, "after munmap there is nothing");
	check(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL,
	      "nothing cannot be mapped");
	check(mmap((void *)0x1000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED,
	      "nor the lowest pages");
	check(mmap((void *)0x7f0000200000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
			      MAP_FAILED &&
		      errno == ENOMEM,
	      "nor the kernel's");
}

static void rights(void)
{
	char *memory = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	const char code[] = "\xb8\x2a\x00\x00\x00\xc3"; /* mov $42, %eax; ret */

	memset(memory, 1, 4 * PAGE);
	check(!mprotect(memory + PAGE, PAGE, PROT_READ), "mprotect of a page");
	check_equal(run_child(touch, memory + PAGE), SIGSEGV, "takes away writing");
	check_equal(run_child(touch, memory), 0, "there only");
	check(!mprotect(memory + PAGE, PAGE, PROT_NONE), "PROT_NONE");
	check_equal(run_child(peek, memory + PAGE), SIGSEGV, "takes away reading");
	check(!mprotect(memory + PAGE, PAGE, PROT_READ | PROT_WRITE) && memory[PAGE] == 1, "and nothing is lost");
	memory[PAGE] = 2;
	check_equal(run_child(peek, memory + PAGE), EXITED(2), "writing is back");
	memcpy(memory, code, sizeof(code));
	check(!mprotect(memory, PAGE, PROT_READ | PROT_EXEC), "from writable to executable");
	check_equal(((int (*)(void))(uintptr_t)memory)(), 42, "code runs");
	check(mprotect(memory, 64 * PAGE, PROT_READ) == -1 && errno == ENOMEM, "mprotect beyond the mapping");
	munmap(memory, 4 * PAGE);
}

/* C libraries try mremap first, which is not there. */
static void reallocation(void)
{
	size_t size = 1 << 20;
	char *memory = malloc(size), *moved;

	memset(memory, 3, size);
	moved = realloc(memory, 16 * size);
	check(moved && all_are(moved, size, 3), "realloc of much memory keeps the content");
	free(moved);
}

static char *set_break(char *to)
{
	return (char *)syscall(SYS_brk, to);
}

/* Not by the C library, whose allocator has views of its own on it. */
static void program_break(void)
{
	char *old = set_break(NULL), *base = (char *)(((uintptr_t)old + PAGE - 1) & ~(PAGE - 1));

	check(set_break(base + (1 << 20)) == base + (1 << 20), "the break goes up");
	memset(base, 9, 1 << 20);
	check(set_break(base) == base, "and down");
	check_equal(run_child(touch, base), SIGSEGV, "and takes its memory along");
	check(set_break(base + PAGE) == base + PAGE && all_are(base, PAGE, 0), "which is zero when it comes back");
	check(set_break((char *)8) == base + PAGE, "it cannot go below its start");
	check(set_break(old) == old, "back to where it was");
}

static int write_shared(void *arg)
{
	strcpy(arg, "from the child");
	return 0;
}

static void sharing(void)
{
	char *shared = map(2, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *private = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	strcpy(private, "mine");
	check_equal(run_child(write_shared, shared), 0, "child writes to shared memory");
	check(!strcmp(shared, "from the child"), "parent reads it");
	check_equal(run_child(write_shared, shared + PAGE), 0, "also where neither had been before");
	check(!strcmp(shared + PAGE, "from the child"), "parent reads it");
	run_child(write_shared, private);
	check(!strcmp(private, "mine"), "private memory stays private");
	munmap(shared, 2 * PAGE);
	munmap(private, 2 * PAGE);
}

static void files(void)
{
	int fd = open("/tmp/mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char text[16] = "", *shared, *private;

	check(fd >= 0 && write(fd, "hello, file", 11) == 11, "a file");
	shared = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	check(shared != MAP_FAILED && !strcmp(shared, "hello, file"), "is mapped, zero past its end");
	check(!strcmp(private, "hello, file"), "privately too");
	strcpy(private, "other");
	check(!strcmp(shared, "hello, file"), "a private write stays private");
	memcpy(shared, "HELLO", 5);
	check(pread(fd, text, 11, 0) == 11 && !strcmp(text, "HELLO, file"), "a shared one is in the file");
	pwrite(fd, "h", 1, 0);
	check(shared[0] == 'h', "and the file's change in memory");
	check_equal(run_child(peek, shared + PAGE), SIGBUS, "beyond the file: SIGBUS");
	munmap(shared, 2 * PAGE);
	munmap(private, PAGE);
	close(fd);
	check(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EBADF, "closed: EBADF");
	fd = open("/tmp/mapped", O_RDONLY);
	check(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES,
	      "no shared writing to what is open for reading");
	close(fd);
	unlink("/tmp/mapped");
}

/* ------------------------------------------------------------------------------------------------ bad pointers */

static void fault_is(long result, const char *what)
{
	check(result == -1 && errno == EFAULT, "%s: EFAULT (%ld, errno %d)", what, result, errno);
}

static void bad_pointers(void)
{
	void *const bad[] = {(void *)8, (void *)0x7f0000201000, (void *)0x3f8000000000, (void *)0xffffffff80000000,
			     (void *)0x8000000000000000};
	char *half = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int ends[2];

	munmap(half + PAGE, PAGE);
	pipe(ends);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check(write(ends[1], bad[i], 4) == -1 && errno == EFAULT, "write from %p", bad[i]);
		check(syscall(SYS_clock_gettime, 0, bad[i]) == -1 && errno == EFAULT, "clock_gettime to %p", bad[i]);
		check(syscall(SYS_openat, AT_FDCWD, bad[i], O_RDONLY) == -1 && errno == EFAULT, "open of %p", bad[i]);
	}
	memset(half, 'a', PAGE);
	fault_is(syscall(SYS_stat, half + PAGE - 4, 8), "stat of a path that runs into nothing");
	fault_is(syscall(SYS_stat, "/", 8), "stat into nothing");
	fault_is(syscall(SYS_openat, AT_FDCWD, half + PAGE - 4, O_RDONLY), "open of a path that runs into nothing");
	fault_is(syscall(SYS_rt_sigaction, SIGUSR1, half + PAGE - 4, NULL, 8), "sigaction");
	fault_is(syscall(SYS_nanosleep, 8, NULL), "nanosleep");
	fault_is(syscall(SYS_uname, 8), "uname");
	fault_is(syscall(SYS_poll, 8, 1, 0), "poll");
	fault_is(syscall(SYS_writev, 1, 8, 1), "writev");
	fault_is(syscall(SYS_getcwd, 8, 100), "getcwd");
	fault_is(syscall(SYS_pipe2, 8, 0), "pipe2");
	fault_is(syscall(SYS_sigaltstack, 8, NULL), "sigaltstack");
	fault_is(syscall(SYS_prlimit64, 0, 0, NULL, 8), "prlimit64");
	check_equal(syscall(999), -1, "a system call that is not there");
	check_equal(errno, ENOSYS, "ENOSYS");
	write(ends[1], "12345678", 8);
	check(read(ends[0], half + PAGE - 4, 8) == 4 || errno == EFAULT, "read into half a buffer");
	close(ends[0]);
	close(ends[1]);
	munmap(half, PAGE);
}

/* -------------------------------------------------------------------------------------------------- exhaustion */

static int eat_all(void *arg)
{
	for (;;) {
		char *memory = map(256, PROT_READ | PROT_WRITE, MAP_PRIVATE);

		if (memory == MAP_FAILED)
			return 1;
		memset(memory, 1, 256 * PAGE);
	}
}

static void exhaustion(void)
{
	struct sysinfo before, after;

	check(map(1ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE) == MAP_FAILED && errno == ENOMEM,
	      "4 TiB are too much to ask");
	sysinfo(&before);
	check_equal(run_child(eat_all, NULL), SIGKILL, "who eats all memory is killed");
	sysinfo(&after);
	check(after.freeram + (256 << 10) >= before.freeram, "and gives it back (%ld bytes missing)",
	      (long)(before.freeram - after.freeram));
}

/* --------------------------------------------------------------------------------------------------- registers */

/* The widest vector registers that processor and system offer, as 64-bit words of number 0, 7 and 15 (or 31). */
static unsigned vector_width(void)
{
	unsigned a, b, c, d, xcr0;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE))
		return 128;
	__asm__("xgetbv" : "=a"(xcr0), "=d"(d) : "c"(0));
	__cpuid_count(7, 0, a, b, c, d);
	if (b & bit_AVX512F && (xcr0 & 0xe6) == 0xe6)
		return 512;
	return b & bit_AVX2 && (xcr0 & 6) == 6 ? 256 : 128;
}

static void fill_vectors(unsigned width, uint64_t value)
{
	uint64_t words[8] = {value, value, value, value, value, value, value, value};

	if (width == 512)
		__asm__ volatile("vmovdqu64 %0, %%zmm0; vmovdqu64 %0, %%zmm15; vmovdqu64 %0, %%zmm31; kmovw %k1, %%k3"
				 :
				 : "m"(words), "r"((uint32_t)value));
	else if (width == 256)
		__asm__ volatile("vmovdqu %0, %%ymm0; vmovdqu %0, %%ymm15" : : "m"(words));
	else
		__asm__ volatile("movdqu %0, %%xmm0; movdqu %0, %%xmm15" : : "m"(words));
}

/* True if every word of the registers is value; they are stored first of all. */
static bool vectors_are(unsigned width, uint64_t value)
{
	uint64_t words[3][8] = {{0}};
	unsigned count = width / 64, registers = 2;

	if (width == 512) {
		registers = 3;
		__asm__ volatile("vmovdqu64 %%zmm0, %0; vmovdqu64 %%zmm15, %1; vmovdqu64 %%zmm31, %2"
				 : "=m"(words[0]), "=m"(words[1]), "=m"(words[2]));
	} else if (width == 256) {
		__asm__ volatile("vmovdqu %%ymm0, %0; vmovdqu %%ymm15, %1" : "=m"(words[0]), "=m"(words[1]));
	} else {
		__asm__ volatile("movdqu %%xmm0, %0; movdqu %%xmm15, %1" : "=m"(words[0]), "=m"(words[1]));
	}
	for (unsigned r = 0; r < registers; r++)
		for (unsigned i = 0; i < count; i++)
			if (words[r][i] != value)
				return false;
	return true;
}

static long raw_yield(void)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_sched_yield) : "rcx", "r11", "memory");
	return result;
}

/* Each process has values of its own in its registers, and yields to the others all the time. */
static int keep_registers(void *arg)
{
	unsigned width = vector_width();
	uint64_t mine = 0x0101010101010101 * (uint64_t)(long)arg;

	for (int i = 0; i < 500; i++) {
		fill_vectors(width, mine + (uint64_t)i);
		raw_yield();
		if (!vectors_are(width, mine + (uint64_t)i))
			return 1;
	}
	return 0;
}

static int spin_with_registers(void *arg)
{
	unsigned width = vector_width();
	uint64_t mine = 0x1111111111111111 * (uint64_t)(long)arg;
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		fill_vectors(width, mine);
		for (volatile int i = 0; i < 100000; i++)
			;
		if (!vectors_are(width, mine))
			return 1;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < 100000000);
	return 0;
}

static int registers_after_exec(void)
{
	uint64_t words[2];

	__asm__ volatile("movdqu %%xmm15, %0" : "=m"(words));
	return words[0] == 0x5a5a5a5a5a5a5a5a;
}

static void registers(const char *self)
{
	pid_t children[4];
	bool kept = true;
	unsigned width = vector_width();

	for (long i = 0; i < 4; i++)
		children[i] = start_child(keep_registers, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		kept &= end_of(children[i]) == 0;
	check(kept, "vector registers of %u bits are a process's own, yielding", width);
	for (long i = 0; i < 4; i++)
		children[i] = start_child(spin_with_registers, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		kept &= end_of(children[i]) == 0;
	check(kept, "and preempted");
	children[0] = fork();
	if (!children[0]) {
		fill_vectors(width, 0x5a5a5a5a5a5a5a5a);
		execl(self, self, "registers", (char *)NULL);
		_exit(9);
	}
	check_equal(end_of(children[0]), 0, "a new program finds none of the old one's values");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return registers_after_exec();
	tap_begin();
	anonymous();
	rights();
	reallocation();
	program_break();
	sharing();
	files();
	bad_pointers();
	registers(argv[0]);
	exhaustion();
	return tap_finish();
}
