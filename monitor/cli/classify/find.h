/*
 * From an instruction to its line in classify.def.
 */
#ifndef MONITOR_CLI_CLASSIFY_FIND_H
#define MONITOR_CLI_CLASSIFY_FIND_H

#include "monitor/cli/classify/internal.h"
#include "monitor/emulate/emulate.h"

/* NULL: it is innocuous, or not on the list. */
const struct classify_insn *classify_find(const struct emu_insn *insn);

#endif
