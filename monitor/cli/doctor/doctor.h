/*
 * `ring3 doctor`: says what this host offers, what is missing, and the remedy.
 */
#ifndef MONITOR_CLI_DOCTOR_DOCTOR_H
#define MONITOR_CLI_DOCTOR_DOCTOR_H

/* The exit status; argv[0] is the verb. */
int cli_doctor(int argc, char **argv);

#endif
