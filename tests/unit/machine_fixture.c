/*
 * The small machine of the unit tests.
 */
#include "tests/unit/machine_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "monitor/vm/segment.h"

static void *frame(void *ctx, uint64_t gpa)
{
	struct machine_fixture *m = ctx;
	return gm_ptr(&m->vm.mem, gpa, X86_PAGE_SIZE);
}

static int map(void *ctx, struct spt_space *space, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	return ((struct machine_fixture *)ctx)->refusal;
}

static int unmap(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len)
{
	return ((struct machine_fixture *)ctx)->refusal;
}

static int protect(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len, unsigned prot)
{
	return ((struct machine_fixture *)ctx)->refusal;
}

static const struct spt_ops ops = {.frame = frame, .map = map, .unmap = unmap, .protect = protect};

static void record(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct machine_fixture *m = device;
	if (!write)
		*value = m->next_input++;
	if (m->log_len < FIX_LOG_SIZE)
		m->log[m->log_len++] =
			(struct fix_access){.offset = offset, .size = (uint8_t)size, .write = write, .value = *value};
}

void fix_put(struct machine_fixture *m, uint64_t gpa, const void *from, uint64_t len)
{
	if (!gm_write(&m->vm.mem, gpa, from, len))
		abort();
}

void fix_put64(struct machine_fixture *m, uint64_t gpa, uint64_t value)
{
	fix_put(m, gpa, &value, sizeof(value));
}

uint64_t fix_get64(struct machine_fixture *m, uint64_t gpa)
{
	uint64_t value;
	if (!gm_read(&m->vm.mem, gpa, &value, sizeof(value)))
		abort();
	return value;
}

void fix_map(struct machine_fixture *m, uint64_t gva, uint64_t entry)
{
	fix_put64(m, FIX_PT + gva / X86_PAGE_SIZE * 8, entry);
}

void fix_gate(struct machine_fixture *m, uint8_t vector, struct fix_gate g)
{
	uint64_t low = (g.address & 0xffff) | (uint64_t)g.selector << 16 | (uint64_t)g.ist << 32 |
		       (uint64_t)g.type << X86_DESC_TYPE_SHIFT | (uint64_t)g.dpl << X86_DESC_DPL_SHIFT |
		       (g.absent ? 0 : X86_DESC_P) | (g.address >> 16 & 0xffff) << 48;
	fix_put64(m, FIX_IDT + vector * X86_GATE_SIZE, low);
	fix_put64(m, FIX_IDT + vector * X86_GATE_SIZE + 8, g.address >> 32);
}

static void put_page_tables(struct machine_fixture *m)
{
	const uint64_t open = X86_PTE_P | X86_PTE_W | X86_PTE_U;
	fix_put64(m, FIX_PML4, (FIX_PML4 + 0x1000) | open);
	fix_put64(m, FIX_PML4 + 0x1000, (FIX_PML4 + 0x2000) | open);
	fix_put64(m, FIX_PML4 + 0x2000, FIX_PT | open);
	for (uint64_t gva = 0; gva < FIX_RAM; gva += X86_PAGE_SIZE) {
		bool user = gva >= FIX_USER_CODE && gva < FIX_USER_END;
		fix_map(m, gva, gva | X86_PTE_P | X86_PTE_W | (user ? X86_PTE_U : 0));
	}
	fix_map(m, FIX_HOLE, 0);
}

/* The two halves of a 16-byte system descriptor. */
static void put_system(struct machine_fixture *m, uint16_t selector, unsigned type, uint64_t base, uint32_t limit)
{
	uint64_t low = (limit & 0xffff) | (base & 0xffffff) << 16 | (uint64_t)type << X86_DESC_TYPE_SHIFT | X86_DESC_P |
		       (base >> 24 & 0xff) << 56;
	fix_put64(m, FIX_GDT + selector, low);
	fix_put64(m, FIX_GDT + selector + 8, base >> 32);
}

static void put_call_gate(struct machine_fixture *m, uint16_t at, uint16_t selector, uint64_t address)
{
	fix_put64(m, FIX_GDT + at,
		  (address & 0xffff) | (uint64_t)selector << 16 | (uint64_t)X86_GATE_CALL << X86_DESC_TYPE_SHIFT |
			  R3_U64(3) << X86_DESC_DPL_SHIFT | X86_DESC_P | (address >> 16 & 0xffff) << 48);
	fix_put64(m, FIX_GDT + at + 8, address >> 32);
}

