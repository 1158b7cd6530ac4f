/*
 * Open files: what descriptors of one process or several refer to. And the system calls that open them.
 */
#include "examples/tinix/fs.h"

struct file *file_get(struct file *file)
{
	file->refs++;
	return file;
}

void file_put(struct file *file)
{
	if (!file || --file->refs)
		return;
	if (file->ops->close)
		file->ops->close(file);
	inode_put(file->inode);
	kfree(file);
}

unsigned file_poll(struct file *file)
{
	return file->ops->poll ? file->ops->poll(file) : POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

/* With O_PATH a file is a mere name. */
static const struct file_ops path_file_ops;

int file_open(struct inode *inode, unsigned flags, struct file **opened)
{
	struct file *file = kalloc(sizeof(*file));
	int error;

	if (!file)
		return -ENFILE;
	file->refs = 1;
	file->flags = flags & ~(unsigned)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
	file->inode = inode_get(inode);
	file->ops = inode->file_ops;
	if (S_ISCHR(inode->mode))
		file->ops = device_ops(inode->rdev);
	if (flags & O_PATH)
		file->ops = &path_file_ops;
	error = !file->ops ? -ENXIO : 0;
	if (!error && file->ops->open) {
		/* Closing what never opened would count it away. */
		const struct file_ops *ops = file->ops;

		file->flags |= flags & O_NOCTTY;
		error = ops->open(file);
		if (error)
			file->ops = &path_file_ops;
	}
	if (error) {
		if (!file->ops)
			file->ops = &path_file_ops;
		file_put(file);
		return error;
	}
	*opened = file;
	return 0;
}

/* May the inode at the end of a walk be opened like that? */
static int check(const struct walk *at, unsigned flags)
{
	struct inode *inode = at->inode;
	unsigned access = (flags & O_ACCMODE) == O_RDONLY   ? MAY_READ
			  : (flags & O_ACCMODE) == O_WRONLY ? MAY_WRITE
							    : MAY_READ | MAY_WRITE;

	if (flags & O_CREAT && flags & O_EXCL)
		return -EEXIST;
	if (flags & O_DIRECTORY && !S_ISDIR(inode->mode))
		return -ENOTDIR;
	if (flags & O_PATH)
		return 0;
	if (S_ISLNK(inode->mode))
		return -ELOOP;
	if (S_ISDIR(inode->mode) && (access & MAY_WRITE || flags & O_CREAT))
		return -EISDIR;
	return inode_may(inode, access | (flags & O_TRUNC ? MAY_WRITE : 0));
}

static int create(struct walk *at, unsigned mode)
{
	int error;

	if (at->slash)
		return -EISDIR;
	if (!inode_is_memory_dir(at->dir))
		return -EACCES;
	error = inode_may(at->dir, MAY_WRITE);
	if (error)
		return error;
	return node_make(at->dir, at->name, S_IFREG | (mode & 07777 & ~current->files->umask), 0, &at->inode);
}

static int64_t open_at(uint64_t dirfd, uint64_t path, unsigned flags, unsigned mode)
{
	bool follow = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	struct walk at;
	struct file *file;
	int64_t result;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if ((flags & __O_TMPFILE) == __O_TMPFILE)
		return -EOPNOTSUPP;
	result = walk_user(dirfd, path, (follow ? WALK_FOLLOW : 0) | (flags & O_CREAT ? WALK_MAKE : 0), &at);
	if (result)
		return result;
	result = at.inode ? check(&at, flags) : create(&at, mode);
	if (!result && flags & O_TRUNC && inode_is_regular(at.inode))
		result = inode_truncate(at.inode, 0);
	if (!result)
		result = file_open(at.inode, flags, &file);
	walk_end(&at);
	return result ?: fd_install(file, 0, flags & O_CLOEXEC);
}

int64_t sys_openat(const uint64_t arg[6])
{
	return open_at(arg[0], arg[1], (unsigned)arg[2], (unsigned)arg[3]);
}

int64_t sys_open(const uint64_t arg[6])
{
	return open_at((uint64_t)AT_FDCWD, arg[0], (unsigned)arg[1], (unsigned)arg[2]);
}

int64_t sys_creat(const uint64_t arg[6])
{
	return open_at((uint64_t)AT_FDCWD, arg[0], O_CREAT | O_WRONLY | O_TRUNC, (unsigned)arg[1]);
}
