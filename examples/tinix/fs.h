/*
 * What the files' half shares: inodes, names, open files, descriptor tables. Everything that returns an inode, a file
 * or the like gives the caller a reference of its own. Nothing sleeps but read, write, open and poll of pipes and tty.
 */
#ifndef TINIX_FS_H
#define TINIX_FS_H

#include "examples/tinix/tinix.h"

/* ------------------------------------------------------------------------- memory to read into or from: io.c */

/* Counts down as it is used; user memory by vectors, or kernel memory. */
struct io {
	const struct iovec *vec; /* in kernel memory; used up to skip bytes of the first */
	size_t skip;
	char *kernel; /* if not NULL, instead of vec */
	size_t left;
};

#define IO_KERNEL(memory, len)                                                                                         \
	(struct io)                                                                                                    \
	{                                                                                                              \
		.kernel = (memory), .left = (len)                                                                      \
	}
#define IO_USER(iovec)                                                                                                 \
	(struct io)                                                                                                    \
	{                                                                                                              \
		.vec = (iovec), .left = (iovec)->iov_len                                                               \
	}

/* Moves len bytes, at most io->left, to or from io. 0 or -EFAULT. */
int io_put(struct io *io, const void *from, size_t len);
int io_get(struct io *io, void *to, size_t len);
int io_zero(struct io *io, size_t len);

/* -------------------------------------------------------------------------------- a file's pages: page_tree.c */

struct page_tree {
	void *root;	 /* a page, or a page of pointers to trees one lower; may be NULL */
	unsigned height; /* 0: root is page 0 */
	uint64_t pages;	 /* that there are */
};

extern uint64_t tree_pages_of_all; /* pages in all trees */

/* The page of an index, NULL if there is none. tree_make makes it: NULL if memory is out. */
void *tree_find(const struct page_tree *tree, uint64_t index);
void *tree_make(struct page_tree *tree, uint64_t index);
/* Drops all pages from an index on. */
void tree_cut(struct page_tree *tree, uint64_t from);

/* ------------------------------------------------------------------------------------------- inodes: inode.c */

struct entry; /* a name in a directory */
struct sink;  /* where a directory is listed to */

struct inode_ops {
	/* Directories: 0 and *found, or -ENOENT. */
	int (*lookup)(struct inode *dir, const char *name, struct inode **found);
	/* Adds every entry whose cookie is `from` or more to the sink, until it is full. */
	void (*list)(struct inode *dir, uint64_t from, struct sink *sink);
	/* Symbolic links: writes the target, cut to size, and returns its length. */
	int64_t (*readlink)(struct inode *link, char *to, size_t size);
	/* Links that lead to an inode whatever their text says (/proc/PID/exe); NULL: the text counts. */
	int (*follow)(struct inode *link, struct inode **found);
	/* The last reference is gone. */
	void (*free)(struct inode *inode);
};

struct inode {
	unsigned refs; /* names, open files, mappings, current directories */
	unsigned mode, nlink, uid, gid;
	uint64_t ino, rdev, size;
	uint64_t atime, mtime, ctime; /* ns since 1970 */
	const struct inode_ops *ops;
	const struct file_ops *file_ops; /* what it is opened with; NULL: cannot be */
	struct mount *mount;
	struct mount *mounted; /* on this directory, or NULL */
	struct inode *parent;  /* directories: a reference; of a root: itself, none */
	struct entry *name;    /* some name it has, or NULL */
	union {
		struct { /* regular */
			struct page_tree data;
			const char *archive; /* has the first bytes, where no page has been made yet */
			uint64_t archived;
		};
		struct {
			struct list entries;
			uint64_t next_cookie;
		} dir;		   /* directories in memory */
		char *target;	   /* symbolic links in memory */
		struct pipe *pipe; /* FIFOs, NULL while nobody has it open */
		struct {
			const struct procfs_node *node;
			int pid, fd;
		} proc;
	};
};

