/*
 * Seccomp filters made at build time: libseccomp takes as long for one as a small guest for all it does. For the
 * programs that make them, which end at the first thing that goes wrong.
 */
#ifndef MONITOR_HOST_WALLS_PRINT_H
#define MONITOR_HOST_WALLS_PRINT_H

#include <seccomp.h>
#include <stdint.h>

/* A filter with that for everything which no rule names, other architectures' calls included. */
scmp_filter_ctx print_begin(uint32_t otherwise);
/* Prints it as C, `static const struct sock_filter NAME[]`, and frees it. */
void print_end(scmp_filter_ctx filter, const char *name);
/* What libseccomp answers, 0 or a negative errno. */
void print_check(int error, const char *what);

#endif
