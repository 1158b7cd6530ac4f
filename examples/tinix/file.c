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
	locks_drop(file->inode, file);
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
		file->flags |= flags & O_NOCTTY;
		error = file->ops->open(file);
	}
	if (error) {
		file->ops = &path_file_ops; /* closing what never opened would count it away */
		file_put(file);
		return error;
	}
	*opened = file;
	return 0;
}

/* May the inode at the end of a walk be opened like that? */
static int check(const struct walk *at, unsigned flags)
{
	const struct inode *inode = at->inode;

	if (flags & O_CREAT && flags & O_EXCL)
		return -EEXIST;
	if (flags & O_DIRECTORY && !S_ISDIR(inode->mode))
		return -ENOTDIR;
	if (flags & O_PATH)
		return 0;
	if (S_ISLNK(inode->mode))
		return -ELOOP;
	if (S_ISDIR(inode->mode) && ((flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT))
		return -EISDIR;
	return 0;
}

static int create(struct walk *at, unsigned mode)
{
	if (at->slash)
		return -EISDIR;
	if (!inode_is_memory_dir(at->dir))
		return -EACCES;
	return node_make(at->dir, at->name, S_IFREG | (mode & 07777 & ~current->files->umask), 0, &at->inode);
}

int64_t sys_openat(const uint64_t arg[6])
{
	unsigned flags = (unsigned)arg[2], mode = (unsigned)arg[3];
	bool follow = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	struct walk at;
	struct file *file;
	int64_t result;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if ((flags & __O_TMPFILE) == __O_TMPFILE)
		return -EOPNOTSUPP;
	if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		return -EINVAL;
	result = walk_user(arg[0], arg[1], (follow ? WALK_FOLLOW : 0) | (flags & O_CREAT ? WALK_MAKE : 0), &at);
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