/* A fresh inode with one reference and no name; NULL when memory is out. mode with S_IFMT. */
struct inode *inode_new(struct mount *mount, unsigned mode, const struct inode_ops *ops);
void inode_touch(struct inode *inode); /* mtime and ctime */
/* All users are root, who may do everything but execute what nobody may. */
static inline bool inode_executable(const struct inode *inode)
{
	return S_ISDIR(inode->mode) || inode->mode & 0111;
}
int inode_truncate(struct inode *inode, uint64_t size);

/* Regular files in memory: regular.c */
extern const struct inode_ops regular_ops;
extern const struct file_ops regular_file_ops;
int64_t regular_read(struct inode *inode, struct io *io, uint64_t offset);
int64_t regular_write(struct inode *inode, struct io *io, uint64_t offset);
/* A fresh file is what lies there, for good. */
void regular_archived(struct inode *inode, const void *data, uint64_t size);
/* Memory that it takes. */
uint64_t regular_pages(const struct inode *inode);
/* limits.c: how much of a write of len bytes the current process may do there; -EFBIG, and a signal, if nothing. */
int64_t limit_file_size(uint64_t offset, uint64_t len);
static inline bool inode_is_regular(const struct inode *inode)
{
	return inode->ops == &regular_ops;
}

uint64_t wall_now(void); /* ns since 1970 */

/* ------------------------------------------------------------------------------------ directories: directory.c */

struct entry {
	struct list link; /* in dir->dir.entries, by rising cookie */
	struct inode *dir, *inode;
	uint64_t cookie;
	uint32_t hash;
	char name[];
};

extern const struct inode_ops directory_ops;
extern const struct file_ops directory_file_ops;

static inline bool inode_is_memory_dir(const struct inode *inode)
{
	return inode->ops == &directory_ops;
}

struct entry *dir_find(struct inode *dir, const char *name);
/* Names an inode; the directory keeps a reference of its own. -EEXIST is the caller's to prevent. */
int dir_add(struct inode *dir, const char *name, struct inode *inode);
void dir_remove(struct entry *entry);
bool dir_is_empty(struct inode *dir);
/* False once the sink is full. */
bool sink_add(struct sink *sink, uint64_t cookie, uint64_t ino, unsigned mode, const char *name);

/* Makes nodes in memory file systems: names.c. `made` may be NULL. */
int node_make(struct inode *dir, const char *name, unsigned mode, uint64_t rdev, struct inode **made);
int symlink_make(struct inode *dir, const char *name, const char *target);

/* ------------------------------------------------------------------------------------------- path walk: path.c */

#define WALK_FOLLOW 1u /* a symbolic link at the end is followed */
#define WALK_MAKE   2u /* the last name need not exist */

struct walk {
	struct inode *dir;   /* where the last name was looked for; itself for "/" */
	struct inode *inode; /* what it names; NULL if nothing (WALK_MAKE) */
	bool slash;	     /* a slash follows the last name, so that it must be a directory */
	bool dots;	     /* the last name is "", "." or ".." */
	char name[NAME_MAX + 1];
};

/* From an inode, or from the root for an absolute path. 0 (call walk_end) or a negative errno. */
int walk(struct inode *from, const char *path, unsigned flags, struct walk *out);
void walk_end(struct walk *walk);

/* From a directory descriptor or AT_FDCWD and a path in user memory. */
int walk_user(uint64_t dirfd, uint64_t user_path, unsigned flags, struct walk *out);
/* The inode alone; flags as for the *at system calls: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. */
int inode_user(uint64_t dirfd, uint64_t user_path, unsigned flags, struct inode **inode);
/* What use(inode, a, b) returns for that inode; or a negative errno, -EINVAL for other flags. */
typedef int64_t inode_use(struct inode *inode, uint64_t a, uint64_t b);
int64_t inode_user_do(uint64_t dirfd, uint64_t user_path, uint64_t flags, inode_use *use, uint64_t a, uint64_t b);
/* A string of up to PATH_MAX from user memory; page_put it. */
int path_from_user(uint64_t user_path, char **path);

