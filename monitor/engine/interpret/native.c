/*
 * The instructions that are rare or many: bit manipulation, division, x87, SSE, AVX. Each is run by the host's
 * processor on the guest's registers, its memory operand redirected to a buffer here, so that result, flags and faults
 * are the processor's own. Only what belongs to a known harmless category is run, and never anything that reaches
 * memory in another way, changes RSP, RIP, segments or control registers.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/native.h"
#include "monitor/engine/interpret/native_run.h"
#include "monitor/vm/vm.h"

/* The longest instruction, its displacement grown to 32 bits, and RET. */
#define SLOT_SIZE   32
#define CODE_SIZE   (4u << 20)
#define SLOT_COUNT  (CODE_SIZE / SLOT_SIZE)
#define BUFFER_SIZE ENGINE_FPU_MAX

struct native {
	uint8_t *code;	 /* executable, and not writable: in the same file as */
	uint8_t *shadow; /* this, writable */
	uint8_t *buffer; /* after the code: the memory operand */
	unsigned used;	 /* slots; the first is code_single's */
};

/* ------------------------------------------------------------------------------------------------ what it raised */

static struct {
	const uint8_t *code;
	uint8_t vector;
	uint32_t error;
} raised;

static const int fault_signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS};
#define FAULT_SIGNALS (sizeof(fault_signals) / sizeof(fault_signals[0]))
static struct sigaction found[FAULT_SIGNALS];

/* A fault of native code goes on at native_fault; any other is the monitor's and ends it as if this were not here. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	const uint8_t *rip = (const uint8_t *)uc->uc_mcontext.gregs[REG_RIP];
	if (rip < raised.code || rip >= raised.code + CODE_SIZE) {
		struct sigaction action = {.sa_handler = SIG_DFL};
		sigaction(signal, &action, NULL);
		return;
	}
	raised.vector = (uint8_t)uc->uc_mcontext.gregs[REG_TRAPNO];
	raised.error = (uint32_t)uc->uc_mcontext.gregs[REG_ERR];
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)native_fault;
}

static void handlers_up(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	sigfillset(&action.sa_mask);
	for (unsigned n = 0; n < FAULT_SIGNALS; n++)
		sigaction(fault_signals[n], &action, &found[n]);
}

static void handlers_down(void)
{
	for (unsigned n = 0; n < FAULT_SIGNALS; n++)
		sigaction(fault_signals[n], &found[n], NULL);
}

/* ----------------------------------------------------------------------------------------------------- the arena */

