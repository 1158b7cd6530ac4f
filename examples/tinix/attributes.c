/*
 * System calls that change inodes: mode, owner, times, size.
 */
#include "examples/tinix/fs.h"

/* In place of ns, as utimensat(2) has them; Linux's headers for user space lack them. */
#define UTIME_NOW  ((1l << 30) - 1)
#define UTIME_OMIT ((1l << 30) - 2)

/* Applies change(inode, arguments) to what a path names (with fd: to what a descriptor is open on), and lets go. */
static int64_t at_path(uint64_t dirfd, uint64_t path, uint64_t flags,
		       int64_t (*change)(struct inode *inode, uint64_t a, uint64_t b), uint64_t a, uint64_t b)
{
	struct inode *inode;
	int64_t result;

	if (flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	result = inode_user(dirfd, path, (unsigned)flags, &inode);
	if (result)
		return result;
	result = change(inode, a, b);
	inode_put(inode);
	return result;
}

static int64_t at_fd(uint64_t fd, int64_t (*change)(struct inode *inode, uint64_t a, uint64_t b), uint64_t a,
		     uint64_t b)
{
	struct file *file = fd_file(fd);

	return file && !(file->flags & O_PATH) ? change(file->inode, a, b) : -EBADF;
}

static bool is_owner(const struct inode *inode)
{
	return !current->uid || (unsigned)current->uid == inode->uid;
}

static int64_t change_mode(struct inode *inode, uint64_t mode, uint64_t unused)
{
	(void)unused;
	if (!is_owner(inode))
		return -EPERM;
	inode->mode = (inode->mode & S_IFMT) | (mode & 07777);
	inode->ctime = wall_now();
	return 0;
}

int64_t sys_chmod(const uint64_t arg[6])
{
	return at_path((uint64_t)AT_FDCWD, arg[0], 0, change_mode, arg[1], 0);
}

int64_t sys_fchmodat(const uint64_t arg[6])
{
	return at_path(arg[0], arg[1], 0, change_mode, arg[2], 0);
}

int64_t sys_fchmod(const uint64_t arg[6])
{
	return at_fd(arg[0], change_mode, arg[1], 0);
}

static int64_t change_owner(struct inode *inode, uint64_t uid, uint64_t gid)
{
	if (current->uid)
		return -EPERM;
	if ((int)uid != -1)
		inode->uid = (unsigned)uid;
	if ((int)gid != -1)
		inode->gid = (unsigned)gid;
	if (!S_ISDIR(inode->mode))
		inode->mode &= ~(unsigned)(S_ISUID | S_ISGID);
	inode->ctime = wall_now();
	return 0;
}

int64_t sys_chown(const uint64_t arg[6])
{
	return at_path((uint64_t)AT_FDCWD, arg[0], 0, change_owner, arg[1], arg[2]);
}

int64_t sys_lchown(const uint64_t arg[6])
{
	return at_path((uint64_t)AT_FDCWD, arg[0], AT_SYMLINK_NOFOLLOW, change_owner, arg[1], arg[2]);
}

int64_t sys_fchownat(const uint64_t arg[6])
{
	return at_path(arg[0], arg[1], arg[4], change_owner, arg[2], arg[3]);
}

int64_t sys_fchown(const uint64_t arg[6])
{
	return at_fd(arg[0], change_owner, arg[1], arg[2]);
}

/* ------------------------------------------------------------------------------------------------------- times */

#define KEEP UINT64_MAX

static int64_t change_times(struct inode *inode, uint64_t atime, uint64_t mtime)
{
	if (!is_owner(inode) && inode_may(inode, MAY_WRITE))
		return -EACCES;
	if (atime != KEEP)
		inode->atime = atime;
	if (mtime != KEEP)
		inode->mtime = mtime;
	inode->ctime = wall_now();
	return 0;
}

/* At a path, or on dirfd itself if path is NULL. */
static int64_t set_times(uint64_t dirfd, uint64_t path, const uint64_t times[2], uint64_t flags)
{
	if (!path)
		return at_fd(dirfd, change_times, times[0], times[1]);
	return at_path(dirfd, path, flags, change_times, times[0], times[1]);
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
	return set_times(arg[0], arg[1], times, arg[3]);
}

int64_t sys_futimesat(const uint64_t arg[6])
{
	struct timeval given[2];
	uint64_t times[2] = {wall_now(), wall_now()};

	if (arg[2] && copy_from_user(given, arg[2], sizeof(given)))
		return -EFAULT;
	for (int i = 0; arg[2] && i < 2; i++) {
		if ((uint64_t)given[i].tv_usec >= 1000000)
			return -EINVAL;
		times[i] = (uint64_t)given[i].tv_sec * PVG_NS_PER_SEC + (uint64_t)given[i].tv_usec * PVG_NS_PER_US;
	}
	return set_times(arg[0], arg[1], times, 0);
}

int64_t sys_utimes(const uint64_t arg[6])
{
	return sys_futimesat((uint64_t[6]){(uint64_t)AT_FDCWD, arg[0], arg[1]});
}

int64_t sys_utime(const uint64_t arg[6])
{
	int64_t given[2];
	uint64_t times[2] = {wall_now(), wall_now()};

	if (arg[1] && copy_from_user(given, arg[1], sizeof(given)))
		return -EFAULT;
	for (int i = 0; arg[1] && i < 2; i++)
		times[i] = (uint64_t)given[i] * PVG_NS_PER_SEC;
	return set_times((uint64_t)AT_FDCWD, arg[0], times, 0);
}

/* -------------------------------------------------------------------------------------------------------- size */

static int64_t change_size(struct inode *inode, uint64_t size, uint64_t unused)
{
	(void)unused;
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!inode_is_regular(inode) || (int64_t)size < 0)
		return -EINVAL;
	return inode_may(inode, MAY_WRITE) ?: inode_truncate(inode, size);
}

int64_t sys_truncate(const uint64_t arg[6])
{
	return at_path((uint64_t)AT_FDCWD, arg[0], 0, change_size, arg[1], 0);
}

int64_t sys_ftruncate(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);

	if (!file)
		return -EBADF;
	return file_writable(file) ? change_size(file->inode, arg[1], 0) : -EINVAL;
}

int64_t sys_fallocate(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);
	uint64_t end = arg[2] + arg[3];

	if (!file || !file_writable(file))
		return -EBADF;
	if (!inode_is_regular(file->inode))
		return -ENODEV;
	if (arg[1]) /* punching holes and the like */
		return -EOPNOTSUPP;
	if ((int64_t)arg[2] < 0 || (int64_t)arg[3] <= 0 || (int64_t)end < 0)
		return -EINVAL;
	return end > file->inode->size ? inode_truncate(file->inode, end) : 0;
}
