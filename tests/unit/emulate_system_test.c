/*
 * Sensitive instructions on system registers: flags, control and debug registers, descriptor tables, MSRs, SYSCALL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "monitor/host/clock.h"
#include "tests/unit/machine_fixture.h"

/* Everything that CPL 0 alone may do. */
static void user_may_not(void **state)
{
	struct machine_fixture *m = *state;
	fix_user(m);
	m->vcpu->efer |= X86_EFER_SCE;
	m->vcpu->cr4 |= X86_CR4_OSXSAVE;
	m->vcpu->gpr[RBX] = FIX_USER_DATA;
	m->vcpu->gpr[RAX] = 7;
	FIX_FAULTS(m, "cli", X86_VEC_GP, 0);
	FIX_FAULTS(m, "sti", X86_VEC_GP, 0);
	FIX_FAULTS(m, "hlt", X86_VEC_GP, 0);
	FIX_FAULTS(m, "mov cr0, rax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "mov rax, cr0", X86_VEC_GP, 0);
	FIX_FAULTS(m, "mov rax, cr2", X86_VEC_GP, 0);
	FIX_FAULTS(m, "mov cr3, rax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "mov cr4, rax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "mov cr8, rax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "mov rax, cr8", X86_VEC_GP, 0);
	FIX_FAULTS(m, "mov dr7, rax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "mov rax, dr0", X86_VEC_GP, 0);
	FIX_FAULTS(m, "clts", X86_VEC_GP, 0);
	FIX_FAULTS(m, "lmsw ax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "lgdt [rbx]", X86_VEC_GP, 0);
	FIX_FAULTS(m, "lidt [rbx]", X86_VEC_GP, 0);
	FIX_FAULTS(m, "lldt ax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "ltr ax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "invlpg [rbx]", X86_VEC_GP, 0);
	FIX_FAULTS(m, "invd", X86_VEC_GP, 0);
	FIX_FAULTS(m, "wbinvd", X86_VEC_GP, 0);
	FIX_FAULTS(m, "rdmsr", X86_VEC_GP, 0);
	FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
	FIX_FAULTS(m, "swapgs", X86_VEC_GP, 0);
	FIX_FAULTS(m, ".byte 0x48, 0x0f, 0x07", X86_VEC_GP, 0);
	FIX_FAULTS(m, "xsetbv", X86_VEC_GP, 0);
	FIX_FAULTS(m, "in al, dx", X86_VEC_GP, 0);
	FIX_FAULTS(m, "out dx, al", X86_VEC_GP, 0);
}

static void interrupt_flag(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	FIX_DONE(m, "sti");
	assert_true(vcpu_if(c) && c->interrupt_shadow);
	assert_int_equal(c->rip, FIX_CODE + 1);
	/* An instruction that faults has not ended the shadow. */
	c->gpr[RAX] = 0;
	FIX_FAULTS(m, "mov cr0, rax", X86_VEC_GP, 0);
	assert_true(c->interrupt_shadow);
	FIX_DONE(m, "sti");
	assert_false(c->interrupt_shadow);
	FIX_DONE(m, "cli");
	assert_false(vcpu_if(c));
	FIX_DONE(m, "sti");
	FIX_DONE(m, "hlt");
	assert_true(c->halted);
	assert_false(c->interrupt_shadow);
	/* IOPL 3 lets user mode at the flag, though not at HLT. */
	fix_user(m);
	c->rflags |= X86_RFLAGS_IOPL;
	FIX_DONE(m, "cli");
	assert_false(vcpu_if(c));
	FIX_DONE(m, "sti");
	assert_true(vcpu_if(c));
	FIX_FAULTS(m, "hlt", X86_VEC_GP, 0);
}

static void single_step(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->rflags |= X86_RFLAGS_TF;
	assert_int_equal(FIX_RUN(m, "cli"), EMU_RAISED);
	assert_int_equal(c->event.vector, X86_VEC_DB);
	assert_int_equal(c->event.kind, EVENT_TRAP);
	assert_true(c->dr[6] & X86_DR6_BS);
	assert_int_equal(c->rip, FIX_CODE + 1);
	c->event_pending = false;
	/* Not after a load of SS; and a fault comes instead of the trap. */
	c->gpr[RAX] = FIX_KDATA;
	FIX_DONE(m, "mov ss, eax");
	c->gpr[RAX] = 0;
	FIX_FAULTS(m, "mov cr0, rax", X86_VEC_GP, 0);
	/* RF goes out with the instruction. */
	c->rflags = X86_RFLAGS_FIXED | X86_RFLAGS_RF;
	FIX_DONE(m, "cli");
	assert_int_equal(c->rflags, X86_RFLAGS_FIXED);
}

static void cr0(void **state)
{
	struct machine_fixture *m = *state;
	uint64_t *rax = &m->vcpu->gpr[RAX];
	const uint64_t now = m->vcpu->cr0;

	FIX_DONE(m, "mov rax, cr0");
	assert_true(*rax == now);
	*rax = (now | X86_CR0_TS | X86_CR0_AM) & ~X86_CR0_ET;
	FIX_DONE(m, "mov cr0, rax");
	assert_true(m->vcpu->cr0 == (now | X86_CR0_TS | X86_CR0_AM));
	FIX_DONE(m, "clts");
	assert_true(m->vcpu->cr0 == (now | X86_CR0_AM));
	*rax = now | R3_BIT(32);
	FIX_FAULTS(m, "mov cr0, rax", X86_VEC_GP, 0);
	*rax = now & ~X86_CR0_PG;
	FIX_FAULTS(m, "mov cr0, rax", X86_VEC_GP, 0);
	*rax = now & ~X86_CR0_PE;
	FIX_FAULTS(m, "mov cr0, rax", X86_VEC_GP, 0);
	*rax = now | X86_CR0_NW;
	FIX_FAULTS(m, "mov cr0, rax", X86_VEC_GP, 0);
	/* Reserved bits of the lower half are ignored. */
	*rax = now | R3_BIT(20);
	FIX_DONE(m, "mov cr0, rax");
	assert_true(m->vcpu->cr0 == now);
	*rax = X86_CR0_TS;
	FIX_DONE(m, "lmsw ax");
	assert_true(m->vcpu->cr0 == ((now | X86_CR0_TS) & ~X86_CR0_MP));
	m->vcpu->gpr[RBX] = FIX_HOLE;
	FIX_FAULTS(m, "lmsw [rbx]", X86_VEC_PF, 0);
	FIX_FAULTS(m, "lldt [rbx]", X86_VEC_PF, 0);
	FIX_FAULTS(m, "ltr [rbx]", X86_VEC_PF, 0);
	FIX_FAULTS(m, "lgdt [rbx]", X86_VEC_PF, 0);
	FIX_FAULTS(m, "smsw [rbx]", X86_VEC_PF, X86_PF_W);
	FIX_DONE(m, "smsw eax");
	assert_true(*rax == m->vcpu->cr0);
	*rax = now & ~X86_CR0_WP;
	FIX_DONE(m, "mov cr0, rax");
	assert_false(vcpu_paging(m->vcpu).wp);
}

static void cr2_cr3_cr8(void **state)
{
	struct machine_fixture *m = *state;
	uint64_t *rax = &m->vcpu->gpr[RAX];
	*rax = 0x123456789abcdef0;
	FIX_DONE(m, "mov cr2, rax");
	FIX_DONE(m, "mov r9, cr2");
	assert_true(m->vcpu->gpr[R9] == 0x123456789abcdef0);
	*rax = FIX_PML4 | X86_CR3_PWT;
	FIX_DONE(m, "mov cr3, rax");
	FIX_DONE(m, "mov r9, cr3");
	assert_int_equal(m->vcpu->gpr[R9], FIX_PML4 | X86_CR3_PWT);
	*rax = R3_BIT(CPU_PHYSICAL_BITS);
	FIX_FAULTS(m, "mov cr3, rax", X86_VEC_GP, 0);
	*rax = FIX_PML4 | R3_BIT(63);
	FIX_FAULTS(m, "mov cr3, rax", X86_VEC_GP, 0);
	*rax = 15;
	FIX_DONE(m, "mov cr8, rax");
	FIX_DONE(m, "mov r9, cr8");
	assert_int_equal(m->vcpu->gpr[R9], 15);
	*rax = 16;
	FIX_FAULTS(m, "mov cr8, rax", X86_VEC_GP, 0);
	FIX_FAULTS(m, ".byte 0x0f, 0x22, 0xc8", X86_VEC_UD, 0); /* MOV CR1, RAX */
}

static void cr4(void **state)
{
	static const uint64_t refused[] = {X86_CR4_VME, X86_CR4_PVI,  X86_CR4_LA57, X86_CR4_PCIDE,
					   X86_CR4_CET, X86_CR4_VMXE, R3_BIT(32)};
	struct machine_fixture *m = *state;
	uint64_t *rax = &m->vcpu->gpr[RAX];
	const uint64_t now = m->vcpu->cr4;
	FIX_DONE(m, "mov rax, cr4");
	assert_true(*rax == now);
	*rax = (now | X86_CR4_SMEP | X86_CR4_UMIP) & ~X86_CR4_PGE;
	FIX_DONE(m, "mov cr4, rax");
	assert_true(vcpu_paging(m->vcpu).smep && !vcpu_paging(m->vcpu).pge);
	*rax = now | X86_CR4_TSD | X86_CR4_OSXSAVE;
	FIX_DONE(m, "mov cr4, rax");
	m->vm.cpu.cr4 &= ~X86_CR4_OSXSAVE;
	FIX_FAULTS(m, "mov cr4, rax", X86_VEC_GP, 0);
	m->vm.cpu.cr4 |= X86_CR4_OSXSAVE;
	*rax = now & ~X86_CR4_PAE;
	FIX_FAULTS(m, "mov cr4, rax", X86_VEC_GP, 0);
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		*rax = now | refused[i];
		FIX_FAULTS(m, "mov cr4, rax", X86_VEC_GP, 0);
	}
}

static void xsetbv(void **state)
{
	static const uint64_t bad[] = {0, 2, 5, 0x27, 0xe3, R3_BIT(40) | 3};
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->cr4 |= X86_CR4_OSXSAVE;
	const uint64_t model = m->vm.cpu.xcr0;
	m->vm.cpu.xcr0 = 0xe7;
	c->gpr[RAX] = 0xe7;
	FIX_DONE(m, "xsetbv");
	assert_int_equal(c->xcr0, 0xe7);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c->gpr[RAX] = (uint32_t)bad[i];
		c->gpr[RDX] = bad[i] >> 32;
		FIX_FAULTS(m, "xsetbv", X86_VEC_GP, 0);
	}
	c->gpr[RDX] = 0;
	c->gpr[RAX] = 1;
	c->gpr[RCX] = 1;
	FIX_FAULTS(m, "xsetbv", X86_VEC_GP, 0);
	c->cr4 &= ~X86_CR4_OSXSAVE;
	FIX_FAULTS(m, "xsetbv", X86_VEC_UD, 0);
	m->vm.cpu.xcr0 = model;
}

static void debug_registers(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->gpr[RAX] = 0x123456789;
	FIX_DONE(m, "mov dr3, rax");
	FIX_DONE(m, "mov rbx, dr3");
	assert_true(c->gpr[RBX] == 0x123456789);
	FIX_FAULTS(m, "mov dr6, rax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "mov dr7, rax", X86_VEC_GP, 0);
	c->gpr[RAX] = 0;
	FIX_DONE(m, "mov dr4, rax");
	assert_true(c->dr[6] == X86_DR6_FIXED);
	FIX_DONE(m, "mov rbx, dr5");
	assert_int_equal(c->gpr[RBX], X86_DR7_FIXED);
	c->gpr[RAX] = UINT32_MAX & ~X86_DR7_GD;
	FIX_DONE(m, "mov dr7, rax");
	assert_true(c->dr[7] == ((X86_DR7_WRITABLE & ~X86_DR7_GD) | X86_DR7_FIXED));
	c->cr4 |= X86_CR4_DE;
	FIX_FAULTS(m, "mov dr4, rax", X86_VEC_UD, 0);
	FIX_FAULTS(m, "mov rax, dr5", X86_VEC_UD, 0);
	c->dr[7] |= X86_DR7_GD;
	FIX_FAULTS(m, "mov rax, dr0", X86_VEC_DB, 0);
	assert_true(c->dr[6] & X86_DR6_BD);
}

static void table_registers(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	uint8_t raw[10] = {0x34, 0x12, 0x00, 0x50};
	c->gpr[RBX] = FIX_DATA;
	fix_put(m, FIX_DATA, raw, sizeof(raw));
	FIX_DONE(m, "lgdt [rbx]");
	FIX_DONE(m, "lidt [rbx]");
	assert_int_equal(c->gdtr.limit, 0x1234);
	assert_int_equal(c->gdtr.base, 0x5000);
	assert_int_equal(c->idtr.base, 0x5000);
	FIX_DONE(m, "sgdt [rbx + 32]");
	assert_memory_equal(m->vm.mem.base + FIX_DATA + 32, raw, sizeof(raw));
	raw[8] = 0x80;
	raw[7] = 0x80;
	fix_put(m, FIX_DATA, raw, sizeof(raw));
	FIX_FAULTS(m, "lidt [rbx]", X86_VEC_GP, 0);
	assert_int_equal(c->idtr.base, 0x5000);

	fix_user(m);
	c->gpr[RBX] = FIX_USER_DATA;
	FIX_DONE(m, "sidt [rbx]");
	FIX_DONE(m, "str eax");
	assert_int_equal(c->gpr[RAX], FIX_TSS_SEL);
	c->cr4 |= X86_CR4_UMIP;
	FIX_FAULTS(m, "sgdt [rbx]", X86_VEC_GP, 0);
	FIX_FAULTS(m, "sidt [rbx]", X86_VEC_GP, 0);
	FIX_FAULTS(m, "sldt eax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "str eax", X86_VEC_GP, 0);
	FIX_FAULTS(m, "smsw eax", X86_VEC_GP, 0);
}

static void load_tr_and_ldtr(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	uint64_t *rax = &c->gpr[RAX];
	*rax = FIX_TSS_SEL;
	FIX_DONE(m, "ltr ax");
	assert_int_equal(c->tr.base, FIX_TSS);
	assert_int_equal(c->tr.limit, X86_TSS_SIZE - 1);
	/* Busy now. */
	FIX_FAULTS(m, "ltr ax", X86_VEC_GP, FIX_TSS_SEL);
	*rax = 0;
	FIX_FAULTS(m, "ltr ax", X86_VEC_GP, 0);
	*rax = FIX_KDATA;
	FIX_FAULTS(m, "ltr ax", X86_VEC_GP, FIX_KDATA);
	*rax = FIX_LDT_SEL | 4;
	FIX_FAULTS(m, "lldt ax", X86_VEC_GP, FIX_LDT_SEL | 4);
	*rax = FIX_GDT_END - 8;
	FIX_FAULTS(m, "lldt ax", X86_VEC_GP, FIX_GDT_END - 8);
	*rax = FIX_LDT_SEL;
	FIX_DONE(m, "lldt ax");
	assert_int_equal(c->ldtr.base, FIX_LDT);
	FIX_DONE(m, "sldt eax");
	assert_int_equal(*rax, FIX_LDT_SEL);
	fix_put64(m, FIX_GDT + FIX_LDT_SEL, fix_get64(m, FIX_GDT + FIX_LDT_SEL) & ~X86_DESC_P);
	FIX_FAULTS(m, "lldt ax", X86_VEC_NP, FIX_LDT_SEL);
	fix_put64(m, FIX_GDT + FIX_LDT_SEL, fix_get64(m, FIX_GDT + FIX_LDT_SEL) | X86_DESC_P);
	fix_put64(m, FIX_GDT + FIX_LDT_SEL + 8, R3_BIT(40));
	FIX_FAULTS(m, "lldt ax", X86_VEC_GP, FIX_LDT_SEL);
	*rax = 0;
	FIX_DONE(m, "lldt ax");
	assert_false(c->ldtr.present);
	fix_put64(m, FIX_GDT + FIX_LDT_SEL + 8, R3_BIT(15));
	*rax = FIX_LDT_SEL;
	FIX_FAULTS(m, "lldt ax", X86_VEC_GP, FIX_LDT_SEL);
}

static bool find_page(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	bool *found = arg;
	*found = *found || (gva <= FIX_DATA && FIX_DATA < gva + len && gpa + (FIX_DATA - gva) == FIX_DATA);
	return true;
}

/* FIX_DATA is mapped at its own address in the shadow of the kernel's space. */
static bool shadowed(struct machine_fixture *m)
{
	bool found = false;
	spt_space_each(spt_space_get(m->vm.spt, &(struct spt_cpu){.cr3 = m->vcpu->cr3}, SPT_KERNEL), find_page, &found);
	return found;
}

static void touch(struct machine_fixture *m)
{
	struct spt_outcome outcome;
	struct spt_cpu paging = vcpu_paging(m->vcpu);
	struct spt_space *space = spt_space_get(m->vm.spt, &(struct spt_cpu){.cr3 = m->vcpu->cr3}, SPT_KERNEL);
	assert_int_equal(spt_fault(space, &paging, FIX_DATA, 0, &outcome), SPT_FILLED);
	assert_true(shadowed(m));
}

/* What an instruction must drop from the shadow page tables, it drops. */
static void translations_dropped(void **state)
{
	static const uint64_t elsewhere = (FIX_DATA + 0x1000) | X86_PTE_P | X86_PTE_W;
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	uint64_t *entry = gm_ptr(&m->vm.mem, FIX_PT + FIX_DATA / 0x1000 * 8, 8);
	c->gpr[RBX] = FIX_DATA;

	touch(m);
	*entry = elsewhere;
	FIX_DONE(m, "invlpg [rbx]");
	assert_false(shadowed(m));

	fix_map(m, FIX_DATA, FIX_DATA | X86_PTE_P | X86_PTE_W);
	c->gpr[RAX] = c->cr3;
	FIX_DONE(m, "mov cr3, rax");
	touch(m);
	fix_map(m, FIX_DATA, elsewhere);
	FIX_DONE(m, "mov cr3, rax");
	assert_false(shadowed(m));

	fix_map(m, FIX_DATA, FIX_DATA | X86_PTE_P | X86_PTE_W);
	FIX_DONE(m, "mov cr3, rax");
	touch(m);
	c->gpr[RAX] = c->cr0 & ~X86_CR0_WP;
	FIX_DONE(m, "mov cr0, rax");
	assert_false(shadowed(m));
	touch(m);
	c->gpr[RAX] = c->cr4 ^ X86_CR4_PGE;
	FIX_DONE(m, "mov cr4, rax");
	assert_false(shadowed(m));
	touch(m);
	c->gpr[RCX] = X86_MSR_EFER;
	c->gpr[RDX] = 0;
	c->gpr[RAX] = c->efer ^ X86_EFER_NXE;
	FIX_DONE(m, "wrmsr");
	assert_false(shadowed(m));
}

/* A translation that the host will not drop must not survive: the machine ends, as the host's fault. */
static void host_refuses(void **state)
{
	struct machine_fixture *m = *state;
	int err = dup(2), null = open("/dev/null", O_WRONLY);
	touch(m);
	m->refusal = -ENOMEM;
	m->vcpu->gpr[RBX] = FIX_DATA;
	assert_int_equal(dup2(null, 2), 2);
	enum emu_result result = FIX_RUN(m, "invlpg [rbx]");
	assert_int_equal(dup2(err, 2), 2);
	close(err);
	close(null);
	assert_int_equal(result, EMU_DONE);
	assert_true(m->vm.ended);
	assert_int_equal(m->vm.status, VM_STATUS_HOST);
	m->refusal = 0;
}

static void invalidation(void **state)
{
	struct machine_fixture *m = *state;
	m->vcpu->gpr[RBX] = FIX_DATA;
	FIX_DONE(m, "invlpg [rbx]");
	/* Nothing to drop at such an address, and no fault either. */
	m->vcpu->gpr[RBX] = FIX_NONCANONICAL;
	FIX_DONE(m, "invlpg [rbx]");
	FIX_DONE(m, "wbinvd");
	FIX_DONE(m, "invd");
}

static void wrmsr(struct machine_fixture *m, uint32_t msr, uint64_t value)
{
	m->vcpu->gpr[RCX] = msr;
	m->vcpu->gpr[RAX] = (uint32_t)value | R3_BIT(40); /* the upper half does not count */
	m->vcpu->gpr[RDX] = value >> 32;
}

static uint64_t rdmsr(struct machine_fixture *m, uint32_t msr)
{
	m->vcpu->gpr[RCX] = msr;
	m->vcpu->gpr[RAX] = m->vcpu->gpr[RDX] = UINT64_MAX;
	FIX_DONE(m, "rdmsr");
	assert_int_equal(m->vcpu->gpr[RAX] >> 32, 0);
	assert_int_equal(m->vcpu->gpr[RDX] >> 32, 0);
	return m->vcpu->gpr[RDX] << 32 | m->vcpu->gpr[RAX];
}

static void msr_round_trips(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t good, bad; /* bad 0: none */
	} cases[] = {
		{X86_MSR_LSTAR, 0xffff800000001000, FIX_NONCANONICAL},
		{X86_MSR_CSTAR, 0x1000, FIX_NONCANONICAL},
		{X86_MSR_FS_BASE, 0x7fffffffffff, FIX_NONCANONICAL},
		{X86_MSR_GS_BASE, 0x12345678, FIX_NONCANONICAL},
		{X86_MSR_KERNEL_GS_BASE, 0x87654321, FIX_NONCANONICAL},
		{X86_MSR_STAR, 0x0013000800000000, 0},
		{X86_MSR_SFMASK, 0xffffffff, R3_BIT(32)},
		{X86_MSR_PAT, 0x0007010600070506, 0x0002040600070406},
		{X86_MSR_PAT, 0, 0x0800000000000000},
		{X86_MSR_EFER, 0xd01, 0x4d01},
		{X86_MSR_TSC_AUX, 0x12345678, 0},
		{X86_MSR_MCG_STATUS, 5, 8},
		{X86_MSR_EFER, 0x500, 0xc01}, /* LME cannot go */
	};
	struct machine_fixture *m = *state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wrmsr(m, cases[i].msr, cases[i].good);
		FIX_DONE(m, "wrmsr");
		assert_true(rdmsr(m, cases[i].msr) == cases[i].good);
		if (!cases[i].bad)
			continue;
		wrmsr(m, cases[i].msr, cases[i].bad);
		FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
		assert_true(rdmsr(m, cases[i].msr) == cases[i].good);
	}
	assert_int_equal(m->vcpu->sreg[SREG_GS].base, 0x12345678);
	wrmsr(m, 0x12345, 0);
	FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
	FIX_FAULTS(m, "rdmsr", X86_VEC_GP, 0);
}

/* In a PC: kept, with the checks of the manual; else there are none. */
static void mtrrs(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t good, bad;
	} cases[] = {
		{X86_MSR_MTRR_FIRST, 0x80000006, 0x80000002},	   /* a type that is none */
		{X86_MSR_MTRR_FIRST, 0x80000000, 0x80000106},	   /* reserved */
		{X86_MSR_MTRR_FIRST + 15, 0xc0000800, 0xc0000400}, /* a mask is valid or not, and nothing else */
		{X86_MSR_MTRR_FIRST + 15, 0xc0000000, R3_BIT(CPU_PHYSICAL_BITS)},
		{X86_MSR_MTRR_64K, 0x0605040100060606, 0x0600000003000000},
		{X86_MSR_MTRR_16K + 1, 0x0606060606060606, 0x0706060606060606},
		{X86_MSR_MTRR_4K + 7, 0x0101010101010101, 0x0101010101010102},
		{X86_MSR_MTRR_DEFAULT, 0xc06, 0x1006},
		{X86_MSR_MTRR_DEFAULT, 0xc00, 0xc07},
	};
	static const uint32_t none[] = {X86_MSR_MTRR_FIRST + 16, X86_MSR_MTRR_64K + 1, X86_MSR_MTRR_16K + 2,
					X86_MSR_MTRR_4K + 8};
	struct machine_fixture *m = *state;
	wrmsr(m, X86_MSR_MTRR_CAP, 0);
	FIX_FAULTS(m, "rdmsr", X86_VEC_GP, 0);
	m->vm.cpu.has[CPU_mtrr] = true;
	assert_true(rdmsr(m, X86_MSR_MTRR_CAP) == 0x508);
	wrmsr(m, X86_MSR_MTRR_CAP, 0);
	FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wrmsr(m, cases[i].msr, cases[i].good);
		FIX_DONE(m, "wrmsr");
		wrmsr(m, cases[i].msr, cases[i].bad);
		FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
		assert_true(rdmsr(m, cases[i].msr) == cases[i].good);
	}
	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		wrmsr(m, none[i], 0);
		FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
	}
	assert_true(rdmsr(m, X86_MSR_PAT) == X86_PAT_RESET);
}

