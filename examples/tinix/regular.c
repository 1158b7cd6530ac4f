/*
 * Regular files in memory. Pages that were never written do not exist and read as zeroes; past the end all bytes of the
 * last page are zero. A file of the initramfs stays in the archive, but for pages that were written or mapped.
 */
#include "examples/tinix/fs.h"

#define SIZE_LIMIT (1ull << 39) /* what a page tree can hold */

/* Bytes of the page that the archive has. */
static size_t archived_of(const struct inode *inode, uint64_t index)
{
	uint64_t offset = index * PAGE_SIZE;

	if (offset >= inode->archived)
		return 0;
	return inode->archived - offset < PAGE_SIZE ? inode->archived - offset : PAGE_SIZE;
}

/* The page to store to, made if need be. What files grow by leaves a part of memory to processes. */
static void *page_to_write(struct inode *inode, uint64_t index)
{
	void *page = tree_find(&inode->data, index);
	size_t archived = archived_of(inode, index);

	if (page || (!archived && memory_free() < memory_total() / 16))
		return page;
	page = tree_make(&inode->data, index);
	if (page && archived)
		memcpy(page, inode->archive + index * PAGE_SIZE, archived);
	return page;
}

void regular_archived(struct inode *inode, const void *data, uint64_t size)
{
	inode->archive = data;
	inode->archived = inode->size = size;
}

uint64_t regular_pages(const struct inode *inode)
{
	uint64_t pages = inode->data.pages;

	for (uint64_t index = 0; archived_of(inode, index); index++)
		pages += !tree_find(&inode->data, index);
	return pages;
}

static size_t within_page(uint64_t offset, uint64_t len)
{
	size_t room = PAGE_SIZE - (offset & PAGE_MASK);

	return len < room ? len : room;
}

/* A piece of a page that has none of its own: what the archive has, or zeroes. Returns its size, or an error. */
static int64_t read_archived(const struct inode *inode, struct io *io, uint64_t offset, size_t piece)
{
	uint64_t left = offset < inode->archived ? inode->archived - offset : 0;
	int error;

	if (left && left < piece)
		piece = left;
	error = left ? io_put(io, inode->archive + offset, piece) : io_zero(io, piece);
	return error ? error : (int64_t)piece;
}

static int64_t read_piece(const struct inode *inode, struct io *io, uint64_t offset, size_t piece)
{
	const char *page = tree_find(&inode->data, offset / PAGE_SIZE);
	int error;

	if (!page)
		return read_archived(inode, io, offset, piece);
	error = io_put(io, page + (offset & PAGE_MASK), piece);
	return error ? error : (int64_t)piece;
}

int64_t regular_read(struct inode *inode, struct io *io, uint64_t offset)
{
	uint64_t end = offset, done = 0;

	if (offset < inode->size)
		end = inode->size - offset > io->left ? offset + io->left : inode->size;
	while (offset < end) {
		int64_t piece = read_piece(inode, io, offset, within_page(offset, end - offset));

		if (piece < 0)
			return done ? (int64_t)done : piece;
		offset += (uint64_t)piece;
		done += (uint64_t)piece;
	}
	return (int64_t)done;
}

int64_t regular_write(struct inode *inode, struct io *io, uint64_t offset)
{
	int64_t done = 0;

	if (offset >= SIZE_LIMIT || io->left > SIZE_LIMIT - offset)
		return -EFBIG;
	if (io->left)
		inode_touch(inode);
	while (io->left) {
		size_t piece = within_page(offset, io->left);
		char *page = page_to_write(inode, offset / PAGE_SIZE);
		int error = page ? io_get(io, page + (offset & PAGE_MASK), piece) : -ENOSPC;

		if (error)
			return done ? done : error;
		offset += piece;
		done += (int64_t)piece;
		if (offset > inode->size)
			inode->size = offset;
	}
	return done;
}

int inode_truncate(struct inode *inode, uint64_t size)
{
	char *last;

	if (size > SIZE_LIMIT)
		return -EFBIG;
	if (size < inode->archived)
		inode->archived = size;
	if (size < inode->size) {
		mm_forget_file(inode, (size + PAGE_MASK) / PAGE_SIZE);
		tree_cut(&inode->data, (size + PAGE_MASK) / PAGE_SIZE);
		last = tree_find(&inode->data, size / PAGE_SIZE);
		if (last && size & PAGE_MASK)
			memset(last + (size & PAGE_MASK), 0, PAGE_SIZE - (size & PAGE_MASK));
	}
	inode->size = size;
	inode_touch(inode);
	return 0;
}

void *inode_page(struct inode *inode, uint64_t index)
{
	void *page;

	if (index >= (inode->size + PAGE_MASK) / PAGE_SIZE)
		return NULL;
	page = page_to_write(inode, index);
	return page ? page_get(page) : NULL;
}

static void regular_free(struct inode *inode)
{
	tree_cut(&inode->data, 0);
}

const struct inode_ops regular_ops = {.free = regular_free};

struct inode *inode_anonymous(uint64_t size)
{
	struct inode *inode = size <= SIZE_LIMIT ? inode_new(NULL, S_IFREG | 0600, &regular_ops) : NULL;

	if (inode)
		inode->size = size;
	return inode;
}

static int64_t file_read(struct file *file, struct io *io, uint64_t offset)
{
	return regular_read(file->inode, io, offset);
}

static int64_t file_write(struct file *file, struct io *io, uint64_t offset)
{
	int64_t allowed = limit_file_size(offset, io->left);

	if (allowed < 0)
		return allowed;
	io->left = (size_t)allowed;
	return regular_write(file->inode, io, offset);
}

const struct file_ops regular_file_ops = {.read = file_read, .write = file_write, .seekable = true};
