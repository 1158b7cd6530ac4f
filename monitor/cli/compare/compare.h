/*
 * `ring3 compare`: one guest on every engine: do they agree, and what does each cost.
 */
#ifndef MONITOR_CLI_COMPARE_COMPARE_H
#define MONITOR_CLI_COMPARE_COMPARE_H

#include "monitor/cli/common/verb.h"

extern const struct verb compare_verb;

#endif
