/*
 * The initramfs: cpio archives of format newc (cpio(5), "new ASCII format"), one after another. What is broken ends
 * the unpacking; what was before it stays.
 */
#include "examples/tinix/fs.h"

#define TRAILER "TRAILER!!!"

/* A header in the archive: eight hexadecimal digits each; name and data follow, each padded to 4 bytes. */
enum { INO, MODE, UID, GID, NLINK, MTIME, SIZE, DEV_MAJOR, DEV_MINOR, MAJOR, MINOR, NAME_SIZE, CHECK, FIELDS };

struct header {
	char magic[6];
	char field[FIELDS][8];
};

struct member {
	uint32_t field[FIELDS];
	const char *name, *data;
};

/* Files of several names: inode numbers of the archive that were met, for one archive. */
struct met {
	struct met *next;
	uint32_t ino;
	struct inode *inode;
};

static bool number(const char digits[8], uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 8; i++) {
		char c = digits[i];
		uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a') + 10;

		if (digit > 15)
			return false;
		*value = *value << 4 | digit;
	}
	return true;
}

static size_t padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

/* Parses the member at *at and moves past it. */
static bool next_member(const char **at, const char *end, struct member *m)
{
	const struct header *h = (const struct header *)*at;
	size_t left = (size_t)(end - *at), data;
	size_t name_size;

	if (left < sizeof(*h) || (memcmp(h->magic, "070701", 6) && memcmp(h->magic, "070702", 6)))
		return false;
	for (int i = 0; i < FIELDS; i++)
		if (!number(h->field[i], &m->field[i]))
			return false;
	name_size = m->field[NAME_SIZE];
	data = padded(sizeof(*h) + name_size);
	if (!name_size || name_size > PATH_MAX || data > left || m->field[SIZE] > left - data)
		return false;
	m->name = *at + sizeof(*h);
	m->data = *at + data;
	if (m->name[name_size - 1])
		return false;
	data = padded(data + m->field[SIZE]);
	*at += data < left ? data : left;
	return true;
}

static struct inode *met_before(const struct met *met, const struct member *m)
{
	for (; met; met = met->next)
		if (met->ino == m->field[INO])
			return met->inode;
	return NULL;
}

static void remember(struct met **met, const struct member *m, struct inode *inode)
{
	struct met *one = kalloc(sizeof(*one));

	if (!one)
		return;
	*one = (struct met){*met, m->field[INO], inode_get(inode)};
	*met = one;
}

static void forget(struct met **met)
{
	while (*met) {
		struct met *one = *met;

		*met = one->next;
		inode_put(one->inode);
		kfree(one);
	}
}

static int make_link(const struct walk *at, const struct member *m)
{
	char *target = page_new();
	int error;

	if (!target || m->field[SIZE] >= PATH_MAX) {
		if (target)
			page_put(target);
		return target ? -ENAMETOOLONG : -ENOMEM;
	}
	memcpy(target, m->data, m->field[SIZE]);
	error = symlink_make(at->dir, at->name, target);
	page_put(target);
	return error;
}

static int make(struct walk *at, const struct member *m, struct met **met)
{
	struct inode *inode = S_ISREG(m->field[MODE]) && m->field[NLINK] > 1 ? met_before(*met, m) : NULL;
	struct entry *old = at->inode ? dir_find(at->dir, at->name) : NULL;
	int error = 0;

	if (at->dots || (at->inode && S_ISDIR(at->inode->mode) && S_ISDIR(m->field[MODE])))
		return 0;
	if (old && S_ISDIR(at->inode->mode))
		return -EISDIR;
	if (old) /* a later archive replaces files of an earlier one */
		dir_remove(old);
	if (S_ISLNK(m->field[MODE]))
		return make_link(at, m);
	if (inode) {
		error = dir_add(at->dir, at->name, inode);
		inode_get(inode);
	} else {
		error = node_make(at->dir, at->name, m->field[MODE] & (S_IFMT | 07777),
				  device_number(m->field[MAJOR], m->field[MINOR]), &inode);
		if (error)
			return error;
		if (S_ISREG(m->field[MODE]) && m->field[NLINK] > 1)
			remember(met, m, inode);
	}
	/* The data is with the last of a file's names. */
	if (!error && S_ISREG(m->field[MODE]) && m->field[SIZE])
		regular_archived(inode, m->data, m->field[SIZE]);
	inode->uid = m->field[UID];
	inode->gid = m->field[GID];
	inode->atime = inode->mtime = m->field[MTIME] * PVG_NS_PER_SEC;
	inode_put(inode);
	return error;
}

int cpio_unpack(struct inode *root, const char *archive, size_t size)
{
	const char *at = archive, *end = archive + size;
	struct met *met = NULL;
	int error = 0;

	while (!error) {
		struct member m;
		struct walk walked;

		while (at < end && !*at) /* between archives */
			at++;
		if (at == end)
			break;
		if (!next_member(&at, end, &m)) {
			error = -EINVAL;
		} else if (pvg_strcmp(m.name, TRAILER) == 0) {
			forget(&met);
		} else {
			error = walk(root, m.name, WALK_MAKE, &walked);
			if (!error) {
				error = make(&walked, &m, &met);
				walk_end(&walked);
			}
		}
	}
	forget(&met);
	return error;
}
