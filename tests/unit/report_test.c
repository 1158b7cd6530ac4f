/*
 * The crash report of a guest that really ran: report_guest.c is executed natively, at the address it is linked at and
 * in the guest's own RAM, until its UD2; what the registers then held becomes the vCPU's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "monitor/boot/image.h"
#include "monitor/debug/crash/report.h"
#include "monitor/host/clock.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"
#include "tests/unit/capture.h"

#define RAM	   (16ULL << 20)
#define GUEST_BASE 0x800000UL
#define GUEST_SIZE 0x100000UL
#define PATIENCE   (10 * CLOCK_NS_PER_SEC)

static struct vm vm;
static struct vm_config config;
static const struct engine_ops no_engine = {.name = "test"};

/* --------------------------------------------------------------------------------------- a machine with a dead guest
 */

static void *frame(void *ctx, uint64_t gpa)
{
	return gm_ptr(&vm.mem, gpa, X86_PAGE_SIZE);
}

static const struct spt_ops spt_ops = {.frame = frame};

static void machine_up(const char *kernel)
{
	const struct spt_config spt = {.ram_size = RAM,
				       .view = {{{X86_PAGE_SIZE, GATE_HOLE_START}}, .count = 1},
				       .physical_bits = CPU_PHYSICAL_BITS};

	memset(&vm, 0, sizeof(vm));
	config = (struct vm_config){.kernel = kernel, .cmdline = "", .engine = "test", .transport = "none"};
	vm.config = &config;
	vm.engine_ops = &no_engine;
	stats_start(&vm.stats);
	assert_int_equal(gm_init(&vm.mem, RAM), 0);
	vm.vcpu[0] = vcpu_create(&vm, 0);
	vm.vcpu_count = 1;
	vm.spt = spt_create(&spt, &spt_ops, NULL);
	assert_non_null(vm.spt);
	assert_int_equal(image_load(&vm), 0);
	assert_int_equal(image_boot(&vm), 0);
}

static void machine_down(void)
{
	image_free(&vm);
	spt_destroy(vm.spt);
	vcpu_free(vm.vcpu[0]);
	gm_free(&vm.mem);
}

static sigjmp_buf back;

static void on_ud2(int signal, siginfo_t *info, void *context)
{
	static const uint8_t order[GPR_COUNT] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
						 REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
						 REG_R12, REG_R13, REG_R14, REG_R15};
	const ucontext_t *uc = context;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		vm.vcpu[0]->gpr[i] = (uint64_t)uc->uc_mcontext.gregs[order[i]];
	vm.vcpu[0]->rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	siglongjmp(back, 1);
}

static void run_natively(void)
{
	static uint8_t handler_stack[65536];
	const stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof(handler_stack)},
		      none = {.ss_flags = SS_DISABLE};
	struct sigaction action = {.sa_sigaction = on_ud2, .sa_flags = SA_SIGINFO | SA_ONSTACK}, found;
	void *at = mmap((void *)GUEST_BASE, GUEST_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_SHARED | MAP_FIXED_NOREPLACE, vm.mem.fd, GUEST_BASE);

	assert_ptr_equal(at, (void *)GUEST_BASE);
	assert_int_equal(sigaltstack(&stack, NULL), 0);
	assert_int_equal(sigaction(SIGILL, &action, &found), 0);
	if (!sigsetjmp(back, 1)) {
		__asm__ volatile("jmp *%0" ::"r"(image_entry(&vm)) : "memory");
		__builtin_unreachable();
	}
	sigaction(SIGILL, &found, NULL);
	sigaltstack(&none, NULL);
	munmap(at, GUEST_SIZE);
}

static void dead_guest(const char *kernel)
{
	machine_up(kernel);
	run_natively();
}

/* ----------------------------------------------------------------------------------------------------------- tests */

static struct capture report;

/* The fragments come in this order. */
static void expect_list(const char *const *fragments)
{
	const char *at = report.text;

	for (; *fragments; fragments++) {
		at = strstr(at, *fragments);
		if (!at)
			fail_msg("no \"%s\", or not in order, in:\n%s", *fragments, report.text);
		at += strlen(*fragments);
	}
}
#define expect(...) expect_list((const char *const[]){__VA_ARGS__, NULL})

static void backtrace(void)
{
	capture_start(&report, stderr);
	report_backtrace(vm.vcpu[0], 0, PATIENCE, stderr);
	capture_end(&report);
}

static unsigned lines(void)
{
	unsigned count = 0;

	for (const char *c = report.text; *c; c++)
		count += *c == '\n';
	return count;
}

