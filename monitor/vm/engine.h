/*
 * An engine executes guest instructions until control must pass to the monitor. This is the whole contract between the
 * run loop (monitor/run/run.c) and the ways of running guest code.
 */
#ifndef MONITOR_ENGINE_ENGINE_H
#define MONITOR_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "monitor/vm/cpu.h"

struct vm;
struct vcpu;
struct spt_space;
struct spt_ops;

#define ENGINE_FPU_MAX 16384

/* Why guest code stopped. */
enum exit_reason {
	EXIT_KICK,	/* somebody asked, or nothing at all: may be spurious. State is at an instruction boundary. */
	EXIT_HYPERCALL, /* RAX and arguments as the ABI says; RIP is the return address, RSP already past it */
	EXIT_EXCEPTION, /* the processor raised `vector` with `error`, RIP as the processor reports it for that vector
			 */
	EXIT_SYSCALL,	/* SYSCALL executed: RIP after it; RCX and R11 not yet written */
	EXIT_INT80,	/* INT 0x80 executed: RIP after it */
	EXIT_EMULATED,	/* the engine executed what there was to execute; an event may be queued */
	EXIT_DEAD,	/* the engine cannot go on with this guest; vm_kill was called with the reason */
};

struct vm_exit {
	enum exit_reason reason;
	uint8_t vector; /* EXIT_EXCEPTION */
	uint32_t error; /* EXIT_EXCEPTION, for vectors that have one; of X86_VEC_DB: DR6.BS and B0 to B3, 0 of ICEBP */
	uint64_t gva;	/* EXIT_EXCEPTION of X86_VEC_PF: the faulting address */
};

#define ENGINE_WATCHES 4

/* The debug registers DR0 to DR3 and DR7 (SDM 3B 17.2). */
struct engine_watch {
	uint64_t address[ENGINE_WATCHES], control;
};

struct engine_ops {
	const char *name;     /* as in --engine */
	const char *summary;  /* one line for --help */
	bool kernel_anywhere; /* the guest's kernel may lie at any address, in the upper half too */
	bool any_mode;	      /* runs 16- and 32-bit code too, in all paging modes; the others, 64-bit code alone */
	enum cpu_software software;

	/* Prepares vm->engine for a machine whose RAM and vCPUs exist. 0 or negative errno with a message printed. */
	int (*init)(struct vm *vm);
	/* Undoes init; every process the engine made is gone on return. Also valid after a failed init. */
	void (*exit)(struct vm *vm);

	/*
	 * Runs the vCPU from its state until an exit; fills *exit and brings vcpu->gpr, rip, rflags, segment bases up
	 * to date. The caller has delivered what was queued. Returns with EXIT_KICK at once if vm->attention is set.
	 * With vcpu->debug.step set it runs one instruction: EXIT_KICK with the flag cleared if that was through, any
	 * other exit as ever.
	 */
	void (*enter)(struct vcpu *vcpu, struct vm_exit *exit);

	/*
	 * The image is loaded: put into its hypercall page what makes a hypercall travel in this engine
	 * (image_fill_hypercall_page).
	 */
	void (*fill_hypercall_page)(struct vm *vm);

	/* A shadow effect was refused with `error` (negative errno): start the space again from empty, or vm_kill. */
	void (*space_lost)(struct vm *vm, struct spt_space *space, int error);

	/* Nobody will run in the space again: discard it, and what the engine keeps for it. */
	void (*space_drop)(struct vm *vm, struct spt_space *space);

	/*
	 * The guest had translations forgotten, and may count upon that: what they showed is out of the reach of every
	 * address space on return, also where guest code runs on that claims to have stopped. NULL: it is at once.
	 */
	void (*settle)(struct vm *vm);

	/*
	 * Has the processor watch addresses while guest code runs, in every address space: a hit is EXIT_EXCEPTION of
	 * X86_VEC_DB, before the instruction for execution, after it for data. What the monitor does on the guest's
	 * behalf is not seen. Control 0: none. 0 or negative errno, then nothing changed; -ENOTSUP for a condition that
	 * the engine cannot watch for. NULL: the engine has none.
	 */
	int (*watch)(struct vm *vm, const struct engine_watch *wanted);
	/* Which were hit since the last call, as bits; the vCPU is stopped. */
	unsigned (*watch_hits)(struct vcpu *vcpu);

	/* Makes a vCPU that is inside enter come out soon. Async-signal-safe; harmless when it is not inside. */
	void (*kick)(struct vcpu *vcpu);

	/* The stopped task that holds the vCPU's registers, if it is under the caller's ptrace, else 0. May be NULL. */
	pid_t (*tracee)(struct vcpu *vcpu);

	/* How many processes hold the guest's address spaces. NULL: there are none. */
	unsigned (*cells)(struct vm *vm);

	/* Prints what is executed in the place of the guest's code at gva; the vCPU is stopped. NULL: it is the code.
	 */
	void (*list_code)(struct vcpu *vcpu, uint64_t gva, FILE *out);

	/* The vCPU's FPU state as an XSAVE image in standard form (SDM 1 13.4) of fpu_size bytes; the vCPU is stopped.
	 */
	unsigned (*fpu_size)(struct vm *vm); /* at most ENGINE_FPU_MAX */
	void (*fpu_get)(struct vcpu *vcpu, void *image, unsigned size);
	/* Bits and components that the host does not have are dropped from *image. */
	void (*fpu_set)(struct vcpu *vcpu, void *image, unsigned size);

	/* Translations changed through shadowpt's ops belong to this engine; NULL for engines that keep none. */
	const struct spt_ops *spt_ops;
};

extern const struct engine_ops engine_trap, engine_interpret, engine_hybrid, engine_translate;

/* The engines built in, NULL-terminated, default first. */
extern const struct engine_ops *const engines[];
const struct engine_ops *engine_find(const char *name);

/* For messages: the engines that have a capability, "A or B", in text. */
const char *engine_names(bool (*has)(const struct engine_ops *ops), char *text, size_t size);
bool engine_is_anywhere(const struct engine_ops *ops);
bool engine_has_any_mode(const struct engine_ops *ops);
#define ENGINE_NAMES_MAX 80

#endif
