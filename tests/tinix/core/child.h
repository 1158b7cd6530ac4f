/*
 * Running a function in a child process, and what became of it.
 */
#ifndef TESTS_TINIX_CHILD_H
#define TESTS_TINIX_CHILD_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static inline pid_t start_child(int (*run)(void *arg), void *arg)
{
	fflush(stdout);
	pid_t child = fork();

	if (child < 0) {
		perror("fork");
		exit(99);
	}
	if (!child)
		_exit(run(arg));
	return child;
}

/* As waitpid reports it; -1 if there is no such child. */
static inline int end_of(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child ? status : -1;
}

static inline int run_child(int (*run)(void *arg), void *arg)
{
	return end_of(start_child(run, arg));
}

#define EXITED(code) ((code) << 8)

#endif
