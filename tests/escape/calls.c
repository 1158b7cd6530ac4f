/*
 * Host system calls, made as a Linux program makes them. All must arrive as the guest's own, and have no effect.
 */
#include "escape.h"

#define CALLS_MAX 600
#define X32_BIT	  0x40000000

/*
 * uprobe and uretprobe: Linux executes them without asking any seccomp filter (kernel/seccomp.c), and refuses them
 * itself outside the trampolines that it maps for probes.
 */
#define UNFILTERED_FIRST 335
#define UNFILTERED_LAST	 336

static const char text[] = "ESCAPED\n";

/* Harmless if executed by mistake: signal and file numbers are wrong, but every answer would differ from ours. */
static bool is_guests(uint64_t nr, uint64_t last)
{
	uint64_t seen = syscalls_seen;
	uint64_t result = raw_syscall(nr, 1, (uint64_t)text, sizeof(text) - 1, 0, 0, last);

	return result == ANSWER && syscalls_seen == seen + 1 && syscall_last == nr;
}

static bool is_unfiltered(uint64_t nr)
{
	return nr >= UNFILTERED_FIRST && nr <= UNFILTERED_LAST;
}

static unsigned count_foreign(uint64_t flags, uint64_t last)
{
	unsigned foreign = 0;

	for (uint64_t nr = 0; nr <= CALLS_MAX; nr++)
		if (flags == X32_BIT || !is_unfiltered(nr))
			foreign += !is_guests(nr | flags, last);
	return foreign;
}

void attack_syscalls(void)
{
	pvg_test_equal(count_foreign(0, 0), 0, "host calls 0 to %d", CALLS_MAX);
	pvg_test_equal(count_foreign(X32_BIT, 0), 0, "the same with the x32 bit");
	pvg_test_equal(count_foreign(R3_BIT(63), 0), 0, "the same with the sign bit");
}

/* They end in a fault of the guest's or in an error, and nowhere else. */
static void do_unfiltered(void *nr)
{
	uint64_t result = raw_syscall((uint64_t)nr, 0, 0, 0, 0, 0, 0);

	pvg_test(result == ANSWER || (int64_t)result < 0, "host call %lu does nothing", (uint64_t)nr);
}

void attack_syscalls_unfiltered(void)
{
	struct pvg_caught caught;

	for (uint64_t nr = UNFILTERED_FIRST; nr <= UNFILTERED_LAST; nr++)
		pvg_test(!pvg_catch(do_unfiltered, (void *)nr, &caught) || caught.vector == X86_VEC_UD ||
				 caught.vector == X86_VEC_GP,
			 "host call %lu is no more than a fault", nr);
}

static volatile unsigned foreign_in_user;

static void calls_in_user(uint64_t flags)
{
	foreign_in_user = count_foreign(flags, 0);
}

void attack_syscalls_user(void)
{
	struct pvg_caught caught;

	user_init();
	pvg_test(user_run(calls_in_user, 0, &caught), "user code ran on");
	pvg_test_equal(foreign_in_user, 0, "host calls 0 to %d", CALLS_MAX);
	pvg_test(user_run(calls_in_user, X32_BIT, &caught), "user code ran on");
	pvg_test_equal(foreign_in_user, 0, "the same with the x32 bit");
}

/* With the gate's cookie the host may answer three calls, and only those; sched_yield is the one without arguments. */
void attack_syscalls_cookie(void)
{
	unsigned foreign = 0;

	for (uint64_t nr = 0; nr <= CALLS_MAX; nr++)
		if (nr != HOST_SIGRETURN && nr != HOST_YIELD && !is_unfiltered(nr))
			foreign += !is_guests(nr, GATE_COOKIE);
	pvg_test_equal(foreign, 0, "host calls 0 to %d under the gate's cookie", CALLS_MAX);
	pvg_test_equal(count_foreign(X32_BIT, GATE_COOKIE), 0, "the same with the x32 bit");
}

/* ------------------------------------------------------------------------------------------ other ways into Linux */

static void do_int80(void *arg)
{
	__asm__ volatile("mov $20, %%eax\n\tint $0x80" : : : "rax", "memory");
}

