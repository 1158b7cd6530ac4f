/*
 * What a kernel needs of the machine, behind one table, chosen once at boot: pvg_native_ops uses privileged
 * instructions and PC devices (pv=off), pvg_paravirt_ops uses hypercalls and the shared page (pv=on). The other headers
 * wrap most of it in friendlier functions.
 */
#ifndef PVGUEST_OPS_H
#define PVGUEST_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pvguest/language.h>

#include "hypercalls/abi.h"

PVG_BEGIN

struct pvg_frame;
struct pvg_user;

#define PVG_TIMER_OFF UINT64_MAX

struct pvg_ops {
	const char *name; /* the value of pv= that chooses this table: "on" or "off" */
	void (*init)(void);

	/*
	 * The interrupt flag. pv=off keeps a copy in memory, since PUSHF and POPF run unprivileged code's way under
	 * direct execution: PUSHF always shows IF set and POPF never changes it.
	 */
	void (*irq_enable)(void);
	void (*irq_disable)(void);
	bool (*irq_enabled)(void);
	void (*halt)(void); /* enables interrupts and waits for one, with no gap between */

	/* Bracket a trap handler: the stubs call them with the frame that is returned to. */
	void (*trap_enter)(void);
	void (*trap_leave)(const struct pvg_frame *frame);
	void (*trap_return)(void); /* jumped to, never called: RSP at the hardware frame */

	/* Entry points by vector, all of X86_VEC_COUNT; bit n of user[n / 64]: INT n is allowed from user mode. */
	void (*set_traps)(const uint64_t *entries, const uint64_t *user);
	void (*clear_traps)(void); /* no vector leads anywhere: the next exception is a triple fault */
	void (*set_kernel_stack)(uint64_t rsp0);
	void (*set_syscall_entry)(uint64_t entry);
	void (*set_base)(unsigned which, uint64_t base); /* R3_SEGBASE_* */

	uint64_t (*read_cr2)(void);
	void (*load_cr3)(uint64_t cr3);
	void (*drop_root)(
		uint64_t cr3); /* the root is no longer in use anywhere, and its tables are about to be freed */
	/* Leaves one user context for another; either may be NULL (user.h). */
	void (*user_switch)(struct pvg_user *from, struct pvg_user *to);
	/* Stores user mode's FPU state, loads another; either may be NULL. */
	void (*fpu_switch)(void *store, void *load);
	/* Stores a page-table entry of any space. May be queued: in force after pte_sync. */
	void (*pte_write)(uint64_t *entry, uint64_t value);
	void (*pte_sync)(void);
	/* A present entry of the current space was replaced: whatever else must be done for gva. */
	void (*pte_replaced)(uint64_t gva);
	void (*invlpg)(uint64_t gva);
	void (*flush_tlb)(void); /* of the current root, all but global pages */

	/* The line (pv=off: 8259 input; pv=on: event port) of PVG_IRQ_TIMER or PVG_IRQ_CONSOLE, or -R3_E*. */
	int (*irq_bind)(unsigned source);
	void (*irq_mask)(unsigned line, bool masked);

	uint64_t (*clock_ns)(void);
	void (*timer_arm)(uint64_t deadline_ns); /* PVG_TIMER_OFF: none; may fire early */

	void (*console_write)(const char *bytes, size_t len);
	int (*console_read)(void); /* a byte, PVG_NO_INPUT or PVG_INPUT_ENDED */
	/* Rows << 16 and columns of the console's terminal; NULL, 0, or negative: unknown. */
	int64_t (*console_size)(void);
	void (*exit)(unsigned status); /* does not return */
	/* The same, with a report of the monitor's; comes back where there is nobody to tell. */
	void (*panic)(const char *why);
};

extern const struct pvg_ops *pvg_ops;
extern const struct pvg_ops pvg_native_ops, pvg_paravirt_ops;

/* True if pv=on was chosen. */
static inline bool pvg_is_paravirt(void)
{
	return pvg_ops == &pvg_paravirt_ops;
}

static inline void pvg_set_kernel_stack(uint64_t rsp0)
{
	pvg_ops->set_kernel_stack(rsp0);
}

static inline void pvg_set_fs_base(uint64_t base)
{
	pvg_ops->set_base(R3_SEGBASE_FS, base);
}

static inline void pvg_set_gs_base(uint64_t base)
{
	pvg_ops->set_base(R3_SEGBASE_GS, base);
}

static inline void pvg_set_kernel_gs_base(uint64_t base)
{
	pvg_ops->set_base(R3_SEGBASE_KERNEL_GS, base);
}

PVG_END

#endif
