/*
 * The two file systems: the root, in memory, and /proc on it. And the beginning of all files.
 */
#include "examples/tinix/fs.h"

struct mount root_mount = {.type = "tmpfs", .dev = 2}, proc_mount = {.type = "proc", .dev = 3};

static bool make_root(void)
{
	struct inode *root = inode_new(&root_mount, S_IFDIR | 0755, &directory_ops);

	if (!root)
		return false;
	list_init(&root->dir.entries);
	root->file_ops = &directory_file_ops;
	root->parent = root;
	root->nlink++;
	root_mount.root = root;
	return true;
}

/* The directory below the root, made if it is not there. */
static struct inode *top_directory(const char *name)
{
	struct entry *entry = dir_find(root_mount.root, name);
	struct inode *dir;

	if (entry)
		return inode_get(entry->inode);
	return node_make(root_mount.root, name, S_IFDIR | 0755, 0, &dir) ? NULL : dir;
}

void files_init(const void *archive, size_t size)
{
	struct inode *dev, *proc;
	int error;

	if (!make_root())
		pvg_panic("no memory for a root directory");
	if (archive) {
		error = cpio_unpack(root_mount.root, archive, size);
		if (error)
			log("initramfs: error %d; what came before it is there\n", -error);
	}
	dev = top_directory("dev");
	proc = top_directory("proc");
	if (!dev || !proc || !S_ISDIR(dev->mode) || !S_ISDIR(proc->mode))
		pvg_panic("no memory for /dev and /proc, or they are no directories in the initramfs");
	devices_make(dev);
	proc_mount.root = procfs_root(&proc_mount);
	if (proc_mount.root) {
		proc_mount.on = inode_get(proc);
		proc->mounted = &proc_mount;
	}
	inode_put(dev);
	inode_put(proc);
	tty_init();
}