static void user_int80(uint64_t arg)
{
	do_int80(NULL);
}

static void do_sysenter(void *arg)
{
	__asm__ volatile("mov $20, %%eax\n\tmov %%rsp, %%rbp\n\tsysenter" : : : "rax", "memory");
}

static void do_vsyscall(void *arg)
{
	__asm__ volatile("call *%0" : : "r"(0xffffffffff600000 + 0x400 * (uint64_t)arg), "D"(0), "S"(0) : "memory");
}

static void user_vsyscall(uint64_t nr)
{
	do_vsyscall((void *)nr);
}

void attack_int80(void)
{
	struct pvg_caught caught;

	pvg_test(pvg_catch(do_int80, NULL, &caught), "INT 0x80 traps");
	pvg_test_equal(caught.vector, 0x80, "as the guest's vector");
}

void attack_int80_user(void)
{
	struct pvg_caught caught;

	user_init();
	pvg_test(!user_run(user_int80, 0, &caught), "INT 0x80 of user code traps");
	pvg_test_equal(caught.vector, X86_VEC_GP, "and is #GP, since the gate's DPL is 0");
	pvg_test_equal(caught.error, 0x80 * 8 + 2, "with the vector in the error code");
}

void attack_vsyscall(void)
{
	struct pvg_caught caught;

	user_init();
	for (uint64_t nr = 0; nr < 3; nr++) {
		pvg_test(pvg_catch(do_vsyscall, (void *)nr, &caught), "vsyscall %lu traps", nr);
		pvg_test_equal(caught.rip, 0xffffffffff600000 + 0x400 * nr, "where nothing is");
		pvg_test(!user_run(user_vsyscall, nr, &caught), "in user mode as well");
		pvg_test_equal(caught.vector, X86_VEC_PF, "as a page fault");
	}
}

void attack_sysenter(void)
{
	struct pvg_caught caught;

	pvg_test(pvg_catch(do_sysenter, NULL, &caught), "SYSENTER traps");
}

/* A far return to Linux's 32-bit code segment needs no privilege. There: INT 0x80 with a 32-bit number. */
__asm__(".text\n"
	"far_32:\n\t"
	"push $0x23\n\t"
	"lea code_32(%rip), %rax\n\t"
	"push %rax\n"
	"to_32:\n\t"
	"lretq\n"
	"code_32:\n\t"
	".code32\n\t"
	"mov $20, %eax\n\t"
	"int $0x80\n\t"
	"mov $0xbad, %edx\n\t"
	"ud2\n\t"
	".code64\n");
void far_32(void *arg);
extern const char code_32[], to_32[];

bool host_lacks_32(void)
{
	struct pvg_caught caught;

	return pvg_catch(far_32, NULL, &caught) && caught.vector == X86_VEC_GP && caught.rip == (uint64_t)to_32;
}

void attack_compat32(void)
{
	struct pvg_caught caught;

	if (host_lacks_32()) {
		pvg_test_skip("32-bit code", "the host has no segment for it");
		return;
	}
	pvg_test(pvg_catch(far_32, NULL, &caught), "32-bit code traps");
	pvg_test(caught.rip - (uint64_t)code_32 <= 8, "at its first system call");
}

/* ---------------------------------------------------------------------------------------------- against the gate */

void attack_unmap(void)
{
	pvg_test_equal(raw_syscall(HOST_MUNMAP, GATE_TEXT, GATE_END - GATE_TEXT, 0, 0, 0, GATE_COOKIE), ANSWER,
		       "munmap of the gate is a guest's call");
	pvg_test_equal(raw_syscall(HOST_MPROTECT, GATE_TEXT, GATE_TEXT_SIZE, 7, 0, 0, GATE_COOKIE), ANSWER,
		       "mprotect of the gate is a guest's call");
	pvg_test_equal(raw_syscall(HOST_MMAP, GATE_TEXT, GATE_TEXT_SIZE, 7, 0x32, ~0ull, GATE_COOKIE), ANSWER,
		       "mmap over the gate is a guest's call");
	pvg_test_equal((uint64_t)pvg_hypercall0(R3_HC_abi_version), R3_ABI_VERSION, "the gate is there");
}

