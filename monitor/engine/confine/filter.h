/*
 * Seccomp filters for tasks that share no heap with the monitor: programs made at build time, where such a task can
 * read them.
 */
#ifndef MONITOR_ENGINE_CONFINE_FILTER_H
#define MONITOR_ENGINE_CONFINE_FILTER_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/* Programs, one behind the other. */
struct confine_programs {
	struct sock_filter *code; /* here */
	uint64_t address;	  /* the same as the tasks see it */
	size_t room, used;	  /* instructions */
};

/* Appends a program, for which there must be room; what it is to the task. */
struct sock_fprog confine_filter_add(struct confine_programs *programs, const struct sock_filter *code, size_t len);
#define CONFINE_FILTER_ADD(programs, code) confine_filter_add(programs, code, sizeof(code) / sizeof((code)[0]))

#endif
