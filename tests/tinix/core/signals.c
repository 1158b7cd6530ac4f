/*
 * Signals under tinix: handlers and their frames, masks, alternate stacks, restarting, stopping, faults.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include "child.h"
#include "tap.h"

static volatile sig_atomic_t caught, on_stack, nested_too_deep, depth;
static volatile siginfo_t seen;
static char *alternate;

static void handler(int signal, siginfo_t *info, void *context)
{
	char here;

	caught = signal;
	memcpy((void *)&seen, info, sizeof(seen));
	on_stack = alternate && &here >= alternate && &here < alternate + 65536;
}

static void set_handler(int signal, void (*function)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = function, .sa_flags = SA_SIGINFO | flags};

	sigaction(signal, &action, NULL);
}

static void pause_ms(long ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

static void handlers(void)
{
	sigset_t set, old;

	set_handler(SIGUSR1, handler, 0);
	raise(SIGUSR1);
	check_equal(caught, SIGUSR1, "handler runs");
	check_equal(seen.si_pid, getpid(), "and knows who sent it");
	caught = 0;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	raise(SIGUSR1);
	check_equal(caught, 0, "a blocked signal waits");
	sigpending(&set);
	check(sigismember(&set, SIGUSR1), "is pending");
	sigprocmask(SIG_SETMASK, &old, NULL);
	check_equal(caught, SIGUSR1, "and comes when unblocked");
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	check(true, "an ignored one does nothing");
}

static void twice(int signal, siginfo_t *info, void *context)
{
	depth++;
	if (depth > 1)
		nested_too_deep = 1;
	if (!caught)
		raise(signal); /* blocked until we return */
	caught++;
	depth--;
}

static void blocked_in_handler(void)
{
	set_handler(SIGUSR2, twice, 0);
	caught = 0;
	raise(SIGUSR2);
	check(!nested_too_deep, "a handler is not interrupted by its own signal");
	check_equal(caught, 2, "but runs again after it");
	signal(SIGUSR2, SIG_DFL);
}

static void alternate_stack(void)
{
	stack_t stack = {.ss_size = 65536}, old;

	alternate = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack.ss_sp = alternate;
	check_equal(sigaltstack(&stack, NULL), 0, "sigaltstack");
	set_handler(SIGUSR1, handler, SA_ONSTACK);
	raise(SIGUSR1);
	check(on_stack, "handler runs on the alternate stack");
	set_handler(SIGUSR1, handler, 0);
	raise(SIGUSR1);
	check(!on_stack, "or not");
	check(!sigaltstack(NULL, &old) && old.ss_sp == alternate, "the stack is reported");
}

static void spoil_fpu(int signal, siginfo_t *info, void *context)
{
	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7; fninit" : : : "memory");
}

/* General registers, flags, vector and x87 registers come back as they were. */
static void registers_kept(void)
{
	uint64_t in = 0x1234567887654321, out = 0, r12 = 0;
	double st = 0;
	long pid = getpid(), number = SIGUSR1, result = 62; /* kill */

	set_handler(SIGUSR1, spoil_fpu, 0);
	__asm__ volatile("movq %[in], %%xmm7\n\t"
			 "mov %[in], %%r12\n\t"
			 "fld1\n\t"
			 "stc\n\t"
			 "syscall\n\t"
			 "movq %%xmm7, %[out]\n\t"
			 "mov %%r12, %[r12]\n\t"
			 "fstpl %[st]\n\t"
			 : [out] "=&r"(out), [r12] "=&r"(r12), [st] "=m"(st), "+a"(result)
			 : [in] "r"(in), "D"(pid), "S"(number)
			 : "rcx", "r11", "r12", "xmm7", "memory", "cc");
	check(result == 0 && out == in, "a handler leaves no trace in vector registers");
	check(r12 == in, "nor in general ones");
	check(st == 1.0, "nor on the x87 stack");
}

static sigjmp_buf back;
static volatile uintptr_t fault_address;
static volatile int fault_code;

static void fault(int signal, siginfo_t *info, void *context)
{
	caught = signal;
	fault_address = (uintptr_t)info->si_addr;
	fault_code = info->si_code;
	siglongjmp(back, 1);
}

/* True if the statement ends in fault(). */
#define FAULTS(statement)                                                                                              \
	({                                                                                                             \
		volatile bool faulted = sigsetjmp(back, 1);                                                            \
		if (!faulted) {                                                                                        \
			statement;                                                                                     \
		}                                                                                                      \
		faulted;                                                                                               \
	})

static void memory_faults(void)
{
	volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile char *volatile low = (char *)16;
	volatile char *code = (char *)(uintptr_t)handler;
	volatile char *kernel = (char *)0x7f0000201000, *monitor = (char *)0x3f8000000000 + (127l << 32);

	volatile int zero = 0, one = 1;

	set_handler(SIGSEGV, fault, 0);
	set_handler(SIGFPE, fault, 0);
	set_handler(SIGILL, fault, 0);
	check(FAULTS(*low) && caught == SIGSEGV && fault_address == 16 && fault_code == SEGV_MAPERR, "null pointer");
	check(FAULTS(page[0] = 1) && fault_address == (uintptr_t)page && fault_code == SEGV_ACCERR,
	      "write to a read-only page");
	check(!page[0], "which may be read");
	check(FAULTS(none[1]) && fault_code == SEGV_ACCERR, "PROT_NONE");
	check(FAULTS(*kernel) && caught == SIGSEGV, "the kernel cannot be read");
	check(FAULTS(*kernel = 1), "nor written");
	check(FAULTS(((void (*)(void))kernel)()), "nor executed");
	check(FAULTS(*monitor), "nor can the monitor's hole");
	check(FAULTS(((void (*)(void))page)()) && fault_address == (uintptr_t)page, "data is not executed");
	check(FAULTS(*code = 1), "code is not written");
	caught = 0;
	check(FAULTS(__asm__ volatile("ud2")) && caught == SIGILL, "undefined instruction");
	check(FAULTS(__asm__ volatile("cli")) && caught == SIGSEGV, "privileged instruction");
	check(FAULTS(one = one / zero) && caught == SIGFPE, "division by zero");
	signal(SIGSEGV, SIG_DFL);
	signal(SIGFPE, SIG_DFL);
	signal(SIGILL, SIG_DFL);
	munmap((void *)page, 4096);
	munmap((void *)none, 4096);
}

