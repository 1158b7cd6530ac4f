/*
 * Directories in memory, and listing of all kinds of them. Each entry has a cookie, higher than those of the entries
 * before, so that who lists a directory and removes entries on the way misses none.
 */
#include "examples/tinix/fs.h"

#define COOKIE_FIRST 2 /* 0 and 1 are "." and ".." */

static uint32_t hash_of(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

struct entry *dir_find(struct inode *dir, const char *name)
{
	uint32_t hash = hash_of(name);

	list_each(node, &dir->dir.entries)
	{
		struct entry *entry = list_entry(node, struct entry, link);

		if (entry->hash == hash && pvg_strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

int dir_add(struct inode *dir, const char *name, struct inode *inode)
{
	size_t size = pvg_strlen(name) + 1;
	struct entry *entry;

	if (!dir->name && dir->parent != dir) /* removed, and somebody is still in there */
		return -ENOENT;
	entry = kalloc(sizeof(*entry) + size);
	if (!entry)
		return -ENOSPC;
	memcpy(entry->name, name, size);
	entry->hash = hash_of(name);
	entry->cookie = COOKIE_FIRST + dir->dir.next_cookie++;
	entry->dir = dir;
	entry->inode = inode_get(inode);
	list_add(&dir->dir.entries, &entry->link);
	inode->nlink++;
	if (!inode->name || S_ISDIR(inode->mode))
		inode->name = entry;
	if (S_ISDIR(inode->mode)) {
		struct inode *before = inode->parent; /* while it is renamed it has two names */

		inode->parent = inode_get(dir);
		dir->nlink++;
		inode_put(before);
	}
	inode->ctime = wall_now();
	inode_touch(dir);
	return 0;
}

void dir_remove(struct entry *entry)
{
	struct inode *dir = entry->dir, *inode = entry->inode;
	struct inode *parent = inode->name == entry ? inode->parent : NULL;

	inode->nlink--;
	dir->nlink -= S_ISDIR(inode->mode);
	if (inode->name == entry)
		inode->name = NULL;
	if (parent)
		inode->parent = NULL;
	inode->ctime = wall_now();
	inode_touch(dir);
	list_remove(&entry->link);
	kfree(entry);
	inode_put(inode);
	inode_put(parent);
}

bool dir_is_empty(struct inode *dir)
{
	return list_empty(&dir->dir.entries);
}

static int lookup(struct inode *dir, const char *name, struct inode **found)
{
	struct entry *entry = dir_find(dir, name);

	if (!entry)
		return -ENOENT;
	*found = inode_get(entry->inode);
	return 0;
}

static void list(struct inode *dir, uint64_t from, struct sink *sink)
{
	list_each(node, &dir->dir.entries)
	{
		struct entry *entry = list_entry(node, struct entry, link);

		if (entry->cookie >= from &&
		    !sink_add(sink, entry->cookie, entry->inode->ino, entry->inode->mode, entry->name))
			return;
	}
}

const struct inode_ops directory_ops = {.lookup = lookup, .list = list};

static int64_t read_directory(struct file *file, struct io *io, uint64_t offset)
{
	return -EISDIR;
}

const struct file_ops directory_file_ops = {.read = read_directory, .seekable = true};

/* ------------------------------------------------------------------------------------------------- getdents64 */

struct sink {
	struct io io;
	uint64_t next; /* cookie to go on from */
	int error;     /* why the last entry was not added; -EINVAL: it is larger than what is left */
};

/* struct linux_dirent64 of getdents64(2) */
struct dirent {
	uint64_t ino, next;
	uint16_t size;
	uint8_t type; /* S_IFMT >> 12 */
	char name[NAME_MAX + 1];
};

bool sink_add(struct sink *sink, uint64_t cookie, uint64_t ino, unsigned mode, const char *name)
{
	struct dirent dirent = {.ino = ino, .next = cookie + 1, .type = (mode & S_IFMT) >> 12};
	size_t len = pvg_strlcpy(dirent.name, name, sizeof(dirent.name));

	dirent.size = (offsetof(struct dirent, name) + len + 1 + 7) / 8 * 8;
	sink->error = dirent.size <= sink->io.left ? io_put(&sink->io, &dirent, dirent.size) : -EINVAL;
	if (sink->error)
		return false;
	sink->next = cookie + 1;
	return true;
}

static struct inode *parent_of(struct inode *dir)
{
	if (dir->parent == dir && dir->mount->on)
		dir = dir->mount->on;
	return dir->parent ? dir->parent : dir;
}

int64_t sys_getdents64(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);
	struct iovec vec = {(void *)arg[1], (unsigned)arg[2]};
	struct sink sink = {.io = IO_USER(&vec)};
	struct inode *dir;
	bool room = true;

	if (!file)
		return -EBADF;
	dir = file->inode;
	if (!dir->ops->list)
		return -ENOTDIR;
	sink.next = file->offset;
	if (sink.next == 0)
		room = sink_add(&sink, 0, dir->ino, S_IFDIR, ".");
	if (room && sink.next == 1)
		room = sink_add(&sink, 1, parent_of(dir)->ino, S_IFDIR, "..");
	if (room)
		dir->ops->list(dir, sink.next, &sink);
	file->offset = sink.next;
	if (sink.io.left < vec.iov_len)
		return (int64_t)(vec.iov_len - sink.io.left);
	return sink.error;
}
