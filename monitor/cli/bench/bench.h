/*
 * `ring3 bench`: measures what exits, hypercalls, faults and switches take here.
 */
#ifndef MONITOR_CLI_BENCH_BENCH_H
#define MONITOR_CLI_BENCH_BENCH_H

#include "monitor/cli/common/verb.h"

extern const struct verb bench_verb;

#endif
