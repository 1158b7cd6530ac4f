/*
 * `ring3 lockstep`: one guest in two engines at once, compared step by step.
 */
#ifndef MONITOR_CLI_LOCKSTEP_LOCKSTEP_H
#define MONITOR_CLI_LOCKSTEP_LOCKSTEP_H

#include "monitor/cli/common/verb.h"

extern const struct verb lockstep_verb;

#endif
