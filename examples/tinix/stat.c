/*
 * System calls that look at inodes: the stat family, statfs, access, readlink.
 */
#include "examples/tinix/fs.h"

#define NO_MATTER (uint64_t)(AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE)

static uint64_t blocks_of(const struct inode *inode)
{
	return inode_is_regular(inode) ? regular_pages(inode) * (PAGE_SIZE / 512) : 0;
}

static int64_t put_stat(struct inode *inode, uint64_t to, uint64_t unused)
{
	struct stat stat = {
		.st_dev = inode->mount->dev,
		.st_ino = inode->ino,
		.st_nlink = inode->nlink,
		.st_mode = inode->mode,
		.st_uid = inode->uid,
		.st_gid = inode->gid,
		.st_rdev = inode->rdev,
		.st_size = (long)inode->size,
		.st_blksize = PAGE_SIZE,
		.st_blocks = (long)blocks_of(inode),
		.st_atime = inode->atime / PVG_NS_PER_SEC,
		.st_atime_nsec = inode->atime % PVG_NS_PER_SEC,
		.st_mtime = inode->mtime / PVG_NS_PER_SEC,
		.st_mtime_nsec = inode->mtime % PVG_NS_PER_SEC,
		.st_ctime = inode->ctime / PVG_NS_PER_SEC,
		.st_ctime_nsec = inode->ctime % PVG_NS_PER_SEC,
	};

	return copy_to_user(to, &stat, sizeof(stat));
}

static struct statx_timestamp timestamp(uint64_t ns)
{
	return (struct statx_timestamp){.tv_sec = (int64_t)(ns / PVG_NS_PER_SEC), .tv_nsec = ns % PVG_NS_PER_SEC};
}

static int64_t put_statx(struct inode *inode, uint64_t to, uint64_t unused)
{
	struct statx statx = {
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = PAGE_SIZE,
		.stx_nlink = inode->nlink,
		.stx_uid = inode->uid,
		.stx_gid = inode->gid,
		.stx_mode = (uint16_t)inode->mode,
		.stx_ino = inode->ino,
		.stx_size = inode->size,
		.stx_blocks = blocks_of(inode),
		.stx_atime = timestamp(inode->atime),
		.stx_mtime = timestamp(inode->mtime),
		.stx_ctime = timestamp(inode->ctime),
		.stx_rdev_major = (uint32_t)(inode->rdev >> 8 & 0xfff),
		.stx_rdev_minor = (uint32_t)((inode->rdev & 0xff) | (inode->rdev >> 12 & 0xfff00)),
		.stx_dev_minor = inode->mount->dev,
	};

	return copy_to_user(to, &statx, sizeof(statx));
}

int64_t sys_newfstatat(const uint64_t arg[6])
{
	return inode_user_do(arg[0], arg[1], arg[3] & ~NO_MATTER, put_stat, arg[2], 0);
}

int64_t sys_statx(const uint64_t arg[6])
{
	return inode_user_do(arg[0], arg[1], arg[2] & ~NO_MATTER, put_statx, arg[4], 0);
}

int64_t sys_fstat(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);

	return file ? put_stat(file->inode, arg[1], 0) : -EBADF;
}

/* ------------------------------------------------------------------------------------------------------ statfs */

static int64_t put_statfs(struct inode *inode, uint64_t to, uint64_t unused)
{
	bool proc = pvg_strcmp(inode->mount->type, "proc") == 0;
	struct statfs statfs = {
		.f_type = proc ? PROC_SUPER_MAGIC : TMPFS_MAGIC,
		.f_bsize = PAGE_SIZE,
		.f_frsize = PAGE_SIZE,
		.f_namelen = NAME_MAX,
	};

	if (!proc) {
		statfs.f_blocks = (long)(memory_total() / PAGE_SIZE);
		statfs.f_bfree = statfs.f_bavail = (long)(memory_free() / PAGE_SIZE);
	}
	return copy_to_user(to, &statfs, sizeof(statfs));
}

int64_t sys_statfs(const uint64_t arg[6])
{
	return inode_user_do((uint64_t)AT_FDCWD, arg[0], 0, put_statfs, arg[1], 0);
}

int64_t sys_fstatfs(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);

	return file ? put_statfs(file->inode, arg[1], 0) : -EBADF;
}

/* -------------------------------------------------------------------------------------------- access, readlink */

#define MAY_EXECUTE 1 /* access(2)'s X_OK; Linux's headers for the kernel's interface lack it */

static int64_t may(struct inode *inode, uint64_t mode, uint64_t unused)
{
	return mode & MAY_EXECUTE && !inode_executable(inode) ? -EACCES : 0;
}

int64_t sys_faccessat2(const uint64_t arg[6])
{
	if (arg[2] & ~7ul)
		return -EINVAL;
	return inode_user_do(arg[0], arg[1], arg[3] & ~(uint64_t)AT_EACCESS, may, arg[2], 0);
}

static int64_t read_link(struct inode *inode, uint64_t to, uint64_t size)
{
	char *target = S_ISLNK(inode->mode) ? page_new() : NULL;
	int64_t result;

	if (!target)
		return S_ISLNK(inode->mode) ? -ENOMEM : -EINVAL;
	result = inode->ops->readlink(inode, target, PATH_MAX);
	if (result > (int64_t)size)
		result = (int64_t)size;
	if (result > 0 && copy_to_user(to, target, (size_t)result))
		result = -EFAULT;
	page_put(target);
	return result;
}

int64_t sys_readlinkat(const uint64_t arg[6])
{
	if ((int64_t)arg[3] <= 0)
		return -EINVAL;
	return inode_user_do(arg[0], arg[1], AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, read_link, arg[2], arg[3]);
}
