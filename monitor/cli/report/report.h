/*
 * `ring3 report`: makes a page to look at of a trace.
 */
#ifndef MONITOR_CLI_REPORT_REPORT_H
#define MONITOR_CLI_REPORT_REPORT_H

/* The exit status; argv[0] is the verb. */
int cli_report(int argc, char **argv);

#endif
