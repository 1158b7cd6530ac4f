/*
 * Looking for the guests of ring3's own.
 */
#include "monitor/cli/common/own_guest.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *own_guest(const char *built, const char *remedy)
{
	const char *slash = strrchr(built, '/');
	const char *installed = slash ? slash + 1 : built;
	char exe[PATH_MAX], *path;
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[len < 0 ? 0 : len] = 0;
	const char *directory = dirname(exe);
	if (asprintf(&path, "%s/%s", directory, built) < 0)
		return NULL;
	if (!access(path, R_OK))
		return path;
	free(path);
	if (asprintf(&path, "%s/%s/%s", directory, R3_GUEST_DIR, installed) < 0)
		return NULL;
	if (!access(path, R_OK))
		return path;
	free(path);
	fprintf(stderr, "ring3: %s is not beside this program: build the whole tree, or %s\n", built, remedy);
	return NULL;
}
