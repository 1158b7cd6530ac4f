/*
 * Port I/O with its permissions and repeats; and decoding, with the cache that must not outlive the code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/machine_fixture.h"

static void in_out(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->gpr[RDX] = 0xabcd0000 | (FIX_PORT + 4);
	c->gpr[RAX] = 0x1122334455667788;
	FIX_DONE(m, "out dx, al");
	FIX_DONE(m, "out dx, ax");
	FIX_DONE(m, "out dx, eax");
	assert_int_equal(m->log_len, 3);
	assert_int_equal(m->log[0].offset, 4);
	assert_true(m->log[0].size == 1 && m->log[0].value == 0x88);
	assert_true(m->log[1].size == 2 && m->log[1].value == 0x7788);
	assert_true(m->log[2].size == 4 && m->log[2].value == 0x55667788);
	m->next_input = 0xaabbccdd;
	FIX_DONE(m, "in al, dx");
	assert_true(c->gpr[RAX] == 0x11223344556677dd);
	FIX_DONE(m, "in ax, dx");
	assert_true(c->gpr[RAX] == 0x112233445566ccde);
	FIX_DONE(m, "in eax, dx");
	assert_true(c->gpr[RAX] == 0xaabbccdf);
	/* REX.W does not make it wider. */
	c->gpr[RAX] = UINT64_MAX;
	FIX_DONE(m, ".byte 0x48, 0xed");
	assert_true(c->gpr[RAX] == 0xaabbcce0);
	/* Nobody at port 0x10. */
	FIX_DONE(m, "in al, 0x10");
	assert_int_equal(c->gpr[RAX] & 0xff, 0xff);
}

static void bitmap(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	const uint16_t iomap = X86_TSS_SIZE;
	uint8_t bits[FIX_PORT / 8 + 3];
	memset(bits, 0xff, sizeof(bits));
	bits[FIX_PORT / 8] = 0xf0; /* ports 0 to 3 of the device */
	fix_put(m, FIX_TSS + iomap, bits, sizeof(bits));
	c->tr.limit = iomap + FIX_PORT / 8 + 1;
	fix_user(m);
	c->gpr[RDX] = FIX_PORT;
	FIX_DONE(m, "in eax, dx");
	c->gpr[RDX] = FIX_PORT + 3;
	FIX_DONE(m, "in al, dx");
	FIX_FAULTS(m, "in ax, dx", X86_VEC_GP, 0);
	c->gpr[RDX] = FIX_PORT + 4;
	FIX_FAULTS(m, "out dx, al", X86_VEC_GP, 0);
	/* The second byte of the bitmap word must lie inside too. */
	c->gpr[RDX] = FIX_PORT;
	c->tr.limit--;
	FIX_FAULTS(m, "in al, dx", X86_VEC_GP, 0);
	/* A TSS that is not there is the processor's own page fault. */
	c->tr.limit++;
	c->tr.base = FIX_HOLE;
	FIX_FAULTS(m, "in al, dx", X86_VEC_PF, 0);
	c->tr.present = false;
	FIX_FAULTS(m, "in al, dx", X86_VEC_GP, 0);
	c->rflags |= X86_RFLAGS_IOPL;
	FIX_DONE(m, "in al, dx");
	assert_int_equal(m->log_len, 3);
}

static void strings(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->gpr[RDX] = FIX_PORT;
	c->gpr[RDI] = c->gpr[RSI] = FIX_DATA;
	FIX_DONE(m, "insd");
	assert_int_equal(c->gpr[RDI], FIX_DATA + 4);
	assert_int_equal(fix_get64(m, FIX_DATA), 0x11223344);
	FIX_DONE(m, "outsb");
	assert_int_equal(c->gpr[RSI], FIX_DATA + 1);
	assert_int_equal(m->log[1].value, 0x44);

	/* Three words backwards. */
	c->rflags |= X86_RFLAGS_DF;
	c->gpr[RCX] = 3;
	c->gpr[RDI] = FIX_DATA + 0x104;
	m->next_input = 0x1111;
	FIX_DONE(m, "rep insw");
	assert_int_equal(c->gpr[RCX], 0);
	assert_int_equal(c->gpr[RDI], FIX_DATA + 0x104 - 6);
	assert_true(fix_get64(m, FIX_DATA + 0x100) == 0x111111121113);
	c->rflags &= ~X86_RFLAGS_DF;

	/* Nothing to do: no access, on to the next. */
	unsigned accesses = m->log_len;
	uint64_t rip = c->rip;
	FIX_DONE(m, "rep outsb");
	assert_int_equal(m->log_len, accesses);
	assert_int_equal(c->rip, rip + 2);

	/* A source in FS; the other repeat prefix does the same. */
	c->sreg[SREG_FS].base = FIX_DATA + 0x200;
	fix_put64(m, FIX_DATA + 0x200, 0x4241);
	c->gpr[RSI] = 0;
	c->gpr[RCX] = 2;
	FIX_DONE(m, ".byte 0x64, 0xf2, 0x6e");
	assert_int_equal(m->log[m->log_len - 2].value, 0x41);
	assert_int_equal(m->log[m->log_len - 1].value, 0x42);
	assert_int_equal(c->gpr[RCX], 0);
}

