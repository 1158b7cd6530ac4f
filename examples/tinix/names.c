/*
 * System calls that make, remove and change names. Only memory file systems let them.
 */
#include "examples/tinix/fs.h"

/* ------------------------------------------------------------------------------------------------------ making */

static const struct inode_ops node_ops; /* devices and sockets: nothing to look up, nothing to free */

static void link_free(struct inode *link)
{
	kfree(link->target);
}

static int64_t link_read(struct inode *link, char *to, size_t size)
{
	size_t len = link->size < size ? link->size : size;

	memcpy(to, link->target, len);
	return (int64_t)len;
}

static const struct inode_ops link_ops = {.readlink = link_read, .free = link_free};

static const struct inode_ops *ops_for(unsigned mode)
{
	if (S_ISREG(mode))
		return &regular_ops;
	if (S_ISDIR(mode))
		return &directory_ops;
	return S_ISLNK(mode) ? &link_ops : &node_ops;
}

/* Names a new inode, and hands the caller's reference to *made or drops it. */
static int name_it(struct inode *dir, const char *name, struct inode *inode, struct inode **made)
{
	int error = dir_add(dir, name, inode);

	if (!error && made)
		*made = inode;
	else
		inode_put(inode);
	return error;
}

int node_make(struct inode *dir, const char *name, unsigned mode, uint64_t rdev, struct inode **made)
{
	struct inode *inode = inode_new(dir->mount, mode, ops_for(mode));

	if (!inode)
		return -ENOSPC;
	inode->rdev = rdev;
	if (S_ISREG(mode))
		inode->file_ops = &regular_file_ops;
	if (S_ISFIFO(mode))
		inode->file_ops = &fifo_file_ops;
	if (S_ISDIR(mode)) {
		inode->file_ops = &directory_file_ops;
		list_init(&inode->dir.entries);
	}
	return name_it(dir, name, inode, made);
}

int symlink_make(struct inode *dir, const char *name, const char *target)
{
	size_t len = pvg_strlen(target);
	struct inode *inode = inode_new(dir->mount, S_IFLNK | 0777, &link_ops);

	if (!inode)
		return -ENOSPC;
	inode->target = kalloc(len + 1);
	if (!inode->target) {
		inode_put(inode);
		return -ENOSPC;
	}
	memcpy(inode->target, target, len + 1);
	inode->size = len;
	return name_it(dir, name, inode, NULL);
}

/* Walks to a name that must not exist, in a directory that can be written. */
static int walk_to_new(uint64_t dirfd, uint64_t path, struct walk *at)
{
	int error = walk_user(dirfd, path, WALK_MAKE, at);

	if (error)
		return error;
	if (at->inode)
		error = -EEXIST;
	else if (!inode_is_memory_dir(at->dir))
		error = -EPERM;
	if (error)
		walk_end(at);
	return error;
}

static int64_t make(uint64_t dirfd, uint64_t path, unsigned mode, uint64_t dev)
{
	struct walk at;
	int error = walk_to_new(dirfd, path, &at);

	if (error)
		return error;
	if (at.slash && !S_ISDIR(mode))
		error = -ENOENT;
	else
		error = node_make(at.dir, at.name, mode & ~current->files->umask, (uint32_t)dev, NULL);
	walk_end(&at);
	return error;
}

int64_t sys_mkdirat(const uint64_t arg[6])
{
	return make(arg[0], arg[1], S_IFDIR | (arg[2] & 01777), 0);
}

int64_t sys_mknodat(const uint64_t arg[6])
{
	unsigned mode = (unsigned)arg[2] & (S_IFMT | 07777);

	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	if (S_ISDIR(mode) || S_ISLNK(mode))
		return -EPERM;
	return make(arg[0], arg[1], mode, arg[3]);
}

int64_t sys_symlinkat(const uint64_t arg[6])
{
	struct walk at;
	char *target;
	int error = path_from_user(arg[0], &target);

	if (error)
		return error;
	error = *target ? walk_to_new(arg[1], arg[2], &at) : -ENOENT;
	if (!error) {
		error = at.slash ? -ENOENT : symlink_make(at.dir, at.name, target);
		walk_end(&at);
	}
	page_put(target);
	return error;
}