/* What the two vendors have otherwise. */
static void msr_vendors(void **state)
{
	struct machine_fixture *m = *state;
	const uint64_t wide = 0x123456789abc;
	for (unsigned amd = 0; amd < 2; amd++) {
		m->vm.cpu.amd = amd;
		wrmsr(m, X86_MSR_SYSENTER_EIP, wide);
		FIX_DONE(m, "wrmsr");
		assert_true(rdmsr(m, X86_MSR_SYSENTER_EIP) == (amd ? (uint32_t)wide : wide));
		wrmsr(m, X86_MSR_SYSENTER_ESP, FIX_NONCANONICAL);
		if (amd)
			FIX_DONE(m, "wrmsr");
		else
			FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
		wrmsr(m, X86_MSR_SYSENTER_CS, wide);
		FIX_DONE(m, "wrmsr");
		assert_true(rdmsr(m, X86_MSR_SYSENTER_CS) == (uint32_t)wide);
	}
	FIX_DONE(m, "wrmsr");
	m->vcpu->gpr[RCX] = X86_MSR_MISC_ENABLE;
	FIX_FAULTS(m, "rdmsr", X86_VEC_GP, 0);
	m->vm.cpu.amd = false;
	assert_true(rdmsr(m, X86_MSR_MISC_ENABLE) == X86_MISC_RESET);
	/* What only tells stays; what is reserved is refused. */
	wrmsr(m, X86_MSR_MISC_ENABLE, X86_MISC_NO_NX | X86_MISC_LIMIT_CPUID);
	FIX_DONE(m, "wrmsr");
	assert_true(rdmsr(m, X86_MSR_MISC_ENABLE) ==
		    (X86_MISC_NO_NX | X86_MISC_LIMIT_CPUID | (X86_MISC_RESET & X86_MISC_CONSTANT)));
	wrmsr(m, X86_MSR_MISC_ENABLE, 2);
	FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
	/* Without NX, EFER does not take it. */
	wrmsr(m, X86_MSR_EFER, m->vcpu->efer & ~X86_EFER_NXE);
	FIX_DONE(m, "wrmsr");
	wrmsr(m, X86_MSR_EFER, m->vcpu->efer | X86_EFER_NXE);
	FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
}

