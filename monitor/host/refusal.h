/*
 * What the host refuses, and what lifts it.
 */
#ifndef MONITOR_HOST_REFUSAL_H
#define MONITOR_HOST_REFUSAL_H

/* The remedy for an errno, positive or negative: the end of a message's line, such as "raise 'ulimit -n'". */
const char *refusal_remedy(int error);

#endif
