/*
 * Seccomp filters for tasks that share no heap with the monitor: as programs, where such a task can read them.
 */
#ifndef MONITOR_ENGINE_CONFINE_FILTER_H
#define MONITOR_ENGINE_CONFINE_FILTER_H

#include <linux/filter.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

/* Programs, one behind the other. */
struct confine_programs {
	struct sock_filter *code; /* here */
	uint64_t address;	  /* the same as the tasks see it */
	size_t room, used;	  /* instructions */
};

/* Appends the filter's program, and describes it to the task in *prog. 0 or negative errno. */
int confine_filter_export(scmp_filter_ctx ctx, struct confine_programs *programs, struct sock_fprog *prog);

#endif
