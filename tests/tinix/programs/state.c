/*
 * What belongs to a process stays with it: vector registers, MXCSR, FS base, under preemption by others of its kind.
 * Each child fills all vector registers with a pattern of its own, computes for a while, and looks.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN 6

static __thread unsigned mine;

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* xmm0 to xmm15 hold the pattern, a system call and many slices pass, they hold it still. */
static int xmm_kept(uint64_t pattern)
{
	uint64_t expect[2] = {pattern, ~pattern}, got[32];

	__asm__ volatile("movdqu (%0), %%xmm0\n"
			 ".irp r,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
			 "movdqa %%xmm0, %%xmm\\r\n"
			 ".endr\n"
			 "mov $20000000, %%ecx\n"
			 "1: dec %%ecx\n"
			 "jnz 1b\n"
			 "mov $39, %%eax\n" /* getpid */
			 "syscall\n"
			 ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
			 "movdqu %%xmm\\r, \\r*16(%1)\n"
			 ".endr\n"
			 :
			 : "r"(expect), "r"(got)
			 : "rax", "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	for (int i = 0; i < 32; i++)
		if (got[i] != expect[i % 2])
			return 0;
	return 1;
}

static int ymm_kept(uint64_t pattern)
{
	uint64_t expect[4] = {pattern, pattern + 1, pattern + 2, pattern + 3}, got[4] = {0};

	if (!__builtin_cpu_supports("avx"))
		return 1;
	__asm__ volatile("vmovdqu (%0), %%ymm7\n"
			 "mov $20000000, %%ecx\n"
			 "1: dec %%ecx\n"
			 "jnz 1b\n"
			 "vmovdqu %%ymm7, (%1)\n"
			 "vzeroupper\n"
			 :
			 : "r"(expect), "r"(got)
			 : "rcx", "memory", "xmm7");
	return memcmp(expect, got, sizeof(got)) == 0;
}

static int mxcsr_kept(unsigned rounding)
{
	unsigned set = 0x1f80 | (rounding & 3) << 13, got = 0;

	__asm__ volatile("ldmxcsr %0" : : "m"(set));
	for (volatile int i = 0; i < 5000000; i++)
		;
	__asm__ volatile("stmxcsr %0" : "=m"(got));
	return (got & 0x6000) == (set & 0x6000);
}

static int child(unsigned number)
{
	double end = seconds() + 0.3;
	uint64_t pattern = 0x0123456789abcdefull * (number + 1);
	int ok = 1;

	mine = number;
	while (seconds() < end)
		ok &= xmm_kept(pattern) && ymm_kept(pattern) && mxcsr_kept(number) && mine == number;
	return !ok;
}

/* A new program begins with registers that nobody used. */
static int registers_are_fresh(void)
{
	uint64_t got[2] = {1, 1};

	__asm__ volatile("movdqu %%xmm15, (%0)" : : "r"(got) : "memory");
	return !got[0] && !got[1];
}

int main(int argc, char **argv)
{
	int bad = 0, status;

	if (argc > 1)
		return !registers_are_fresh();
	for (unsigned i = 0; i < CHILDREN; i++)
		if (fork() == 0)
			_exit(child(i));
	while (wait(&status) > 0)
		bad += status != 0;
	printf("%d of %d children lost state\n", bad, CHILDREN);
	if (fork() == 0) {
		uint64_t pattern[2] = {~0ull, ~0ull};

		__asm__ volatile("movdqu (%0), %%xmm15" : : "r"(pattern) : "xmm15");
		execl(argv[0], argv[0], "fresh", (char *)NULL);
		_exit(1);
	}
	wait(&status);
	printf("a new program %s\n", status ? "sees what another left" : "begins clean");
	return bad || status;
}
