/*
 * The child. It makes no system call of its own accord: what sequences call is stopped.
 */
#include "tests/random/narrow_child.h"

#include <asm/ldt.h>
#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypercalls/x86.h"
#include "monitor/vm/vcpu.h"
#include "tests/unit/translate_rules.h"

/* Linux's own selectors of user mode, and the first of the child's LDT. */
#define HOST_CS32 0x23
#define HOST_CS64 0x33
#define HOST_SS	  0x2b
#define LDT_FIRST 7

#define PATIENCE_SECONDS 2
#define XSTATE_MAX	 16384
#define XSTATE_HEADER	 512
#define AREA_SIZE	 0x100000

static const uint8_t ud2[] = {0x0f, 0x0b};
static const uint32_t areas[] = {NARROW_DATA, NARROW_STACK, NARROW_TOP};

static struct {
	pid_t pid;
	struct user_regs_struct regs;
	uint8_t xstate[XSTATE_MAX] __attribute__((aligned(64)));
	size_t xstate_size;
} child;

static uint8_t *window(uint32_t gva)
{
	return (uint8_t *)(BT_WINDOW_BASE + gva);
}

static bool map_at(uint64_t address, int memory, off_t offset, size_t size, int prot)
{
	void *to = (void *)address;
	return mmap(to, size, prot, MAP_SHARED | MAP_FIXED_NOREPLACE, memory, offset) == to;
}

/* The same page at its address and in the window. */
static bool map_both(uint32_t gva, int memory, off_t offset, int low, int high)
{
	return map_at(gva, memory, offset, X86_PAGE_SIZE, low) &&
	       map_at(BT_WINDOW_BASE + gva, memory, offset, X86_PAGE_SIZE, high);
}

static bool map_all(void)
{
	const int rw = PROT_READ | PROT_WRITE;
	int memory = memfd_create("narrow", MFD_CLOEXEC);
	bool mapped = memory >= 0 && !ftruncate(memory, AREA_SIZE + 4 * X86_PAGE_SIZE) &&
		      map_at(TEST_BASE, memory, 0, AREA_SIZE, rw | PROT_EXEC);
	for (unsigned n = 0; n < sizeof(areas) / sizeof(areas[0]); n++)
		mapped = mapped && map_both(areas[n], memory, AREA_SIZE + n * X86_PAGE_SIZE, rw, rw);
	return mapped && map_both(NARROW_CODE, memory, AREA_SIZE + 3 * X86_PAGE_SIZE, PROT_READ | PROT_EXEC, rw);
}

_Noreturn static void run_child(void)
{
	struct sock_filter trap_all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)};
	struct sock_fprog filter = {1, trap_all};
	struct user_desc segment = {
		.base_addr = NARROW_BASE, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1};
	/* Sequences see the window's code as they see it at its address. */
	mprotect(window(NARROW_CODE), X86_PAGE_SIZE, PROT_READ);
	if (syscall(SYS_modify_ldt, 1, &segment, sizeof(segment)) || ptrace(PTRACE_TRACEME, 0, 0, 0))
		_exit(1);
	raise(SIGSTOP);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
	__asm__ volatile("ud2");
	__builtin_unreachable();
}

static void on_alarm(int number)
{
	(void)number;
}

/* The signal that it stopped for. */
static int go_on(void)
{
	int status;
	if (ptrace(PTRACE_CONT, child.pid, 0, 0))
		return -1;
	while (waitpid(child.pid, &status, 0) != child.pid)
		if (errno == EINTR)
			kill(child.pid, SIGSTOP);
	return WIFSTOPPED(status) ? WSTOPSIG(status) : -1;
}

int narrow_start(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct iovec image = {child.xstate, sizeof(child.xstate)};
	if (!map_all() || sigaction(SIGALRM, &action, NULL))
		return -1;
	for (unsigned n = 0; n < (AREA_SIZE - (TEST_TABLE - TEST_BASE)) / 8; n++)
		((uint64_t *)TEST_TABLE)[n] = TEST_GATE;
	memcpy((void *)TEST_GATE, ud2, sizeof(ud2));
	child.pid = fork();
	if (!child.pid)
		run_child();
	if (child.pid < 0 || waitpid(child.pid, NULL, 0) != child.pid || go_on() != SIGILL ||
	    ptrace(PTRACE_GETREGS, child.pid, 0, &child.regs) ||
	    ptrace(PTRACE_GETREGSET, child.pid, NT_X86_XSTATE, &image))
		return -1;
	child.xstate_size = image.iov_len;
	return 0;
}

void narrow_end(void)
{
	kill(child.pid, SIGKILL);
	waitpid(child.pid, NULL, 0);
}

void narrow_place(struct bt_place *place)
{
	test_place(place);
	place->narrow = true;
	place->callout = 0;
}

void narrow_write(const uint8_t *code)
{
	memcpy(window(NARROW_CODE), code, NARROW_CODE_MAX);
}

