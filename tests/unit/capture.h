/*
 * Catches what the code under test prints on stderr or stdout.
 */
#ifndef TESTS_UNIT_CAPTURE_H
#define TESTS_UNIT_CAPTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct capture {
	FILE *stream;
	int saved, file;
	char text[8192];
};

static inline void capture_start(struct capture *c, FILE *stream)
{
	fflush(stream);
	c->stream = stream;
	c->saved = dup(fileno(stream));
	c->file = memfd_create("capture", 0);
	if (c->saved < 0 || c->file < 0 || dup2(c->file, fileno(stream)) < 0)
		abort();
}

/* Ends it; c->text holds what was printed, cut to its size. */
static inline void capture_end(struct capture *c)
{
	ssize_t len;

	fflush(c->stream);
	dup2(c->saved, fileno(c->stream));
	close(c->saved);
	len = pread(c->file, c->text, sizeof(c->text) - 1, 0);
	c->text[len < 0 ? 0 : len] = 0;
	close(c->file);
}

#endif
