/*
 * Running a sequence natively: a signal's return loads its registers, and the signal of its fault brings them back. The
 * areas lie where the guest has them.
 */
#include "tests/random/native_side.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>

#include "hypercalls/x86.h"
#include "tests/random/generate.h"

/* In the signal's frame an XSAVE image is of use only behind the legacy part. */
#define LEGACY_RESERVED	    464
#define LEGACY_RESERVED_LEN 48

/* In the order of the registers' encoding. */
static const int greg[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
			     REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct {
	struct outcome *outcome;
	bool running;
	greg_t home[NGREG];
	uint8_t home_fpu[ENGINE_FPU_MAX];
	unsigned fpu_size;
	struct sigaction others[NSIG]; /* handlers found: the interpreter's */
} side;

static void enter(ucontext_t *uc)
{
	const struct outcome *o = side.outcome;
	greg_t *g = uc->uc_mcontext.gregs;
	uint8_t *fpu = (uint8_t *)uc->uc_mcontext.fpregs;
	memcpy(side.home, g, sizeof(side.home));
	memcpy(side.home_fpu, fpu, side.fpu_size);
	for (unsigned n = 0; n < 16; n++)
		g[greg[n]] = (greg_t)o->gpr[n];
	g[REG_RIP] = (greg_t)o->rip;
	g[REG_EFL] = (greg_t)o->rflags;
	memcpy(fpu, o->fpu, LEGACY_RESERVED);
	memcpy(fpu + LEGACY_RESERVED + LEGACY_RESERVED_LEN, o->fpu + LEGACY_RESERVED + LEGACY_RESERVED_LEN,
	       side.fpu_size - LEGACY_RESERVED - LEGACY_RESERVED_LEN);
	side.running = true;
}

static void leave(const siginfo_t *info, ucontext_t *uc)
{
	struct outcome *o = side.outcome;
	greg_t *g = uc->uc_mcontext.gregs;
	uint8_t *fpu = (uint8_t *)uc->uc_mcontext.fpregs;
	for (unsigned n = 0; n < 16; n++)
		o->gpr[n] = (uint64_t)g[greg[n]];
	o->rip = (uint64_t)g[REG_RIP];
	o->rflags = (uint64_t)g[REG_EFL];
	o->vector = (uint32_t)g[REG_TRAPNO];
	o->error = (uint32_t)g[REG_ERR];
	o->address = o->vector == X86_VEC_PF ? (uint64_t)info->si_addr : 0;
	memcpy(o->fpu, fpu, side.fpu_size);
	memset(o->fpu + LEGACY_RESERVED, 0, LEGACY_RESERVED_LEN);
	memcpy(g, side.home, sizeof(side.home));
	memcpy(fpu, side.home_fpu, side.fpu_size);
	side.running = false;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	if (side.running) {
		leave(info, context);
	} else if (number == SIGTRAP && side.outcome) {
		enter(context);
	} else if (side.others[number].sa_flags & SA_SIGINFO) {
		side.others[number].sa_sigaction(number, info, context);
	} else {
		abort();
	}
}

static int map(uint64_t gva, uint64_t len, int prot)
{
	void *wanted = (void *)gva;
	return mmap(wanted, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == wanted ? 0 : -1;
}

/* A page with key 1, which is the first that a program gets. */
static int map_keyed(uint64_t gva)
{
	if (!generate_host_has_keys())
		return 0;
	return map(gva, X86_PAGE_SIZE, PROT_READ | PROT_WRITE) || pkey_alloc(0, 0) != 1 ||
	       pkey_mprotect((void *)gva, X86_PAGE_SIZE, PROT_READ | PROT_WRITE, 1);
}

int native_side_init(uint64_t base, unsigned fpu_size)
{
	static const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS};
	static uint8_t stack[65536];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	sigfillset(&action.sa_mask);
	side.fpu_size = fpu_size;
	if (map(base + SEQ_CODE, SEQ_AREA_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    map(base + SEQ_DATA, SEQ_AREA_SIZE, PROT_READ | PROT_WRITE) ||
	    map(base + SEQ_STACK, SEQ_AREA_SIZE, PROT_READ | PROT_WRITE) || map_keyed(base + SEQ_KEYED) ||
	    sigaltstack(&alternate, NULL))
		return -1;
	for (unsigned n = 0; n < sizeof(signals) / sizeof(signals[0]); n++)
		if (sigaction(signals[n], &action, &side.others[signals[n]]))
			return -1;
	return 0;
}

void native_side_run(const struct sequence *s, uint64_t base, struct outcome *o)
{
	memcpy((void *)(base + SEQ_CODE + s->offset), s->code, s->size);
	memcpy((void *)(base + SEQ_DATA), o->data, sizeof(o->data));
	memcpy((void *)(base + SEQ_STACK), o->stack, sizeof(o->stack));
	const int rights = generate_host_has_keys() ? pkey_get(1) : 0;
	if (generate_host_has_keys())
		memset((void *)(base + SEQ_KEYED), 0, X86_PAGE_SIZE);
	side.outcome = o;
	__asm__ volatile("int3" ::: "memory");
	side.outcome = NULL;
	if (generate_host_has_keys())
		pkey_set(1, (unsigned)rights);
	memcpy(o->data, (void *)(base + SEQ_DATA), sizeof(o->data));
	memcpy(o->stack, (void *)(base + SEQ_STACK), sizeof(o->stack));
}