/* ----------------------------------------------------------------------------------------------- mounts: mount.c */

struct mount {
	const char *type;
	unsigned dev;	    /* st_dev */
	struct inode *root; /* a reference */
	struct inode *on;   /* directory it covers, a reference; NULL: the root of all */
	uint64_t next_ino;
};

extern struct mount root_mount, proc_mount;
struct inode *procfs_root(struct mount *mount); /* procfs.c */

/* ------------------------------------------------------------------------------------------- open files: file.c */

struct file_ops {
	/* NULL: nothing special to do. May replace file->ops. May sleep. */
	int (*open)(struct file *file);
	void (*close)(struct file *file);
	/* Bytes, fewer if that is what there is. *offset is the caller's to advance. */
	int64_t (*read)(struct file *file, struct io *io, uint64_t offset);
	int64_t (*write)(struct file *file, struct io *io, uint64_t offset);
	unsigned (*poll)(struct file *file); /* POLL*; NULL: always ready */
	int64_t (*ioctl)(struct file *file, unsigned request, uint64_t arg);
	bool seekable;
};

struct file {
	unsigned refs;
	unsigned flags; /* O_* */
	uint64_t offset;
	struct inode *inode;
	const struct file_ops *ops;
};

struct file *file_get(struct file *file);
void file_put(struct file *file);
/* Opens an inode as open(2) would after the walk. */
int file_open(struct inode *inode, unsigned flags, struct file **file);
static inline bool file_readable(const struct file *file)
{
	return (file->flags & O_ACCMODE) != O_WRONLY && !(file->flags & O_PATH);
}
static inline bool file_writable(const struct file *file)
{
	return (file->flags & O_ACCMODE) != O_RDONLY && !(file->flags & O_PATH);
}
unsigned file_poll(struct file *file);

/* --------------------------------------------------------------------------------- descriptors: descriptor.c */

struct files {
	unsigned refs;
	unsigned size; /* slots */
	struct slot {
		struct file *file;
		bool cloexec;
	} * slot;
	struct inode *cwd;
	unsigned umask;
};

/* The file behind a descriptor, or NULL. */
struct file *fd_file(uint64_t fd);
/* The lowest free descriptor from `lowest` on becomes the file, whose reference it takes; or a negative errno. */
int fd_install(struct file *file, unsigned lowest, bool cloexec);

/* ------------------------------------------------------------------------------------- advisory locks: locks.c */

/* fcntl's F_GETLK, F_SETLK and F_SETLKW; at: struct flock in user memory. */
int64_t lock_record(struct file *file, uint64_t command, uint64_t at);
/* An owner lets a file go: the struct files that closes it, or the struct file that ends. */
void locks_drop(const struct inode *inode, const void *owner);

/* ------------------------------------------------------------------------------------------- kinds of files */

extern const struct file_ops fifo_file_ops; /* pipe.c */
extern const struct file_ops tty_file_ops;  /* tty.c */

/* dev.c: what a character device is opened with; NULL: no such device. */
const struct file_ops *device_ops(uint64_t rdev);
void devices_make(struct inode *dir); /* the nodes of /dev */
void tty_init(void);
bool tty_is_controlling(void); /* of the current process */
int tty_foreground(int sid);   /* the foreground group if the terminal is that session's, else -1 */

/* Device numbers as stat shows them. */
static inline uint64_t device_number(unsigned major, unsigned minor)
{
	return (minor & 0xff) | (uint64_t)major << 8 | (uint64_t)(minor & ~0xffu) << 12;
}

/* cpio.c: unpacks an archive below a directory; 0 or a negative errno. */
int cpio_unpack(struct inode *root, const char *archive, size_t size);

#endif
