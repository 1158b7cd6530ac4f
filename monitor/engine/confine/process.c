/*
 * Making and ending the processes that guest bytes run in.
 */
#include "monitor/engine/confine/process.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypercalls/x86.h"
#include "monitor/host/prefault.h"
#include "monitor/host/unforked.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/vcpu.h"

/* Where nothing of the monitor's lies, nor of what its children map; a vdso is two pages today. */
#define VDSO_PLACE     0x1000000
#define VDSO_PAGES_MAX 16

#define XSAVE_ALIGN 64

/* The C library's own two are the last that may have handlers. */
#define LAST_IGNORED 33

/* The sigaction the kernel takes: the C library's wrapper would put its own restorer in the host's text. */
struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

/* ------------------------------------------------------------------------------------------------ in the child */

void confine_map(uint64_t address, size_t size, int prot, int fd, off_t offset)
{
	if (mmap((void *)address, size, prot, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED)
		_exit(errno);
}

void confine_handle(int signal, uint64_t handler, uint64_t flags, uint64_t mask)
{
	struct kernel_sigaction action = {
		.handler = handler,
		.flags = SA_SIGINFO | SA_ONSTACK | flags | 0x04000000 /* SA_RESTORER, which x86-64 insists on */,
		.restorer = handler,
		.mask = mask,
	};
	if (syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof(action.mask)))
		_exit(errno);
}

void confine_block(uint64_t mask)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}

static void close_range_of(unsigned first, unsigned last)
{
	if (first <= last)
		syscall(SYS_close_range, first, last, 0);
}

void confine_close_all_but(const int *keep, unsigned count)
{
	unsigned first = 0;
	for (;;) {
		unsigned next = ~0u;
		for (unsigned i = 0; i < count; i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= first && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next == ~0u)
			break;
		if (next > first)
			close_range_of(first, next - 1);
		first = next + 1;
	}
	close_range_of(first, ~0u);
}

/* The processor may read all that the enabled components take (CPUID 0Dh), whatever the header says is in use. */
void confine_reset_fpu(uint32_t size)
{
	uint8_t *reset = __builtin_alloca_with_align(size, 8 * XSAVE_ALIGN);
	vcpu_fpu_reset(reset, size);
	__asm__ volatile("xrstor64 %0" : : "m"(*(const uint8_t(*)[ENGINE_FPU_MAX])reset), "a"(~0u), "d"(~0u));
}

/* The C library's restartable-sequence area vanishes with the host's pages; the kernel would fault writing to it. */
static void leave_rseq(void)
{
	if (!__rseq_size)
		return;
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
	if (syscall(SYS_rseq, area, sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG))
		_exit(errno);
}

/* What the host would walk, and write to, when the task ends: addresses of the monitor's, guest memory by then. */
static void leave_lists(void)
{
	if (syscall(SYS_set_robust_list, NULL, 3 * sizeof(void *)))
		_exit(errno);
	syscall(SYS_set_tid_address, NULL);
}

/*
 * SYSENTER, which Intel's processors have in 64-bit code as well, comes back from Linux in the vdso, as 32-bit code,
 * also where the vdso is gone: RIP would tell the guest half of an address of the monitor's. Linux goes by where it was
 * moved last, and moves it in one piece only; how long that is it does not say.
 */
static void leave_vdso(void)
{
	void *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
	const int how = MREMAP_MAYMOVE | MREMAP_FIXED;
	for (size_t size = X86_PAGE_SIZE; vdso && size <= VDSO_PAGES_MAX * X86_PAGE_SIZE; size += X86_PAGE_SIZE)
		if (mremap(vdso, size, size, how, (void *)VDSO_PLACE) != MAP_FAILED)
			return;
}

/*
 * The monitor's handlers are no code here. Whatever came between fork and setpgid waits, and would have a frame for one
 * pushed on the guest's stack; to be ignored ends its waiting. Real-time signals nobody sends to a group but who would
 * end the monitor by them.
 */
static void ignore_signals(void)
{
	const struct kernel_sigaction ignored = {.handler = (uint64_t)SIG_IGN};
	for (int signal = 1; signal <= LAST_IGNORED; signal++)
		syscall(SYS_rt_sigaction, signal, &ignored, NULL, sizeof(ignored.mask)); /* KILL and STOP refuse */
}

static void begin(pid_t parent)
{
	/* Two steps, since the parent may die between fork and prctl. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ESRCH);
	/*
	 * The terminal's signals are for the monitor. A session of its own would do as well, but Linux's autogroups
	 * schedule by session, and a yield to a task of another group seldom switches to it.
	 */
	setpgid(0, 0);
	ignore_signals();
	struct rlimit no_core = {1, 1}; /* 1, since 0 does not keep a piped core_pattern from running (core(5)) */
	setrlimit(RLIMIT_CORE, &no_core);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(errno);
	leave_rseq();
	leave_lists();
	leave_vdso();
}

/* --------------------------------------------------------------------------------------------------- in the monitor */

pid_t confine_fork(void (*child)(const void *arg), const void *arg)
{
	pid_t parent = getpid();
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	unforked_own(true);
	/* Not by the C library, which has pages of its own written in the child, of which each is a fault. */
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		begin(parent);
		child(arg);
		_exit(EINVAL);
	}
	int error = pid < 0 ? -errno : 0;
	unforked_own(false);
	sigprocmask(SIG_SETMASK, &old, NULL);
	prefault_heap_rest();
	return error ? error : pid;
}

void confine_reap(pid_t task)
{
	int status;
	while (waitpid(task, &status, __WALL) < 0 ? errno == EINTR : WIFSTOPPED(status))
		;
}

bool confine_is_dead(pid_t task, int *error)
{
	siginfo_t info = {0};
	if (waitid(P_PID, task, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) || !info.si_pid)
		return false;
	if (info.si_code != CLD_EXITED && info.si_code != CLD_KILLED && info.si_code != CLD_DUMPED)
		return false;
	*error = info.si_code == CLD_EXITED && info.si_status ? -info.si_status : -ECHILD;
	confine_reap(task);
	return true;
}
