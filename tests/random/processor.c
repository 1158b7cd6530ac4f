/*
 * Random sequences on the interpreter and on the processor that this runs on:
 *	random_processor [--seed N] [--count N] [--first N] [--show]
 * Sequence K of seed N is the same always. The first that ends otherwise is shown, disassembled, and what differs.
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/interpret.h"
#include "tests/random/generate.h"
#include "tests/random/native_side.h"
#include "tests/random/series.h"
#include "tests/unit/machine_fixture.h"

#define BASE SEQ_KERNEL_BASE
#define KEPT                                                                                                           \
	(X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_OF |               \
	 X86_RFLAGS_DF | X86_RFLAGS_FIXED)
#define TASK_LIMIT   0x7ffffffff000
#define FPU_OPCODE   6
#define FPU_POINTERS 8 /* where the x87 instruction lay, and its operand */
#define FPU_MXCSR    24
#define FPU_REST     32
#define FPU_XMM	     160
#define FPU_HEADER   512
#define FPU_EXTENDED 576
#define COMPONENTS   0xe7u

static struct {
	struct series series;
	unsigned fpu_size;
	struct machine_fixture *machine;
} test;

static void start_state(const struct sequence *s, struct outcome *o)
{
	const uint16_t fcw = 0x37f;
	const uint32_t mxcsr = 0x1f80;
	const uint64_t components = COMPONENTS & test.machine->vcpu->vm->cpu.xcr0;
	struct seq_random r = seq_random_from(s->seed);
	memset(o, 0, sizeof(*o));
	seq_registers(&r, BASE, o->gpr, &o->rflags);
	o->rip = BASE + SEQ_CODE + s->offset;
	for (unsigned n = 0; n < SEQ_AREA_SIZE; n += 8) {
		uint64_t word = seq_random(&r);
		if (word & 1)
			word &= 0x0101010101010101;
		memcpy(o->data + n, &word, 8);
		memcpy(o->stack + n, &word, 8);
	}
	for (unsigned n = FPU_XMM; n + 8 <= test.fpu_size; n += 8) {
		uint64_t word = seq_random(&r);
		if (n < FPU_XMM + 256 || n >= FPU_EXTENDED)
			memcpy(o->fpu + n, &word, 8);
	}
	memcpy(o->fpu, &fcw, sizeof(fcw));
	memcpy(o->fpu + FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	memcpy(o->fpu + FPU_HEADER, &components, sizeof(components));
	seq_fpu(&r, BASE, o->fpu);
}

static bool at_start(const struct vcpu *vcpu, const struct vm_exit *exit)
{
	return exit->reason == EXIT_KICK && !vcpu->vm->ended;
}

static void interpreted(const struct sequence *s, struct outcome *o, bool single)
{
	struct machine_fixture *m = test.machine;
	struct vcpu *vcpu = m->vcpu;
	struct engine_vcpu *c = vcpu->engine;
	struct vm_exit exit;
	static const uint8_t zeros[X86_PAGE_SIZE];
	fix_put(m, BASE + SEQ_CODE + s->offset, s->code, s->size);
	fix_put(m, BASE + SEQ_DATA, o->data, sizeof(o->data));
	fix_put(m, BASE + SEQ_STACK, o->stack, sizeof(o->stack));
	memcpy(c->fpu, o->fpu, test.fpu_size);
	memcpy(vcpu->gpr, o->gpr, sizeof(o->gpr));
	fix_put(m, BASE + SEQ_KEYED, zeros, sizeof(zeros));
	vcpu->pkru = 0;
	vcpu->rip = o->rip;
	vcpu->rflags = o->rflags | X86_RFLAGS_IF;
	vcpu->event_pending = false;
	vcpu->window_wanted = single;
	do
		interpret_enter(vcpu, &exit);
	while (at_start(vcpu, &exit) || (exit.reason == EXIT_EMULATED && !vcpu->event_pending && !m->vm.ended));
	memcpy(o->gpr, vcpu->gpr, sizeof(o->gpr));
	o->rip = vcpu->rip;
	o->rflags = vcpu->rflags;
	o->vector = exit.reason == EXIT_EXCEPTION ? exit.vector : vcpu->event_pending ? vcpu->event.vector : 255;
	o->error = exit.reason == EXIT_EXCEPTION ? exit.error : vcpu->event_pending ? vcpu->event.error : 0;
	o->address = o->vector != X86_VEC_PF ? 0 : exit.reason == EXIT_EXCEPTION ? exit.gva : vcpu->event.cr2;
	memcpy(o->data, m->vm.mem.base + BASE + SEQ_DATA, sizeof(o->data));
	memcpy(o->stack, m->vm.mem.base + BASE + SEQ_STACK, sizeof(o->stack));
	memcpy(o->fpu, c->fpu, test.fpu_size);
}

/* Leaves of an image what an instruction can tell: components in their initial state are as good as filled in. */
static void normalize(struct outcome *o)
{
	uint64_t components;
	memcpy(&components, o->fpu + FPU_HEADER, sizeof(components));
	if (!(components & X86_XCR0_X87)) {
		memset(o->fpu, 0, FPU_MXCSR);
		memset(o->fpu + FPU_REST, 0, FPU_XMM - FPU_REST);
		o->fpu[0] = 0x7f;
		o->fpu[1] = 3;
	}
	if (!(components & X86_XCR0_SSE))
		memset(o->fpu + FPU_XMM, 0, 256);
	for (unsigned n = 2; n < 8; n++) {
		unsigned size, offset, flags, rest;
		if ((components >> n & 1) || !(COMPONENTS >> n & 1))
			continue;
		__asm__("cpuid" : "=a"(size), "=b"(offset), "=c"(flags), "=d"(rest) : "a"(0xd), "c"(n));
		memset(o->fpu + offset, 0, size);
	}
	/* Linux gives all its own addresses out as present. */
	if (o->address >= TASK_LIMIT)
		o->error |= X86_PF_P;
	memset(o->fpu + FPU_OPCODE, 0, FPU_MXCSR - FPU_OPCODE);
	memset(o->fpu + FPU_MXCSR + 4, 0, 4);
	memset(o->fpu + FPU_XMM + 256, 0, FPU_EXTENDED - FPU_XMM - 256);
	o->rflags &= KEPT;
	/* Which byte of an operand is told depends on how the processor takes it apart. */
	o->address &= ~(uint64_t)UINT8_MAX;
}

/* REP CMPS or SCAS that faults: some processors show the flags of the last comparison, others those before it. */
static bool faults_comparing(const struct sequence *s, const struct outcome *o)
{
	uint64_t at = o->rip - BASE - SEQ_CODE - s->offset;
	struct emu_insn insn;
	return o->vector == X86_VEC_PF && at < s->size &&
	       ZYAN_SUCCESS(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, s->code + at, s->size - at, &insn)) &&
	       insn.info.meta.category == ZYDIS_CATEGORY_STRINGOP;
}