/* A register is there with the feature that CPUID has for it, and goes with it. */
static void msrs_of_features(void **state)
{
	static const struct {
		enum cpu_feature feature;
		uint32_t msr;
	} cases[] = {
		{CPU_apic, X86_MSR_APIC_BASE},
		{CPU_sep, X86_MSR_SYSENTER_CS},
		{CPU_sep, X86_MSR_SYSENTER_ESP},
		{CPU_sep, X86_MSR_SYSENTER_EIP},
		{CPU_tsc, X86_MSR_TSC},
		{CPU_mca, X86_MSR_MCG_CAP},
		{CPU_mca, X86_MSR_MCG_STATUS},
		{CPU_pat, X86_MSR_PAT},
		{CPU_lm, X86_MSR_EFER},
		{CPU_lm, X86_MSR_FS_BASE},
		{CPU_lm, X86_MSR_GS_BASE},
		{CPU_lm, X86_MSR_KERNEL_GS_BASE},
		{CPU_syscall, X86_MSR_STAR},
		{CPU_syscall, X86_MSR_LSTAR},
		{CPU_syscall, X86_MSR_CSTAR},
		{CPU_syscall, X86_MSR_SFMASK},
		{CPU_rdtscp, X86_MSR_TSC_AUX},
		{CPU_mtrr, X86_MSR_MTRR_DEFAULT},
		{CPU_tsc_deadline, X86_MSR_TSC_DEADLINE},
		{CPU_x2apic, X86_MSR_X2APIC_FIRST + 2},
	};
	struct machine_fixture *m = *state;
	for (unsigned amd = 0; amd < 2; amd++) {
		m->vm.cpu.amd = amd;
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			bool had = m->vm.cpu.has[cases[i].feature];
			if (had)
				rdmsr(m, cases[i].msr);
			m->vm.cpu.has[cases[i].feature] = false;
			wrmsr(m, cases[i].msr, 0);
			FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
			FIX_FAULTS(m, "rdmsr", X86_VEC_GP, 0);
			m->vm.cpu.has[cases[i].feature] = had;
		}
	}
}

