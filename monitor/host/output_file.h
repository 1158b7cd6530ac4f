/*
 * Files that the user named for output. One that is written at the end appears whole or not at all: it is made beside
 * its place and renamed. What is no regular file (a pipe, /dev/stdout) is written to directly. Links are refused, but
 * for those of /dev and /proc: another user may have put one there. A file that is replaced leaves its mode to the new
 * one. What output_protect named is never written to.
 */
#ifndef MONITOR_HOST_OUTPUT_FILE_H
#define MONITOR_HOST_OUTPUT_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct output_file {
	int fd;		  /* write here */
	const char *path; /* the caller's */
	char *temporary;  /* NULL: written to directly */
	bool private;	  /* readable by nobody else if it replaces none: it holds memory */
};

/* Whatever file path leads to, for the life of the process, as long as the string lives. */
void output_protect(const char *path);
/*
 * Proves that output_open and output_stream would succeed, leaves no trace, and keeps what they need from walls that
 * are put up later (walls/names.h). 0 or negative errno.
 */
int output_check(const char *path);
/* 0 or negative errno, without a message; then there is nothing to finish. */
int output_open(struct output_file *file, const char *path);
/* As output_open, for a file that holds memory of the guest. */
int output_open_private(struct output_file *file, const char *path);
/* A file that grows as the guest runs, empty now: its descriptor, or negative errno. */
int output_stream(const char *path);
/* Writes all of it. 0 or negative errno. */
int output_write(const struct output_file *file, const void *data, size_t len);
/* Puts the file in its place if err is 0, else removes it. 0 or negative errno: err, or what failed here. */
int output_finish(struct output_file *file, int err);
/* What is wrong, in words; err is positive, as errno. */
const char *output_error(int err);

#endif
