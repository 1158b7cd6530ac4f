/*
 * `ring3 classify`: which sensitive instructions trap in ring 3 of this host; and the list of them, for others.
 */
#ifndef MONITOR_CLI_CLASSIFY_CLASSIFY_H
#define MONITOR_CLI_CLASSIFY_CLASSIFY_H

#include "monitor/cli/classify/internal.h"
#include "monitor/emulate/emulate.h"

#include "monitor/cli/common/verb.h"

extern const struct verb classify_verb;

/* The instruction's line in classify.def. NULL: it is innocuous, or not on the list. */
const struct classify_insn *classify_find(const struct emu_insn *insn);

#endif
