/*
 * `ring3 new`: makes a guest project that builds by itself.
 */
#ifndef MONITOR_CLI_NEW_NEW_H
#define MONITOR_CLI_NEW_NEW_H

#include "monitor/cli/common/verb.h"

extern const struct verb new_verb;

#endif