static unsigned differ(const char *what, const uint8_t *want, const uint8_t *got, unsigned size)
{
	for (unsigned n = 0; n < size; n++)
		if (want[n] != got[n])
			return (unsigned)printf("%s at %#x: interpreted %#x, processor %#x\n", what, n, got[n],
						want[n]);
	return 0;
}

static unsigned report(const struct outcome *want, const struct outcome *got)
{
	unsigned bad = 0;
	if (want->vector != got->vector || want->error != got->error || want->rip != got->rip ||
	    want->address != got->address)
		bad += (unsigned)printf("ends interpreted with %u (error %#x, %#lx) at %#lx, processor %u (%#x, %#lx) "
					"at %#lx\n",
					got->vector, got->error, got->address, got->rip, want->vector, want->error,
					want->address, want->rip);
	for (unsigned n = 0; n < 16; n++)
		if (want->gpr[n] != got->gpr[n])
			bad += (unsigned)printf("register %u: interpreted %#lx, processor %#lx\n", n, got->gpr[n],
						want->gpr[n]);
	if (want->rflags != got->rflags)
		bad += (unsigned)printf("flags: interpreted %#lx, processor %#lx\n", got->rflags, want->rflags);
	bad += differ("data", want->data, got->data, SEQ_AREA_SIZE);
	bad += differ("stack", want->stack, got->stack, SEQ_AREA_SIZE);
	return bad + differ("FPU image", want->fpu, got->fpu, test.fpu_size);
}

static bool same(uint64_t index)
{
	static struct sequence s;
	static struct outcome want, got;
	generate(&s, test.series.seed, index, GENERATE_PROCESS);
	start_state(&s, &want);
	got = want;
	if (test.series.show)
		generate_print(&s, BASE, stdout);
	native_side_run(&s, BASE, &want);
	interpreted(&s, &got, index % 4 == 0);
	normalize(&want);
	normalize(&got);
	if (faults_comparing(&s, &want))
		got.rflags = want.rflags;
	if (!report(&want, &got) && !test.machine->vm.ended)
		return true;
	printf("sequence %lu of seed %lu%s\n", index, test.series.seed, test.machine->vm.ended ? ":" : " differs:");
	if (test.machine->vm.ended)
		printf("%s\n", test.machine->vm.reason);
	test.machine->vm.ended = false;
	test.machine->vm.reason[0] = '\0';
	generate_print(&s, BASE, stdout);
	return false;
}

static bool in_area(uint64_t gva, uint64_t area)
{
	return gva >= BASE + area && gva < BASE + area + SEQ_AREA_SIZE;
}

static void prepare(void)
{
	struct machine_fixture *m = test.machine = fix_make();
	fix_user(m);
	m->vcpu->cr4 |= X86_CR4_OSXSAVE;
	m->vcpu->xcr0 = m->vcpu->vm->cpu.xcr0;
	for (uint64_t gva = 0; gva < FIX_RAM; gva += X86_PAGE_SIZE)
		if (!in_area(gva, SEQ_CODE) && !in_area(gva, SEQ_DATA) && !in_area(gva, SEQ_STACK))
			fix_map(m, gva, 0);
	if (generate_host_has_keys()) {
		m->vcpu->cr4 |= X86_CR4_PKE;
		fix_map(m, BASE + SEQ_KEYED,
			(BASE + SEQ_KEYED) | X86_PTE_P | X86_PTE_W | X86_PTE_U | R3_U64(1) << X86_PTE_KEY_SHIFT);
	}
	if (interpret_create(&m->vm, NULL))
		exit(1);
	test.fpu_size = m->vcpu->engine->fpu_size;
}

int main(int argc, char **argv)
{
	unsigned failed = 0;
	if (!series_parse(argc, argv, "Random sequences: interpreter against processor", &test.series))
		return 2;
	prepare();
	if (native_side_init(BASE, test.fpu_size)) {
		perror("random_processor: cannot map the sequences' areas");
		return 2;
	}
	for (uint64_t n = 0; n < test.series.count && failed < 20; n++)
		failed += !same(test.series.first + n);
	printf("%lu sequences from %lu of seed %lu: %u differ\n", test.series.count, test.series.first,
	       test.series.seed, failed);
	interpret_destroy(&test.machine->vm);
	return failed != 0;
}
