/*
 * `ring3 top`: watches the guests that run.
 */
#ifndef MONITOR_CLI_TOP_TOP_H
#define MONITOR_CLI_TOP_TOP_H

#include "monitor/cli/common/verb.h"

extern const struct verb top_verb;

#endif
