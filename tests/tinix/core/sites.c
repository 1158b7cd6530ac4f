/*
 * A program that attacks the places from which it makes SYSCALLs again and again: it reads, sums up, jumps into, unmaps
 * and rewrites them, in the middle of it signals come and steps are made. It says the same on any Linux.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include "child.h"
#include "tap.h"

#define PAGE	    4096ul
#define AT	    64 /* where in its page the place is */
#define MOV	    5
#define TICKS	    20
#define PATIENCE_NS 20000000000ull
#define HEAT_NS	    80000000ull
#define VDSO	    (4 * PAGE)
#define TRAP_FLAG   0x100
#define OSPKE	    0x10 /* of CPUID leaf 7, ECX */

/* mov $getppid, %eax; syscall; ret. From its third byte on: add %al,(%rax); add %cl,(%rdi); add $0x909090c3,%eax; ret
 */
static const uint8_t plain[] = {0xb8, 0x6e, 0, 0, 0, 0x0f, 0x05, 0xc3, 0x90, 0x90, 0x90, 0xc3};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint8_t *fresh(int flags)
{
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		exit(98);
	memset(page, 0x90, PAGE);
	return page;
}

static uint8_t *with_code(const uint8_t *code, size_t len, unsigned at)
{
	uint8_t *page = fresh(MAP_PRIVATE);

	memcpy(page + at, code, len);
	mprotect(page, PAGE, PROT_READ | PROT_EXEC);
	return page;
}

static long call(const uint8_t *at)
{
	return ((long (*)(void))(uintptr_t)at)();
}

/* Long enough for whoever looks what is called again and again. */
static bool heat(const uint8_t *at, long want)
{
	bool right = true;

	for (uint64_t until = now() + HEAT_NS; now() < until;)
		for (unsigned n = 0; n < 1000; n++)
			right &= call(at) == want;
	return right;
}

static unsigned sum(const uint8_t *page)
{
	unsigned sum = 1;

	for (unsigned i = 0; i < PAGE; i++)
		sum = sum * 31 + page[i];
	return sum;
}

static void reads(void)
{
	uint8_t *page = with_code(plain, sizeof(plain), AT), copy[sizeof(plain)];
	unsigned before = sum(page);
	int fds[2];

	check(heat(page + AT, getppid()), "a place answers while it becomes hot");
	check(!pipe(fds) && write(fds[1], page + AT, sizeof(copy)) == sizeof(copy) &&
		      read(fds[0], copy, sizeof(copy)) == sizeof(copy) && !memcmp(copy, plain, sizeof(copy)),
	      "the kernel reads what was there");
	check(!memcmp(page + AT, plain, sizeof(plain)), "the program does");
	check(sum(page) == before, "the page has the sum that it had");
	check(heat(page + AT, getppid()), "and it answers as before");
	check(sum(page) == before, "with the same sum");
	munmap(page, PAGE);
}

/* -------------------------------------------------------------------------------------------------------- jumps */

static sigjmp_buf back;
static volatile uintptr_t fault_rip;
static volatile int fault_signal;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	fault_rip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	fault_signal = signal;
	siglongjmp(back, 1);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	sigaction(signal, &action, NULL);
}

static uint64_t jump_with(const uint8_t *to, uint64_t rax, void *rdi)
{
	uint64_t rcx = 1;

	__asm__ volatile("sub $128, %%rsp; call *%3; add $128, %%rsp"
			 : "+a"(rax), "+c"(rcx), "+D"(rdi)
			 : "r"(to)
			 : "r11", "memory", "cc");
	return rax;
}

