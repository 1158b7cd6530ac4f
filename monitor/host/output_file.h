/*
 * A file that appears whole or not at all: it is written beside its place and renamed. What is no regular file (a pipe,
 * /dev/stdout) is written to directly.
 */
#ifndef MONITOR_HOST_OUTPUT_FILE_H
#define MONITOR_HOST_OUTPUT_FILE_H

#include <stddef.h>

struct output_file {
	int fd;		  /* write here */
	const char *path; /* the caller's */
	char *temporary;  /* NULL: written to directly */
};

/* 0 or negative errno, without a message; then there is nothing to finish. */
int output_open(struct output_file *file, const char *path);
/* Writes all of it. 0 or negative errno. */
int output_write(const struct output_file *file, const void *data, size_t len);
/* Puts the file in its place if err is 0, else removes it. 0 or negative errno: err, or what failed here. */
int output_finish(struct output_file *file, int err);
/* Proves that output_open would succeed, and leaves no trace. 0 or negative errno. */
int output_check(const char *path);

#endif