static void clac_stac(void **state)
{
	struct machine_fixture *m = *state;
	m->vm.cpu.has[CPU_smap] = true;
	FIX_DONE(m, "stac");
	assert_true(m->vcpu->rflags & X86_RFLAGS_AC);
	FIX_DONE(m, "clac");
	assert_false(m->vcpu->rflags & X86_RFLAGS_AC);
	m->vm.cpu.has[CPU_smap] = false;
	FIX_FAULTS(m, "stac", X86_VEC_UD, 0);
	m->vm.cpu.has[CPU_smap] = true;
	fix_user(m);
	FIX_FAULTS(m, "clac", X86_VEC_UD, 0);
}

/* RDPKRU and WRPKRU: for programs too, where CR4 has them; IA32_PKRS has 32 bits. */
static void protection_keys(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	const uint64_t high = R3_U64(0x500000000);
	c->cr4 &= ~X86_CR4_PKE;
	FIX_FAULTS(m, "rdpkru", X86_VEC_UD, 0);
	FIX_FAULTS(m, "wrpkru", X86_VEC_UD, 0);
	c->cr4 |= X86_CR4_PKE;
	c->gpr[RCX] = c->gpr[RDX] = high; /* of which 32 bits count */
	c->gpr[RAX] = high | 0x8000000c;
	FIX_DONE(m, "wrpkru");
	assert_int_equal(c->pkru, 0x8000000c);
	assert_int_equal(vcpu_paging(c).user_keys, 0x8000000c);
	c->gpr[RAX] = ~R3_U64(0);
	FIX_DONE(m, "rdpkru");
	assert_true(c->gpr[RAX] == 0x8000000c && c->gpr[RDX] == 0);
	c->gpr[RDX] = 1;
	FIX_FAULTS(m, "wrpkru", X86_VEC_GP, 0);
	c->gpr[RDX] = 0;
	c->gpr[RCX] = 1;
	FIX_FAULTS(m, "wrpkru", X86_VEC_GP, 0);
	FIX_FAULTS(m, "rdpkru", X86_VEC_GP, 0);
	wrmsr(m, X86_MSR_PKRS, R3_BIT(32));
	FIX_FAULTS(m, "wrmsr", X86_VEC_GP, 0);
	m->vm.cpu.has[CPU_pks] = false;
	FIX_FAULTS(m, "rdmsr", X86_VEC_GP, 0);
	m->vm.cpu.has[CPU_pks] = true;
	wrmsr(m, X86_MSR_PKRS, 0xffffffff);
	FIX_DONE(m, "wrmsr");
	assert_int_equal(vcpu_paging(c).kernel_keys, 0);
	c->cr4 |= X86_CR4_PKS;
	assert_int_equal(vcpu_paging(c).kernel_keys, 0xffffffff);
	fix_user(m);
	c->gpr[RAX] = c->gpr[RCX] = 0;
	FIX_DONE(m, "wrpkru");
	assert_int_equal(c->pkru, 0);
}

