/*
 * From path to inode: components, ".", "..", mount points, symbolic links; and from inode back to path.
 */
#include "examples/tinix/fs.h"

#define LINKS_MAX 40

int path_from_user(uint64_t user_path, char **path)
{
	int64_t len;

	*path = page_new();
	if (!*path)
		return -ENOMEM;
	len = string_from_user(*path, user_path, PATH_MAX);
	if (len >= 0)
		return 0;
	page_put(*path);
	return (int)len;
}

/* The directory above, through mount points; the root is its own. */
static struct inode *climb(struct inode *dir)
{
	if (dir == root_mount.root)
		return inode_get(dir);
	while (dir->parent == dir && dir->mount->on)
		dir = dir->mount->on;
	return inode_get(dir->parent ? dir->parent : dir);
}

/* What a name in a directory leads to, down into what is mounted there. */
static int step(struct inode *dir, const char *name, struct inode **found)
{
	int error = 0;

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (pvg_strcmp(name, "..") == 0)
		*found = climb(dir);
	else if (!*name || pvg_strcmp(name, ".") == 0)
		*found = inode_get(dir);
	else
		error = dir->ops->lookup(dir, name, found);
	while (!error && (*found)->mounted) {
		struct inode *below = *found;

		*found = inode_get(below->mounted->root);
		inode_put(below);
	}
	return error;
}

/* Cuts the first component off *rest, and the slashes after it. */
static int next_name(const char **rest, struct walk *out)
{
	const char *path = *rest;
	size_t len = 0;

	while (path[len] && path[len] != '/')
		len++;
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	pvg_strlcpy(out->name, path, len + 1);
	out->slash = path[len] == '/';
	out->dots = !len || pvg_strcmp(out->name, ".") == 0 || pvg_strcmp(out->name, "..") == 0;
	path += len;
	while (*path == '/')
		path++;
	*rest = path;
	return 0;
}

/*
 * A symbolic link was met: leaves in *page the path to go on with, and in *at the directory to go on from. `rest` may
 * lie in the page that was there before.
 */
static int follow(struct inode *link, const char *rest, struct inode **at, char **page)
{
	char *target = page_new();
	int64_t len;
	size_t rest_len = pvg_strlen(rest);

	if (!target)
		return -ENOMEM;
	len = link->ops->readlink(link, target, PATH_MAX);
	if (len <= 0 || (size_t)len + rest_len + 2 > PATH_MAX) {
		page_put(target);
		return len < 0 ? (int)len : len ? -ENAMETOOLONG : -ENOENT;
	}
	if (rest_len)
		target[len++] = '/';
	pvg_strlcpy(target + len, rest, rest_len + 1);
	if (*page)
		page_put(*page);
	*page = target;
	if (*target == '/') {
		inode_put(*at);
		*at = inode_get(root_mount.root);
	}
	return 0;
}

static const char *skip_slashes(const char *path)
{
	while (*path == '/')
		path++;
	return path;
}

/* The loop of walk. *at holds a reference, whatever comes; *page is what links made of the path, to be freed. */
static int walk_on(struct inode **at, const char *path, unsigned flags, struct walk *out, char **page)
{
	const char *rest = skip_slashes(path);

	for (unsigned links = 0;;) {
		struct inode *found = NULL;
		int error = next_name(&rest, out);

		if (error)
			return error;
		error = step(*at, out->name, &found);
		if (error == -ENOENT && !*rest && flags & WALK_MAKE)
			error = 0;
		if (!error && found && S_ISLNK(found->mode) && (*rest || out->slash || flags & WALK_FOLLOW)) {
			struct inode *link = found;

			error = ++links > LINKS_MAX ? -ELOOP : 0;
			if (!error && link->ops->follow) {
				error = link->ops->follow(link, &found);
			} else if (!error) {
				/* The slash may matter to what the link leads to. */
				error = follow(link, *rest || !out->slash ? rest : "/", at, page);
				rest = *page ? skip_slashes(*page) : rest;
				found = NULL;
			}
			inode_put(link);
			if (!error && !found)
				continue;
		}
		if (error)
			return error;
		if (!*rest) {
			out->inode = found;
			return 0;
		}
		inode_put(*at);
		*at = found;
	}
}

