/*
 * `ring3 lockstep`: one guest in two engines at once, compared step by step.
 */
#ifndef MONITOR_CLI_LOCKSTEP_LOCKSTEP_H
#define MONITOR_CLI_LOCKSTEP_LOCKSTEP_H

/* The exit status; argv[0] is the verb. */
int cli_lockstep(int argc, char **argv);

#endif