static void invpcid(void **state)
{
	struct machine_fixture *m = *state;
	m->vcpu->gpr[RAX] = 2;
	m->vcpu->gpr[RBX] = FIX_DATA;
	m->vm.cpu.has[CPU_invpcid] = false;
	FIX_FAULTS(m, "invpcid rax, [rbx]", X86_VEC_UD, 0);
	m->vm.cpu.has[CPU_invpcid] = true;
	FIX_DONE(m, "invpcid rax, [rbx]");
	m->vcpu->gpr[RAX] = 4;
	FIX_FAULTS(m, "invpcid rax, [rbx]", X86_VEC_GP, 0);
}

static void tsc(void **state)
{
	struct machine_fixture *m = *state;
	wrmsr(m, X86_MSR_TSC, R3_BIT(60));
	FIX_DONE(m, "wrmsr");
	uint64_t first = rdmsr(m, X86_MSR_TSC), second = rdmsr(m, X86_MSR_TSC);
	assert_true(first >= R3_BIT(60) && first < R3_BIT(61));
	assert_true(second > first);
}

static void swapgs(void **state)
{
	struct machine_fixture *m = *state;
	m->vcpu->sreg[SREG_GS].base = 1;
	m->vcpu->kernel_gs_base = 2;
	FIX_DONE(m, "swapgs");
	assert_int_equal(m->vcpu->sreg[SREG_GS].base, 2);
	assert_int_equal(m->vcpu->kernel_gs_base, 1);
}

