/*
 * A process's descriptors, its directories and umask.
 */
#include "examples/tinix/fs.h"

#define SLOTS_FIRST 16
#define SLOTS_MAX   4096

struct file *fd_file(uint64_t fd)
{
	const struct files *files = current->files;

	return (unsigned)fd < files->size ? files->slot[(unsigned)fd].file : NULL;
}

/* Makes room for descriptor fd. */
static int grow(struct files *files, unsigned fd)
{
	unsigned size = files->size;
	struct slot *slot;

	if (fd >= SLOTS_MAX || fd >= current->limits[RLIMIT_NOFILE].rlim_cur)
		return -EMFILE;
	if (fd < size)
		return 0;
	while (size <= fd)
		size *= 2;
	slot = kalloc(size * sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	memcpy(slot, files->slot, files->size * sizeof(*slot));
	kfree(files->slot);
	files->slot = slot;
	files->size = size;
	return 0;
}

int fd_install(struct file *file, unsigned lowest, bool cloexec)
{
	struct files *files = current->files;
	unsigned fd = lowest;
	int error;

	while (fd < files->size && files->slot[fd].file)
		fd++;
	error = grow(files, fd);
	if (error) {
		file_put(file);
		return error;
	}
	files->slot[fd] = (struct slot){file, cloexec};
	return (int)fd;
}

static int fd_close(struct files *files, unsigned fd)
{
	struct file *file = fd < files->size ? files->slot[fd].file : NULL;

	if (!file)
		return -EBADF;
	files->slot[fd] = (struct slot){0};
	locks_drop(file->inode, files); /* whichever descriptor they were taken by */
	file_put(file);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ for the core */

static struct files *files_empty(unsigned size)
{
	struct files *files = kalloc(sizeof(*files));

	if (!files)
		return NULL;
	files->refs = 1;
	files->size = size;
	files->slot = kalloc(size * sizeof(*files->slot));
	if (files->slot)
		return files;
	kfree(files);
	return NULL;
}

struct files *files_new(void)
{
	struct files *files = files_empty(SLOTS_FIRST);
	struct walk console;
	struct file *file;
	int error;

	if (!files)
		return NULL;
	files->cwd = inode_get(root_mount.root);
	files->umask = 022;
	error = walk(files->cwd, "dev/console", WALK_FOLLOW, &console);
	if (error)
		return files;
	error = file_open(console.inode, O_RDWR, &file);
	walk_end(&console);
	for (unsigned fd = 0; !error && fd < 3; fd++)
		files->slot[fd].file = fd ? file_get(file) : file;
	return files;
}

struct files *files_copy(struct files *from)
{
	struct files *files = files_empty(from->size);

	if (!files)
		return NULL;
	for (unsigned fd = 0; fd < from->size; fd++) {
		files->slot[fd] = from->slot[fd];
		if (files->slot[fd].file)
			file_get(files->slot[fd].file);
	}
	files->cwd = inode_get(from->cwd);
	files->umask = from->umask;
	return files;
}

struct files *files_get(struct files *files)
{
	files->refs++;
	return files;
}

void files_put(struct files *files)
{
	if (--files->refs)
		return;
	for (unsigned fd = 0; fd < files->size; fd++)
		fd_close(files, fd);
	inode_put(files->cwd);
	kfree(files->slot);
	kfree(files);
}

int files_exec(struct proc *p)
{
	if (p->files->refs > 1) {
		struct files *own = files_copy(p->files);

		if (!own)
			return -ENOMEM;
		files_put(p->files);
		p->files = own;
	}
	for (unsigned fd = 0; fd < p->files->size; fd++)
		if (p->files->slot[fd].cloexec)
			fd_close(p->files, fd);
	return 0;
}

/* ------------------------------------------------------------------------------------- closing and duplicating */

int64_t sys_close(const uint64_t arg[6])
{
	return fd_close(current->files, (unsigned)arg[0]);
}

int64_t sys_dup(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);

	return file ? fd_install(file_get(file), 0, false) : -EBADF;
}

int64_t sys_dup3(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);
	unsigned to = (unsigned)arg[1];
	int error;

	if (arg[2] & ~(uint64_t)O_CLOEXEC || (unsigned)arg[0] == to)
		return -EINVAL;
	if (!file)
		return -EBADF;
	error = grow(current->files, to);
	if (error)
		return error == -EMFILE ? -EBADF : error;
	file_get(file);
	fd_close(current->files, to);
	current->files->slot[to] = (struct slot){file, arg[2] & O_CLOEXEC};
	return to;
}

int64_t sys_dup2(const uint64_t arg[6])
{
	if ((unsigned)arg[0] == (unsigned)arg[1])
		return fd_file(arg[0]) ? (int64_t)(unsigned)arg[0] : -EBADF;
	return sys_dup3((uint64_t[6]){arg[0], arg[1], 0});
}

/* What a mere name can be asked for: fcntl(2). */
static bool path_permits(uint64_t command)
{
	return command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_GETFD || command == F_SETFD ||
	       command == F_GETFL;
}

int64_t sys_fcntl(const uint64_t arg[6])
{
	const unsigned changeable = O_APPEND | O_NONBLOCK;
	struct file *file = fd_file(arg[0]);
	struct slot *slot;

	if (!file || (file->flags & O_PATH && !path_permits(arg[1])))
		return -EBADF;
	slot = &current->files->slot[(unsigned)arg[0]];
	switch (arg[1]) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if (arg[2] >= current->limits[RLIMIT_NOFILE].rlim_cur)
			return -EINVAL;
		return fd_install(file_get(file), (unsigned)arg[2], arg[1] == F_DUPFD_CLOEXEC);
	case F_GETFD:
		return slot->cloexec ? FD_CLOEXEC : 0;
	case F_SETFD:
		slot->cloexec = arg[2] & FD_CLOEXEC;
		return 0;
	case F_GETFL:
		return file->flags | O_LARGEFILE;
	case F_SETFL:
		file->flags = (file->flags & ~changeable) | ((unsigned)arg[2] & changeable);
		return 0;
	case F_SETLK:
	case F_SETLKW:
	case F_GETLK:
		return lock_record(file, arg[1], arg[2]);
	default:
		return -EINVAL;
	}
}

/* ------------------------------------------------------------------------------------------ directories, umask */

/* Takes the reference to inode. */
static int64_t enter(struct inode *inode)
{
	if (!S_ISDIR(inode->mode)) {
		inode_put(inode);
		return -ENOTDIR;
	}
	inode_put(current->files->cwd);
	current->files->cwd = inode;
	return 0;
}

int64_t sys_chdir(const uint64_t arg[6])
{
	struct inode *inode;
	int error = inode_user((uint64_t)AT_FDCWD, arg[0], 0, &inode);

	return error ?: enter(inode);
}

int64_t sys_fchdir(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);

	return file ? enter(inode_get(file->inode)) : -EBADF;
}

int64_t sys_umask(const uint64_t arg[6])
{
	unsigned before = current->files->umask;

	current->files->umask = arg[0] & 0777;
	return before;
}
