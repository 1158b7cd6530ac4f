/*
 * `ring3 run`: boots a guest and runs it to its end.
 */
#ifndef MONITOR_CLI_RUN_RUN_H
#define MONITOR_CLI_RUN_RUN_H

/* The exit status; argv[0] is the verb. */
int cli_run(int argc, char **argv);

#endif