/* UD0 and UD1 take a ModRM byte on Intel's processors alone; AMD's do not ask for the page behind them. */
static void undefined_before_a_hole(void **state)
{
	static const uint8_t codes[][3] = {
		{0x90, 0x0f, 0xff}, {0x90, 0x0f, 0xb9}, {0x66, 0x0f, 0xff}, {0x90, 0x0f, 0xaf}};
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	struct emu_insn insn;
	for (unsigned n = 0; n < 4; n++) {
		memcpy(gm_ptr(&m->vm.mem, FIX_HOLE - 3, 3), codes[n], 3);
		c->rip = FIX_HOLE - (codes[n][0] == 0x90 ? 2 : 3);
		assert_int_equal(emu_decode(c, &insn), EMU_RAISED);
		assert_int_equal(c->event.vector, cpu_decodes_as_amd() && n < 3 ? X86_VEC_UD : X86_VEC_PF);
		c->event_pending = false;
	}
}

/* AMD's processors have left ring 0 when the address turns out not to be canonical, and SS has the RPL that STAR has.
 */
static void amd_sysret(struct machine_fixture *m)
{
	struct vcpu *c = m->vcpu;
	const uint64_t rcx = c->gpr[RCX], star = c->star, rip = c->rip;
	struct emu_insn insn;
	uint8_t code[] = {0x48, 0x0f, 0x07};
	m->vm.cpu.amd = true;
	c->star = (uint64_t)FIX_KDATA << 48;
	c->cpl = 0;
	c->gpr[RCX] = FIX_NONCANONICAL;
	assert_int_equal(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, code, sizeof(code), &insn), ZYAN_STATUS_SUCCESS);
	assert_int_equal(emu_execute(c, &insn), EMU_RAISED);
	assert_int_equal(c->event.vector, X86_VEC_GP);
	assert_int_equal(c->cpl, 3);
	assert_true(c->rip == FIX_NONCANONICAL);
	assert_int_equal(c->sreg[SREG_CS].selector, (FIX_KDATA + 16) | 3);
	assert_int_equal(c->sreg[SREG_SS].selector, FIX_KDATA + 8);
	c->event_pending = false;
	c->star = star;
	c->gpr[RCX] = rcx;
	c->rip = rip;
}

