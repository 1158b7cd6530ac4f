/*
 * Runs the sequences of its module, each from a state that its seed gives, until the exception that ends it, and prints
 * a digest of what came of each `batch` of them: the same under every engine. first=, count= and batch= say which;
 * show=N prints the state that each ends with from the N-th on.
 */
#include <pvguest/pvguest.h>

#include "tests/random/machine.h"
#include "tests/random/run.h"

#define OPTION_MAX     24
#define STEPS_MAX      4096
#define VECTOR_MAX     64
#define ARITHMETIC     0x8d5
#define TRAP	       0xcc
#define LEARNING       4  /* an engine may find out one by one which operands are user memory */
#define FRAMES_TURN    40 /* a frame whose code is written too often is translated no more */
#define POOL_SIZE      (2 * SEQ_AREA_SIZE)
#define FPU_COMPONENTS 0xe7 /* not the protection keys */
#define FPU_OPCODE     6    /* that, and where the x87's instruction and operand lay: not the same for all */
#define FPU_MXCSR      24
#define FPU_XMM	       160
#define FPU_XMM_END    416
#define FPU_HEADER     512
#define FPU_EXTENDED   576
#define FPU_MAX	       16384

static struct machine_areas kernel, user, upper, low;
static uint8_t pool[POOL_SIZE] __attribute__((aligned(16)));
static uint8_t fpu[FPU_MAX] __attribute__((aligned(PVG_FPU_ALIGNMENT)));
static uint64_t components;

_Noreturn void run_unexpected(uint64_t vector, uint64_t rip)
{
	pvg_panic("%s of the guest itself at %lx", pvg_vector_name((unsigned)vector), rip);
}

static unsigned long option(const char *name, unsigned long otherwise)
{
	char text[OPTION_MAX];
	return pvg_option(name, text, sizeof(text)) ? pvg_strtoul(text) : otherwise;
}

/* ---------------------------------------------------------------------------------------------------- the digest */

static uint64_t mix(uint64_t digest, const void *bytes, size_t size)
{
	const uint64_t *words = bytes;
	for (size_t n = 0; n < size / sizeof(*words); n++) {
		digest = (digest ^ words[n]) * 0x9e3779b97f4a7c15;
		digest ^= digest >> 29;
	}
	return digest;
}

static void fpu_load(void)
{
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(fpu), "a"((uint32_t)components), "d"((uint32_t)(components >> 32))
			 : "memory");
}

static void fpu_store(void)
{
	memset(fpu, 0, pvg_fpu_size());
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(fpu), "a"((uint32_t)components), "d"((uint32_t)(components >> 32))
			 : "memory");
	memset(fpu + FPU_OPCODE, 0, FPU_MXCSR - FPU_OPCODE);
	memset(fpu + FPU_MXCSR + 4, 0, 4);
	memset(fpu + FPU_HEADER, 0, FPU_EXTENDED - FPU_HEADER);
}

static void print_state(const struct run_registers *r, const struct machine_areas *areas,
			const struct machine_system *system)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
	pvg_printf("vector %lu error %lx rip %lx cs %lx rflags %lx ss %lx\n", r->vector, r->error, r->rip, r->cs,
		   r->rflags, r->ss);
	pvg_printf("stepped %lx\n", r->stepped);
	for (unsigned n = 0; n < 16; n++)
		pvg_printf("%s %lx\n", names[n], r->gpr[n]);
	pvg_printf("data %lx stack %lx fpu %lx\n", mix(1, areas->data, SEQ_AREA_SIZE),
		   mix(1, areas->stack, SEQ_AREA_SIZE), mix(1, fpu, pvg_fpu_size()));
	pvg_printf("cr0 %lx cr2 %lx cr3 %lx cr4 %lx cr8 %lx\n", system->cr0, system->cr2, system->cr3, system->cr4,
		   system->cr8);
	pvg_printf("dr0 %lx dr1 %lx dr6 %lx dr7 %lx xcr0 %lx\n", system->dr[0], system->dr[1], system->dr[6],
		   system->dr[7], system->xcr0);
	for (unsigned n = 0; n < sizeof(system->msr) / sizeof(system->msr[0]); n++)
		pvg_printf("msr %u %lx\n", n, system->msr[n]);
}

