/*
 * A block of one instruction, executed host instruction by host instruction. After each one the state is rebuilt as
 * after a fault or kick there; it must be the guest's before the instruction or after it, to the last register.
 */
#ifndef TESTS_UNIT_TRANSLATE_STEPS_H
#define TESTS_UNIT_TRANSLATE_STEPS_H

#include <sys/user.h>

#include "monitor/engine/translate/compile.h"

/* The table of user memory; a multiple of its size. */
#define TEST_SLOTS 0x211000000000u

struct snapshot {
	struct user_regs_struct regs;
	bool enabled;
};

/* Maps what test blocks refer to, and starts the child: later mappings are not its. *regs: as it begins. 0: done. */
int steps_start(struct user_regs_struct *regs);
int steps_end(void);
volatile struct bt_state *steps_state(void);
/*
 * Runs the source's block from these registers, the guest's, and returns the guest's state where it ended. kept_flags:
 * those that the sequence leaves alone until it is done. part: how far one part of a repeated string instruction goes.
 */
struct snapshot steps_run(const struct bt_source *source, const struct user_regs_struct *from, bool enabled,
			  uint64_t kept_flags, int part);
/* It can be stopped in the middle, with a state that is neither. */
bool steps_has_parts(const struct emu_insn *insn);
/*
 * Runs the check of an indirect jump to `gva` with this target on its way, until it is left. After each host
 * instruction the guest is at the target, with these registers. Where it went: 0 to the block, 1 to the next check.
 */
unsigned steps_check(uint64_t gva, uint64_t target, const struct user_regs_struct *from);

#endif
