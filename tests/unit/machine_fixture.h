/*
 * A small machine for unit tests: 2 MiB of RAM, identity page tables of 4 KiB pages, GDT, IDT, TSS, one vCPU, shadow
 * page tables without cells, and a device that records port accesses. Nothing runs; the tests call the monitor's parts.
 */
#ifndef TESTS_UNIT_MACHINE_FIXTURE_H
#define TESTS_UNIT_MACHINE_FIXTURE_H

#include "monitor/emulate/emulate.h"
#include "monitor/vm/vm.h"

#define FIX_RAM (2u << 20)

/* Where things lie, as gva and gpa alike. */
#define FIX_PML4	 0x1000
#define FIX_PT		 0x4000
#define FIX_GDT		 0x5000
#define FIX_IDT		 0x6000
#define FIX_TSS		 0x7000
#define FIX_LDT		 0x8000
#define FIX_SHARED	 0x9000
#define FIX_CODE	 0x10000 /* kernel code */
#define FIX_DATA	 0x18000 /* kernel data */
#define FIX_DATA_SIZE	 0x4000u /* what tests against the processor have of it at most */
#define FIX_HANDLER	 0x20000 /* handler of vector n: + 16 * n */
#define FIX_STACK	 0x30000 /* kernel stack's top */
#define FIX_RSP0	 0x34000 /* in the TSS */
#define FIX_IST1	 0x38000 /* in the TSS */
#define FIX_USER_CODE	 0x100000
#define FIX_USER_DATA	 0x108000
#define FIX_USER_STACK	 0x110000
#define FIX_USER_END	 0x180000 /* user pages are [FIX_USER_CODE, FIX_USER_END) */
#define FIX_HOLE	 0x1f0000 /* this page is not present */
#define FIX_NONCANONICAL 0x800000000000ULL

/* Selectors of its GDT. */
enum fix_selector {
	FIX_KCODE = 0x08,
	FIX_KDATA = 0x10,
	FIX_UDATA = 0x18 | 3,
	FIX_UCODE = 0x20 | 3,
	FIX_TSS_SEL = 0x28,	/* available, 16 bytes */
	FIX_LDT_SEL = 0x38,	/* 16 bytes; its entry 0 is writable data, DPL 0 */
	FIX_ABSENT_DATA = 0x48, /* not present */
	FIX_CONFORMING = 0x50,	/* 64-bit conforming code, DPL 0 */
	FIX_CODE32 = 0x58,	/* L clear */
	FIX_ABSENT_CODE = 0x60, /* not present */
	FIX_READONLY = 0x68,	/* data, not writable */
	FIX_EXEC_ONLY = 0x70,	/* code, not readable */
	FIX_CALL_GATE = 0x78,	/* to FIX_HANDLER, DPL 3, 16 bytes */
	FIX_ABSENT_UCODE = 0x88 | 3,
	FIX_FRESH_DATA = 0x90,	/* accessed bit clear */
	FIX_CODE_LD = 0x98,	/* L and D both set */
	FIX_CONFORMING3 = 0xa0, /* 64-bit conforming code, DPL 3 */
	FIX_GDT_END = 0xa8,
};

#define FIX_PORT     0x500 /* the recording device: 16 ports */
#define FIX_LOG_SIZE 8192

struct fix_access {
	uint16_t offset;
	uint8_t size;
	bool write;
	uint32_t value;
};

struct machine_fixture {
	struct vm vm;
	struct vm_config config;
	struct vcpu *vcpu;
	unsigned log_len;
	struct fix_access log[FIX_LOG_SIZE];
	uint32_t next_input; /* what the device answers; counts up */
	int refusal;	     /* what every shadow operation returns: 0, or a negative errno */
};

/* Makes and unmakes the machine. */
struct machine_fixture *fix_make(void);
void fix_free(struct machine_fixture *m);
/* Everything as fix_make left it, without the cost of making RAM. */
void fix_reset(struct machine_fixture *m);
/* cmocka's setup and teardown. */
int fix_setup(void **state);
int fix_teardown(void **state);
/* The same, with memory of the test's own at FIX_DATA too, where the processor executes what is compared. */
int fix_setup_data(void **state);
int fix_teardown_data(void **state);

/* Puts the vCPU in user mode: CPL 3, user selectors, RIP and RSP in user pages. */
void fix_user(struct machine_fixture *m);
void fix_put(struct machine_fixture *m, uint64_t gpa, const void *from, uint64_t len);
uint64_t fix_get64(struct machine_fixture *m, uint64_t gpa);
void fix_put64(struct machine_fixture *m, uint64_t gpa, uint64_t value);
/* Sets the page-table entry of gva's page. */
void fix_map(struct machine_fixture *m, uint64_t gva, uint64_t entry);

struct fix_gate {
	uint64_t address;
	uint16_t selector;
	unsigned type, dpl, ist;
	bool absent;
};
void fix_gate(struct machine_fixture *m, uint8_t vector, struct fix_gate gate);

/* Copies code to RIP (through the tables' identity) and decodes and executes one instruction. */
enum emu_result fix_run(struct machine_fixture *m, const uint8_t *code, size_t len);

/* FIX_RUN(m, "mov cr0, rax"): assembles (Intel syntax) and runs one instruction. */
#define FIX_RUN(m, text)                                                                                               \
	({                                                                                                             \
		const uint8_t *from_, *to_;                                                                            \
		__asm__(".pushsection .text.fix,\"ax\",@progbits\n\t.intel_syntax noprefix\n771: " text                \
			"\n772:\n\t.att_syntax prefix\n\t.popsection\n\tlea 771b(%%rip), %0\n\tlea 772b(%%rip), %1"    \
			: "=r"(from_), "=r"(to_));                                                                     \
		fix_run(m, from_, (size_t)(to_ - from_));                                                              \
	})

/* For tests that include cmocka.h: the instruction is done, or raises the exception at itself. */
#define FIX_DONE(m, text) assert_int_equal(FIX_RUN(m, text), EMU_DONE)
#define FIX_FAULTS(m, text, number, code)                                                                              \
	do {                                                                                                           \
		uint64_t at_ = (m)->vcpu->rip;                                                                         \
		assert_int_equal(FIX_RUN(m, text), EMU_RAISED);                                                        \
		assert_true((m)->vcpu->event_pending);                                                                 \
		assert_int_equal((m)->vcpu->event.vector, number);                                                     \
		assert_int_equal((m)->vcpu->event.error, code);                                                        \
		assert_int_equal((m)->vcpu->event.kind, EVENT_FAULT);                                                  \
		assert_true((m)->vcpu->rip == at_);                                                                    \
		(m)->vcpu->event_pending = false;                                                                      \
	} while (0)

#endif
