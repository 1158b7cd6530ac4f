/*
 * `ring3 compare`: one guest on every engine: do they agree, and what does each cost.
 */
#ifndef MONITOR_CLI_COMPARE_COMPARE_H
#define MONITOR_CLI_COMPARE_COMPARE_H

/* The exit status; argv[0] is the verb. */
int cli_compare(int argc, char **argv);

#endif
