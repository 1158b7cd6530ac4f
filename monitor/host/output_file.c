/*
 * Files that appear whole or not at all.
 */
#include "monitor/host/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* True if path exists and is something that renaming would destroy: a device, a pipe, a link, a directory. */
static bool is_special(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int open_with(struct output_file *file, const char *path, int special_flags)
{
	int err;

	*file = (struct output_file){.fd = -1, .path = path};
	if (is_special(path)) {
		file->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | special_flags);
		return file->fd < 0 ? -errno : 0;
	}
	if (asprintf(&file->temporary, "%s.XXXXXX", path) < 0) {
		file->temporary = NULL;
		return -ENOMEM;
	}
	file->fd = mkostemp(file->temporary, O_CLOEXEC);
	if (file->fd >= 0)
		return 0;
	err = -errno;
	free(file->temporary);
	file->temporary = NULL;
	return err;
}

int output_open(struct output_file *file, const char *path)
{
	return open_with(file, path, 0);
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

int output_finish(struct output_file *file, int err)
{
	mode_t mask = umask(0);

	umask(mask);
	if (!err && file->temporary && fchmod(file->fd, 0666 & ~mask) < 0)
		err = -errno;
	if (close(file->fd) < 0 && !err)
		err = -errno;
	if (!err && file->temporary && rename(file->temporary, file->path) < 0)
		err = -errno;
	if (err && file->temporary)
		unlink(file->temporary);
	free(file->temporary);
	*file = (struct output_file){.fd = -1};
	return err;
}

int output_check(const char *path)
{
	struct output_file file;
	int err = open_with(&file, path, O_NONBLOCK);

	/* A pipe that nobody reads yet: a reader may come. */
	if (err)
		return err == -ENXIO ? 0 : err;
	if (file.temporary)
		unlink(file.temporary);
	free(file.temporary);
	close(file.fd);
	return 0;
}