static bool map_all(struct native *native, int fd)
{
	uint8_t *area = mmap(NULL, CODE_SIZE + BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return false;
	native->code = area;
	native->buffer = area + CODE_SIZE;
	if (mmap(area, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return false;
	native->shadow = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (native->shadow == MAP_FAILED)
		native->shadow = NULL;
	madvise(area, CODE_SIZE + BUFFER_SIZE, MADV_DONTFORK);
	return native->shadow;
}

struct native *native_create(void)
{
	struct native *native = calloc(1, sizeof(*native));
	int fd = memfd_create("ring3 native code", MFD_CLOEXEC);
	if (!native || fd < 0 || ftruncate(fd, CODE_SIZE) || !map_all(native, fd)) {
		native_destroy(native);
		native = NULL;
	}
	if (fd >= 0)
		close(fd);
	if (!native)
		return NULL;
	native_reset(native);
	handlers_up();
	return native;
}

void native_destroy(struct native *native)
{
	if (!native)
		return;
	if (native->shadow) {
		handlers_down();
		munmap(native->shadow, CODE_SIZE);
	}
	if (native->code)
		munmap(native->code, CODE_SIZE + BUFFER_SIZE);
	free(native);
}

void native_reset(struct native *native)
{
	native->used = 1;
}

bool native_is_full(const struct native *native)
{
	return native->used + BLOCK_INSNS > SLOT_COUNT;
}

/* ----------------------------------------------------------------------------------------------------- the copies */

static bool add_memory(struct engine_vcpu *c, struct insn_detail *d, const ZydisDecodedOperand *op)
{
	enum { READS = ZYDIS_OPERAND_ACTION_MASK_READ, WRITES = ZYDIS_OPERAND_ACTION_MASK_WRITE };
	bool state = native_is_state(&d->emu);
	if (d->size || op->mem.type != ZYDIS_MEMOP_TYPE_MEM || op->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
		return false;
	d->size = (uint16_t)(state ? c->fpu_size : op->size / 8u);
	d->writes = op->actions & WRITES;
	/* What is written in part, or perhaps, keeps the rest. */
	d->reads = (op->actions & READS) || (op->actions & ZYDIS_OPERAND_ACTION_CONDWRITE) || state;
	d->align = native_alignment(&d->emu, d->size);
	return d->size && d->size <= BUFFER_SIZE;
}

/* The instruction's bytes with its memory operand at `buffer`, for execution at `at`. Returns their number. */
static unsigned redirect(const struct emu_insn *emu, const uint8_t *at, const uint8_t *buffer, uint8_t *out)
{
	const ZydisDecodedInstruction *info = &emu->info;
	unsigned len = 0, from = 0;
	/* Segment and address-size prefixes go, and a REX that stood before one, which had no effect. */
	for (; from < info->raw.prefix_count; from++) {
		uint8_t byte = emu->bytes[from];
		bool rex = (byte & 0xf0) == 0x40 && from + 1u < info->raw.prefix_count;
		if (byte != 0x26 && byte != 0x2e && byte != 0x36 && byte != 0x3e && byte != 0x64 && byte != 0x65 &&
		    byte != 0x67 && !rex)
			out[len++] = byte;
	}
	while (from < info->raw.modrm.offset)
		out[len++] = emu->bytes[from++];
	out[len++] = (uint8_t)(info->raw.modrm.reg << 3 | 5); /* RIP-relative */
	unsigned tail = info->raw.modrm.offset + 1;
	if (info->raw.sib.offset)
		tail = info->raw.sib.offset + 1;
	if (info->raw.disp.size)
		tail = info->raw.disp.offset + info->raw.disp.size / 8;
	unsigned rest = info->length - tail;
	int32_t displacement = (int32_t)(buffer - (at + len + sizeof(displacement) + rest));
	memcpy(out + len, &displacement, sizeof(displacement));
	len += sizeof(displacement);
	memcpy(out + len, emu->bytes + tail, rest);
	return len + rest;
}

bool native_prepare(struct engine_vcpu *c, struct insn_detail *d, bool single)
{
	const struct emu_insn *emu = &d->emu;
	struct native *native = c->native;
	enum native_kind kind = native_kind_of(emu);
	uint8_t code[2 * SLOT_SIZE];
	if (kind == NATIVE_FORBIDDEN || emu->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return false;
	for (unsigned n = 0; n < emu->info.operand_count; n++) {
		const ZydisDecodedOperand *op = &emu->operands[n];
		bool bad = op->type == ZYDIS_OPERAND_TYPE_POINTER ||
			   (op->type == ZYDIS_OPERAND_TYPE_REGISTER && !native_register_allowed(op->reg.value)) ||
			   (op->type == ZYDIS_OPERAND_TYPE_MEMORY && !add_memory(c, d, op));
		if (bad)
			return false;
		d->fpu |= native_is_vector(op);
	}
	d->fpu |= kind == NATIVE_VECTOR;
	unsigned slot = single ? 0 : native->used;
	uint8_t *at = native->code + slot * SLOT_SIZE;
	unsigned len = emu->info.length;
	if (d->size)
		len = redirect(emu, at, native->buffer, code);
	else
		memcpy(code, emu->bytes, len);
	if (len >= SLOT_SIZE || slot >= SLOT_COUNT)
		return false;
	code[len] = 0xc3; /* RET */
	memcpy(native->shadow + slot * SLOT_SIZE, code, len + 1);
	d->code = at;
	native->used += !single;
	return true;
}

/* -------------------------------------------------------------------------------------------------------- running */

bool native_reference(struct native *native, const uint8_t *bytes, unsigned len, struct native_state *state,
		      uint8_t *vector)
{
	uint8_t *at = native->shadow;
	memcpy(at, bytes, len);
	at[len] = 0xc3; /* RET */
	raised.code = native->code;
	raised.vector = 0;
	bool faulted = native_run(state, native->code);
	*vector = raised.vector;
	return !faulted;
}

static bool is_x87(const struct emu_insn *emu)
{
	return emu->info.meta.isa_ext == ZYDIS_ISA_EXT_X87 || emu->info.meta.isa_ext == ZYDIS_ISA_EXT_MMX;
}

/* SDM 3A 2.5, table 2-2: what the control registers forbid. 0: nothing. */
static uint8_t fpu_forbidden(const struct engine_vcpu *c, const struct insn_detail *d)
{
	const struct vcpu *vcpu = c->vcpu;
	bool state = native_is_state(&d->emu);
	bool vex = d->emu.info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	if (d->emu.info.mnemonic == ZYDIS_MNEMONIC_FWAIT)
		return (vcpu->cr0 & X86_CR0_TS) && (vcpu->cr0 & X86_CR0_MP) ? X86_VEC_NM : 0;
	if ((state || vex) && !(vcpu->cr4 & X86_CR4_OSXSAVE))
		return X86_VEC_UD;
	if ((vcpu->cr0 & X86_CR0_EM) && !vex)
		return is_x87(&d->emu) ? X86_VEC_NM : X86_VEC_UD;
	if (!is_x87(&d->emu) && !state && !vex && !(vcpu->cr4 & X86_CR4_OSFXSR))
		return X86_VEC_UD;
	return vcpu->cr0 & X86_CR0_TS ? X86_VEC_NM : 0;
}

static bool operand_in(struct engine_vcpu *c, const struct insn *i, uint64_t gva)
{
	const struct insn_detail *d = i->detail;
	struct gm_fault fault;
	if (d->align && gva & (d->align - 1u)) {
		interp_raise(c, i, X86_VEC_GP, 0);
		return false;
	}
	if (d->writes && !gm_probe_write_gva(c->vcpu, gva, d->size, GM_CPL, &fault)) {
		bool stack = fault.vector == X86_VEC_GP && (i->ea & EA_STACK);
		interp_raise(c, i, stack ? X86_VEC_SS : fault.vector, fault.error);
		c->exit->gva = fault.gva;
		return false;
	}
	if (!d->reads)
		return true;
	uint64_t len = d->size;
	const void *host = memory_span(c, gva, &len, false);
	if (host && len == d->size) {
		memcpy(c->native->buffer, host, len);
		return true;
	}
	if (memory_read(c, gva, c->native->buffer, d->size, i->ea))
		return true;
	c->rip = c->base + i->start;
	return false;
}

/* Components that instructions work on. Not the protection keys of user pages: the monitor would run with them. */
#define FPU_COMPONENTS (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX | X86_XCR0_AVX512)

static void fpu_load(struct engine_vcpu *c, struct native_state *state)
{
	if (c->fpu_of)
		c->fpu_of->fpu_get(c->vcpu, c->fpu, c->fpu_size);
	state->fpu = c->fpu;
	state->mask = c->vcpu->xcr0_supported & FPU_COMPONENTS;
}

static bool run(struct engine_vcpu *c, const struct insn_detail *d)
{
	struct native_state state = {.flags = c->flags};
	memcpy(state.gpr, c->gpr, sizeof(state.gpr));
	if (d->fpu)
		fpu_load(c, &state);
	if (native_is_state(&d->emu)) {
		uint64_t asked = c->vcpu->xcr0 & FPU_COMPONENTS;
		state.gpr[RAX] &= (uint32_t)asked;
		state.gpr[RDX] &= asked >> 32;
	}
	bool faulted = native_run(&state, d->code);
	if (d->fpu && c->fpu_of)
		c->fpu_of->fpu_set(c->vcpu, c->fpu, c->fpu_size);
	if (faulted)
		return false;
	state.gpr[RSP] = c->gpr[RSP];
	if (native_is_state(&d->emu)) {
		state.gpr[RAX] = c->gpr[RAX];
		state.gpr[RDX] = c->gpr[RDX];
	}
	memcpy(c->gpr, state.gpr, sizeof(state.gpr));
	c->flags = (uint32_t)state.flags;
	return true;
}

void native_run_insn(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint64_t gva = d->size ? address_of(c, i) : 0;
	uint8_t forbidden = d->fpu ? fpu_forbidden(c, d) : 0;
	if (unlikely(forbidden)) {
		interp_raise(c, i, forbidden, 0);
		return;
	}
	if (d->size && !operand_in(c, i, gva))
		return;
	raised.code = c->native->code;
	if (unlikely(!run(c, d))) {
		interp_raise(c, i, raised.vector, raised.error);
		return;
	}
	/* The walk for writing succeeded just before, and nothing has run since. */
	if (d->writes && !memory_write(c, gva, c->native->buffer, d->size, i->ea))
		FAULT;
	NEXT_STORED;
}