/* Being the mapper: what it alone may do. */
void attack_order(void)
{
	unsigned written = 0;

	for (unsigned op = 0; op < 14; op++)
		pvg_test_equal(raw_syscall(HOST_FUTEX, GATE_ORDER + ORDER_SEQUENCE, op, 1, 0, 0, GATE_COOKIE), ANSWER,
			       "futex operation %u on the order page is a guest's call", op);
	for (uint64_t fd = 0; fd < 64; fd++)
		for (uint64_t length = 1; length < sizeof(text); length += sizeof(text) - 2)
			written += raw_syscall(HOST_WRITE, fd, (uint64_t)text, length, 0, 0, GATE_COOKIE) != ANSWER ||
				   raw_syscall(HOST_PWRITE, fd, (uint64_t)text, length, 0, 0, GATE_COOKIE) != ANSWER;
	pvg_test_equal(written, 0, "write to every descriptor is a guest's call");
	for (unsigned op = 0; op < 14; op++)
		pvg_test_equal(raw_syscall(HOST_FUTEX, GATE_ANSWERS, op, 1, 0, 0, GATE_COOKIE), ANSWER,
			       "futex operation %u on an answer is a guest's call", op);
	for (unsigned op = 2; op < 14; op++) {
		uint64_t result = raw_syscall(HOST_FUTEX, GATE_XCHG + XCHG_STATE, op, 0, 0, GATE_ORDER, GATE_COOKIE);

		pvg_test(result == ANSWER, "futex operation %u on the state word is a guest's call", op);
	}
}

static void write_byte(void *arg)
{
	*(volatile uint8_t *)arg = 0xcc;
}

static void read_byte(void *arg)
{
	(void)*(volatile uint8_t *)arg;
}

static void user_write_byte(uint64_t gva)
{
	write_byte((void *)gva);
}

static void user_read_byte(uint64_t gva)
{
	read_byte((void *)gva);
}

/* The turns are the kernel's to write, for they are all its own cells'; not user code's. */
static bool is_turn(uint64_t page)
{
	return page >= GATE_TURN && page < GATE_TURN + GATE_TURN_SIZE;
}

void attack_gate_write(void)
{
	struct pvg_caught caught;

	user_init();
	for (uint64_t page = GATE_TEXT; page < GATE_XCHG; page += GATE_PAGE) {
		uint64_t number = (page - GATE_TEXT) / GATE_PAGE;

		pvg_test(is_turn(page) || pvg_catch(write_byte, (void *)(page + 8), &caught),
			 "gate page %lu cannot be written", number);
		pvg_test(!user_run(user_write_byte, page + 8, &caught), "nor by user code");
		pvg_test_equal(caught.cr2, page + 8, "it is a page fault there");
	}
	pvg_test_equal((uint64_t)pvg_hypercall0(R3_HC_abi_version), R3_ABI_VERSION, "the gate is whole");
}

/* Nothing of the host's lies anywhere above the gate; and of other cells user code sees nothing. */
void attack_gate_read(void)
{
	struct pvg_caught caught;
	unsigned readable = 0, by_user = 0;

	for (uint64_t gva = GATE_PEERS_END; gva < GATE_PEERS_END + R3_BIT(20); gva += GATE_PAGE)
		readable += !pvg_catch(read_byte, (void *)gva, &caught);
	for (uint64_t gva = 0x7ffffff00000; gva < 0x800000000000; gva += GATE_PAGE)
		readable += !pvg_catch(read_byte, (void *)gva, &caught);
	for (uint64_t shift = 28; shift < 39; shift++)
		readable += !pvg_catch(read_byte, (void *)(GATE_TEXT + R3_BIT(shift)), &caught);
	pvg_test_equal(readable, 0, "nothing to read around the gate");
	user_init();
	for (uint64_t gva = GATE_END; gva < GATE_END + R3_BIT(20); gva += GATE_PAGE)
		by_user += user_run(user_read_byte, gva, &caught);
	for (uint64_t gva = GATE_PEERS; gva < GATE_PEERS + R3_BIT(20); gva += GATE_PAGE)
		by_user += user_run(user_read_byte, gva, &caught);
	pvg_test_equal(by_user, 0, "nothing for user code");
}
