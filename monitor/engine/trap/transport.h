/*
 * How a runner's exits reach the monitor: by signals whose frame lies in shared memory, or by ptrace stops.
 */
#ifndef MONITOR_ENGINE_TRAP_TRANSPORT_H
#define MONITOR_ENGINE_TRAP_TRANSPORT_H

#include <stdbool.h>

#include "monitor/engine/trap/cell.h"
#include "monitor/vm/engine.h"

struct trap;

enum transport_wait {
	TRANSPORT_EXITED,
	TRANSPORT_NUDGED, /* look up: attention is wanted, or the cell died */
};

struct transport {
	const char *name;
	const char *summary;
	bool traced;
	/* A new cell was made and has booted. 0 or negative errno with a message printed. */
	int (*attach)(struct cell *cell);
	/* Puts the vCPU's registers into the stopped runner and lets it go; trap->cells.last is the one that ran
	 * before. */
	void (*resume)(struct trap *trap, struct cell *cell, const struct vcpu *vcpu);
	/* kicks: how often the runner was asked to come out; TRANSPORT_NUDGED again if it takes its time. */
	enum transport_wait (*wait)(struct trap *trap, struct cell *cell, unsigned kicks);
	/*
	 * Takes registers and reason from the stopped runner, or from the user cell that it entered directly: returns
	 * the cell that the exit is of. EXIT_DEAD without a reason recorded: what it left cannot be the kernel's doing
	 * (a forged frame), that cell must go.
	 */
	struct cell *(*fetch)(struct trap *trap, struct cell *cell, struct vcpu *vcpu, struct vm_exit *exit);
	/*
	 * Copies the FPU image (XSAVE standard form, `size` bytes at most) out of or into the stopped runner: as guest
	 * code left it. False: there is none, the runner is dead.
	 */
	bool (*fpu_get)(struct cell *cell, void *image, unsigned size);
	void (*fpu_set)(struct cell *cell, const void *image, unsigned size);
	/* Async-signal-safe: makes `wait` return TRANSPORT_NUDGED, or sooner. */
	void (*nudge)(struct cell *cell);
	/* What the hypercall page holds. */
	const char *stub, *stub_end;
};

extern const struct transport transport_signal, transport_ptrace;

/* Sends the signal that makes a running cell come out. */
void transport_kick(struct cell *cell);

/* What the kernel reported by signal, as the exit it stands for; shared by both transports. */
void transport_classify(const siginfo_t *info, uint64_t trapno, uint64_t error, uint64_t cr2, struct vcpu *vcpu,
			struct vm_exit *exit);

/*
 * The RFLAGS that guest code runs with: arithmetic and control bits of the virtual ones; never IOPL, VM, NT; AC in user
 * mode alone.
 */
uint64_t transport_real_rflags(const struct vcpu *vcpu);
/* Takes real RFLAGS back, keeping the virtual IF, IOPL and NT, and what was withheld. */
void transport_take_rflags(struct vcpu *vcpu, uint64_t real);

#endif