static void syscall_and_sysret(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	fix_user(m);
	c->rip += 2;
	emu_syscall(c);
	assert_int_equal(c->event.vector, X86_VEC_UD);
	assert_int_equal(c->rip, FIX_USER_CODE);
	c->event_pending = false;

	c->efer |= X86_EFER_SCE;
	c->star = (uint64_t)(FIX_KDATA | 3) << 48 | (uint64_t)FIX_KCODE << 32;
	c->lstar = FIX_CODE;
	c->sfmask = X86_RFLAGS_IF | X86_RFLAGS_DF;
	c->rflags |= X86_RFLAGS_DF | X86_RFLAGS_CF;
	vcpu_set_if(c, true);
	const uint64_t flags = vcpu_rflags(c);
	c->rip = FIX_USER_CODE + 2;
	emu_syscall(c);
	assert_false(c->event_pending);
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->rip, FIX_CODE);
	assert_int_equal(c->gpr[RCX], FIX_USER_CODE + 2);
	assert_int_equal(c->gpr[R11], flags);
	assert_int_equal(vcpu_rflags(c), X86_RFLAGS_FIXED | X86_RFLAGS_CF);
	assert_int_equal(c->sreg[SREG_CS].selector, FIX_KCODE);
	assert_int_equal(c->sreg[SREG_SS].selector, FIX_KDATA);
	assert_int_equal(c->gpr[RSP], FIX_USER_STACK);

	FIX_FAULTS(m, ".byte 0x0f, 0x07", X86_VEC_GP, 0); /* to 32-bit code */
	c->gpr[RCX] = FIX_NONCANONICAL;
	m->vm.cpu.amd = false;
	FIX_FAULTS(m, ".byte 0x48, 0x0f, 0x07", X86_VEC_GP, 0);
	assert_int_equal(c->cpl, 0);
	c->gpr[RCX] = FIX_USER_CODE + 2;
	FIX_DONE(m, ".byte 0x48, 0x0f, 0x07");
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->rip, FIX_USER_CODE + 2);
	assert_int_equal(vcpu_rflags(c), flags);
	assert_int_equal(c->sreg[SREG_CS].selector, FIX_UCODE);
	assert_int_equal(c->sreg[SREG_SS].selector, FIX_UDATA);
	amd_sysret(m);
	c->efer &= ~X86_EFER_SCE;
	FIX_FAULTS(m, ".byte 0x48, 0x0f, 0x07", X86_VEC_UD, 0);
}

