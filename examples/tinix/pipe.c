/*
 * Pipes, with names (FIFOs) and without. What is in a pipe lies in a ring of pages, made when they are first needed; a
 * pipe that runs empty starts again at the first, so that short messages stay in one page.
 */
#include "examples/tinix/fs.h"

#define PAGES	 16u
#define CAPACITY (PAGES * PAGE_SIZE)

struct pipe {
	bool named; /* a FIFO: who opens one end waits for the other */
	unsigned readers, writers;
	unsigned reads_opened, writes_opened; /* ever: who waits for the other end sees it even if it left again */
	uint64_t head, tail;		      /* bytes ever written and read, since it was last empty */
	char *page[PAGES];
	struct waitq wait;
};

static void changed(struct pipe *pipe)
{
	wake_all(&pipe->wait);
	wake_all(&poll_queue);
}

/* The byte at a position, and how many follow in the same page; NULL if memory is out. */
static char *spot(struct pipe *pipe, uint64_t position, size_t *run)
{
	char **page = &pipe->page[position / PAGE_SIZE % PAGES];

	*run = PAGE_SIZE - (position & PAGE_MASK);
	if (!*page)
		*page = page_new();
	return *page ? *page + (position & PAGE_MASK) : NULL;
}

/* Moves as much as there is and fits. Bytes, or an error if there were none. */
static int64_t take(struct pipe *pipe, struct io *io)
{
	int64_t done = 0;

	while (io->left && pipe->tail < pipe->head) {
		size_t run, there = pipe->head - pipe->tail;
		char *from = spot(pipe, pipe->tail, &run);

		run = run < there ? run : there;
		run = run < io->left ? run : io->left;
		if (io_put(io, from, run))
			return done ? done : -EFAULT;
		pipe->tail += run;
		done += (int64_t)run;
	}
	if (pipe->tail == pipe->head)
		pipe->tail = pipe->head = 0;
	return done;
}

static int64_t fill(struct pipe *pipe, struct io *io)
{
	int64_t done = 0;

	while (io->left && pipe->head - pipe->tail < CAPACITY) {
		size_t run, room = CAPACITY - (pipe->head - pipe->tail);
		char *to = spot(pipe, pipe->head, &run);

		run = run < room ? run : room;
		run = run < io->left ? run : io->left;
		if (!to || io_get(io, to, run))
			return done ? done : to ? -EFAULT : -ENOMEM;
		pipe->head += run;
		done += (int64_t)run;
	}
	return done;
}

static int64_t fifo_read(struct file *file, struct io *io, uint64_t offset)
{
	struct pipe *pipe = file->inode->pipe;
	int64_t done;

	if (!io->left)
		return 0;
	while (pipe->tail == pipe->head) {
		int error;

		if (!pipe->writers)
			return 0;
		if (file->flags & O_NONBLOCK)
			return -EAGAIN;
		error = sleep_on(&pipe->wait, NO_DEADLINE);
		if (error)
			return error;
	}
	done = take(pipe, io);
	changed(pipe);
	return done;
}

static int64_t fifo_write(struct file *file, struct io *io, uint64_t offset)
{
	struct pipe *pipe = file->inode->pipe;
	size_t atomic = io->left <= PIPE_BUF ? io->left : 1;
	int64_t done = 0;

	while (io->left) {
		int64_t moved = 0;

		if (!pipe->readers) {
			signal_process(current, SIGPIPE);
			return done ? done : -EPIPE;
		}
		if (CAPACITY - (pipe->head - pipe->tail) >= atomic)
			moved = fill(pipe, io);
		if (moved > 0) {
			done += moved;
			changed(pipe);
			continue;
		}
		if (!moved)
			moved = file->flags & O_NONBLOCK ? -EAGAIN : sleep_on(&pipe->wait, NO_DEADLINE);
		if (moved)
			return done ? done : moved;
	}
	return done;
}

