/*
 * The task that runs what the interpreter has the processor do: a process that holds nothing but the following, at the
 * addresses that the gate has in a cell, and one file behind it all.
 *
 *   TASK_TEXT  rx  native_stub.S: takes registers, calls copies of guest instructions, gives registers back
 *   TASK_DATA  r   its seccomp filter's program
 *   TASK_CODE  rx  the copies, a slot each
 *   TASK_XCHG  rw  struct task_xchg: hand-over, registers, operands, state image, stacks
 *
 * The monitor writes code and exchange page; what it reads back is hostile, and is read once. Offsets are for the stub.
 */
#ifndef MONITOR_ENGINE_INTERPRET_NATIVE_TASK_H
#define MONITOR_ENGINE_INTERPRET_NATIVE_TASK_H

#include "monitor/vm/layout.h"

#define TASK_TEXT      GATE_HOLE_START
#define TASK_TEXT_SIZE 0x1000
#define TASK_DATA      (TASK_TEXT + TASK_TEXT_SIZE)
#define TASK_DATA_SIZE 0x1000
#define TASK_CODE      (TASK_DATA + TASK_DATA_SIZE)
#define TASK_CODE_SIZE 0x400000
#define TASK_XCHG      (TASK_CODE + TASK_CODE_SIZE)
#define TASK_XCHG_SIZE 0x13000
#define TASK_END       (TASK_XCHG + TASK_XCHG_SIZE)

/* Copies that one hand-over runs at most, one behind the other. */
#define TASK_BATCH 8

/* task_xchg.state */
#define TASK_RUN  0 /* the task runs copies, or is about to */
#define TASK_DONE 1 /* it waits */

/* task_xchg.mask: nothing but MXCSR and XMM registers, which the image holds whatever its header says */
#define TASK_SSE_ONLY 2

#define TASK_STATE	   0x0
#define TASK_MONITOR_WAITS 0x4
#define TASK_WAITS	   0x8
#define TASK_SPINS	   0xc
#define TASK_YIELDS	   0x10
#define TASK_FAULTED	   0x14
#define TASK_VECTOR	   0x18
#define TASK_RIP	   0x20
#define TASK_FLAGS	   0x28
#define TASK_MASK	   0x30
#define TASK_ALTSTACK	   0x38
#define TASK_GPR	   0x80
#define TASK_CALL	   0x100
#define TASK_OPERAND	   0x1000
#define TASK_IMAGE	   0x2000
#define TASK_STACK_TOP	   0xb000
#define TASK_SIGNAL_STACK  0xb000

#ifndef __ASSEMBLER__
#include <linux/filter.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "monitor/vm/engine.h"

/* Operands of up to this size have a place for each copy of a batch; larger ones share one. */
#define TASK_SMALL 64

struct task_xchg {
	_Atomic uint32_t state;
	_Atomic uint32_t monitor_waits; /* monitor writes: it sleeps on state, wake it */
	_Atomic uint32_t task_waits;	/* task writes: likewise */
	uint32_t spins, yields;		/* monitor writes: how long the task spins, then yields, before it sleeps */
	uint32_t faulted; /* task writes: the copy at `rip` raised `vector`, those before it are through */
	uint32_t vector;
	uint64_t rip;
	uint64_t flags; /* as LAHF and SETO leave them in AX */
	uint64_t mask;	/* state components to load before and to save after; 0: none */
	stack_t altstack;
	uint64_t reserved[6];
	uint64_t gpr[16]; /* but RSP */
	uint64_t call[TASK_BATCH];
	uint8_t more[TASK_OPERAND - TASK_CALL - TASK_BATCH * sizeof(uint64_t)];
	uint8_t operand[TASK_BATCH][TASK_SMALL];
	uint8_t rest[TASK_IMAGE - TASK_OPERAND - TASK_BATCH * TASK_SMALL];
	uint8_t image[ENGINE_FPU_MAX];
	uint8_t large[ENGINE_FPU_MAX];
	uint8_t stack[TASK_STACK_TOP - TASK_IMAGE - 2 * ENGINE_FPU_MAX];
	uint8_t signal_stack[TASK_XCHG_SIZE - TASK_SIGNAL_STACK];
};

#define TASK_AT(member, offset) _Static_assert(offsetof(struct task_xchg, member) == (offset), #member)
TASK_AT(state, TASK_STATE);
TASK_AT(monitor_waits, TASK_MONITOR_WAITS);
TASK_AT(task_waits, TASK_WAITS);
TASK_AT(spins, TASK_SPINS);
TASK_AT(yields, TASK_YIELDS);
TASK_AT(faulted, TASK_FAULTED);
TASK_AT(vector, TASK_VECTOR);
TASK_AT(rip, TASK_RIP);
TASK_AT(flags, TASK_FLAGS);
TASK_AT(mask, TASK_MASK);
TASK_AT(altstack, TASK_ALTSTACK);
TASK_AT(gpr, TASK_GPR);
TASK_AT(call, TASK_CALL);
TASK_AT(operand, TASK_OPERAND);
TASK_AT(image, TASK_IMAGE);
TASK_AT(signal_stack, TASK_SIGNAL_STACK);
_Static_assert(sizeof(struct task_xchg) == TASK_XCHG_SIZE, "the file holds it");
_Static_assert(TASK_END <= LAYOUT_GATE_END, "what the monitor keeps free is enough");

struct task_data {
	struct sock_fprog filter; /* its pointer is the task's */
	struct sock_filter code[200];
};
_Static_assert(sizeof(struct task_data) <= TASK_DATA_SIZE, "the filter fits its page");

struct task {
	pid_t pid; /* 0: not made yet, or dead */
	int error; /* if it died: why, see confine_is_dead */
	int fd;
	uint8_t *code; /* TASK_CODE, writable */
	struct task_xchg *xchg;
	unsigned spins, yields; /* how long the monitor waits awake */
	bool filled;		/* stub and filter are in place */
	bool refused;		/* the host would not make the process; it was said */
};

/* The memory; the process is made when it is first needed. 0 or negative errno. */
int task_init(struct task *task);
/* Ends the process. Valid after a failed or no init, if *task was zeroed. */
void task_exit(struct task *task);

enum task_result {
	TASK_BACK,    /* the exchange page says what came of it */
	TASK_LOST,    /* the process died */
	TASK_BUSY,    /* the monitor has something else to do; the process was ended, nothing has happened */
	TASK_REFUSED, /* the host makes no process; the reason was printed */
};
/* Has the task run what the exchange page says, until it is back or *attention stays set for long. */
enum task_result task_run(struct task *task, const atomic_bool *attention);

/* native_stub.S; copied, never run in the monitor. Offsets from native_stub are offsets from TASK_TEXT. */
extern const char native_stub[], native_stub_end[], native_stub_boot[], native_stub_handler[], native_stub_ret[];

static inline uint64_t task_address(const char *symbol)
{
	return TASK_TEXT + (uint64_t)(symbol - native_stub);
}
#endif

#endif
