/*
 * /proc: its tree. Inodes come into being when they are looked up, and texts when they are read.
 */
#include "examples/tinix/procfs.h"

enum where { NOWHERE, ROOT, PROCESS }; /* directory that a node is in */

struct procfs_node {
	const char *name;
	enum where in;
	unsigned mode;
	void (*text)(struct text *text, struct proc *p);
	struct inode *(*link)(struct proc *p, int fd); /* what it leads to, borrowed; or NULL */
	const char *target;			       /* links that are mere text */
};

static struct inode *link_exe(struct proc *p, int fd)
{
	return p->exe;
}

static struct inode *link_cwd(struct proc *p, int fd)
{
	return p->files ? p->files->cwd : NULL;
}

static struct inode *link_fd(struct proc *p, int fd)
{
	const struct files *files = p->files;

	return files && (unsigned)fd < files->size && files->slot[fd].file ? files->slot[fd].file->inode : NULL;
}

#define DIRECTORY (S_IFDIR | 0555)
#define TEXT	  (S_IFREG | 0444)
#define LINK	  (S_IFLNK | 0777)

enum { THE_ROOT, A_PROCESS, ITS_FDS, AN_FD }; /* indices of the first nodes */

static const struct procfs_node nodes[] = {
	[THE_ROOT] = {.name = "", .in = NOWHERE, .mode = DIRECTORY},
	[A_PROCESS] = {.name = "", .in = NOWHERE, .mode = DIRECTORY},
	[ITS_FDS] = {.name = "fd", .in = PROCESS, .mode = S_IFDIR | 0500},
	[AN_FD] = {.name = "", .in = NOWHERE, .mode = S_IFLNK | 0700, .link = link_fd},
	{.name = "self", .in = ROOT, .mode = LINK}, /* the target is the reader's pid */
	{.name = "mounts", .in = ROOT, .mode = LINK, .target = "self/mounts"},
	{.name = "meminfo", .in = ROOT, .mode = TEXT, .text = text_meminfo},
	{.name = "uptime", .in = ROOT, .mode = TEXT, .text = text_uptime},
	{.name = "loadavg", .in = ROOT, .mode = TEXT, .text = text_loadavg},
	{.name = "stat", .in = ROOT, .mode = TEXT, .text = text_stat},
	{.name = "cpuinfo", .in = ROOT, .mode = TEXT, .text = text_cpuinfo},
	{.name = "version", .in = ROOT, .mode = TEXT, .text = text_version},
	{.name = "cmdline", .in = ROOT, .mode = TEXT, .text = text_cmdline},
	{.name = "stat", .in = PROCESS, .mode = TEXT, .text = text_process_stat},
	{.name = "status", .in = PROCESS, .mode = TEXT, .text = text_process_status},
	{.name = "comm", .in = PROCESS, .mode = TEXT, .text = text_process_comm},
	{.name = "cmdline", .in = PROCESS, .mode = TEXT, .text = text_process_cmdline},
	{.name = "maps", .in = PROCESS, .mode = TEXT, .text = text_process_maps},
	{.name = "mounts", .in = PROCESS, .mode = TEXT, .text = text_mounts},
	{.name = "exe", .in = PROCESS, .mode = LINK, .link = link_exe},
	{.name = "cwd", .in = PROCESS, .mode = LINK, .link = link_cwd},
};

#define NODES (sizeof(nodes) / sizeof(nodes[0]))

static const struct inode_ops text_ops, dir_ops, link_ops, magic_ops;
static const struct file_ops text_file_ops;

/* Stable, though the inode is not. */
static uint64_t number_of(unsigned node, int pid, int fd)
{
	return (uint64_t)pid << 32 | (uint64_t)(fd + 1) << 8 | (node + 1);
}

static struct inode *new_inode(struct mount *mount, unsigned node, int pid, int fd)
{
	const struct procfs_node *what = &nodes[node];
	const struct inode_ops *ops = S_ISDIR(what->mode) ? &dir_ops : what->text ? &text_ops : &link_ops;
	struct inode *inode = inode_new(mount, what->mode, what->link ? &magic_ops : ops);

	if (!inode)
		return NULL;
	inode->ino = number_of(node, pid, fd);
	inode->nlink = S_ISDIR(what->mode) ? 2 : 1;
	inode->file_ops = S_ISDIR(what->mode) ? &directory_file_ops : what->text ? &text_file_ops : NULL;
	inode->proc.node = what;
	inode->proc.pid = pid;
	inode->proc.fd = fd;
	return inode;
}

struct inode *procfs_root(struct mount *mount)
{
	struct inode *root = new_inode(mount, THE_ROOT, 0, -1);

	if (root)
		root->parent = root;
	return root;
}

/* ------------------------------------------------------------------------------------------------- directories */

/* A name that is a decimal number, or -1. */
static int number(const char *name)
{
	int value = 0;

	if (!*name || (*name == '0' && name[1]))
		return -1;
	for (; *name; name++) {
		if (*name < '0' || *name > '9' || value > 10000000)
			return -1;
		value = value * 10 + *name - '0';
	}
	return value;
}

/* Directories know their names, so that getcwd does; and where they are. */
static int name_directory(struct inode *inode, struct inode *dir, const char *name)
{
	size_t size = pvg_strlen(name) + 1;
	struct entry *entry = kalloc(sizeof(*entry) + size);

	if (!entry)
		return -ENOMEM;
	memcpy(entry->name, name, size);
	entry->dir = dir;
	inode->name = entry;
	inode->parent = inode_get(dir);
	return 0;
}