static void test_unwind_tables(void **state)
{
	dead_guest(REPORT_GUEST_TABLES);
	backtrace();
	expect("Backtrace:\n", "#0 ", " handler+0x", "#1 ", " entry_stub+0x", "--- an exception came here ---", "#2 ",
	       " inner+0x", "#3 ", " middle+0x", "#4 ", " outer+0x", "#5 ", " image_entry_point+0x");
	assert_int_equal(lines(), 8);
	machine_down();
}

/* gcc gives functions that need no stack no frame, so their callers (entry_stub, middle) may be missing. */
static void test_frame_pointers(void **state)
{
	dead_guest(REPORT_GUEST_FRAMES);
	backtrace();
	expect("Backtrace by frame pointers", "#0 ", " handler+0x", " inner+0x", " outer+0x", " image_entry_point+0x");
	assert_in_range(lines(), 5, 7);
	machine_down();
}

/* A chain of frames that closes on itself, and one that leads out of memory. */
static void test_bad_frame_pointers(void **state)
{
	uint64_t loop[2] = {0x900000, 0x800000};

	dead_guest(REPORT_GUEST_FRAMES);
	assert_true(gm_write(&vm.mem, 0x900000, loop, sizeof(loop)));
	vm.vcpu[0]->gpr[RBP] = 0x900000;
	backtrace();
	assert_int_equal(lines(), 3);
	vm.vcpu[0]->gpr[RBP] = 0x7fffffff0000;
	backtrace();
	assert_int_equal(lines(), 2);
	vm.vcpu[0]->gpr[RBP] = UINT64_MAX - 7;
	backtrace();
	assert_int_equal(lines(), 2);
	machine_down();
}

/* Unwind tables are the guest's to write: whatever they hold, the report ends and is bounded. */
static void test_damaged_tables(void **state)
{
	uint64_t hdr, size;
	unsigned seed = 1;

	dead_guest(REPORT_GUEST_TABLES);
	assert_true(image_eh_frame_hdr(&vm, &hdr, &size));
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t byte = (uint8_t)rand_r(&seed);

		/* .eh_frame follows its header. */
		assert_true(gm_write(&vm.mem, hdr + 12 + (unsigned)rand_r(&seed) % (size + 300), &byte, 1));
		backtrace();
		assert_in_range(lines(), 1, 2 * REPORT_FRAMES + 2);
	}
	machine_down();
}

static void test_whole_report(void **state)
{
	struct vcpu *vcpu;

	dead_guest(REPORT_GUEST_TABLES);
	vcpu = vm.vcpu[0];
	vm.ended = true;
	vm.status = VM_STATUS_CRASH;
	strcpy(vm.reason, "triple fault \x1b[2J");
	vcpu->chain[0] = (struct vcpu_event){
		.vector = X86_VEC_PF, .has_error = true, .error = X86_PF_W, .cr2 = 0x40000000, .kind = EVENT_FAULT};
	vcpu->chain[1] = (struct vcpu_event){.vector = X86_VEC_DF, .has_error = true, .kind = EVENT_FAULT};
	vcpu->chain_len = 2;
	stats_exit_note(&vm.stats, 0, STAT_hypercall, image_entry(&vm), 0, R3_HC_features);
	stats_exit_note(&vm.stats, 0, STAT_page_fault, vcpu->rip, 0, 0x40000000);
	capture_start(&report, stderr);
	report_write(&vm, REPORT_WHOLE, PATIENCE, stderr);
	capture_end(&report);
	expect("ring3: the guest crashed: triple fault ?[2J\n", "vector 14 #PF", "error 0x2",
	       "supervisor write of 0x0000000040000000, not mapped", "vector 8 #DF", "At RIP 0x", "<handler+0x",
	       ": ud2", "bytes 0f 0b\n", "Registers of vCPU 0, CPL 0", "RAX ", "RFLAGS", "CR0 ", " PE ", " PG\n",
	       "EFER", "CS   0008", "GDTR", "faulting address 0x0000000040000000", "PML4 [  0]", " P W A", "PDPT [  1]",
	       "not present", "RIP 0x", "PD   [  4]", "page of 2 MiB", "is gpa 0x8", "Last 2 of 2 exits", "hypercall",
	       "features", "<image_entry_point+0x0>", "page_fault  0x40000000", "Backtrace:", "handler+0x");
	assert_null(strchr(report.text, 0x1b));
	machine_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unwind_tables),	   cmocka_unit_test(test_frame_pointers),
		cmocka_unit_test(test_bad_frame_pointers), cmocka_unit_test(test_damaged_tables),
		cmocka_unit_test(test_whole_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
