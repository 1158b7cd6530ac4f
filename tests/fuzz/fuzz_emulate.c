/*
 * libFuzzer target: whatever bytes stand at RIP, whatever the registers and descriptor tables hold, the monitor
 * decodes, executes and injects without leaving the guest's RAM, without end and without a crash of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/run/inject.h"
#include "tests/unit/machine_fixture.h"

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

/* A patch of 8 bytes somewhere in the tables. */
struct patch {
	uint16_t where;
	uint64_t value;
} __attribute__((packed));

static void set_registers(struct machine_fixture *m, const struct input *in)
{
	struct vcpu *c = m->vcpu;
	if (in->mode & FUZZ_USER)
		fix_user(m);
	uint64_t rsp = c->gpr[RSP];
	memcpy(c->gpr, in->gpr, sizeof(c->gpr));
	/* Small values become addresses that exist: random ones are nearly all non-canonical. */
	for (unsigned i = 0; i < GPR_COUNT; i++)
		if (c->gpr[i] >> 56 == 0x42)
			c->gpr[i] &= FIX_RAM - 1;
	if (!in->gpr[RSP])
		c->gpr[RSP] = rsp;
	vcpu_set_rflags(c, in->rflags);
	c->gdtr.limit = in->gdt_limit;
	c->idtr.limit = in->idt_limit;
	if (in->mode & FUZZ_SCE)
		c->efer |= X86_EFER_SCE;
	if (in->mode & FUZZ_LDT)
		c->ldtr = (struct vcpu_segment){.present = true, .base = FIX_LDT, .limit = in->selectors};
	if (in->mode & FUZZ_SHARED)
		c->pv.shared_gpa = FIX_SHARED;
	if (in->mode & FUZZ_PV) {
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

static void check(const struct vcpu *c)
{
	if (c->cpl > 3 || c->chain_len > VCPU_CHAIN_MAX || c->last_chain_len > VCPU_CHAIN_MAX ||
	    !(c->rflags & X86_RFLAGS_FIXED) || (c->rflags & X86_RFLAGS_VM) || c->cr3 >> CPU_PHYSICAL_BITS ||
	    !(c->cr0 & X86_CR0_PG) || !(c->efer & X86_EFER_LMA) || (c->sreg[SREG_CS].selector & 3) != c->cpl)
		abort();
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
	set_registers(m, &in);

	size_t code_len = in.code_len < size ? in.code_len : size;
	gm_write(&m->vm.mem, m->vcpu->rip, data, code_len);
	strew(m, data + code_len, size - code_len);

	struct vcpu *c = m->vcpu;
	for (unsigned i = 0; i < STEPS && !m->vm.ended; i++) {
		struct emu_insn insn;
		char text[96];
		if (emu_decode(c, &insn) == EMU_DONE) {
			emu_format(&insn, c->rip, text, sizeof(text));
			if (emu_execute(c, &insn) == EMU_NOT_OURS)
				c->rip += insn.info.length;
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
