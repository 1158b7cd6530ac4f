/*
 * `ring3 top`: watches the guests that run.
 */
#ifndef MONITOR_CLI_TOP_TOP_H
#define MONITOR_CLI_TOP_TOP_H

/* The exit status; argv[0] is the verb. */
int cli_top(int argc, char **argv);

#endif