static int overflow_stack(void *arg)
{
	volatile char frame[65536];

	frame[0] = 1;
	return arg ? overflow_stack((void *)frame) + frame[0] : 0;
}

static int send_later(void *arg)
{
	pause_ms(50);
	kill(getppid(), (int)(long)arg);
	return 0;
}

static void interrupted_calls(void)
{
	struct timespec second = {5, 0}, left = {0, 0};
	pid_t child;
	int ends[2];
	char byte;

	pipe(ends);
	set_handler(SIGUSR1, handler, 0);
	child = start_child(send_later, (void *)SIGUSR1);
	check(read(ends[0], &byte, 1) == -1 && errno == EINTR, "a handler interrupts read");
	end_of(child);
	child = start_child(send_later, (void *)SIGUSR1);
	check(nanosleep(&second, &left) == -1 && errno == EINTR && left.tv_sec == 4, "and nanosleep, which says so");
	end_of(child);
	set_handler(SIGUSR1, handler, SA_RESTART);
	caught = 0;
	child = fork();
	if (!child) {
		pause_ms(50);
		kill(getppid(), SIGUSR1);
		pause_ms(50);
		_exit(write(ends[1], "x", 1) != 1);
	}
	check(read(ends[0], &byte, 1) == 1 && caught == SIGUSR1, "with SA_RESTART read goes on");
	end_of(child);
	close(ends[0]);
	close(ends[1]);
}

static int ask_parent(void *arg)
{
	return kill(getppid(), SIGUSR1);
}

/* Process 1 as well, which the signal would end the machine for if nobody there listened. */
static void waited_for(void)
{
	struct timespec timeout = {20, 0};
	sigset_t set, old;
	pid_t child;

	signal(SIGUSR1, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	child = start_child(ask_parent, NULL);
	check_equal(sigtimedwait(&set, NULL, &timeout), SIGUSR1,
		    "what is ignored by default is had by who waits for it");
	check_equal(end_of(child), 0, "whoever asked");
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void alarms(void)
{
	struct itimerval interval = {{0, 10000}, {0, 10000}}, none = {{0, 0}, {0, 0}};
	sigset_t set;
	struct timespec timeout = {0, 20000000};

	set_handler(SIGALRM, handler, 0);
	caught = 0;
	setitimer(ITIMER_REAL, &interval, NULL);
	pause();
	check_equal(caught, SIGALRM, "interval timer");
	caught = 0;
	pause();
	check_equal(caught, SIGALRM, "again");
	setitimer(ITIMER_REAL, &none, NULL);
	check_equal(alarm(100), 0, "no alarm was set");
	check_equal(alarm(0), 100, "but then there was");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	check(sigtimedwait(&set, NULL, &timeout) == -1 && errno == EAGAIN, "sigtimedwait gives up");
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR2);
	check_equal(sigtimedwait(&set, NULL, &timeout), SIGUSR2, "or takes what waits");
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int spin(void *arg)
{
	for (volatile bool forever = true; forever;)
		;
	return 0;
}

static void job_control(void)
{
	pid_t child = start_child(spin, NULL);
	int status = 0;

	/* In the same group as process 1 the terminal's signals would not stop it: nobody could continue it. */
	setpgid(child, child);
	kill(child, SIGSTOP);
	check_equal(waitpid(child, &status, WUNTRACED), child, "a stopped child is reported");
	check(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "as stopped");
	kill(child, SIGCONT);
	check_equal(waitpid(child, &status, WCONTINUED), child, "a continued one too");
	check(WIFCONTINUED(status), "as continued");
	kill(child, SIGTSTP);
	check(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status), "SIGTSTP stops");
	kill(child, SIGKILL);
	check_equal(end_of(child), SIGKILL, "and SIGKILL ends what is stopped");
}

static void child_died(int signal, siginfo_t *info, void *context)
{
	caught = info->si_code == CLD_EXITED ? info->si_status : -1;
}

static int exit_five(void *arg)
{
	return 5;
}

static void child_signals(void)
{
	sigset_t block, old;
	pid_t child;

	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_BLOCK, &block, &old);
	set_handler(SIGCHLD, child_died, 0);
	child = start_child(exit_five, NULL);
	sigsuspend(&old);
	check_equal(caught, 5, "SIGCHLD brings the status");
	sigprocmask(SIG_SETMASK, &old, NULL);
	end_of(child);
	signal(SIGCHLD, SIG_IGN);
	child = start_child(exit_five, NULL);
	check(waitpid(child, NULL, 0) == -1 && errno == ECHILD, "ignoring it leaves no zombie");
	signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
	tap_begin();
	handlers();
	blocked_in_handler();
	alternate_stack();
	registers_kept();
	memory_faults();
	check_equal(run_child(overflow_stack, (void *)1), SIGSEGV, "a stack grows only so far");
	interrupted_calls();
	waited_for();
	alarms();
	job_control();
	child_signals();
	return tap_finish();
}