static void jumps(void)
{
	uint8_t *page = with_code(plain, sizeof(plain), AT);
	uint64_t bytes[2] = {0, 0}, got;

	check(heat(page + AT, getppid()), "another place");
	check_equal((long)jump_with(page + AT + MOV, SYS_getpid, NULL), getpid(),
		    "a jump to the SYSCALL is that SYSCALL");
	check(heat(page + AT, getppid()), "and the place is one still");
	handle(SIGSEGV, on_fault, SA_NODEFER);
	handle(SIGILL, on_fault, SA_NODEFER);
	if (!sigsetjmp(back, 1)) {
		jump_with(page + AT + 1, 0, NULL);
		check(false, "a jump to the number, which begins with OUTSB, faults");
	} else {
		check(fault_signal == SIGSEGV && fault_rip == (uintptr_t)page + AT + 1,
		      "a jump to the number, which begins with OUTSB, faults");
	}
	for (unsigned skip = 2; skip <= 4; skip += 2) {
		munmap(page, PAGE);
		page = with_code(plain, sizeof(plain), AT);
		bytes[0] = bytes[1] = 0;
		check(heat(page + AT, getppid()), "a place that is jumped into at byte %u", skip);
		got = jump_with(page + AT + skip, (uint64_t)(uintptr_t)&bytes[0], &bytes[1]);
		check(got == (uint32_t)((uint64_t)(uintptr_t)&bytes[0] + 0x909090c3) && (bytes[1] & 0xff) == 1 &&
			      (bytes[0] & 0xff) == (skip == 2 ? ((uintptr_t)&bytes[0] & 0xff) : 0),
		      "executes what the number's bytes say");
	}
	signal(SIGSEGV, SIG_DFL);
	signal(SIGILL, SIG_DFL);
	munmap(page, PAGE);
}

/*
 * Where a jump to another page would be, if it were one: what lies there is the program's, and nothing but that, while
 * the place is hot, and once it is gone there is nothing.
 */
#define BEYOND 0x06066006
#define ALONE  ((void *)0x600000000) /* far from all else */

/* Its process shows nothing of that memory yet. */
static int child_beyond(void *arg)
{
	const uint8_t *page = arg;

	return !heat(page + AT, getppid()) || call(page + AT + MOV + BEYOND) != getpid();
}