static unsigned fifo_poll(struct file *file)
{
	const struct pipe *pipe = file->inode->pipe;
	unsigned events = 0;

	if (file_readable(file)) {
		if (pipe->head != pipe->tail)
			events |= POLLIN | POLLRDNORM;
		if (!pipe->writers && pipe->writes_opened)
			events |= POLLHUP;
	}
	if (file_writable(file)) {
		if (CAPACITY - (pipe->head - pipe->tail) >= PIPE_BUF)
			events |= POLLOUT | POLLWRNORM;
		if (!pipe->readers)
			events |= POLLERR;
	}
	return events;
}

static int64_t fifo_ioctl(struct file *file, unsigned request, uint64_t arg)
{
	const struct pipe *pipe = file->inode->pipe;
	int waiting = (int)(pipe->head - pipe->tail);

	return request == FIONREAD ? copy_to_user(arg, &waiting, sizeof(waiting)) : -ENOTTY;
}

/* ------------------------------------------------------------------------------------------- opening, closing */

static const struct inode_ops pipe_ops;

static void fifo_close(struct file *file)
{
	struct pipe *pipe = file->inode->pipe;

	pipe->readers -= file_readable(file);
	pipe->writers -= file_writable(file);
	changed(pipe);
	if (pipe->readers || pipe->writers)
		return;
	for (unsigned i = 0; i < PAGES; i++)
		if (pipe->page[i])
			page_put(pipe->page[i]);
	kfree(pipe);
	file->inode->pipe = NULL;
}

/* An end opened for one way waits for the other. */
static int fifo_open(struct file *file)
{
	struct pipe *pipe = file->inode->pipe;
	bool reads = file_readable(file), writes = file_writable(file);
	const unsigned *count;
	unsigned before;
	int error = 0;

	if (!pipe) {
		pipe = kalloc(sizeof(*pipe));
		if (!pipe)
			return -ENOMEM;
		waitq_init(&pipe->wait);
		pipe->named = file->inode->ops != &pipe_ops;
		file->inode->pipe = pipe;
	}
	pipe->readers += reads;
	pipe->writers += writes;
	pipe->reads_opened += reads;
	pipe->writes_opened += writes;
	changed(pipe);
	if (!pipe->named || (reads && writes) || (reads ? pipe->writers : pipe->readers))
		return 0;
	if (file->flags & O_NONBLOCK) {
		error = reads ? 0 : -ENXIO;
	} else {
		count = reads ? &pipe->writes_opened : &pipe->reads_opened;
		before = *count;
		while (!error && *count == before)
			error = sleep_on(&pipe->wait, NO_DEADLINE);
	}
	if (error)
		fifo_close(file);
	return error;
}

const struct file_ops fifo_file_ops = {
	.open = fifo_open,
	.close = fifo_close,
	.read = fifo_read,
	.write = fifo_write,
	.poll = fifo_poll,
	.ioctl = fifo_ioctl,
};

/* Both ends. */
static int pipe_open(struct file *end[2], unsigned flags)
{
	struct inode *inode = inode_new(NULL, S_IFIFO | 0600, &pipe_ops);
	int error;

	if (!inode)
		return -ENOMEM;
	inode->file_ops = &fifo_file_ops;
	error = file_open(inode, O_RDONLY | flags, &end[0]);
	if (!error) {
		error = file_open(inode, O_WRONLY | flags, &end[1]);
		if (error)
			file_put(end[0]);
	}
	inode_put(inode);
	return error;
}

int64_t sys_pipe2(const uint64_t arg[6])
{
	bool cloexec = arg[1] & O_CLOEXEC;
	struct file *end[2];
	int fd[2], error;

	if (arg[1] & ~(uint64_t)(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	error = pipe_open(end, (unsigned)arg[1] & O_NONBLOCK);
	if (error)
		return error;
	fd[0] = fd_install(end[0], 0, cloexec);
	if (fd[0] < 0) {
		file_put(end[1]);
		return fd[0];
	}
	fd[1] = fd_install(end[1], 0, cloexec);
	error = fd[1] < 0 ? fd[1] : copy_to_user(arg[0], fd, sizeof(fd));
	if (error) {
		sys_close((uint64_t[6]){(uint64_t)fd[0]});
		if (fd[1] >= 0)
			sys_close((uint64_t[6]){(uint64_t)fd[1]});
	}
	return error;
}
