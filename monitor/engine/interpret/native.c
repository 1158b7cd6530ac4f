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

#include "monitor/engine/interpret/native.h"
#include "monitor/engine/interpret/native_run.h"
#include "monitor/vm/vm.h"

#define BUFFER_SIZE ENGINE_FPU_MAX

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
	if (rip < raised.code || rip >= raised.code + NATIVE_CODE_SIZE) {
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
	uint8_t *area =
		mmap(NULL, NATIVE_CODE_SIZE + BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return false;
	native->code = area;
	native->buffer = area + NATIVE_CODE_SIZE;
	if (mmap(area, NATIVE_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return false;
	native->shadow = mmap(NULL, NATIVE_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (native->shadow == MAP_FAILED)
		native->shadow = NULL;
	madvise(area, NATIVE_CODE_SIZE + BUFFER_SIZE, MADV_DONTFORK);
	return native->shadow;
}

struct native *native_create(void)
{
	struct native *native = calloc(1, sizeof(*native));
	int fd = memfd_create("ring3 native code", MFD_CLOEXEC);
	if (!native || fd < 0 || ftruncate(fd, NATIVE_CODE_SIZE) || !map_all(native, fd)) {
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
		munmap(native->shadow, NATIVE_CODE_SIZE);
	}
	if (native->code)
		munmap(native->code, NATIVE_CODE_SIZE + BUFFER_SIZE);
	free(native);
}

void native_reset(struct native *native)
{
	native->used = 1;
}

bool native_is_full(const struct native *native)
{
	return native->used + BLOCK_INSNS > NATIVE_SLOT_COUNT;
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

/* SDM 3A 2.5, table 2-2: what the control registers forbid. 0: nothing. */
uint8_t native_forbidden(const struct engine_vcpu *c, const struct insn_detail *d)
{
	const struct vcpu *vcpu = c->vcpu;
	bool state = native_is_state(&d->emu);
	bool vex = d->emu.info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	uint64_t needs = vex ? X86_XCR0_SSE | X86_XCR0_AVX : 0;
	if (d->emu.info.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX)
		needs |= X86_XCR0_AVX512;
	if (d->emu.info.mnemonic == ZYDIS_MNEMONIC_FWAIT)
		return (vcpu->cr0 & X86_CR0_TS) && (vcpu->cr0 & X86_CR0_MP) ? X86_VEC_NM : 0;
	if ((state || vex) && (!(vcpu->cr4 & X86_CR4_OSXSAVE) || needs & ~vcpu->xcr0))
		return X86_VEC_UD;
	if ((vcpu->cr0 & X86_CR0_EM) && !vex)
		return native_is_x87(&d->emu) ? X86_VEC_NM : X86_VEC_UD;
	if (!native_is_x87(&d->emu) && !state && !vex && !(vcpu->cr4 & X86_CR4_OSFXSR))
		return X86_VEC_UD;
	return vcpu->cr0 & X86_CR0_TS ? X86_VEC_NM : 0;
}

void native_fpu_get(struct engine_vcpu *c)
{
	if (c->fpu_of)
		c->fpu_of->fpu_get(c->vcpu, c->fpu, c->fpu_size);
}

void native_fpu_set(struct engine_vcpu *c)
{
	if (c->fpu_of)
		c->fpu_of->fpu_set(c->vcpu, c->fpu, c->fpu_size);
}

/* What the copy runs with where the guest's own registers will not do. */
static void lend(struct engine_vcpu *c, const struct insn_detail *d, struct native_state *state)
{
	if (d->stand_in)
		state->gpr[d->stand_in] = c->gpr[RSP];
	if (native_is_through_rdi(&d->emu))
		state->gpr[RDI] = (uint64_t)c->native->buffer;
	if (native_is_state(&d->emu)) {
		uint64_t asked = c->vcpu->xcr0 & NATIVE_COMPONENTS;
		state->gpr[RAX] &= (uint32_t)asked;
		state->gpr[RDX] &= asked >> 32;
	}
}

static void take_back(struct engine_vcpu *c, const struct insn_detail *d, struct native_state *state)
{
	state->gpr[RSP] = c->gpr[RSP];
	if (d->stand_in) {
		state->gpr[RSP] = state->gpr[d->stand_in];
		state->gpr[d->stand_in] = c->gpr[d->stand_in];
	}
	if (native_is_through_rdi(&d->emu))
		state->gpr[RDI] = c->gpr[RDI];
	if (native_is_state(&d->emu)) {
		state->gpr[RAX] = c->gpr[RAX];
		state->gpr[RDX] = c->gpr[RDX];
	}
}

/*
 * Which components to load and store. Instructions in legacy encoding leave all but the lower halves of vector
 * registers alone, and most of them the x87 too.
 */
static uint64_t components_of(const struct engine_vcpu *c, const struct insn_detail *d)
{
	bool legacy = d->emu.info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && !native_is_state(&d->emu);
	return c->vcpu->xcr0_supported & (!legacy  ? NATIVE_COMPONENTS
					  : d->x87 ? X86_XCR0_X87 | X86_XCR0_SSE
						   : X86_XCR0_SSE);
}

/* The image's XMM registers are good as they stand. */
static void expand_sse(uint8_t *image)
{
	uint64_t present;
	memcpy(&present, image + NATIVE_HEADER, sizeof(present));
	if (present & X86_XCR0_SSE)
		return;
	memset(image + NATIVE_XMM, 0, NATIVE_XMM_SIZE);
	present |= X86_XCR0_SSE;
	memcpy(image + NATIVE_HEADER, &present, sizeof(present));
}

static void lend_fpu(const struct engine_vcpu *c, const struct insn_detail *d, struct native_state *state,
		     uint8_t *image)
{
	state->fpu = image;
	state->mask = components_of(c, d);
	if (state->mask == NATIVE_SSE_ONLY)
		expand_sse(image);
}

static bool run(struct engine_vcpu *c, const struct insn_detail *d)
{
	struct native_state state = {.flags = c->flags};
	memcpy(state.gpr, c->gpr, sizeof(state.gpr));
	if (d->fpu) {
		native_fpu_get(c);
		lend_fpu(c, d, &state, c->fpu);
	}
	lend(c, d, &state);
	bool faulted = native_run(&state, d->code);
	if (d->fpu)
		native_fpu_set(c);
	if (faulted)
		return false;
	take_back(c, d, &state);
	memcpy(c->gpr, state.gpr, sizeof(state.gpr));
	c->flags = (uint32_t)state.flags;
	return true;
}

/*
 * The operand cannot be accessed, and the exit says so. Before that the processor looks at whether it has the opcode,
 * and whether an exception of the x87 waits: which a run on copies of the registers shows.
 */
static void operand_failed(struct engine_vcpu *c, const struct insn *i)
{
	static uint8_t image[ENGINE_FPU_MAX] __attribute__((aligned(64)));
	const struct insn_detail *d = i->detail;
	struct native_state state = {.flags = c->flags};
	memcpy(state.gpr, c->gpr, sizeof(state.gpr));
	if (d->fpu) {
		native_fpu_get(c);
		memcpy(image, c->fpu, c->fpu_size);
		lend_fpu(c, d, &state, image);
	}
	lend(c, d, &state);
	raised.code = c->native->code;
	if (native_run(&state, d->code) && (raised.vector == X86_VEC_UD || raised.vector == X86_VEC_MF))
		interp_raise(c, i, raised.vector, 0);
}

void native_run_insn(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint64_t gva = d->size ? address_of(c, i) : 0;
	uint8_t forbidden = d->fpu ? native_forbidden(c, d) : 0;
	if (unlikely(forbidden)) {
		interp_raise(c, i, forbidden, 0);
		return;
	}
	if (d->size && !native_operand_in(c, i, gva)) {
		operand_failed(c, i);
		return;
	}
	raised.code = c->native->code;
	if (unlikely(!run(c, d))) {
		interp_raise(c, i, raised.vector, raised.error);
		return;
	}
	if (d->writes && !native_operand_out(c, i, gva))
		FAULT;
	NEXT_STORED;
}
