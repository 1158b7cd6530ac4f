/*
 * What running guest code needs of the host, found out by doing it: versions and settings promise more than containers,
 * security modules and virtual machines keep.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypercalls/x86.h"
#include "monitor/cli/doctor/internal.h"
#include "monitor/engine/trap/bases.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/reserve.h"
#include "monitor/engine/trap/sites.h"
#include "monitor/host/cpuid.h"
#include "monitor/host/debug_registers.h"
#include "monitor/host/refusal.h"
#include "monitor/vm/cpu.h"

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* include/uapi/asm-generic/siginfo.h */
#endif

#define CPUID_FEATURES	1
#define CPUID_XSAVE	0xd
#define CPUID_XSAVEOPT	R3_BIT(0)
#define CPUID_POWER	0x80000007
#define CPUID_INVARIANT R3_BIT(8)
#define X86_RET		0xc3

/* What kept the last of the tries from being made; 0: it was made. */
static int untried;

int doctor_try(int (*function)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(function());
	untried = pid < 0 ? errno : 0;
	while (!untried && waitpid(pid, &status, 0) < 0)
		untried = errno == EINTR ? 0 : errno;
	if (untried)
		return untried;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

bool doctor_untried(struct doctor_result *result)
{
	if (!untried)
		return false;
	doctor_found(result, DOCTOR_LIMITED, refusal_remedy(untried), "not tried, there is no process to do it: %s",
		     strerror(untried));
	untried = 0;
	return true;
}

/* What went wrong, for results of doctor_try. */
static const char *reason(int result)
{
	return result < 0 ? strsignal(-result) : strerror(result);
}

/* ------------------------------------------------------------------------------------------------ traps and cells */

static volatile sig_atomic_t trapped;

static void note_trap(int signal, siginfo_t *info, void *context)
{
	trapped = info->si_code == SYS_SECCOMP && info->si_syscall == SYS_getppid;
}

static int try_seccomp(void)
{
	struct sigaction action = {.sa_sigaction = note_trap, .sa_flags = SA_SIGINFO};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int err = filter ? 0 : -ENOMEM;

	sigaction(SIGSYS, &action, NULL);
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(getppid), 0);
	if (!err)
		err = seccomp_load(filter);
	if (err)
		return -err;
	syscall(SYS_getppid);
	return trapped ? 0 : ENOSYS;
}

static void check_seccomp(struct doctor_result *result)
{
	int err = doctor_try(try_seccomp);

	if (!err)
		doctor_found(result, DOCTOR_OK, NULL, "a filter turns a system call into SIGSYS");
	else
		doctor_found(result, DOCTOR_MISSING,
			     "a kernel with CONFIG_SECCOMP_FILTER; in a container, let its profile permit seccomp(2) "
			     "and prctl(2)",
			     "no filter can be installed: %s", reason(err));
}

