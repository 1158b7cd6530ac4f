/*
 * `ring3 doctor`: says what this host offers, what is missing, and the remedy.
 */
#ifndef MONITOR_CLI_DOCTOR_DOCTOR_H
#define MONITOR_CLI_DOCTOR_DOCTOR_H

#include "monitor/cli/common/verb.h"

extern const struct verb doctor_verb;

#endif
