/*
 * Mounts: memory file systems (the root is one) and /proc. And the beginning of all files.
 */
#include "examples/tinix/fs.h"

struct list mounts = LIST_INIT(mounts);
struct mount *mount_root;

static struct inode *memory_root(struct mount *mount)
{
	struct inode *root = inode_new(mount, S_IFDIR | 0755, &directory_ops);

	if (!root)
		return NULL;
	list_init(&root->dir.entries);
	root->file_ops = &directory_file_ops;
	root->parent = root;
	root->nlink++;
	return root;
}

static const struct {
	const char *name;
	struct inode *(*root)(struct mount *mount);
} types[] = {{"tmpfs", memory_root}, {"ramfs", memory_root}, {"proc", procfs_root}};

int mount_at(const char *source, const char *type, struct inode *on)
{
	static unsigned devices = 1;
	struct mount *mount;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (pvg_strcmp(type, types[i].name))
			continue;
		mount = kalloc(sizeof(*mount));
		if (!mount)
			return -ENOMEM;
		mount->type = types[i].name;
		mount->dev = ++devices;
		pvg_strlcpy(mount->source, source, sizeof(mount->source));
		mount->root = types[i].root(mount);
		if (!mount->root) {
			kfree(mount);
			return -ENOMEM;
		}
		if (on) {
			mount->on = inode_get(on);
			on->mounted = mount;
		}
		list_add(&mounts, &mount->link);
		return 0;
	}
	return -ENODEV;
}

/* Empties a directory that nobody can reach any more. */
static void remove_all(struct inode *dir)
{
	if (!inode_is_memory_dir(dir))
		return;
	while (!list_empty(&dir->dir.entries)) {
		struct entry *entry = list_entry(dir->dir.entries.next, struct entry, link);

		remove_all(entry->inode);
		dir_remove(entry);
	}
}

/* In use: a process is in it, runs from it, has a file of it open, or another mount is on it. */
static bool is_busy(const struct mount *mount)
{
	list_each(node, &mounts) if (list_entry(node, struct mount, link)->on &&
				     list_entry(node, struct mount, link)->on->mount == mount) return true;
	list_each(node, &proc_all)
	{
		const struct proc *p = list_entry(node, struct proc, link);
		const struct files *files = p->files;

		if (p->exe && p->exe->mount == mount)
			return true;
		if (files && (files->cwd->mount == mount || files->root->mount == mount))
			return true;
		for (unsigned i = 0; files && i < files->size; i++)
			if (files->slot[i].file && files->slot[i].file->inode->mount == mount)
				return true;
	}
	return false;
}

static int64_t unmount(struct mount *mount)
{
	struct inode *on = mount->on;

	if (!on || is_busy(mount))
		return -EBUSY;
	on->mounted = NULL;
	list_remove(&mount->link);
	mount->on = NULL;
	inode_put(on);
	remove_all(mount->root);
	inode_put(mount->root);
	/* The mount itself stays: inodes that are still mapped look at it. */
	return 0;
}

int64_t sys_mount(const uint64_t arg[6])
{
	char source[32] = "none", type[16];
	struct inode *on;
	int64_t error;

	if (arg[3] & (MS_REMOUNT | MS_BIND | MS_MOVE))
		return arg[3] & MS_REMOUNT ? 0 : -EINVAL;
	if (arg[0] && (error = string_from_user(source, arg[0], sizeof(source))) < 0 && error != -ENAMETOOLONG)
		return error;
	error = string_from_user(type, arg[2], sizeof(type));
	if (error < 0)
		return error == -ENAMETOOLONG ? -ENODEV : error;
	error = inode_user((uint64_t)AT_FDCWD, arg[1], 0, &on);
	if (error)
		return error;
	if (!S_ISDIR(on->mode))
		error = -ENOTDIR;
	else if (on->parent == on && pvg_strcmp(on->mount->type, type) == 0)
		error = -EBUSY;
	else
		error = mount_at(source, type, on);
	inode_put(on);
	return error;
}

int64_t sys_umount2(const uint64_t arg[6])
{
	struct mount *mount;
	struct inode *root;
	int64_t error = inode_user((uint64_t)AT_FDCWD, arg[0], 0, &root);

	if (error)
		return error;
	mount = root->mount;
	error = root->parent == root ? 0 : -EINVAL;
	inode_put(root);
	return error ?: unmount(mount);
}

/* The directory below the root, made if it is not there. */
static struct inode *top_directory(const char *name)
{
	struct entry *entry = dir_find(mount_root->root, name);
	struct inode *dir;

	if (entry)
		return inode_get(entry->inode);
	return node_make(mount_root->root, name, S_IFDIR | 0755, 0, &dir) ? NULL : dir;
}

void files_init(const void *archive, size_t size)
{
	struct inode *dev, *proc;
	int error = mount_at("tmpfs", "tmpfs", NULL);

	if (error)
		pvg_panic("no memory for a root directory");
	mount_root = list_entry(mounts.next, struct mount, link);
	if (archive) {
		error = cpio_unpack(mount_root->root, archive, size);
		if (error)
			log("initramfs: error %d; what came before it is there\n", -error);
	}
	dev = top_directory("dev");
	proc = top_directory("proc");
	if (!dev || !proc || !S_ISDIR(dev->mode) || !S_ISDIR(proc->mode))
		pvg_panic("no memory for /dev and /proc, or they are no directories in the initramfs");
	devices_make(dev);
	error = mount_at("proc", "proc", proc);
	if (error)
		log("/proc: error %d\n", -error);
	inode_put(dev);
	inode_put(proc);
	tty_init();
}