static void strings_32_bit(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->gpr[RDX] = FIX_PORT;
	c->gpr[RDI] = R3_BIT(40) | FIX_DATA;
	c->gpr[RCX] = R3_BIT(40) | 2;
	FIX_DONE(m, ".byte 0x67, 0xf3, 0x6c"); /* REP INSB, EDI and ECX */
	assert_int_equal(m->log_len, 2);
	assert_true(c->gpr[RDI] == FIX_DATA + 2);
	assert_true(c->gpr[RCX] == 0);
}

static void strings_that_fault(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->gpr[RDX] = FIX_PORT;
	c->gpr[RDI] = FIX_HOLE - 8;
	c->gpr[RCX] = 100;
	FIX_FAULTS(m, "rep insd", X86_VEC_PF, X86_PF_W);
	/* What was done stays done, and no datum was taken in vain. */
	assert_int_equal(c->gpr[RCX], 98);
	assert_int_equal(c->gpr[RDI], FIX_HOLE);
	assert_int_equal(m->log_len, 2);
	c->gpr[RSI] = FIX_NONCANONICAL;
	FIX_FAULTS(m, "outsb", X86_VEC_GP, 0);
	assert_int_equal(m->log_len, 2);
}

static void strings_are_bounded(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->gpr[RDX] = FIX_PORT;
	c->gpr[RSI] = FIX_DATA;
	c->gpr[RCX] = UINT64_MAX;
	FIX_DONE(m, "rep outsb");
	assert_int_equal(c->rip, FIX_CODE);
	assert_true(UINT64_MAX - c->gpr[RCX] == m->log_len);
	assert_in_range(m->log_len, 1, 4096);
	assert_int_equal(c->gpr[RSI], FIX_DATA + m->log_len);
	/* Stepping, one at a time. */
	c->rflags |= X86_RFLAGS_TF;
	unsigned before = m->log_len;
	assert_int_equal(FIX_RUN(m, "rep outsb"), EMU_RAISED);
	assert_int_equal(c->event.vector, X86_VEC_DB);
	assert_int_equal(m->log_len, before + 1);
	assert_int_equal(c->rip, FIX_CODE);
}

/* ----------------------------------------------------------------------------------------------------- decoding */

static void changed_code(void **state)
{
	struct machine_fixture *m = *state;
	struct emu_insn insn;
	vcpu_set_if(m->vcpu, true);
	FIX_DONE(m, "cli");
	m->vcpu->rip = FIX_CODE;
	FIX_DONE(m, "sti");
	assert_true(vcpu_if(m->vcpu));
	m->vcpu->rip = FIX_CODE;
	FIX_DONE(m, "cli");
	assert_false(vcpu_if(m->vcpu));
	/* A cached prefix of what is now a longer instruction. */
	const uint8_t in[] = {0xec}, prefixed[] = {0x66, 0x90, 0xec};
	m->vcpu->rip = FIX_CODE;
	fix_run(m, in, sizeof(in));
	m->vcpu->rip = FIX_CODE;
	fix_put(m, FIX_CODE, prefixed, sizeof(prefixed));
	assert_int_equal(emu_decode(m->vcpu, &insn), EMU_DONE);
	assert_int_equal(insn.info.length, 2);
	assert_int_equal(emu_execute(m->vcpu, &insn), EMU_NOT_OURS);
}

