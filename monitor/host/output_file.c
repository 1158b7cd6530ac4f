/*
 * Files that appear whole or not at all, and files that grow.
 */
#include "monitor/host/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/host/walls/names.h"

#define PROTECTED_MAX 32
#define TRIES_MAX     16
#define MODE_BITS     07777

static const char *protected_paths[PROTECTED_MAX];
static unsigned protected_count;

void output_protect(const char *path)
{
	if (protected_count < PROTECTED_MAX)
		protected_paths[protected_count++] = path;
}

/* ---------------------------------------------------------------------------------------------------- the place */

/* Asked anew each time: a file that was replaced leaves its number to another. */
static bool is_protected(const struct stat *st)
{
	struct stat input;

	for (unsigned i = 0; i < protected_count; i++)
		if (!stat(protected_paths[i], &input) && input.st_dev == st->st_dev && input.st_ino == st->st_ino)
			return true;
	return false;
}

/* Nobody but the host puts links there: /proc/self/fd/1, /dev/stdout, /dev/fd/1, but not /dev/shm. */
static bool links_are_honest(const char *path)
{
	if (strstr(path, ".."))
		return false;
	if (!strncmp(path, "/proc/", 6) || !strncmp(path, "/dev/fd/", 8))
		return true;
	return !strncmp(path, "/dev/", 5) && !strchr(path + 5, '/');
}

static int what_stands_at(const char *path, struct stat *st)
{
	bool honest = links_are_honest(path);

	if (honest ? stat(path, st) : lstat(path, st))
		return errno == ENOENT ? 0 : -errno;
	if (S_ISLNK(st->st_mode))
		return -ELOOP;
	if (is_protected(st))
		return -EEXIST;
	return S_ISREG(st->st_mode) && !honest ? 1 : -ENXIO;
}

static bool is_direct(int found)
{
	return found == -ENXIO;
}

/*
 * What stands at path: 1 a regular file, described in st; 0 nothing; -ENXIO something that is written to directly;
 * another negative errno: nothing that may be written to.
 */
static int look_at(const char *path, struct stat *st)
{
	int found = what_stands_at(path, st);

	return (found >= 0 || is_direct(found)) && names_out_of_reach(path) ? -EPERM : found;
}

/* --------------------------------------------------------------------------------------------------- temporary */

/* "PATH.XXXXXX", in the end as in mkstemp(3). The caller frees it. */
static char *temporary_name(const char *path)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	uint8_t random[6];
	char text[sizeof(random) + 1] = "", *name;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return NULL;
	for (size_t i = 0; i < sizeof(random); i++)
		text[i] = letters[random[i] % (sizeof(letters) - 1)];
	return asprintf(&name, "%s.%s", path, text) < 0 ? NULL : name;
}

/* The kept one that lies behind the kept path, or a new one. */
static char *choose_temporary(const char *path)
{
	const char *kept = names_find(path);

	return kept == path ? temporary_name(path) : strdup(kept + NAMES_SLOT);
}

static int create(const char *temporary)
{
	int fd = open(names_find(temporary), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

/* Makes the temporary file. A name that is taken is chosen anew, unless it was kept. */
static int make_temporary(struct output_file *file)
{
	int fd = -EEXIST;

	for (unsigned tries = 0; fd == -EEXIST && tries < TRIES_MAX; tries++) {
		free(file->temporary);
		file->temporary = choose_temporary(file->path);
		fd = file->temporary ? create(file->temporary) : -ENOMEM;
	}
	if (fd >= 0) {
		file->fd = fd;
		return 0;
	}
	free(file->temporary);
	file->temporary = NULL;
	return fd;
}

/* -------------------------------------------------------------------------------------------------------- opening */

static int open_directly(const char *path, int flags)
{
	int fd = open(names_find(path), O_WRONLY | O_CLOEXEC | O_NOCTTY | flags);

	return fd < 0 ? -errno : fd;
}

static int open_with(struct output_file *file, const char *path, int direct_flags)
{
	struct stat st;
	int found = look_at(path, &st);

	*file = (struct output_file){.fd = -1, .path = path};
	if (is_direct(found)) {
		file->fd = open_directly(path, direct_flags);
		return file->fd < 0 ? file->fd : 0;
	}
	return found < 0 ? found : make_temporary(file);
}

int output_open(struct output_file *file, const char *path)
{
	return open_with(file, path, 0);
}

int output_open_private(struct output_file *file, const char *path)
{
	int err = open_with(file, path, 0);

	file->private = true;
	return err;
}

int output_stream(const char *path)
{
	struct stat st;
	int found = look_at(path, &st), fd;

	/* A machine that is made anew begins it anew. */
	names_keep_to_write(path);
	if (found < 0 && !is_direct(found))
		return found;
	if (is_direct(found))
		return open_directly(path, O_TRUNC);
	fd = open(names_find(path), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd < 0)
		return -errno;
	/* What was looked at may have been replaced since. */
	if (!fstat(fd, &st) && !is_protected(&st) && !ftruncate(fd, 0))
		return fd;
	close(fd);
	return -EEXIST;
}

int output_write(const struct output_file *file, const void *data, size_t len)
{
	const char *from = data;

	while (len) {
		ssize_t n = write(file->fd, from, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			from += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------------- finishing */

static mode_t mode_of(const struct output_file *file, int found, const struct stat *st)
{
	mode_t mask;

	if (found > 0)
		return st->st_mode & MODE_BITS;
	mask = umask(0);
	umask(mask);
	return (file->private ? 0600 : 0666) & ~mask;
}

static int put_in_place(const struct output_file *file)
{
	struct stat st;
	int found = look_at(file->path, &st);

	if (found < 0)
		return found;
	if (fchmod(file->fd, mode_of(file, found, &st)) || rename(names_find(file->temporary), names_find(file->path)))
		return -errno;
	return 0;
}

int output_finish(struct output_file *file, int err)
{
	if (!err && file->temporary)
		err = put_in_place(file);
	if (close(file->fd) < 0 && !err)
		err = -errno;
	if (err && file->temporary)
		unlink(names_find(file->temporary));
	free(file->temporary);
	*file = (struct output_file){.fd = -1};
	return err;
}

/* Path and temporary name, one behind the other. */
static void keep_names(const char *path)
{
	char *temporary;

	if (names_find(path) != path)
		return;
	temporary = temporary_name(path);
	if (temporary && names_keep_to_write(path))
		names_keep_to_write(temporary);
	free(temporary);
}

int output_check(const char *path)
{
	struct output_file file;
	int err = open_with(&file, path, O_NONBLOCK);

	keep_names(path);
	/* A pipe that nobody reads yet: a reader may come. */
	if (err)
		return err == -ENXIO ? 0 : err;
	if (file.temporary)
		unlink(file.temporary);
	free(file.temporary);
	close(file.fd);
	return 0;
}

const char *output_error(int err)
{
	if (err == ELOOP)
		return "it is a link, which another user may have put there";
	if (err == EPERM)
		return "the monitor writes only to files that were named at its start";
	if (err == EEXIST)
		return "it is the kernel, or a module of the guest";
	return strerror(err);
}
