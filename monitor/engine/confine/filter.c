/*
 * Seccomp filters as programs.
 */
#include "monitor/engine/confine/filter.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int confine_filter_export(scmp_filter_ctx ctx, struct confine_programs *programs, struct sock_fprog *prog)
{
	struct sock_filter *to = programs->code + programs->used;
	int fd = memfd_create("ring3 filter", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = seccomp_export_bpf(ctx, fd);
	off_t size = error ? 0 : lseek(fd, 0, SEEK_END);
	if (!error && (size_t)size > (programs->room - programs->used) * sizeof(*to))
		error = -E2BIG;
	if (!error && pread(fd, to, (size_t)size, 0) != size)
		error = -EIO;
	close(fd);
	if (error)
		return error;
	prog->len = (unsigned short)((size_t)size / sizeof(*to));
	prog->filter = (void *)(programs->address + programs->used * sizeof(*to));
	programs->used += prog->len;
	return 0;
}