/* --------------------------------------------------------------------------------------------------- a sequence */

static void prepare(const struct sequence *s, const struct machine_areas *areas, struct run_registers *r)
{
	struct seq_random random = seq_random_from(s->seed);
	bool in_user = s->flags & SEQ_USER;
	*r = (struct run_registers){.rip = areas->base + SEQ_CODE + s->offset,
				    .cs = in_user ? PVG_SEL_USER_CODE : PVG_SEL_KERNEL_CODE,
				    .ss = in_user ? PVG_SEL_USER_DATA : PVG_SEL_KERNEL_DATA};
	seq_registers(&random, areas->base, r->gpr, &r->rflags);
	if (s->flags & SEQ_UPPER)
		seq_registers_upper(&random, r->gpr);
	if (in_user)
		r->rflags |= X86_RFLAGS_IF;
	memcpy(areas->data, pool + (seq_random(&random) & (SEQ_AREA_SIZE - 8)), SEQ_AREA_SIZE);
	memcpy(areas->stack, pool + (seq_random(&random) & (SEQ_AREA_SIZE - 8)), SEQ_AREA_SIZE);
	if (low.data) {
		memcpy(low.data, areas->stack, SEQ_AREA_SIZE);
		memcpy(low.stack, areas->data, SEQ_AREA_SIZE);
	}
	pvg_fpu_reset(fpu);
	memcpy(fpu + FPU_XMM, pool + (seq_random(&random) & (SEQ_AREA_SIZE - 8)), FPU_XMM_END - FPU_XMM);
	if (pvg_fpu_size() > FPU_EXTENDED)
		memcpy(fpu + FPU_EXTENDED, pool + (seq_random(&random) & (SEQ_AREA_SIZE - 8)),
		       pvg_fpu_size() - FPU_EXTENDED);
	memcpy(fpu + FPU_HEADER, &components, sizeof(components));
	seq_fpu(&random, areas->base, fpu);
	run_steps_left = s->flags & SEQ_STEP ? STEPS_MAX : 0;
	run_stepped = 0;
	if (s->flags & SEQ_STEP)
		r->rflags |= X86_RFLAGS_TF;
}

/* Of masked stores and XRSTOR processors tell another byte of the operand. */
static uint64_t fault_address(void)
{
	return pvg_read_cr2() & ~(uint64_t)(VECTOR_MAX - 1);
}

/* REP CMPS or SCAS that faults: some processors show the flags of the last comparison, others those before it. */
static bool has_compared(const struct run_registers *r)
{
	const uint8_t *at = (const uint8_t *)r->rip;
	if (r->vector != X86_VEC_PF || pvg_read_cr2() == r->rip)
		return false;
	while (*at == 0x66 || *at == 0x67 || *at == 0xf2 || *at == 0xf3 || (*at & 0xf0) == 0x40)
		at++;
	return (*at & 0xfe) == 0xa6 || (*at & 0xfe) == 0xae;
}

/* A gather that faults: what it has gathered by then is the processor's choice (SDM 2C VGATHER). */
static bool has_gathered(const struct run_registers *r)
{
	const uint8_t *at = (const uint8_t *)r->rip;
	if (r->vector != X86_VEC_PF || pvg_read_cr2() == r->rip)
		return false;
	return (at[0] == 0xc4 && (at[1] & 0x1f) == 2 && (at[3] & 0xfc) == 0x90) ||
	       (at[0] == 0x62 && (at[1] & 7) == 2 && (at[4] & 0xdc) == 0x90);
}

