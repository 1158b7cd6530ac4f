/*
 * Inodes: birth, references, permissions, and what the core asks of them.
 */
#include "examples/tinix/fs.h"

/* Of what has no place in a tree: pipes, shared anonymous memory. */
static struct mount nowhere = {.type = "anon", .dev = 1};

uint64_t wall_now(void)
{
	return now() + wall_offset();
}

struct inode *inode_new(struct mount *mount, unsigned mode, const struct inode_ops *ops)
{
	struct inode *inode = kalloc(sizeof(*inode));

	if (!inode)
		return NULL;
	inode->refs = 1;
	inode->mount = mount ? mount : &nowhere;
	inode->ino = ++inode->mount->next_ino;
	inode->mode = mode;
	inode->nlink = S_ISDIR(mode); /* its own "." */
	inode->ops = ops;
	inode->atime = inode->mtime = inode->ctime = wall_now();
	return inode;
}

struct inode *inode_get(struct inode *inode)
{
	inode->refs++;
	return inode;
}

void inode_put(struct inode *inode)
{
	struct inode *parent;

	if (!inode || --inode->refs)
		return;
	parent = inode->parent == inode ? NULL : inode->parent;
	if (inode->ops->free)
		inode->ops->free(inode);
	kfree(inode);
	inode_put(parent);
}

void inode_touch(struct inode *inode)
{
	inode->mtime = inode->ctime = wall_now();
}

/* ------------------------------------------------------------------------------------------- for the core */

int inode_open_exec(const char *path, struct inode **inode)
{
	struct walk found;
	int error = walk(current->files->cwd, path, WALK_FOLLOW, &found);

	if (error)
		return error;
	if (!inode_is_regular(found.inode) || !inode_executable(found.inode))
		error = -EACCES;
	else
		*inode = inode_get(found.inode);
	walk_end(&found);
	return error;
}

uint64_t inode_size(struct inode *inode)
{
	return inode->size;
}

int64_t inode_read(struct inode *inode, void *to, size_t len, uint64_t offset)
{
	struct io io = IO_KERNEL(to, len);

	return regular_read(inode, &io, offset);
}

int files_map(int fd, unsigned prot, unsigned flags, struct inode **inode, bool *writable)
{
	struct file *file = fd_file((uint64_t)fd);
	bool store = (flags & MAP_TYPE) != MAP_PRIVATE && prot & PROT_WRITE;

	if (!file)
		return -EBADF;
	*inode = NULL;
	if (S_ISCHR(file->inode->mode) && file->inode->rdev == device_number(1, 5))
		return 0;
	if (!file_readable(file) || (store && !file_writable(file)))
		return -EACCES;
	if (!inode_is_regular(file->inode))
		return -ENODEV;
	*writable = file_writable(file);
	*inode = inode_get(file->inode);
	*writable = file_writable(file);
	return 0;
}