/* Guest RAM is one file that cells map shared, writable and executable. */
static int try_memfd(void)
{
	int fd = memfd_create("ring3 doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *memory;

	if (fd < 0 || ftruncate(fd, GATE_PAGE))
		return errno;
	memory = mmap(NULL, GATE_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return errno;
	memory[0] = X86_RET;
	((void (*)(void))memory)();
	return 0;
}

static void check_memfd(struct doctor_result *result)
{
	unsigned long noexec = doctor_number("/proc/sys/vm/memfd_noexec", 0);
	int err = doctor_try(try_memfd);

	if (!err)
		doctor_found(result, DOCTOR_OK, NULL, "shared memory can be written and executed (vm.memfd_noexec %lu)",
			     noexec);
	else
		doctor_found(result, DOCTOR_MISSING,
			     "sysctl vm.memfd_noexec=0; with SELinux or another security module, permit execmem and "
			     "execution of tmpfs files",
			     "shared memory that can be executed is refused: %s (vm.memfd_noexec %lu)", reason(err),
			     noexec);
}

static void check_addresses(struct doctor_result *result)
{
	if (reserve_gate_held())
		doctor_found(result, DOCTOR_OK, NULL, "the gate's place at %#lx is free", (uint64_t)GATE_HOLE_START);
	else
		doctor_found(result, DOCTOR_MISSING,
			     errno == EEXIST ? "run it again: addresses are given out by chance"
					     : "ulimit -v unlimited",
			     "the gate's place at %#lx cannot be had: %s", (uint64_t)GATE_HOLE_START, strerror(errno));
}

static int try_rseq(void)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	if (!__rseq_size)
		return 0;
	return syscall(SYS_rseq, area, sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG) ? errno : 0;
}

static void check_rseq(struct doctor_result *result)
{
	int err = doctor_try(try_rseq);

	if (!err)
		doctor_found(result, DOCTOR_OK, NULL,
			     __rseq_size ? "the C library's area can be given up" : "the C library uses none");
	else
		doctor_found(result, DOCTOR_MISSING, "GLIBC_TUNABLES=glibc.pthread.rseq=0",
			     "the C library's area cannot be given up: %s", reason(err));
}

/* -------------------------------------------------------------------------------------------------- the processor */

static int try_fsgsbase(void)
{
	uint64_t base;

	__asm__ volatile("rdgsbase %0\n\twrgsbase %0" : "=r"(base));
	return 0;
}

static void check_fsgsbase(struct doctor_result *result)
{
	int err = bases_mode() == GATE_BASES_INSNS ? doctor_try(try_fsgsbase) : -SIGILL;

	if (!err)
		doctor_found(result, DOCTOR_OK, NULL, "RDGSBASE and WRGSBASE work in ring 3");
	else
		doctor_found(result, DOCTOR_LIMITED,
			     "Linux 5.9 or later without 'nofsgsbase', on a processor of 2013 (Intel) or 2019 (AMD) or "
			     "later. Until then segment bases cost a system call, and guests must not use WRFSBASE and "
			     "WRGSBASE",
			     "the kernel does not keep what WRFSBASE and WRGSBASE write");
}

static void check_xsave(struct doctor_result *result)
{
	unsigned a = 0, b = 0, c = 0, d = 0, optimised = 0;

	__get_cpuid_count(CPUID_XSAVE, 1, &optimised, &b, &c, &d);
	if (!__get_cpuid_count(CPUID_XSAVE, 0, &a, &b, &c, &d) || !b || !(optimised & CPUID_XSAVEOPT))
		doctor_found(result, DOCTOR_MISSING, "a processor with XSAVEOPT, and a kernel without 'noxsave'",
			     "the processor or the kernel lacks XSAVEOPT");
	else if (b > GATE_FPU_SIZE)
		doctor_found(result, DOCTOR_MISSING, "raise GATE_FPU_SIZE in monitor/engine/trap/gate.h and rebuild",
			     "register state takes %u bytes, the gate holds %u", b, (unsigned)GATE_FPU_SIZE);
	else
		doctor_found(result, DOCTOR_OK, NULL, "register state takes %u bytes of the gate's %u", b,
			     (unsigned)GATE_FPU_SIZE);
}

static void check_signal_stack(struct doctor_result *result)
{
	unsigned long needed = getauxval(AT_MINSIGSTKSZ);

	if (needed > GATE_STACK_SIZE)
		doctor_found(result, DOCTOR_MISSING, "raise GATE_STACK_SIZE in monitor/engine/trap/gate.h and rebuild",
			     "a signal frame takes %lu bytes, the gate's stack has %u", needed,
			     (unsigned)GATE_STACK_SIZE);
	else
		doctor_found(result, DOCTOR_OK, NULL, "a signal frame takes up to %lu bytes of the gate's %u", needed,
			     (unsigned)GATE_STACK_SIZE);
}

static void check_tsc(struct doctor_result *result)
{
	unsigned a, b, c, d = 0;
	int mode = PR_TSC_ENABLE;

	prctl(PR_GET_TSC, &mode);
	if (mode != PR_TSC_ENABLE)
		doctor_found(result, DOCTOR_MISSING, "start ring3 without PR_TSC_SIGSEGV (prctl(2))",
			     "RDTSC is forbidden in this process");
	else if (!__get_cpuid(CPUID_POWER, &a, &b, &c, &d) || !(d & CPUID_INVARIANT))
		doctor_found(result, DOCTOR_LIMITED,
			     "in a virtual machine, ask its host for an invariant TSC; else expect guests' clocks to "
			     "drift",
			     "the time stamp counter does not promise a constant rate");
	else
		doctor_found(result, DOCTOR_OK, NULL, "the time stamp counter runs at a constant rate");
}

/* ---------------------------------------------------------------------------------------------------- information */

static int try_user_namespace(void)
{
	return unshare(CLONE_NEWUSER) ? errno : 0;
}

static void check_user_namespaces(struct doctor_result *result)
{
	int err = doctor_try(try_user_namespace);

	doctor_found(result, DOCTOR_INFO, NULL, "%s%s; ring3 does not need them", err ? "refused: " : "available",
		     err ? reason(err) : "");
}

static int try_user_dispatch(void)
{
	static volatile char selector;

	return prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) ? errno : 0;
}