static uint64_t run_once(const struct sequence *s, const struct machine_areas *areas, uint64_t digest, bool show)
{
	struct machine_system system = {0};
	struct run_registers registers;
	prepare(s, areas, &registers);
	fpu_load();
	if (s->flags & SEQ_NO_FPU)
		pvg_write_cr0(pvg_read_cr0() | X86_CR0_TS);
	if (s->flags & SEQ_IRQ)
		machine_request();
	run_sequence(&registers);
	registers.stepped = run_stepped;
	if (s->flags & SEQ_IRQ)
		machine_withdraw(registers.vector);
	if (s->flags & SEQ_NO_FPU)
		__asm__ volatile("clts");
	if (has_compared(&registers))
		registers.rflags &= ~(uint64_t)ARITHMETIC;
	if (s->flags & SEQ_SYSTEM) {
		machine_read(&system);
		machine_restore();
	}
	if (s->flags & SEQ_SYSTEM || registers.vector == X86_VEC_PF)
		system.cr2 = fault_address();
	fpu_store();
	if (has_gathered(&registers))
		memset(fpu + FPU_XMM, 0, pvg_fpu_size() - FPU_XMM);
	if (show)
		print_state(&registers, areas, &system);
	digest = mix(digest, &registers, sizeof(registers));
	digest = mix(digest, &system, sizeof(system));
	digest = mix(digest, areas->data, SEQ_AREA_SIZE);
	digest = mix(digest, areas->stack, SEQ_AREA_SIZE);
	if (low.data) {
		digest = mix(digest, low.data, SEQ_AREA_SIZE);
		digest = mix(digest, low.stack, SEQ_AREA_SIZE);
	}
	return mix(digest, fpu, pvg_fpu_size());
}

/* Through the gva that it runs at: not where the guest has its frames otherwise. */
static void write_in_place(const struct sequence *s, const struct machine_areas *areas)
{
	memcpy((uint8_t *)areas->base + SEQ_CODE + s->offset, s->code, s->size);
}

static uint64_t run(const struct sequence *s, uint64_t digest, bool show)
{
	struct machine_areas *areas = s->flags & SEQ_USER ? &user : s->flags & SEQ_UPPER ? &upper : &kernel;
	memcpy(areas->code + s->offset, s->code, s->size);
	digest = run_once(s, areas, digest, show);
	for (unsigned n = 0; s->flags & SEQ_UPPER && n < LEARNING; n++)
		digest = run_once(s, areas, digest, show);
	if (s->flags & SEQ_AGAIN) {
		uint8_t *before = areas->code;
		digest = run_once(s, areas, digest, show);
		write_in_place(s, areas);
		digest = run_once(s, areas, digest, show);
		machine_renew(areas);
		memcpy(areas->code + s->offset, s->code, s->size);
		memset(before + s->offset, TRAP, s->size);
		digest = run_once(s, areas, digest, show);
	}
	memset(areas->code + s->offset, TRAP, s->size);
	return digest;
}

static const struct sequence_file *sequences(void)
{
	const struct hvm_start_info *info = pvg_start_info();
	const struct hvm_modlist_entry *module = pvg_gpa_to_ptr(info->modlist_paddr);
	const struct sequence_file *file = info->nr_modules ? pvg_gpa_to_ptr(module->paddr) : NULL;
	if (!file || file->magic != SEQ_MAGIC)
		pvg_panic("no sequences: give a file of them with --module");
	return file;
}

int main(const char *cmdline)
{
	const struct sequence_file *file = sequences();
	const struct sequence *all = (const struct sequence *)(file + 1);
	unsigned long first = option("first", 0), count = option("count", file->count), batch = option("batch", 1000);
	struct seq_random random = seq_random_from(1);
	unsigned long shown = option("show", ~0ul);
	uint64_t digest = 0;
	(void)cmdline;
	for (unsigned n = 0; n < POOL_SIZE; n += 8) {
		uint64_t word = seq_random(&random);
		memcpy(pool + n, &word, sizeof(word));
	}
	pvg_irq_disable();
	machine_init();
	components = pvg_fpu_components() & FPU_COMPONENTS;
	machine_map(&kernel, SEQ_KERNEL_BASE, 0);
	machine_map(&user, SEQ_USER_BASE, X86_PTE_U);
	machine_map(&upper, SEQ_UPPER_BASE, 0);
	if (file->count && all[0].flags & SEQ_UPPER)
		machine_init_upper(&low);
	for (unsigned long n = first; n < first + count && n < file->count; n++) {
		if (n % FRAMES_TURN == 0) {
			machine_renew(&kernel);
			machine_renew(&user);
			machine_renew(&upper);
		}
		digest = run(&all[n], digest, n >= shown);
		if ((n + 1) % batch == 0 || n + 1 == file->count || n + 1 == first + count) {
			pvg_printf("%lu %016lx\n", n + 1, digest);
			digest = 0;
		}
	}
	return 0;
}
