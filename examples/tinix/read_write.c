/*
 * System calls that move data between descriptors and memory, and between descriptors; positions.
 */
#include "examples/tinix/fs.h"

#define AT_POSITION  UINT64_MAX /* for an offset: where the file stands, which moves on */
#define TRANSFER_MAX 0x7ffff000ul
#define VECTORS_MAX  1024u /* IOV_MAX */

/* One read or write. The file is kept: while the call sleeps another thread may close the descriptor. */
static int64_t transfer(struct file *file, struct io *io, uint64_t offset, bool write)
{
	uint64_t at = offset == AT_POSITION ? file->offset : offset;
	int64_t done;

	if (!(write ? file_writable(file) : file_readable(file)))
		return -EBADF;
	if (offset != AT_POSITION && !file->ops->seekable)
		return -ESPIPE;
	if (!(write ? file->ops->write : file->ops->read))
		return -EINVAL;
	if (write && file->flags & O_APPEND)
		at = file->inode->size;
	file_get(file);
	done = write ? file->ops->write(file, io, at) : file->ops->read(file, io, at);
	if (done > 0 && offset == AT_POSITION && file->ops->seekable)
		file->offset = at + (uint64_t)done;
	file_put(file);
	return done;
}

static int64_t simple(const uint64_t arg[6], uint64_t offset, bool write)
{
	struct file *file = fd_file(arg[0]);
	struct iovec vec = {(void *)arg[1], arg[2] < TRANSFER_MAX ? arg[2] : TRANSFER_MAX};
	struct io io = IO_USER(&vec);

	if (!file)
		return -EBADF;
	return (int64_t)arg[2] < 0 ? -EINVAL : transfer(file, &io, offset, write);
}

int64_t sys_read(const uint64_t arg[6])
{
	return simple(arg, AT_POSITION, false);
}

int64_t sys_write(const uint64_t arg[6])
{
	return simple(arg, AT_POSITION, true);
}

int64_t sys_pread64(const uint64_t arg[6])
{
	return (int64_t)arg[3] < 0 ? -EINVAL : simple(arg, arg[3], false);
}

int64_t sys_pwrite64(const uint64_t arg[6])
{
	return (int64_t)arg[3] < 0 ? -EINVAL : simple(arg, arg[3], true);
}

static int64_t vectored(const uint64_t arg[6], uint64_t offset, bool write)
{
	struct iovec few[8], *vec = few;
	unsigned count = (unsigned)arg[2];
	struct file *file = fd_file(arg[0]);
	struct io io = {0};
	int64_t result = 0;

	if (!file)
		return -EBADF;
	if (arg[2] > VECTORS_MAX)
		return -EINVAL;
	if (count > 8 && !(vec = kalloc(count * sizeof(*vec))))
		return -ENOMEM;
	if (copy_from_user(vec, arg[1], count * sizeof(*vec)))
		result = -EFAULT;
	for (unsigned i = 0; !result && i < count; i++) {
		if ((int64_t)vec[i].iov_len < 0)
			result = -EINVAL;
		if (vec[i].iov_len > TRANSFER_MAX - io.left)
			vec[i].iov_len = TRANSFER_MAX - io.left;
		io.left += vec[i].iov_len;
	}
	io.vec = vec;
	if (!result)
		result = transfer(file, &io, offset, write);
	if (vec != few)
		kfree(vec);
	return result;
}

int64_t sys_readv(const uint64_t arg[6])
{
	return vectored(arg, AT_POSITION, false);
}

int64_t sys_writev(const uint64_t arg[6])
{
	return vectored(arg, AT_POSITION, true);
}

/* -------------------------------------------------------------------------------------- from file to file */

/* Copies from a regular file, page by page; *from moves on. */
static int64_t copy(struct file *in, uint64_t *from, struct file *out, uint64_t len)
{
	char *page = page_new();
	int64_t done = 0, wrote = 0;

	if (!page)
		return -ENOMEM;
	while ((uint64_t)done < len) {
		uint64_t want = len - (uint64_t)done < PAGE_SIZE ? len - (uint64_t)done : PAGE_SIZE;
		struct io io = IO_KERNEL(page, (size_t)inode_read(in->inode, page, want, *from));
		size_t got = io.left;

		wrote = got ? transfer(out, &io, AT_POSITION, true) : 0;
		if (wrote <= 0)
			break;
		*from += (uint64_t)wrote;
		done += wrote;
		if (wrote < (int64_t)got)
			break;
	}
	page_put(page);
	return done ? done : wrote;
}

int64_t sys_sendfile(const uint64_t arg[6])
{
	struct file *out = fd_file(arg[0]), *in = fd_file(arg[1]);
	uint64_t offset, *from;
	int64_t done;

	if (!out || !in || !file_readable(in))
		return -EBADF;
	if (!inode_is_regular(in->inode) || out->flags & O_APPEND)
		return -EINVAL;
	if (arg[2] && copy_from_user(&offset, arg[2], sizeof(offset)))
		return -EFAULT;
	from = arg[2] ? &offset : &in->offset;
	if ((int64_t)*from < 0)
		return -EINVAL;
	file_get(in);
	file_get(out);
	done = copy(in, from, out, arg[3] < TRANSFER_MAX ? arg[3] : TRANSFER_MAX);
	if (done > 0 && arg[2] && copy_to_user(arg[2], &offset, sizeof(offset)))
		done = -EFAULT;
	file_put(out);
	file_put(in);
	return done;
}

/* ------------------------------------------------------------------------------------- positions and the like */

int64_t sys_lseek(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);
	int64_t at = (int64_t)arg[1];

	if (!file || file->flags & O_PATH)
		return -EBADF;
	if (!file->ops->seekable)
		return -ESPIPE;
	switch (arg[2]) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		at += (int64_t)file->offset;
		break;
	case SEEK_END:
		at += (int64_t)file->inode->size;
		break;
	case SEEK_DATA: /* all that is there counts as data, with one hole at the end */
	case SEEK_HOLE:
		if (at < 0 || (uint64_t)at >= file->inode->size)
			return -ENXIO;
		at = arg[2] == SEEK_HOLE ? (int64_t)file->inode->size : at;
		break;
	default:
		return -EINVAL;
	}
	if (at < 0)
		return -EINVAL;
	file->offset = (uint64_t)at;
	return at;
}

int64_t sys_ioctl(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);
	int on, error;

	if (!file || file->flags & O_PATH)
		return -EBADF;
	switch ((unsigned)arg[1]) {
	case FIOCLEX:
	case FIONCLEX:
		current->files->slot[(unsigned)arg[0]].cloexec = (unsigned)arg[1] == FIOCLEX;
		return 0;
	case FIONBIO:
		error = copy_from_user(&on, arg[2], sizeof(on));
		if (!error)
			file->flags = (file->flags & ~(unsigned)O_NONBLOCK) | (on ? O_NONBLOCK : 0);
		return error;
	default:
		break;
	}
	if (!file->ops->ioctl)
		return -ENOTTY;
	file_get(file);
	error = (int)file->ops->ioctl(file, (unsigned)arg[1], arg[2]);
	file_put(file);
	return error;
}

/* All is in memory: it is as safe as it will ever be. */
int64_t sys_fsync(const uint64_t arg[6])
{
	return fd_file(arg[0]) ? 0 : -EBADF;
}