int walk(struct inode *from, const char *path, unsigned flags, struct walk *out)
{
	char *page = NULL;
	int error;

	if (!*path)
		return -ENOENT;
	out->dir = inode_get(*path == '/' ? root_mount.root : from);
	error = walk_on(&out->dir, path, flags, out, &page);
	if (page)
		page_put(page);
	if (!error && out->slash && out->inode && !S_ISDIR(out->inode->mode)) {
		inode_put(out->inode);
		error = -ENOTDIR;
	}
	if (error)
		inode_put(out->dir);
	return error;
}

void walk_end(struct walk *walk)
{
	inode_put(walk->inode);
	inode_put(walk->dir);
}

static int start_of(uint64_t dirfd, struct inode **start)
{
	struct file *file;

	*start = current->files->cwd;
	if ((int)dirfd == AT_FDCWD)
		return 0;
	file = fd_file(dirfd);
	if (!file)
		return -EBADF;
	*start = file->inode;
	return 0;
}

int walk_user(uint64_t dirfd, uint64_t user_path, unsigned flags, struct walk *out)
{
	struct inode *start = NULL;
	char *path;
	int error = path_from_user(user_path, &path);

	if (error)
		return error;
	/* An absolute path needs no directory, not even a descriptor that is one. */
	if (*path != '/')
		error = start_of(dirfd, &start);
	if (!error)
		error = walk(start, path, flags, out);
	page_put(path);
	return error;
}

int inode_user(uint64_t dirfd, uint64_t user_path, unsigned flags, struct inode **inode)
{
	struct walk found;
	char first = 0;
	int error = copy_from_user(&first, user_path, 1);

	if (flags & AT_EMPTY_PATH && !error && !first) {
		error = start_of(dirfd, inode);
		if (!error)
			inode_get(*inode);
		return error;
	}
	error = walk_user(dirfd, user_path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW, &found);
	if (error)
		return error;
	*inode = inode_get(found.inode);
	walk_end(&found);
	return 0;
}

int64_t inode_user_do(uint64_t dirfd, uint64_t user_path, uint64_t flags, inode_use *use, uint64_t a, uint64_t b)
{
	struct inode *inode;
	int64_t result;

	if (flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	result = inode_user(dirfd, user_path, (unsigned)flags, &inode);
	if (result)
		return result;
	result = use(inode, a, b);
	inode_put(inode);
	return result;
}

/* Writes the path backwards from `end`; where it begins, or NULL if it does not fit or some part has no name. */
static char *path_of(struct inode *inode, char *begin, char *end)
{
	char *at = end;

	*--at = '\0';
	while (inode != root_mount.root) {
		size_t len;

		if (inode->parent == inode) {
			if (!inode->mount->on)
				break;
			inode = inode->mount->on;
			continue;
		}
		if (!inode->name)
			return NULL;
		len = pvg_strlen(inode->name->name);
		if ((size_t)(at - begin) < len + 1)
			return NULL;
		at -= len;
		memcpy(at, inode->name->name, len);
		*--at = '/';
		inode = inode->name->dir;
	}
	if (!*at && at > begin)
		*--at = '/';
	return at;
}

void inode_path(struct inode *inode, char *to, size_t size)
{
	char *page = page_new();
	char *path = page ? path_of(inode, page, page + PATH_MAX) : NULL;

	if (path)
		pvg_strlcpy(to, path, size);
	else if (inode->name)
		pvg_snprintf(to, size, "%s", inode->name->name);
	else if (S_ISFIFO(inode->mode))
		pvg_snprintf(to, size, "pipe:[%lu]", inode->ino);
	else
		pvg_snprintf(to, size, "(deleted)");
	if (page)
		page_put(page);
}

int64_t sys_getcwd(const uint64_t arg[6])
{
	char *page = page_new();
	char *path;
	int64_t result;

	if (!page)
		return -ENOMEM;
	path = path_of(current->files->cwd, page, page + PATH_MAX);
	result = path ? page + PATH_MAX - path : -ENOENT;
	if (result > 0 && (uint64_t)result > arg[1])
		result = -ERANGE;
	if (result > 0 && copy_to_user(arg[0], path, (size_t)result))
		result = -EFAULT;
	page_put(page);
	return result;
}
