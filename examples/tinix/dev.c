/*
 * Character devices, by the numbers Linux gives them, and their nodes in /dev.
 */
#include "examples/tinix/fs.h"

static int64_t null_read(struct file *file, struct io *io, uint64_t offset)
{
	return 0;
}

static int64_t null_write(struct file *file, struct io *io, uint64_t offset)
{
	return (int64_t)io->left;
}

static int64_t zero_read(struct file *file, struct io *io, uint64_t offset)
{
	size_t len = io->left;

	return io_zero(io, len) ?: (int64_t)len;
}

static int64_t full_write(struct file *file, struct io *io, uint64_t offset)
{
	return -ENOSPC;
}

static int64_t random_read(struct file *file, struct io *io, uint64_t offset)
{
	char chunk[256];
	int64_t done = 0;

	while (io->left) {
		size_t len = io->left < sizeof(chunk) ? io->left : sizeof(chunk);

		random_bytes(chunk, len);
		if (io_put(io, chunk, len))
			return done ? done : -EFAULT;
		done += (int64_t)len;
	}
	return done;
}

/* /dev/tty: the terminal of who opens it. */
static int own_tty_open(struct file *file)
{
	if (!tty_is_controlling())
		return -ENXIO;
	file->flags &= ~(unsigned)O_NOCTTY;
	file->ops = &tty_file_ops;
	return 0;
}

static const struct file_ops null_ops = {.read = null_read, .write = null_write, .seekable = true};
static const struct file_ops zero_ops = {.read = zero_read, .write = null_write, .seekable = true};
static const struct file_ops full_ops = {.read = zero_read, .write = full_write, .seekable = true};
static const struct file_ops random_ops = {.read = random_read, .write = null_write, .seekable = true};
static const struct file_ops own_tty_ops = {.open = own_tty_open};

static const struct {
	const char *name;
	unsigned major, minor, mode;
	const struct file_ops *ops;
} devices[] = {
	{"null", 1, 3, 0666, &null_ops},	{"zero", 1, 5, 0666, &zero_ops},
	{"full", 1, 7, 0666, &full_ops},	{"random", 1, 8, 0666, &random_ops},
	{"urandom", 1, 9, 0666, &random_ops},	{"tty", 5, 0, 0666, &own_tty_ops},
	{"console", 5, 1, 0600, &tty_file_ops}, {"ttyS0", 4, 64, 0600, &tty_file_ops},
};

#define DEVICES (sizeof(devices) / sizeof(devices[0]))

const struct file_ops *device_ops(uint64_t rdev)
{
	for (size_t i = 0; i < DEVICES; i++)
		if (rdev == device_number(devices[i].major, devices[i].minor))
			return devices[i].ops;
	return NULL;
}

void devices_make(struct inode *dir)
{
	static const char *const links[][2] = {{"fd", "/proc/self/fd"},
					       {"stdin", "/proc/self/fd/0"},
					       {"stdout", "/proc/self/fd/1"},
					       {"stderr", "/proc/self/fd/2"}};

	/* What the initramfs has stays; what does not fit into memory is missing, as anything else then. */
	for (size_t i = 0; i < DEVICES; i++)
		if (!dir_find(dir, devices[i].name))
			node_make(dir, devices[i].name, S_IFCHR | devices[i].mode,
				  device_number(devices[i].major, devices[i].minor), NULL);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (!dir_find(dir, links[i][0]))
			symlink_make(dir, links[i][0], links[i][1]);
}
