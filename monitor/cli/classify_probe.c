/*
 * Trying one instruction: a process is forked for it, so that whatever it does to registers, segments or the process is
 * gone afterwards, and tells through shared memory what happened.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/cli/classify.h"

/* An instruction that has neither trapped nor passed by then has stopped its process. */
#define PATIENCE_S 2

#define CONTROL	 CLASSIFY_CONTROL
#define MODE	 CLASSIFY_MODE
#define LOCATION CLASSIFY_LOCATION
#define WAY_IN	 CLASSIFY_WAY_IN
#define NOTHING	 CLASSIFY_NOTHING
#define VALUE	 CLASSIFY_VALUE
#define BYTES	 CLASSIFY_BYTES

#define INSN(id, name, code, kind, shows, why)                                                                         \
	__attribute__((naked)) static void probe_##id(void)                                                            \
	{                                                                                                              \
		__asm__(code "; ret");                                                                                 \
	}
#include "monitor/cli/classify.def"
#undef INSN

const struct classify_insn classify_insns[] = {
#define INSN(id, name, code, kind, shows, why) {name, code, why, kind, shows, probe_##id},
#include "monitor/cli/classify.def"
#undef INSN
};
const unsigned classify_insn_count = sizeof(classify_insns) / sizeof(classify_insns[0]);

static struct classify_result *shared;

static void on_trap(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	shared->trapped = true;
	shared->lost = false;
	shared->vector = (uint8_t)uc->uc_mcontext.gregs[REG_TRAPNO];
	shared->error = (uint32_t)uc->uc_mcontext.gregs[REG_ERR];
	_exit(0);
}

static _Noreturn void child(const struct classify_insn *insn)
{
	static const int signals[] = {SIGSEGV, SIGILL, SIGBUS, SIGTRAP, SIGFPE, SIGSYS};
	static const struct rlimit none;
	static uint8_t stack[65536];
	const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	uint64_t value = 0;
	void *at = shared->bytes;
	setrlimit(RLIMIT_CORE, &none);
	sigaltstack(&alternate, NULL);
	for (unsigned n = 0; n < sizeof(signals) / sizeof(signals[0]); n++)
		sigaction(signals[n], &action, NULL);
	alarm(PATIENCE_S);
	/* Below the red zone; RBX and RBP are the compiler's. */
	__asm__ volatile("sub $256, %%rsp\n\tpush %%rbx\n\tpush %%rbp\n\tcall *%%rsi\n\tpop %%rbp\n\tpop %%rbx\n\t"
			 "add $256, %%rsp"
			 : "+a"(value), "+D"(at)
			 : "S"(insn->run)
			 : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
	shared->value = value;
	shared->lost = false;
	_exit(0);
}

int classify_try(const struct classify_insn *insn, struct classify_result *result)
{
	int status, error = 0;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	shared->lost = true;
	pid_t pid = fork();
	if (pid == 0)
		child(insn);
	if (pid < 0)
		error = -errno;
	else
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	*result = *shared;
	munmap(shared, sizeof(*shared));
	return error;
}