static void fetch_faults(void **state)
{
	struct machine_fixture *m = *state;
	struct emu_insn insn;
	const uint8_t cli = 0xfa, mov[] = {0x0f, 0x20};
	/* At the end of a page: the next one is touched only by an instruction that reaches it. */
	fix_put(m, FIX_HOLE - 1, &cli, 1);
	m->vcpu->rip = FIX_HOLE - 1;
	assert_int_equal(emu_decode(m->vcpu, &insn), EMU_DONE);
	assert_int_equal(insn.info.length, 1);
	fix_put(m, FIX_HOLE - 2, mov, 2);
	m->vcpu->rip = FIX_HOLE - 2;
	assert_false(emu_look_on(m->vcpu, &insn));
	assert_false(m->vcpu->event_pending);
	assert_int_equal(emu_decode(m->vcpu, &insn), EMU_RAISED);
	assert_int_equal(m->vcpu->event.vector, X86_VEC_PF);
	assert_int_equal(m->vcpu->event.error, X86_PF_I);
	assert_int_equal(m->vcpu->event.cr2, FIX_HOLE);
	/* What was decoded while the next page was there is no excuse once it is gone. */
	const uint8_t cr0[] = {0x0f, 0x20, 0xc0};
	fix_map(m, FIX_HOLE, FIX_HOLE | X86_PTE_P | X86_PTE_W);
	fix_put(m, FIX_HOLE - 2, cr0, sizeof(cr0));
	assert_int_equal(emu_decode(m->vcpu, &insn), EMU_DONE);
	fix_map(m, FIX_HOLE, 0);
	assert_int_equal(emu_decode(m->vcpu, &insn), EMU_RAISED);
	assert_int_equal(m->vcpu->event.cr2, FIX_HOLE);
	m->vcpu->rip = FIX_NONCANONICAL;
	assert_int_equal(emu_decode(m->vcpu, &insn), EMU_RAISED);
	assert_int_equal(m->vcpu->event.vector, X86_VEC_GP);
	fix_user(m);
	m->vcpu->rip = FIX_CODE;
	assert_int_equal(emu_decode(m->vcpu, &insn), EMU_RAISED);
	assert_int_equal(m->vcpu->event.error, X86_PF_P | X86_PF_U | X86_PF_I);
}

static void undecodable(void **state)
{
	struct machine_fixture *m = *state;
	FIX_FAULTS(m, ".byte 0x06", X86_VEC_UD, 0);	  /* PUSH ES */
	FIX_FAULTS(m, ".byte 0xf0, 0xfa", X86_VEC_UD, 0); /* LOCK CLI */
	FIX_FAULTS(m, ".fill 15, 1, 0x66; .byte 0x90", X86_VEC_GP, 0);
}

static bool sensitive(struct machine_fixture *m, const uint8_t *code, size_t len, bool *traps)
{
	struct emu_insn insn;
	fix_put(m, m->vcpu->rip, code, len);
	*traps = emu_look_on(m->vcpu, &insn);
	assert_int_equal(emu_decode(m->vcpu, &insn), EMU_DONE);
	return emu_is_sensitive(&insn);
}

static void classification(void **state)
{
	static const struct {
		uint8_t code[4];
		bool sensitive, traps;
	} cases[] = {
		{{0xfa}, true, true},		   /* CLI */
		{{0x0f, 0x20, 0xc0}, true, true},  /* MOV RAX, CR0 */
		{{0x0f, 0x23, 0xf8}, true, true},  /* MOV DR7, RAX */
		{{0xcc}, true, true},		   /* INT3 */
		{{0xcd, 0x80}, true, false},	   /* INT 0x80 */
		{{0x8e, 0xd8}, true, false},	   /* MOV DS, EAX */
		{{0x0f, 0x01, 0x03}, true, false}, /* SGDT [RBX] */
		{{0x48, 0xff, 0x2b}, true, false}, /* JMP FAR [RBX] */
		{{0x89, 0xc3}, false, false},	   /* MOV EBX, EAX */
		{{0x50}, false, false},		   /* PUSH RAX */
		{{0x58}, false, false},		   /* POP RAX */
		{{0xff, 0x23}, false, false},	   /* JMP [RBX] */
		{{0xc3}, false, false},		   /* RET */
		{{0x90}, false, false},		   /* NOP */
		{{0x0f, 0xa2}, false, false},	   /* CPUID */
	};
	struct machine_fixture *m = *state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool traps;
		assert_int_equal(sensitive(m, cases[i].code, sizeof(cases[i].code), &traps), cases[i].sensitive);
		assert_int_equal(traps, cases[i].traps);
	}
}

static void format(void **state)
{
	struct machine_fixture *m = *state;
	struct emu_insn insn;
	char text[64];
	const uint8_t code[] = {0x0f, 0x22, 0xd8};
	fix_put(m, FIX_CODE, code, sizeof(code));
	assert_int_equal(emu_decode(m->vcpu, &insn), EMU_DONE);
	assert_string_equal(emu_format(&insn, FIX_CODE, text, sizeof(text)), "mov cr3, rax");
	assert_int_equal(strlen(emu_format(&insn, FIX_CODE, text, 5)) < 5, 1);
	memset(&insn, 0, sizeof(insn));
	insn.bytes[0] = 0x06;
	assert_string_equal(emu_format(&insn, FIX_CODE, text, sizeof(text)), "(bad)");
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(in_out),	 T(bitmap),	  T(strings),	  T(strings_32_bit), T(strings_that_fault),
		T(changed_code), T(fetch_faults), T(undecodable), T(classification), T(strings_are_bounded),
		T(format),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
