/*
 * System calls that change inodes: mode, owner, times, size.
 */
#include "examples/tinix/fs.h"

/* In place of ns, as utimensat(2) has them; Linux's headers for user space lack them. */
#define UTIME_NOW  ((1l << 30) - 1)
#define UTIME_OMIT ((1l << 30) - 2)

static int64_t at_fd(uint64_t fd, inode_use *change, uint64_t a, uint64_t b)
{
	struct file *file = fd_file(fd);

	return file && !(file->flags & O_PATH) ? change(file->inode, a, b) : -EBADF;
}

static int64_t change_mode(struct inode *inode, uint64_t mode, uint64_t unused)
{
	inode->mode = (inode->mode & S_IFMT) | (mode & 07777);
	inode->ctime = wall_now();
	return 0;
}

int64_t sys_fchmodat(const uint64_t arg[6])
{
	return inode_user_do(arg[0], arg[1], 0, change_mode, arg[2], 0);
}

int64_t sys_fchmod(const uint64_t arg[6])
{
	return at_fd(arg[0], change_mode, arg[1], 0);
}

static int64_t change_owner(struct inode *inode, uint64_t uid, uint64_t gid)
{
	if ((int)uid != -1)
		inode->uid = (unsigned)uid;
	if ((int)gid != -1)
		inode->gid = (unsigned)gid;
	if (!S_ISDIR(inode->mode))
		inode->mode &= ~(unsigned)(S_ISUID | S_ISGID);
	inode->ctime = wall_now();
	return 0;
}

int64_t sys_fchownat(const uint64_t arg[6])
{
	return inode_user_do(arg[0], arg[1], arg[4], change_owner, arg[2], arg[3]);
}

int64_t sys_fchown(const uint64_t arg[6])
{
	return at_fd(arg[0], change_owner, arg[1], arg[2]);
}

/* ------------------------------------------------------------------------------------------------------- times */

#define KEEP UINT64_MAX

static int64_t change_times(struct inode *inode, uint64_t atime, uint64_t mtime)
{
	if (atime != KEEP)
		inode->atime = atime;
	if (mtime != KEEP)
		inode->mtime = mtime;
	inode->ctime = wall_now();
	return 0;
}

int64_t sys_utimensat(const uint64_t arg[6])
{
	struct timespec given[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	uint64_t times[2];

	if (arg[2] && copy_from_user(given, arg[2], sizeof(given)))
		return -EFAULT;
	for (int i = 0; i < 2; i++) {
		uint64_t ns = (uint64_t)given[i].tv_nsec;

		if (ns >= PVG_NS_PER_SEC && ns != UTIME_NOW && ns != UTIME_OMIT)
			return -EINVAL;
		times[i] = ns == UTIME_NOW    ? wall_now()
			   : ns == UTIME_OMIT ? KEEP
					      : (uint64_t)given[i].tv_sec * PVG_NS_PER_SEC + ns;
	}
	if (times[0] == KEEP && times[1] == KEEP)
		return 0;
	if (!arg[1])
		return at_fd(arg[0], change_times, times[0], times[1]);
	return inode_user_do(arg[0], arg[1], arg[3], change_times, times[0], times[1]);
}

/* -------------------------------------------------------------------------------------------------------- size */

static int64_t change_size(struct inode *inode, uint64_t size, uint64_t unused)
{
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!inode_is_regular(inode) || (int64_t)size < 0)
		return -EINVAL;
	if (size > inode->size && limit_file_size(size - 1, 1) < 0)
		return -EFBIG;
	return inode_truncate(inode, size);
}

int64_t sys_truncate(const uint64_t arg[6])
{
	return inode_user_do((uint64_t)AT_FDCWD, arg[0], 0, change_size, arg[1], 0);
}

int64_t sys_ftruncate(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);

	if (!file)
		return -EBADF;
	return file_writable(file) ? change_size(file->inode, arg[1], 0) : -EINVAL;
}