/* The entry finds the frame that IRETQ takes on the stack the kernel named. */
static void paravirtual_syscall(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	uint64_t frame[5];
	c->pv.syscall_entry = FIX_CODE + 0x100;
	c->pv.rsp0 = FIX_STACK;
	fix_user(m);
	vcpu_set_if(c, true);
	c->rip += 2;
	uint64_t rip = c->rip, rsp = c->gpr[RSP];
	emu_syscall(c);
	assert_int_equal(c->rip, FIX_CODE + 0x100);
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->sreg[SREG_CS].selector, FIX_KCODE);
	assert_false(vcpu_if(c));
	assert_int_equal(c->gpr[RSP], FIX_STACK - sizeof(frame));
	assert_true(gm_read(&m->vm.mem, FIX_STACK - sizeof(frame), frame, sizeof(frame)));
	assert_int_equal(frame[0], rip);
	assert_int_equal(frame[1] & X86_SEL_RPL, 3);
	assert_int_equal(frame[2] & X86_RFLAGS_IF, X86_RFLAGS_IF);
	assert_int_equal(frame[3], rsp);
	assert_int_equal(frame[4] & X86_SEL_RPL, 3);
	assert_int_equal(c->gpr[RCX], rip);
	/* From kernel mode it is not this entry's business. */
	emu_syscall(c);
	assert_int_equal(c->event.vector, X86_VEC_UD);
}

static void paravirtual_syscall_without_stack(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->pv.syscall_entry = FIX_CODE + 0x100;
	c->pv.rsp0 = FIX_HOLE + 8;
	fix_user(m);
	emu_syscall(c);
	assert_int_equal(c->event.vector, X86_VEC_DF);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(user_may_not),
		T(interrupt_flag),
		T(single_step),
		T(cr0),
		T(cr2_cr3_cr8),
		T(cr4),
		T(xsetbv),
		T(debug_registers),
		T(table_registers),
		T(load_tr_and_ldtr),
		T(translations_dropped),
		T(host_refuses),
		T(invalidation),
		T(msr_round_trips),
		T(mtrrs),
		T(msr_vendors),
		T(msrs_of_features),
		T(clac_stac),
		T(protection_keys),
		T(invpcid),
		T(tsc),
		T(swapgs),
		T(undefined_before_a_hole),
		T(syscall_and_sysret),
		T(paravirtual_syscall),
		T(paravirtual_syscall_without_stack),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
