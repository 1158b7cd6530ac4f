/*
 * What this host keeps from programs that a processor would give them, tried in children:  host
 * Prints a list for CMake, empty on most: int_n=FROM-TO (vectors whose INT n does not fault where it stands),
 * debug_registers (a watchpoint set through ptrace does not hit), bases (what WRFSBASE writes is not kept), avx (there
 * is none), cpuid_faulting (CPUID cannot be made to fault), plain_xcr0 (XGETBV tells of more than guests have).
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define HWCAP2_FSGSBASE 2	 /* arch/x86/include/uapi/asm/hwcap2.h */
#define WRITES_4_BYTES	0xd0001l /* DR7: breakpoint 0, writes, four bytes */
#define INT_LINUX	0x80
#define GUESTS_XCR0	0x2e7u /* x87, SSE, AVX, AVX-512, PKRU: SDM 1 13.1 */
#define INT_INTO	4      /* 1, 3 and 4 are for programs to call */

static uint8_t *code;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;

	(void)info;
	_exit(signal != SIGSEGV || uc->uc_mcontext.gregs[REG_RIP] != (greg_t)(uintptr_t)code);
}

static int faults(unsigned vector)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	int status;
	pid_t child = fork();

	if (child)
		return waitpid(child, &status, 0) == child && !status;
	alarm(2);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	code[0] = 0xcd; /* INT n; UD2 */
	code[1] = (uint8_t)vector;
	code[2] = 0x0f;
	code[3] = 0x0b;
	__asm__ volatile("jmp *%0" : : "r"(code));
	_exit(1);
}

static volatile int word;

static int watchpoint_hits(void)
{
	int status = 0;
	pid_t child = fork();

	if (child < 0)
		return 1;
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		word = 1;
		_exit(0);
	}
	waitpid(child, &status, 0);
	ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg[0]), &word);
	ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg[7]), WRITES_4_BYTES);
	ptrace(PTRACE_CONT, child, 0, 0);
	waitpid(child, &status, 0);
	if (!WIFSTOPPED(status))
		return 0;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 1;
}

static unsigned xgetbv(void)
{
	unsigned low, high;

	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | high;
}

int main(void)
{
	unsigned from = 0, to = 0;

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		return 1;
	for (unsigned vector = INT_INTO + 1; vector < 256; vector++) {
		if (vector == INT_LINUX || faults(vector))
			continue;
		from = from ? from : vector;
		to = vector;
	}
	if (from)
		printf("int_n=0x%x-0x%x;", from, to);
	if (!watchpoint_hits())
		printf("debug_registers;");
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
		printf("bases;");
	if (!__builtin_cpu_supports("avx"))
		printf("avx;");
	if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) || syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1))
		printf("cpuid_faulting;");
	if (__builtin_cpu_supports("avx") && (xgetbv() & ~GUESTS_XCR0))
		printf("plain_xcr0;");
	return 0;
}
