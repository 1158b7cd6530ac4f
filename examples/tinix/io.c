/*
 * The other end of a read or write: user memory given by vectors, or kernel memory.
 */
#include "examples/tinix/fs.h"

enum direction { PUT, GET, ZERO };

static int move(uint64_t user, char *memory, size_t len, enum direction direction)
{
	switch (direction) {
	case PUT:
		return copy_to_user(user, memory, len);
	case GET:
		return copy_from_user(memory, user, len);
	default:
		return zero_user(user, len);
	}
}

static void move_kernel(char *other, char *memory, size_t len, enum direction direction)
{
	if (direction == PUT)
		memcpy(other, memory, len);
	else if (direction == GET)
		memcpy(memory, other, len);
	else
		memset(other, 0, len);
}

/* Piece by piece, as the vectors have them; `memory` walks along in the kernel's. */
static int transfer(struct io *io, char *memory, size_t len, enum direction direction)
{
	if (io->kernel) {
		move_kernel(io->kernel, memory, len, direction);
		io->kernel += len;
		io->left -= len;
		return 0;
	}
	while (len) {
		size_t room = io->vec->iov_len - io->skip, piece = room < len ? room : len;

		if (piece && move((uint64_t)io->vec->iov_base + io->skip, memory, piece, direction))
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

int io_put(struct io *io, const void *from, size_t len)
{
	return transfer(io, (char *)from, len, PUT);
}

int io_get(struct io *io, void *to, size_t len)
{
	return transfer(io, to, len, GET);
}

int io_zero(struct io *io, size_t len)
{
	return transfer(io, NULL, len, ZERO);
}