/* ------------------------------------------------------------------------------------------------------------ a run */

static void copy_memory(struct narrow_state *state, bool in)
{
	for (unsigned n = 0; n < sizeof(areas) / sizeof(areas[0]); n++) {
		uint8_t *kept = state->memory + n * X86_PAGE_SIZE, *there = window(areas[n]);
		memcpy(in ? there : kept, in ? kept : there, X86_PAGE_SIZE);
	}
}

static void put(const struct narrow_state *s, struct user_regs_struct *r)
{
	const uint64_t components = X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX;
	struct iovec image = {child.xstate, child.xstate_size};
	const uint64_t *gpr = s->gpr;
	r->rax = gpr[RAX], r->rcx = gpr[RCX], r->rdx = gpr[RDX], r->rbx = gpr[RBX];
	r->rsp = gpr[RSP], r->rbp = gpr[RBP], r->rsi = gpr[RSI], r->rdi = gpr[RDI];
	r->eflags = s->rflags, r->orig_rax = ~0ull;
	memcpy(child.xstate, s->fpu, XSTATE_HEADER - 48);
	memcpy(child.xstate + XSTATE_HEADER, &components, sizeof(components));
	memcpy(child.xstate + NARROW_YMM, s->fpu + NARROW_YMM, NARROW_FPU_SIZE - NARROW_YMM);
	copy_memory((struct narrow_state *)s, true);
	ptrace(PTRACE_SETREGSET, child.pid, NT_X86_XSTATE, &image);
	ptrace(PTRACE_SETREGS, child.pid, 0, r);
}

static void take(struct narrow_state *s, struct user_regs_struct *r)
{
	struct iovec image = {child.xstate, child.xstate_size};
	ptrace(PTRACE_GETREGS, child.pid, 0, r);
	ptrace(PTRACE_GETREGSET, child.pid, NT_X86_XSTATE, &image);
	const uint64_t gpr[16] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
				  r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};
	memcpy(s->gpr, gpr, sizeof(gpr));
	s->rip = r->rip;
	s->rflags = r->eflags;
	memcpy(s->fpu, child.xstate, NARROW_FPU_SIZE);
	copy_memory(s, false);
}

static int run(struct narrow_state *state, struct user_regs_struct *regs)
{
	put(state, regs);
	alarm(PATIENCE_SECONDS);
	int signal = go_on();
	alarm(0);
	take(state, regs);
	return signal;
}

static bool is_fault(int signal)
{
	return signal == SIGSEGV || signal == SIGILL || signal == SIGFPE || signal == SIGBUS;
}

enum narrow_end narrow_native(struct narrow_state *state, bool user)
{
	struct user_regs_struct regs = child.regs;
	regs.cs = HOST_CS32, regs.ss = regs.ds = regs.es = HOST_SS;
	regs.fs = user ? 0 : LDT_FIRST, regs.gs = user ? LDT_FIRST : 0;
	regs.fs_base = user ? 0 : NARROW_BASE, regs.gs_base = user ? NARROW_BASE : 0;
	regs.rip = state->rip;
	return is_fault(run(state, &regs)) ? NARROW_FAULT : NARROW_ODD;
}

/* Where a block is left: at a stub, or on its way through the table. */
static enum narrow_end leave(const struct bt_code *code, unsigned offset, struct narrow_state *state)
{
	bool enabled;
	for (unsigned n = 0; n < code->exit_count; n++) {
		if (code->exits[n].stub != offset)
			continue;
		state->rip = (uint32_t)code->exits[n].target;
		return code->exits[n].kind == BT_LINK ? NARROW_GOES_ON : NARROW_FAULT;
	}
	bt_undo_narrow(&(struct bt_locus){.undo = BT_JUMPED}, state->gpr, &state->rip, &enabled);
	return NARROW_GOES_ON;
}

enum narrow_end narrow_block(const struct bt_source *source, const struct bt_place *place, const struct bt_code *code,
			     struct narrow_state *state)
{
	struct user_regs_struct regs = child.regs;
	struct bt_locus locus;
	bool enabled;
	memcpy((void *)TEST_CODE, code->bytes, code->len);
	regs.cs = HOST_CS64, regs.ss = HOST_SS;
	regs.gs_base = BT_WINDOW_BASE, regs.fs_base = BT_WINDOW_BASE + NARROW_BASE;
	regs.rip = TEST_CODE;
	if (!is_fault(run(state, &regs)))
		return NARROW_ODD;
	const unsigned offset = (unsigned)(regs.rip - TEST_CODE);
	if (offset >= code->stubs)
		return leave(code, offset, state);
	if (!bt_locate(source, place, offset, &locus))
		return NARROW_ODD;
	bt_undo_narrow(&locus, state->gpr, &state->rip, &enabled);
	return NARROW_FAULT;
}