static int find_node(const struct inode *dir, const char *name, unsigned *node, int *pid, int *fd)
{
	enum where where = dir->proc.node == &nodes[THE_ROOT] ? ROOT : PROCESS;

	*pid = dir->proc.pid;
	*fd = -1;
	if (where == ROOT && proc_find(number(name))) {
		*node = A_PROCESS;
		*pid = number(name);
		return 0;
	}
	if (dir->proc.node == &nodes[ITS_FDS]) {
		struct proc *p = proc_find(*pid);

		*node = AN_FD;
		*fd = number(name);
		return p && *fd >= 0 && link_fd(p, *fd) ? 0 : -ENOENT;
	}
	if (where == PROCESS && !proc_find(*pid))
		return -ENOENT;
	for (*node = 0; *node < NODES; ++*node)
		if (nodes[*node].in == where && pvg_strcmp(nodes[*node].name, name) == 0)
			return 0;
	return -ENOENT;
}

static int lookup(struct inode *dir, const char *name, struct inode **found)
{
	unsigned node;
	int pid, fd;
	int error = find_node(dir, name, &node, &pid, &fd);

	if (error)
		return error;
	*found = new_inode(dir->mount, node, pid, fd);
	if (!*found)
		return -ENOMEM;
	if (S_ISDIR((*found)->mode))
		error = name_directory(*found, dir, name);
	if (error)
		inode_put(*found);
	return error;
}

/* The lowest number of a process, or of a descriptor of process pid, from `from` on; -1: none. */
static int next_process(int from)
{
	int next = -1;

	list_each(node, &proc_all)
	{
		int pid = list_entry(node, struct proc, link)->pid;

		if (pid >= from && (next < 0 || pid < next))
			next = pid;
	}
	return next;
}

static int next_fd(int pid, int from)
{
	const struct proc *p = proc_find(pid);

	for (unsigned fd = (unsigned)from; p && p->files && fd < p->files->size; fd++)
		if (p->files->slot[fd].file)
			return (int)fd;
	return -1;
}

/* Cookies: 2 and up for the nodes of the table, NODES + 2 and up for numbers. */
static void list(struct inode *dir, uint64_t from, struct sink *sink)
{
	bool fds = dir->proc.node == &nodes[ITS_FDS];
	enum where where = fds ? NOWHERE : dir->proc.node == &nodes[THE_ROOT] ? ROOT : PROCESS;
	const uint64_t numbers = NODES + 2;
	int next;

	for (unsigned i = from < 2 ? 0 : (unsigned)from - 2; !fds && from < numbers && i < NODES; i++)
		if (nodes[i].in == where &&
		    !sink_add(sink, i + 2, number_of(i, dir->proc.pid, -1), nodes[i].mode, nodes[i].name))
			return;
	if (where == PROCESS)
		return;
	next = from < numbers ? 0 : (int)(from - numbers);
	while ((next = fds ? next_fd(dir->proc.pid, next) : next_process(next)) >= 0) {
		unsigned node = fds ? AN_FD : A_PROCESS;
		char name[16];

		pvg_snprintf(name, sizeof(name), "%d", next);
		if (!sink_add(sink, numbers + (unsigned)next,
			      number_of(node, fds ? dir->proc.pid : next, fds ? next : -1), nodes[node].mode, name))
			return;
		next++;
	}
}

static void free_directory(struct inode *dir)
{
	kfree(dir->name);
}

static const struct inode_ops dir_ops = {.lookup = lookup, .list = list, .free = free_directory};

/* ------------------------------------------------------------------------------------------------------- links */

static int64_t link_read(struct inode *link, char *to, size_t size)
{
	if (link->proc.node->target)
		pvg_strlcpy(to, link->proc.node->target, size);
	else
		pvg_snprintf(to, size, "%d", current->pid);
	return (int64_t)pvg_strlen(to);
}

static int follow(struct inode *link, struct inode **found)
{
	struct proc *p = proc_find(link->proc.pid);
	struct inode *inode = p ? link->proc.node->link(p, link->proc.fd) : NULL;

	if (!inode)
		return -ENOENT;
	*found = inode_get(inode);
	return 0;
}

static int64_t magic_read(struct inode *link, char *to, size_t size)
{
	struct inode *inode;
	int error = follow(link, &inode);

	if (error)
		return error;
	inode_path(inode, to, size);
	inode_put(inode);
	return (int64_t)pvg_strlen(to);
}

static const struct inode_ops link_ops = {.readlink = link_read};
static const struct inode_ops magic_ops = {.readlink = magic_read, .follow = follow};

/* ------------------------------------------------------------------------------------------------------- texts */

void text_add(struct text *text, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = pvg_vsnprintf(text->bytes + text->used, text->size - text->used, format, args);
	va_end(args);
	text->used += (size_t)len < text->size - text->used ? (size_t)len : text->size - text->used - 1;
}

void text_add_bytes(struct text *text, const void *bytes, size_t len)
{
	if (len > text->size - text->used)
		len = text->size - text->used;
	memcpy(text->bytes + text->used, bytes, len);
	text->used += len;
}

static int64_t text_read(struct file *file, struct io *io, uint64_t offset)
{
	static char bytes[65536]; /* making and copying a text never sleeps: one place is enough for all */
	struct text text = {.bytes = bytes, .size = sizeof(bytes)};
	const struct inode *inode = file->inode;
	struct proc *p = proc_find(inode->proc.pid);
	size_t len;

	if (inode->proc.pid && !p)
		return -ESRCH;
	inode->proc.node->text(&text, p);
	if (offset >= text.used)
		return 0;
	len = text.used - offset < io->left ? text.used - offset : io->left;
	return io_put(io, bytes + offset, len) ?: (int64_t)len;
}

static const struct inode_ops text_ops;
static const struct file_ops text_file_ops = {.read = text_read, .seekable = true};
