/*
 * The verbs of the command line. Each gets its own arguments, argv[0] being the verb, and returns the exit status.
 */
#ifndef MONITOR_CLI_CLI_H
#define MONITOR_CLI_CLI_H

int cli_run(int argc, char **argv);
int cli_report(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_new(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_classify(int argc, char **argv);
int cli_compare(int argc, char **argv);
int cli_lockstep(int argc, char **argv);

#endif