static void beyond(void)
{
	uint8_t *page = mmap(ALONE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	uint8_t *at = page + AT + MOV + BEYOND, *own = at - ((uintptr_t)at & (PAGE - 1));

	if (page == MAP_FAILED)
		exit(98);
	memcpy(page + AT, plain, sizeof(plain));
	mprotect(page, PAGE, PROT_READ | PROT_EXEC);
	check(heat(page + AT, getppid()), "a place with nothing behind it");
	own = mmap(own, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	check(own != MAP_FAILED && !own[0] && !own[PAGE - 1] && !at[0], "gets memory there, of zeroes");
	memset(own, 0x5a, PAGE);
	check(heat(page + AT, getppid()) && own[0] == 0x5a && own[PAGE - 1] == 0x5a && at[0] == 0x5a,
	      "which is as it was written");
	memcpy(at, plain, sizeof(plain));
	at[1] = SYS_getpid;
	mprotect(own, PAGE, PROT_READ | PROT_EXEC);
	check_equal(run_child(child_beyond, page), 0, "and code of a child's, where it wrote some");
	munmap(own, PAGE);
	check(heat(page + AT, getppid()), "it answers without, too");
	munmap(page, PAGE);
	handle(SIGSEGV, on_fault, SA_NODEFER);
	fault_rip = 0;
	if (!sigsetjmp(back, 1))
		call(at);
	check_equal((long)fault_rip, (long)(uintptr_t)at, "and when it is gone nothing is executed there");
	signal(SIGSEGV, SIG_DFL);
}

/* xor %r8d, %r8d; mov $getpid, %eax; mov $getpid, %r8d; syscall; mov %r8, %rax; ret */
static const uint8_t prefixed[] = {0x45, 0x31, 0xc0, 0xb8, 0x27, 0,    0,    0,	   0x41, 0xb8,
				   0x27, 0,    0,    0,	   0x0f, 0x05, 0x4c, 0x89, 0xc0, 0xc3};

static void prefixes(void)
{
	uint8_t *page = with_code(prefixed, sizeof(prefixed), AT);

	check(heat(page + AT, SYS_getpid), "an instruction that looks like a place's but for its prefix is executed");
	munmap(page, PAGE);
}

/*
 * test %rdi, %rdi; jnz 1f; mov $0xb1, %dl; mov $alarm, %eax; syscall; ret, where 1 is the last byte of the first MOV:
 * mov $0xb8, %cl; and $0xf000000, %eax; add $0x909090c3, %eax; movzbl %cl, %eax; ret. Or the same by a jump of 32 bits.
 */
static const uint8_t two_ways[] = {0x48, 0x85, 0xff, 0x75, 0x01, 0xb2, 0xb1, 0xb8, 0x25, 0,    0,
				   0,	 0x0f, 0x05, 0xc3, 0x90, 0x90, 0x90, 0x0f, 0xb6, 0xc1, 0xc3};
static const uint8_t far_way[] = {0x48, 0x85, 0xff, 0x0f, 0x85, 1,    0,    0,	  0,	0xb2, 0xb1, 0xb8, 0x25,
				  0,	0,    0,    0x0f, 0x05, 0xc3, 0x90, 0x90, 0x90, 0x0f, 0xb6, 0xc1, 0xc3};

static bool heat_ways(const uint8_t *at)
{
	long (*code)(long) = (long (*)(long))(uintptr_t)at;
	bool right = true;

	for (uint64_t until = now() + HEAT_NS; now() < until;) {
		for (unsigned n = 0; n < 1000; n++)
			right &= code(0) == 0;
		right &= code(1) == 0xb8;
	}
	return right;
}

/* The same bytes in two ways, neither of which is changed by how often the other one is gone. */
static void ways(void)
{
	uint8_t *page = with_code(two_ways, sizeof(two_ways), AT);

	check(heat_ways(page + AT), "an instruction that reaches into a place is executed");
	munmap(page, PAGE);
	page = with_code(far_way, sizeof(far_way), AT);
	check(heat_ways(page + AT), "also one that is jumped to as from afar");
	munmap(page, PAGE);
}

/* ------------------------------------------------------------------------------------------------------ changes */

static int call_it(void *arg)
{
	call(arg);
	return 0;
}

static void changes(void)
{
	uint8_t *page = with_code(plain, sizeof(plain), AT);
	const uint8_t getpid_nr = SYS_getpid;

	check(heat(page + AT, getppid()), "a place that is rewritten");
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	page[AT + 1] = getpid_nr;
	check_equal(run_child(call_it, page + AT), SIGSEGV, "is no code while it is written");
	mprotect(page, PAGE, PROT_READ | PROT_EXEC);
	check_equal(call(page + AT), getpid(), "has the new number");
	check(heat(page + AT, getpid()), "and becomes hot with it");
	mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	check(!memcmp(page + AT + 2, plain + 2, sizeof(plain) - 2) && page[AT + 1] == getpid_nr,
	      "code that can be written");
	page[AT + 1] = SYS_getppid;
	check_equal(call(page + AT), getppid(), "is what was written");
	munmap(page, PAGE);
	check_equal(run_child(call_it, page + AT), SIGSEGV, "unmapped, there is none");
	uint8_t *again = mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memcpy(again + AT, plain, sizeof(plain));
	again[AT + 1] = getpid_nr;
	mprotect(again, PAGE, PROT_READ | PROT_EXEC);
	check_equal(call(again + AT), getpid(), "what is mapped there then is executed");
	munmap(again, PAGE);
}

struct shared {
	uint8_t *page;
	int ask[2], done[2];
};

/* Writes what its parent executes: by itself, then through the kernel. */
static int writer(void *arg)
{
	const struct shared *shared = arg;
	char byte;

	mprotect(shared->page, PAGE, PROT_READ | PROT_WRITE);
	for (unsigned n = 0; n < 2 && read(shared->ask[0], &byte, 1) == 1; n++) {
		if (n == 0)
			shared->page[AT + 1] = SYS_getpid;
		else if (read(shared->ask[0], shared->page + AT + 1, 1) != 1)
			return 1;
		if (write(shared->done[1], "x", 1) != 1)
			return 1;
	}
	return 0;
}

static void written_elsewhere(void)
{
	struct shared shared = {.page = fresh(MAP_SHARED)};
	const uint8_t number[] = {'x', SYS_getppid};
	char byte;

	memcpy(shared.page + AT, plain, sizeof(plain));
	check(!pipe(shared.ask) && !pipe(shared.done), "pipes");
	pid_t child = start_child(writer, &shared);
	mprotect(shared.page, PAGE, PROT_READ | PROT_EXEC);
	check(heat(shared.page + AT, getppid()), "a place in shared memory");
	check(write(shared.ask[1], number, 1) == 1 && read(shared.done[0], &byte, 1) == 1,
	      "another process writes to it");
	check_equal(call(shared.page + AT), getpid(), "which counts here");
	check(heat(shared.page + AT, getpid()), "it becomes hot again");
	check(write(shared.ask[1], number, 2) == 2 && read(shared.done[0], &byte, 1) == 1, "the kernel writes to it");
	check_equal(call(shared.page + AT), getppid(), "which counts too");
	check_equal(end_of(child), 0, "the other process is done");
	munmap(shared.page, PAGE);
}

/* ------------------------------------------------------------------------------------------------- registers */

/* mov $getppid, %eax; syscall; dec %ebx; jnz; ret, with AT its place */
static const uint8_t loop[] = {0xb8, 0x6e, 0, 0, 0, 0x0f, 0x05, 0xff, 0xcb, 0x75, 0xf5, 0xc3};

struct registers {
	uint64_t r[16], red[8], flags, rcx, r11;
	uint8_t xmm[16];
};

/* What a place may change: RAX, RCX, R11. Below RSP is the program's. */
static bool call_keeps(const uint8_t *at, uint64_t count, long want)
{
	static struct registers after;
	static uint64_t flags, stamp;
	uint64_t rax;

	stamp++; /* what the call before left is not what is to be kept now */
	__asm__ volatile("sub $128, %%rsp; push %%rbp; push %%rbx\n\t"
			 "mov %[at], %%r8; mov %[count], %%rbx\n\t"
			 "mov $0x1111, %%edx; mov $0x2222, %%esi; mov $0x3333, %%edi; mov $0x4444, %%ebp\n\t"
			 "mov $0x5555, %%r9d; mov $0x6666, %%r10d; mov $0x7777, %%r12d; mov $0x8888, %%r13d\n\t"
			 "mov $0x9999, %%r14d; mov $0xaaaa, %%r15d\n\t"
			 "movq %[stamp], %%xmm5; punpcklqdq %%xmm5, %%xmm5\n\t"
			 "movq %%rdx, -0x40(%%rsp); movq %%r15, -0x18(%%rsp); movq %%r14, -0x88(%%rsp)\n\t"
			 "std; call *%%r8; pushf; cld; pop %%r8\n\t"
			 "mov %%r8, %[flags]\n\t"
			 "lea %[after], %%r8\n\t"
			 "mov %%rdx, 0(%%r8); mov %%rsi, 8(%%r8); mov %%rdi, 16(%%r8); mov %%rbp, 24(%%r8)\n\t"
			 "mov %%r9, 32(%%r8); mov %%r10, 40(%%r8); mov %%r12, 48(%%r8); mov %%r13, 56(%%r8)\n\t"
			 "mov %%r14, 64(%%r8); mov %%r15, 72(%%r8)\n\t"
			 "mov -0x40(%%rsp), %%r9; mov %%r9, 128(%%r8); mov -0x18(%%rsp), %%r9; mov %%r9, 136(%%r8)\n\t"
			 "mov -0x88(%%rsp), %%r9; mov %%r9, 144(%%r8)\n\t"
			 "mov %%rcx, 200(%%r8); mov %%r11, 208(%%r8); movdqu %%xmm5, 216(%%r8)\n\t"
			 "pop %%rbx; pop %%rbp; add $128, %%rsp"
			 : "=a"(rax), [flags] "=m"(flags), [after] "=m"(after)
			 : [at] "r"(at), [count] "r"(count), [stamp] "m"(stamp)
			 : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm5",
			   "memory", "cc");
	static const uint64_t wanted[] = {0x1111, 0x2222, 0x3333, 0x4444, 0x5555,
					  0x6666, 0x7777, 0x8888, 0x9999, 0xaaaa};
	uint64_t xmm[2];
	memcpy(xmm, after.xmm, sizeof(xmm));
	return !memcmp(after.r, wanted, sizeof(wanted)) && after.red[0] == 0x1111 && after.red[1] == 0xaaaa &&
	       after.red[2] == 0x9999 && after.rcx == (uintptr_t)at + MOV + 2 && (after.r11 & 0x400) &&
	       (flags & 0x400) && xmm[0] == stamp && xmm[1] == stamp && (long)rax == want;
}

static void keeps(void)
{
	uint8_t *page = with_code(loop, sizeof(loop), AT);
	unsigned bad = 0;

	for (uint64_t until = now() + 2 * HEAT_NS; now() < until;)
		bad += !call_keeps(page + AT, 100, getppid());
	check_equal(bad, 0, "registers, flags and what lies below the stack pointer are kept");
	munmap(page, PAGE);
}

/* ----------------------------------------------------------------------------------------- signals and steps */

static const uint8_t *volatile loop_page;
static volatile unsigned ticks, odd, steps, shown;
static volatile uintptr_t odd_rip;

/* The place is two instructions, whenever somebody looks. */
static void look(const ucontext_t *context)
{
	const greg_t *gregs = context->uc_mcontext.gregs;
	uintptr_t at = (uintptr_t)gregs[REG_RIP] - (uintptr_t)loop_page - AT;

	if (at < PAGE - AT && at != 0 && at != 5 && at != 7 && at != 9 && at != 11) {
		odd++;
		odd_rip = at;
	}
	if (at == 5 && gregs[REG_RAX] != SYS_getppid)
		odd++;
}

extern const char program_start[] __asm__("__executable_start"), program_end[] __asm__("etext");

/* Nothing is executed but the program and its page. */
static void on_tick(int signal, siginfo_t *info, void *context)
{
	uintptr_t rip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	look(context);
	/* Once: it is a place no more then. */
	if (++ticks == TICKS)
		shown = (unsigned)memcmp((const void *)(loop_page + AT), loop, sizeof(loop));
	if (rip - (uintptr_t)loop_page >= PAGE && rip - getauxval(AT_SYSINFO_EHDR) >= VDSO &&
	    rip - (uintptr_t)program_start >= (uintptr_t)(program_end - program_start)) {
		odd++;
		odd_rip = rip;
	}
}

static void signals(void)
{
	const struct itimerval every = {{0, 1000}, {0, 1000}}, never = {0};
	unsigned bad = 0;

	loop_page = with_code(loop, sizeof(loop), AT);
	handle(SIGALRM, on_tick, SA_RESTART);
	setitimer(ITIMER_REAL, &every, NULL);
	for (uint64_t from = now(); now() - from < HEAT_NS || (ticks < TICKS && now() - from < PATIENCE_NS);)
		bad += !call_keeps(loop_page + AT, 100, getppid());
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	check(ticks >= TICKS, "signals came");
	check_equal(odd, 0, "each where the program was");
	if (odd)
		printf("# at %#lx\n", (unsigned long)odd_rip);
	check_equal(bad, 0, "and all registers were kept");
	check_equal(shown, 0, "a handler reads the place as it is");
	munmap((void *)loop_page, PAGE);
}

static uintptr_t stepped[16];

static void on_step(int signal, siginfo_t *info, void *context)
{
	greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
	uintptr_t at = (uintptr_t)gregs[REG_RIP] - (uintptr_t)loop_page;

	/* Whether there is a step behind the SYSCALL differs from one Linux to another. */
	if (at < PAGE && at != AT + 7 && steps < sizeof(stepped) / sizeof(stepped[0]))
		stepped[steps++] = at - AT;
	if (at == AT + 11)
		gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

static void single_steps(void)
{
	static const uintptr_t wanted[] = {0, 5, 9, 11};

	loop_page = with_code(loop, sizeof(loop), AT);
	for (unsigned n = 0; n < 100; n++)
		call_keeps(loop_page + AT, 1000, getppid());
	handle(SIGTRAP, on_step, 0);
	__asm__ volatile("sub $128, %%rsp; mov $1, %%ebx; pushf; orl $0x100, (%%rsp); popf; call *%0; add $128, %%rsp"
			 :
			 : "r"(loop_page + AT)
			 : "rax", "rbx", "rcx", "r11", "memory", "cc");
	signal(SIGTRAP, SIG_DFL);
	check(steps == 4 && !memcmp(stepped, wanted, sizeof(wanted)), "steps are made from instruction to instruction");
	for (unsigned n = 0; n < steps; n++)
		printf("# step %u at %lu\n", n, (unsigned long)stepped[n]);
	munmap((void *)loop_page, PAGE);
}

/* --------------------------------------------------------------------------------------------------- preemption */

#define SLICES 30000000u /* rounds: more than a program gets in a row */

static int spin(void *arg)
{
	for (volatile bool forever = true; forever;)
		;
	return 0;
}

static bool has_keys(void)
{
	unsigned eax, ebx, ecx = 0, edx;

	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ecx & OSPKE);
}

static uint32_t keys(void)
{
	uint32_t value;

	__asm__ volatile("rdpkru" : "=a"(value) : "c"(0) : "rdx");
	return value;
}

static void set_keys(uint32_t value)
{
	__asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

/* Another program has the processor, and its registers, before this one looks, which may have opened all keys. */
static unsigned changed_in_turn(bool open)
{
	enum { PAGES = 3 };
	uint8_t *page[PAGES];
	unsigned changed = 0;

	for (unsigned n = 0; n < PAGES; n++) {
		page[n] = with_code(plain, sizeof(plain), AT);
		changed += !heat(page[n] + AT, getppid());
	}
	for (unsigned n = 0; n < PAGES; n++) {
		if (open)
			set_keys(0);
		for (volatile unsigned i = 0; i < SLICES && (!open || !keys()); i++)
			;
		changed += !!memcmp(page[n] + AT, plain, sizeof(plain));
	}
	for (unsigned n = 0; n < PAGES; n++)
		munmap(page[n], PAGE);
	return changed;
}

static void preempted(void)
{
	pid_t other = start_child(spin, NULL);

	check_equal(changed_in_turn(false), 0, "places read as they are once another program has had the processor");
	if (has_keys()) {
		const uint32_t before = keys();

		check_equal(changed_in_turn(true), 0, "whatever keys this one had opened");
		set_keys(before);
	}
	kill(other, SIGKILL);
	check_equal(end_of(other), SIGKILL, "which ends");
}

/* --------------------------------------------------------------------------------------------------------- rest */

static void across(void)
{
	uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned at = PAGE - 7; at <= PAGE; at++) {
		memset(pages, 0x90, 2 * PAGE);
		memcpy(pages + at, plain, sizeof(plain));
		mprotect(pages, 2 * PAGE, PROT_READ | PROT_EXEC);
		check(heat(pages + at, getppid()), "a place that begins %lu bytes before the page ends", PAGE - at);
		check(!memcmp(pages + at, plain, sizeof(plain)), "reads as it is");
		mprotect(pages, 2 * PAGE, PROT_READ | PROT_WRITE);
	}
	munmap(pages, 2 * PAGE);
}

static int child_reads(void *arg)
{
	const uint8_t *at = arg;

	return memcmp(at, plain, sizeof(plain)) || call(at) != getppid() || !heat(at, getppid()) ||
	       memcmp(at, plain, sizeof(plain));
}

static void forks(void)
{
	uint8_t *page = with_code(plain, sizeof(plain), AT);

	check(heat(page + AT, getppid()), "a place before a fork");
	check_equal(run_child(child_reads, page + AT), 0, "is the child's, too");
	check(heat(page + AT, getppid()), "and the parent's still");
	munmap(page, PAGE);
}

/* Many places, in more pages than one: those that are made room for as well as those that are not answer. */
static void many(void)
{
	enum { PAGES = 12, PLACES = 24 };
	uint8_t *page[PAGES];
	bool right = true;

	for (unsigned n = 0; n < PAGES; n++) {
		page[n] = fresh(MAP_PRIVATE);
		for (unsigned i = 0; i < PLACES; i++)
			memcpy(page[n] + AT + i * 33, plain, sizeof(plain));
		mprotect(page[n], PAGE, PROT_READ | PROT_EXEC);
	}
	for (unsigned round = 0; round < 2; round++)
		for (unsigned n = 0; n < PAGES; n++)
			for (unsigned i = 0; i < PLACES; i += 11)
				right &= heat(page[n] + AT + i * 33, getppid());
	check(right, "many places answer");
	for (unsigned n = 0; n < PAGES; n++)
		for (unsigned i = 0; i < PLACES; i++)
			right &= !memcmp(page[n] + AT + i * 33, plain, sizeof(plain));
	check(right, "and read as they are");
	for (unsigned n = 0; n < PAGES; n++)
		munmap(page[n], PAGE);
}

int main(void)
{
	tap_begin();
	reads();
	jumps();
	beyond();
	prefixes();
	ways();
	changes();
	written_elsewhere();
	keeps();
	signals();
	single_steps();
	preempted();
	across();
	forks();
	many();
	return tap_finish();
}
