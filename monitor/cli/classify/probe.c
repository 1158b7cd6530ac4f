/*
 * Trying one instruction: a process is forked for it, so that whatever it does to registers, segments or the process is
 * gone afterwards, and tells through shared memory what happened. 32-bit code is copied to the lowest 4 GiB, where all
 * that it uses is as well, and entered by a far call.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/cli/classify/internal.h"

/* An instruction that has neither trapped nor passed by then has stopped its process. */
#define PATIENCE_S 2

#define CONTROL CLASSIFY_CONTROL
#define MODE	CLASSIFY_MODE
#define STATE	CLASSIFY_STATE
#define WAY_IN	CLASSIFY_WAY_IN
#define NOTHING CLASSIFY_NOTHING
#define VALUE	CLASSIFY_VALUE
#define BYTES	CLASSIFY_BYTES
#define TIME	CLASSIFY_TIME

#define INSN_OF(of, id, name, code, kind, shows, why)                                                                  \
	__attribute__((naked)) static void probe_##id(void)                                                            \
	{                                                                                                              \
		__asm__(code "; ret");                                                                                 \
	}
#include "monitor/cli/classify/classify.def"
#undef INSN_OF

#define CODE32(id, code)                                                                                               \
	__asm__(".pushsection .text\n.code32\nclassify32_" #id ": " code "\n\tlret\n.code64\n.popsection");            \
	extern const char classify32_##id[];
#include "monitor/cli/classify/classify32.def"
#undef CODE32

const struct classify_insn classify_insns[] = {
#define INSN_OF(of, id, name, code, kind, shows, why) {of, name, code, why, kind, shows, probe_##id, classify32_##id},
#include "monitor/cli/classify/classify.def"
#undef INSN_OF
};
const unsigned classify_insn_count = sizeof(classify_insns) / sizeof(classify_insns[0]);

/* Linux's selectors, arch/x86/include/asm/segment.h. */
#define USER_CODE32 0x23
#define USER_DATA   0x2b

#define CODE_MAX 128 /* bytes: longer than any of them */

/* What parent and probe share, in the lowest 4 GiB. */
struct classify_low {
	struct classify_result result;
	uint32_t target; /* of the far call */
	uint16_t selector;
	uint64_t rsp; /* of the caller */
	uint64_t stack[256];
	uint8_t bridge[8], code[CODE_MAX];
};

static struct classify_result *shared;

/* lcall *target(%rsi); ret: a far return to 64-bit code has an address of 32 bits. */
static const uint8_t bridge[8] = {0xff, 0x5e, offsetof(struct classify_low, target), 0xc3};
_Static_assert(offsetof(struct classify_low, target) < 0x80, "displacement of one byte");

static uint64_t tried; /* where the code begins */

static void on_trap(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	/* Elsewhere it went through, and did not come back: what it met there is no trap of its own. */
	if (rip - tried > CODE_MAX)
		_exit(0);
	shared->trapped = true;
	shared->lost = false;
	shared->vector = (uint8_t)uc->uc_mcontext.gregs[REG_TRAPNO];
	shared->error = (uint32_t)uc->uc_mcontext.gregs[REG_ERR];
	_exit(0);
}

static uint64_t run64(const struct classify_insn *insn)
{
	uint64_t value = 0;
	void *at = shared->bytes;
	/* Below the red zone; RBX and RBP are the compiler's. */
	__asm__ volatile("sub $256, %%rsp\n\tpush %%rbx\n\tpush %%rbp\n\tcall *%%rsi\n\tpop %%rbp\n\tpop %%rbx\n\t"
			 "add $256, %%rsp"
			 : "+a"(value), "+D"(at)
			 : "S"(insn->run)
			 : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
	return value;
}

/*
 * The stack of 32-bit code is in the shared page, whose end holds what must be found again: the upper halves of
 * registers do not survive, and segment registers that 64-bit code ignores count.
 */
static uint64_t run32(const struct classify_insn *insn)
{
	struct classify_low *low = (struct classify_low *)shared;
	uint64_t value = 0;
	void *at = shared->bytes;
	memcpy(low->bridge, bridge, sizeof(low->bridge));
	memcpy(low->code, insn->run32, sizeof(low->code));
	tried = (uintptr_t)low->code;
	low->target = (uint32_t)tried;
	low->selector = USER_CODE32;
	__asm__ volatile("push %%rbx\n\tpush %%rbp\n\tpush %%r12\n\tpush %%r13\n\tpush %%r14\n\tpush %%r15\n\t"
			 "mov %%rsp, %c[rsp](%%rsi)\n\t"
			 "mov %[data], %%ecx\n\tmov %%ecx, %%ds\n\tmov %%ecx, %%es\n\t"
			 "lea %c[stack](%%rsi), %%rsp\n\tpush %%rsi\n\t"
			 "lea %c[code](%%rsi), %%rcx\n\tcall *%%rcx\n\t"
			 "pop %%rsi\n\tmov %c[rsp](%%rsi), %%rsp\n\t"
			 "pop %%r15\n\tpop %%r14\n\tpop %%r13\n\tpop %%r12\n\tpop %%rbp\n\tpop %%rbx"
			 : "+a"(value), "+D"(at), "+S"(low)
			 : [rsp] "i"(offsetof(struct classify_low, rsp)),
			   [stack] "i"(offsetof(struct classify_low, stack) + sizeof(low->stack)),
			   [code] "i"(offsetof(struct classify_low, bridge)), [data] "i"(USER_DATA)
			 : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
	return (uint32_t)value;
}

static _Noreturn void child(const struct classify_insn *insn, unsigned bits)
{
	static const int signals[] = {SIGSEGV, SIGILL, SIGBUS, SIGTRAP, SIGFPE, SIGSYS};
	static const struct rlimit none;
	static uint8_t stack[65536];
	const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	setrlimit(RLIMIT_CORE, &none);
	sigaltstack(&alternate, NULL);
	for (unsigned n = 0; n < sizeof(signals) / sizeof(signals[0]); n++)
		sigaction(signals[n], &action, NULL);
	tried = (uintptr_t)insn->run;
	alarm(PATIENCE_S);
	shared->value = bits == 32 ? run32(insn) : run64(insn);
	shared->lost = false;
	_exit(0);
}

int classify_try(const struct classify_insn *insn, unsigned bits, struct classify_result *result)
{
	int status, error = 0;
	shared = mmap(NULL, sizeof(struct classify_low), PROT_READ | PROT_WRITE | PROT_EXEC,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	shared->lost = true;
	pid_t pid = fork();
	if (pid == 0)
		child(insn, bits);
	if (pid < 0)
		error = -errno;
	else
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	*result = *shared;
	munmap(shared, sizeof(struct classify_low));
	return error;
}
