/*
 * What the files of /proc share: a text that is made anew at each read, and who makes it.
 */
#ifndef TINIX_PROCFS_H
#define TINIX_PROCFS_H

#include "examples/tinix/fs.h"

#define TICKS_PER_SEC 100ull /* USER_HZ */
#define NS_PER_TICK   (PVG_NS_PER_SEC / TICKS_PER_SEC)

struct text {
	char *bytes;
	size_t size, used;
};

/* What does not fit is left out. */
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *text, const void *bytes, size_t len);

/* Makers of texts: procfs_machine.c; p is NULL. */
void text_meminfo(struct text *text, struct proc *p);
void text_uptime(struct text *text, struct proc *p);
void text_loadavg(struct text *text, struct proc *p);
void text_stat(struct text *text, struct proc *p);
void text_cpuinfo(struct text *text, struct proc *p);
void text_version(struct text *text, struct proc *p);
void text_cmdline(struct text *text, struct proc *p);
void text_mounts(struct text *text, struct proc *p);

/* procfs_process.c */
void text_process_stat(struct text *text, struct proc *p);
void text_process_status(struct text *text, struct proc *p);
void text_process_comm(struct text *text, struct proc *p);
void text_process_cmdline(struct text *text, struct proc *p);
void text_process_maps(struct text *text, struct proc *p);

#endif
