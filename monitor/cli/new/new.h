/*
 * `ring3 new`: makes a guest project that builds by itself.
 */
#ifndef MONITOR_CLI_NEW_NEW_H
#define MONITOR_CLI_NEW_NEW_H

/* The exit status; argv[0] is the verb. */
int cli_new(int argc, char **argv);

#endif
