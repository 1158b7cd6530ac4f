/*
 * `ring3 run`: boots a guest and runs it to its end.
 */
#ifndef MONITOR_CLI_RUN_RUN_H
#define MONITOR_CLI_RUN_RUN_H

#include "monitor/cli/common/verb.h"

extern const struct verb run_verb;
/* The same, for who starts a guest: the exit status; argv[0] is the verb. */
int cli_run(int argc, char **argv);

#endif