static void check_user_dispatch(struct doctor_result *result)
{
	int err = doctor_try(try_user_dispatch);

	doctor_found(result, DOCTOR_INFO, NULL, "%s%s; ring3 does not need it", err ? "refused: " : "available",
		     err ? reason(err) : "");
}

static void check_protection_keys(struct doctor_result *result)
{
	if (sites_possible())
		doctor_found(result, DOCTOR_INFO, NULL, "programs' SYSCALLs need no signal where they are frequent");
	else
		doctor_found(result, DOCTOR_INFO, NULL,
			     "none: each SYSCALL of a program costs a signal; ring3 does not need them");
}

static void check_debug_registers(struct doctor_result *result)
{
	if (debug_registers_fire())
		doctor_found(result, DOCTOR_INFO, NULL, "they stop a program");
	else
		doctor_found(result, DOCTOR_INFO, NULL,
			     "they stop no program here: engine trap has no watchpoints, the others have");
}

/* What CPUID shows to code that runs directly, and the machine does not have. */
static void check_cpuid(struct doctor_result *result)
{
	struct cpu cpu;
	char names[sizeof(result->found) - 192] = "";
	unsigned count = 0, told = 0;
	size_t len = 0;

	cpu_describe(&cpu, NULL, CPU_DIRECT, false);
	for (; cpu_leak(&cpu, count) < CPU_FEATURE_COUNT; count++) {
		const char *name = cpu_feature_name(cpu_leak(&cpu, count));
		if (len + strlen(name) + 2 > sizeof(names))
			continue;
		len += (size_t)sprintf(names + len, " %s", name);
		told++;
	}
	const char *kept = host_cpuid_can_keep()
				   ? "; run --cpu MODEL has CPUID fault, and keeps them from it"
				   : "; CPUID cannot be made to fault here, so no --cpu keeps them from it";
	if (!count)
		doctor_found(result, DOCTOR_INFO, NULL, "the host's features are the machine's");
	else
		doctor_found(result, DOCTOR_INFO, NULL,
			     "code that runs directly sees features that are not there:%s%s%s", names,
			     told < count ? " ..." : "", kept);
}

const struct doctor_check doctor_live[] = {
	{"seccomp", "system calls of guest code become traps", check_seccomp},
	{"memfd", "guest RAM that cells can execute", check_memfd},
	{"addresses", "room for the gate", check_addresses},
	{"fsgsbase", "segment bases without a system call", check_fsgsbase},
	{"xsave", "floating-point and vector state", check_xsave},
	{"signal_stack", "signal frames", check_signal_stack},
	{"rseq", "restartable sequences", check_rseq},
	{"tsc", "clock", check_tsc},
	{"cpuid", "what CPUID shows", check_cpuid},
	{"protection_keys", "code that can be executed and not read", check_protection_keys},
	{"debug_registers", "debug registers, for watchpoints", check_debug_registers},
	{"user_namespaces", "user namespaces", check_user_namespaces},
	{"user_dispatch", "syscall user dispatch", check_user_dispatch},
};

const unsigned doctor_live_count = sizeof(doctor_live) / sizeof(doctor_live[0]);
