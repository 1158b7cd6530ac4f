/*
 * What the processor itself makes of an instruction, memory operands included: the reference that interpreted code is
 * compared with. Here, in the test's process, since the instructions are the test's own.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>

#include "tests/unit/native_run.h"

#define ROOM 64

static uint8_t *code;
static uint8_t raised;

/* A fault of the code goes on at native_fault; any other is the test's. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	const uint8_t *rip = (const uint8_t *)uc->uc_mcontext.gregs[REG_RIP];
	if (rip < code || rip >= code + ROOM) {
		struct sigaction action = {.sa_handler = SIG_DFL};
		sigaction(signal, &action, NULL);
		return;
	}
	raised = (uint8_t)uc->uc_mcontext.gregs[REG_TRAPNO];
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)native_fault;
}

static void init(void)
{
	static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS};
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	sigfillset(&action.sa_mask);
	code = mmap(NULL, ROOM, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		abort();
	for (unsigned n = 0; n < sizeof(signals) / sizeof(signals[0]); n++)
		sigaction(signals[n], &action, NULL);
}

bool native_reference(const uint8_t *bytes, unsigned len, struct native_state *state, uint8_t *vector)
{
	if (!code)
		init();
	memcpy(code, bytes, len);
	code[len] = 0xc3; /* RET */
	raised = 0;
	bool faulted = native_run(state, code);
	*vector = raised;
	return !faulted;
}