static void put_descriptors(struct machine_fixture *m)
{
	static const struct {
		uint16_t selector;
		uint64_t descriptor;
	} table[] = {
		{FIX_KCODE, SEG_FLAT_CODE(0)},
		{FIX_KDATA, SEG_FLAT_DATA(0)},
		{FIX_UDATA, SEG_FLAT_DATA(3)},
		{FIX_UCODE, SEG_FLAT_CODE(3)},
		{FIX_ABSENT_DATA, SEG_FLAT_DATA(0) & ~X86_DESC_P},
		{FIX_CONFORMING, SEG_FLAT_CODE(0) | X86_DESC_CONFORMING},
		{FIX_CODE32, (SEG_FLAT_CODE(0) & ~X86_DESC_L) | X86_DESC_DB},
		{FIX_ABSENT_CODE, SEG_FLAT_CODE(0) & ~X86_DESC_P},
		{FIX_READONLY, SEG_FLAT_DATA(0) & ~X86_DESC_RW},
		{FIX_EXEC_ONLY, SEG_FLAT_CODE(0) & ~X86_DESC_RW},
		{FIX_ABSENT_UCODE, SEG_FLAT_CODE(3) & ~X86_DESC_P},
		{FIX_CODE_LD, SEG_FLAT_CODE(0) | X86_DESC_DB},
		{FIX_CONFORMING3, SEG_FLAT_CODE(3) | X86_DESC_CONFORMING},
		{FIX_FRESH_DATA, SEG_FLAT_DATA(0) & ~X86_DESC_ACCESSED},
	};
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		fix_put64(m, FIX_GDT + seg_error(table[i].selector), table[i].descriptor);
	put_system(m, FIX_TSS_SEL, X86_SYSTYPE_TSS_AVAIL, FIX_TSS, X86_TSS_SIZE - 1);
	put_system(m, FIX_LDT_SEL, X86_SYSTYPE_LDT, FIX_LDT, 7);
	put_call_gate(m, FIX_CALL_GATE, FIX_KCODE, FIX_HANDLER);
	fix_put64(m, FIX_LDT, SEG_FLAT_DATA(0));
	for (unsigned v = 0; v < X86_VEC_COUNT; v++)
		fix_gate(m, (uint8_t)v,
			 (struct fix_gate){
				 .address = FIX_HANDLER + v * 16, .selector = FIX_KCODE, .type = X86_GATE_INTERRUPT});
	fix_put64(m, FIX_TSS + X86_TSS_RSP0, FIX_RSP0);
	fix_put64(m, FIX_TSS + X86_TSS_IST1, FIX_IST1);
	/* I/O bitmap at the end: none. */
	uint16_t iomap = X86_TSS_SIZE;
	fix_put(m, FIX_TSS + X86_TSS_IOMAP, &iomap, sizeof(iomap));
}

static void put_registers(struct machine_fixture *m)
{
	vcpu_free(m->vcpu);
	m->vcpu = m->vm.vcpu[0] = vcpu_create(&m->vm, 0);
	if (!m->vcpu)
		abort();
	struct vcpu *c = m->vcpu;
	c->cr3 = FIX_PML4;
	c->rip = FIX_CODE;
	c->gpr[RSP] = FIX_STACK;
	c->gdtr = (struct vcpu_table){.base = FIX_GDT, .limit = FIX_GDT_END - 1};
	c->idtr = (struct vcpu_table){.base = FIX_IDT, .limit = X86_VEC_COUNT * X86_GATE_SIZE - 1};
	c->tr = seg_make(FIX_TSS_SEL, fix_get64(m, FIX_GDT + FIX_TSS_SEL));
}

void fix_reset(struct machine_fixture *m)
{
	m->refusal = 0;
	if (spt_flush_all(m->vm.spt))
		abort();
	memset(m->vm.mem.base, 0, m->vm.mem.size);
	put_page_tables(m);
	put_descriptors(m);
	put_registers(m);
	m->log_len = 0;
	m->next_input = 0x11223344;
	m->vm.ended = false;
	m->vm.status = 0;
	m->vm.reason[0] = '\0';
}

struct machine_fixture *fix_make(void)
{
	struct machine_fixture *m = calloc(1, sizeof(*m));
	static const struct spt_config config = {.ram_size = FIX_RAM,
						 .view = {{{0, 0x7f8000000000ULL}}, .count = 1},
						 .physical_bits = CPU_PHYSICAL_BITS};
	if (!m || gm_init(&m->vm.mem, FIX_RAM))
		abort();
	m->vm.config = &m->config;
	m->vm.vcpu_count = 1;
	m->vm.spt = m->vm.mem.spt = spt_create(&config, &ops, m);
	if (!m->vm.spt)
		abort();
	bus_register(&m->vm.bus, FIX_PORT, 16, 4, record, m, "recorder");
	fix_reset(m);
	return m;
}

void fix_free(struct machine_fixture *m)
{
	vcpu_free(m->vcpu);
	spt_destroy(m->vm.spt);
	gm_free(&m->vm.mem);
	free(m);
}

int fix_setup(void **state)
{
	*state = fix_make();
	return 0;
}

int fix_teardown(void **state)
{
	fix_free(*state);
	return 0;
}

void fix_user(struct machine_fixture *m)
{
	struct vcpu *c = m->vcpu;
	c->cpl = 3;
	c->sreg[SREG_CS] = seg_make(FIX_UCODE, SEG_FLAT_CODE(3));
	c->sreg[SREG_SS] = seg_make(FIX_UDATA, SEG_FLAT_DATA(3));
	c->rip = FIX_USER_CODE;
	c->gpr[RSP] = FIX_USER_STACK;
}

enum emu_result fix_run(struct machine_fixture *m, const uint8_t *code, size_t len)
{
	struct emu_insn insn;
	fix_put(m, m->vcpu->rip, code, len);
	if (emu_decode(m->vcpu, &insn) != EMU_DONE)
		return EMU_RAISED;
	return emu_execute(m->vcpu, &insn);
}

int fix_setup_data(void **state)
{
	void *at = (void *)FIX_DATA;

	fix_setup(state);
	return mmap(at, FIX_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		    0) == at
		       ? 0
		       : -1;
}

int fix_teardown_data(void **state)
{
	munmap((void *)FIX_DATA, FIX_DATA_SIZE);
	return fix_teardown(state);
}
