/*
 * `ring3 report`: makes a page to look at of a trace.
 */
#ifndef MONITOR_CLI_REPORT_REPORT_H
#define MONITOR_CLI_REPORT_REPORT_H

#include "monitor/cli/common/verb.h"

extern const struct verb report_verb;

#endif
