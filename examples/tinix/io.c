/*
 * The other end of a read or write: user memory given by vectors, or kernel memory.
 */
#include "examples/tinix/fs.h"

/* Calls step for each contiguous piece of len bytes; `memory` walks along in the kernel's. */
static int each_piece(struct io *io, char *memory, size_t len, int (*step)(uint64_t user, char *memory, size_t len))
{
	while (len) {
		size_t piece = io->vec->iov_len - io->skip;

		if (piece > len)
			piece = len;
		if (piece && step((uint64_t)io->vec->iov_base + io->skip, memory, piece))
			return -EFAULT;
		io->skip += piece;
		io->left -= piece;
		len -= piece;
		if (memory)
			memory += piece;
		if (io->skip == io->vec->iov_len) {
			io->vec++;
			io->skip = 0;
		}
	}
	return 0;
}

static int put(uint64_t user, char *memory, size_t len)
{
	return copy_to_user(user, memory, len);
}

static int get(uint64_t user, char *memory, size_t len)
{
	return copy_from_user(memory, user, len);
}

static int zero(uint64_t user, char *memory, size_t len)
{
	return zero_user(user, len);
}

int io_put(struct io *io, const void *from, size_t len)
{
	if (!io->kernel)
		return each_piece(io, (char *)from, len, put);
	memcpy(io->kernel, from, len);
	io->kernel += len;
	io->left -= len;
	return 0;
}

int io_get(struct io *io, void *to, size_t len)
{
	if (!io->kernel)
		return each_piece(io, to, len, get);
	memcpy(to, io->kernel, len);
	io->kernel += len;
	io->left -= len;
	return 0;
}

int io_zero(struct io *io, size_t len)
{
	if (!io->kernel)
		return each_piece(io, NULL, len, zero);
	memset(io->kernel, 0, len);
	io->kernel += len;
	io->left -= len;
	return 0;
}
