/*
 * libFuzzer target: whatever bytes stand at RIP, whatever the registers and descriptor tables hold, in whichever mode
 * of the processor, the monitor decodes, executes and injects without leaving the guest's RAM, without end and without
 * a crash of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/run/inject.h"
#include "monitor/vm/segment.h"
#include "tests/unit/legacy_fixture.h"

/* Instructions that one input runs at most, faults delivered in between. */
#define STEPS 8

/* The head of an input; what follows is code, and after `code_len` bytes, what to strew over RAM. */
struct input {
	uint8_t mode; /* FUZZ_* */
	uint8_t code_len;
	uint16_t selectors; /* which of the segment registers and tables are wild */
	uint64_t gpr[GPR_COUNT];
	uint32_t rflags;
	uint16_t gdt_limit, idt_limit;
} __attribute__((packed));

enum { FUZZ_USER = 1, FUZZ_PV = 2, FUZZ_SHARED = 4, FUZZ_PAGE_END = 8, FUZZ_SCE = 16, FUZZ_LDT = 32 };

/* Where it begins, in the upper bits of the mode: user mode of the last is virtual 8086 mode. */
enum { FUZZ_LONG, FUZZ_32, FUZZ_16, FUZZ_REAL, FUZZ_START_SHIFT = 6 };

/* A patch of 8 bytes somewhere in the tables. */
struct patch {
	uint16_t where;
	uint64_t value;
} __attribute__((packed));

/* A machine that has more than 64-bit mode may begin there all the same, or in its compatibility mode. */
static void set_start(struct machine_fixture *m, const struct input *in)
{
	const unsigned start = in->mode >> FUZZ_START_SHIFT;
	const bool user = in->mode & FUZZ_USER;
	m->vm.cpu.legacy_modes = start != FUZZ_LONG || (in->mode & FUZZ_LDT);
	if (start == FUZZ_LONG) {
		if (user)
			fix_user(m);
		else if (m->vm.cpu.legacy_modes)
			m->vcpu->sreg[SREG_CS] = seg_make(FIX_CODE32, SEG_FLAT_CODE_32(0));
		return;
	}
	legacy_make(m);
	if (start == FUZZ_16)
		legacy_to_16(m->vcpu);
	else if (start == FUZZ_REAL && !user)
		legacy_to_real(m->vcpu);
	else if (start == FUZZ_REAL)
		legacy_to_v86(m->vcpu);
	else if (user)
		legacy_to_user(m->vcpu);
}

static void set_registers(struct machine_fixture *m, const struct input *in)
{
	struct vcpu *c = m->vcpu;
	const bool is_long = in->mode >> FUZZ_START_SHIFT == FUZZ_LONG;
	const uint64_t kept = c->rflags & X86_RFLAGS_VM;
	uint64_t rsp = c->gpr[RSP];
	memcpy(c->gpr, in->gpr, sizeof(c->gpr));
	/* Small values become addresses that exist: random ones are nearly all non-canonical. */
	for (unsigned i = 0; i < GPR_COUNT; i++)
		if (c->gpr[i] >> 56 == 0x42)
			c->gpr[i] &= FIX_RAM - 1;
	if (!in->gpr[RSP])
		c->gpr[RSP] = rsp;
	vcpu_set_rflags(c, in->rflags);
	c->rflags |= kept;
	c->gdtr.limit = in->gdt_limit;
	c->idtr.limit = in->idt_limit;
	if (in->mode & FUZZ_SCE)
		c->efer |= X86_EFER_SCE;
	if (in->mode & FUZZ_LDT)
		c->ldtr = (struct vcpu_segment){.present = true, .base = FIX_LDT, .limit = in->selectors};
	if (is_long && (in->mode & FUZZ_SHARED))
		c->pv.shared_gpa = FIX_SHARED;
	if (is_long && (in->mode & FUZZ_PV)) {
		c->pv.has_traps = true;
		memcpy(c->pv.traps, in->gpr, sizeof(in->gpr));
	}
	if (in->mode & FUZZ_PAGE_END)
		c->rip = FIX_HOLE - in->code_len % 16;
}

static void strew(struct machine_fixture *m, const uint8_t *data, size_t size)
{
	struct patch patch;
	for (; size >= sizeof(patch); data += sizeof(patch), size -= sizeof(patch)) {
		memcpy(&patch, data, sizeof(patch));
		/* Page tables, GDT, IDT, TSS, LDT, shared page, all below 64 KiB. */
		gm_write(&m->vm.mem, patch.where, &patch.value, sizeof(patch.value));
	}
}

static bool is_possible(const struct vcpu *c)
{
	const bool paging = c->cr0 & X86_CR0_PG, protected_mode = c->cr0 & X86_CR0_PE, is_long = c->efer & X86_EFER_LMA,
		   v86 = c->rflags & X86_RFLAGS_VM;
	if (!c->vm->cpu.legacy_modes && (!is_long || v86))
		return false;
	if ((paging && !protected_mode) || (is_long && !paging) || (v86 && (!protected_mode || is_long || c->cpl != 3)))
		return false;
	if (!protected_mode && c->cpl)
		return false;
	if (vcpu_code_bits(c) != 64 && c->rip > UINT32_MAX)
		return false;
	return !protected_mode || v86 || (c->sreg[SREG_CS].selector & X86_SEL_RPL) == c->cpl;
}

static void check(const struct vcpu *c)
{
	if (c->cpl > 3 || c->chain_len > VCPU_CHAIN_MAX || c->last_chain_len > VCPU_CHAIN_MAX ||
	    !(c->rflags & X86_RFLAGS_FIXED) || c->cr3 >> CPU_PHYSICAL_BITS || !is_possible(c))
		abort();
}

/* Past one that the emulation leaves to engines. */
static void skip(struct vcpu *c, unsigned length)
{
	const unsigned bits = vcpu_code_bits(c);
	c->rip += length;
	if (bits != 64)
		c->rip &= bits == 16 ? UINT16_MAX : UINT32_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine_fixture *m;
	struct input in;
	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	data += sizeof(in);
	size -= sizeof(in);
	if (!m)
		m = fix_make();
	fix_reset(m);
	set_start(m, &in);
	set_registers(m, &in);

	size_t code_len = in.code_len < size ? in.code_len : size;
	gm_write(&m->vm.mem, m->vcpu->sreg[SREG_CS].base + m->vcpu->rip, data, code_len);
	strew(m, data + code_len, size - code_len);

	struct vcpu *c = m->vcpu;
	for (unsigned i = 0; i < STEPS && !m->vm.ended; i++) {
		struct emu_insn insn;
		char text[96];
		if (emu_decode(c, &insn) == EMU_DONE) {
			emu_format(&insn, c->rip, text, sizeof(text));
			if (emu_execute(c, &insn) == EMU_NOT_OURS)
				skip(c, insn.info.length);
		}
		if (c->event_pending)
			inject_event(c);
		check(c);
		uint8_t peeked[16];
		gm_peek(c, c->gpr[RSP], peeked, sizeof(peeked));
		m->log_len = 0;
	}
	return 0;
}