int64_t sys_linkat(const uint64_t arg[6])
{
	unsigned flags = (arg[4] & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW) | (arg[4] & AT_EMPTY_PATH);
	struct inode *inode;
	struct walk at;
	int error = inode_user(arg[0], arg[1], flags, &inode);

	if (error)
		return error;
	error = S_ISDIR(inode->mode) ? -EPERM : walk_to_new(arg[2], arg[3], &at);
	if (!error) {
		if (at.dir->mount != inode->mount)
			error = -EXDEV;
		else
			error = at.slash ? -ENOENT : dir_add(at.dir, at.name, inode);
		walk_end(&at);
	}
	inode_put(inode);
	return error;
}

/* ---------------------------------------------------------------------------------------------------- removing */

/* The entry that a walk ended at, if the current process may remove it; NULL and *error if not. */
static struct entry *removable(const struct walk *at, int *error)
{
	struct entry *entry;

	*error = -EPERM;
	if (!inode_is_memory_dir(at->dir))
		return NULL;
	*error = -EBUSY; /* a mount point, or a root */
	if (at->dots || !(entry = dir_find(at->dir, at->name)) || entry->inode->mounted)
		return NULL;
	*error = 0;
	return entry;
}

int64_t sys_unlinkat(const uint64_t arg[6])
{
	bool directory = arg[2] & AT_REMOVEDIR;
	struct walk at;
	struct entry *entry;
	int error = arg[2] & ~(uint64_t)AT_REMOVEDIR ? -EINVAL : walk_user(arg[0], arg[1], 0, &at);

	if (error)
		return error;
	entry = removable(&at, &error);
	if (directory && at.dots && at.name[0])
		error = at.name[1] ? -ENOTEMPTY : -EINVAL;
	else if (directory && !S_ISDIR(at.inode->mode))
		error = -ENOTDIR;
	else if (!directory && S_ISDIR(at.inode->mode))
		error = -EISDIR;
	else if (entry && directory && !dir_is_empty(at.inode))
		error = -ENOTEMPTY;
	if (!error)
		dir_remove(entry);
	walk_end(&at);
	return error;
}

/* ---------------------------------------------------------------------------------------------------- renaming */

static bool is_inside(const struct inode *inode, const struct inode *dir)
{
	for (; inode != dir; inode = inode->parent)
		if (!inode || inode->parent == inode)
			return false;
	return true;
}

/* What stands in the way of the new name taking the old one's place. */
static int may_replace(struct inode *moved, const struct walk *to, unsigned flags)
{
	struct inode *there = to->inode;
	int error = 0;

	if (!there)
		return to->slash && !S_ISDIR(moved->mode) ? -ENOTDIR : 0;
	if (flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (S_ISDIR(there->mode) && !S_ISDIR(moved->mode))
		return -EISDIR;
	if (!S_ISDIR(there->mode) && S_ISDIR(moved->mode))
		return -ENOTDIR;
	if (!removable(to, &error))
		return error;
	return S_ISDIR(there->mode) && !dir_is_empty(there) ? -ENOTEMPTY : 0;
}

static int rename_walked(struct walk *from, struct walk *to, unsigned flags)
{
	struct entry *old, *there;
	int error;

	if (from->dir->mount != to->dir->mount)
		return -EXDEV;
	old = removable(from, &error);
	if (!old)
		return error;
	if (to->dots)
		return -EBUSY;
	if (S_ISDIR(from->inode->mode) && is_inside(to->dir, from->inode))
		return -EINVAL;
	error = may_replace(from->inode, to, flags);
	if (error || from->inode == to->inode)
		return error;
	there = to->inode ? dir_find(to->dir, to->name) : NULL;
	error = dir_add(to->dir, to->name, from->inode);
	if (error)
		return error;
	if (there)
		dir_remove(there);
	dir_remove(old);
	return 0;
}

int64_t sys_renameat2(const uint64_t arg[6])
{
	struct walk from, to;
	int error;

	if (arg[4] & ~(uint64_t)RENAME_NOREPLACE)
		return -EINVAL;
	error = walk_user(arg[0], arg[1], 0, &from);
	if (error)
		return error;
	error = walk_user(arg[2], arg[3], WALK_MAKE, &to);
	if (!error) {
		error = rename_walked(&from, &to, (unsigned)arg[4]);
		walk_end(&to);
	}
	walk_end(&from);
	return error;
}
