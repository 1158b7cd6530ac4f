/*
 * Advisory locks: of records, which a process has (fcntl), and of whole files, which an open file has (flock). One list
 * of both for all files: there are few.
 */
#include "examples/tinix/fs.h"

#define END_OF_FILE INT64_MAX /* a record that goes on as far as the file may grow */

struct lock {
	struct list link;
	const struct inode *inode;
	const void *owner; /* struct files for records, struct file for whole files */
	bool record, exclusive;
	int64_t start, end; /* both included */
	int pid;
};

static struct list locks = LIST_INIT(locks);
static struct waitq waiting = WAITQ_INIT(waiting);

static struct lock *lock_of(struct list *node)
{
	return list_entry(node, struct lock, link);
}

static void lock_free(struct lock *lock)
{
	list_remove(&lock->link);
	kfree(lock);
}

static bool overlap(const struct lock *a, const struct lock *b)
{
	return a->inode == b->inode && a->record == b->record && a->start <= b->end && b->start <= a->end;
}

/* Another owner's that does not go with the wanted one. */
static struct lock *conflict(const struct lock *wanted)
{
	list_each(node, &locks)
	{
		struct lock *lock = lock_of(node);

		if (lock->owner != wanted->owner && overlap(lock, wanted) && (lock->exclusive || wanted->exclusive))
			return lock;
	}
	return NULL;
}

static int add(const struct lock *like)
{
	struct lock *lock = kalloc(sizeof(*lock));

	if (!lock)
		return -ENOLCK;
	*lock = *like;
	list_add(&locks, &lock->link);
	return 0;
}

/* Takes the owner's locks out of a range: whole ones, ends, or a middle, which leaves two. */
static int release(const struct lock *range)
{
	list_each(node, &locks)
	{
		struct lock *lock = lock_of(node), rest;

		if (lock->owner != range->owner || !overlap(lock, range))
			continue;
		rest = *lock;
		rest.start = range->end == END_OF_FILE ? END_OF_FILE : range->end + 1;
		if (lock->start < range->start) {
			if (lock->end > range->end && add(&rest))
				return -ENOLCK;
			lock->end = range->start - 1;
		} else if (lock->end > range->end) {
			lock->start = rest.start;
		} else {
			lock_free(lock);
		}
	}
	wake_all(&waiting);
	return 0;
}

static int acquire(const struct lock *wanted, bool waits)
{
	int error = 0;

	while (!error && conflict(wanted))
		error = waits ? sleep_on(&waiting, NO_DEADLINE) : -EAGAIN;
	if (!error)
		error = release(wanted);
	return error ? error : add(wanted);
}

static int64_t whence(const struct file *file, const struct flock *lock)
{
	switch (lock->l_whence) {
	case SEEK_SET:
		return lock->l_start;
	case SEEK_CUR:
		return (int64_t)file->offset + lock->l_start;
	case SEEK_END:
		return (int64_t)file->inode->size + lock->l_start;
	default:
		return -1;
	}
}

static int range_from_user(const struct file *file, const struct flock *from, struct lock *to)
{
	int64_t start = whence(file, from), length = from->l_len;

	if (length < 0) {
		start += length;
		length = -length;
	}
	if (start < 0 || (from->l_type != F_RDLCK && from->l_type != F_WRLCK && from->l_type != F_UNLCK))
		return -EINVAL;
	*to = (struct lock){
		.inode = file->inode,
		.owner = current->files,
		.record = true,
		.exclusive = from->l_type == F_WRLCK,
		.start = start,
		.end = !length || length > END_OF_FILE - start ? END_OF_FILE : start + length - 1,
		.pid = current->pid,
	};
	return 0;
}

static int64_t tell(struct flock *flock, const struct lock *lock, uint64_t at)
{
	flock->l_type = F_UNLCK;
	if (lock) {
		flock->l_type = lock->exclusive ? F_WRLCK : F_RDLCK;
		flock->l_whence = SEEK_SET;
		flock->l_start = lock->start;
		flock->l_len = lock->end == END_OF_FILE ? 0 : lock->end - lock->start + 1;
		flock->l_pid = lock->pid;
	}
	return copy_to_user(at, flock, sizeof(*flock));
}

int64_t lock_record(struct file *file, uint64_t command, uint64_t at)
{
	struct flock flock;
	struct lock range;
	int error;

	if (copy_from_user(&flock, at, sizeof(flock)))
		return -EFAULT;
	error = range_from_user(file, &flock, &range);
	if (error)
		return error;
	if (command == F_GETLK)
		return flock.l_type == F_UNLCK ? -EINVAL : tell(&flock, conflict(&range), at);
	if (flock.l_type == F_UNLCK)
		return release(&range);
	if (flock.l_type == F_RDLCK ? !file_readable(file) : !file_writable(file))
		return -EBADF;
	return acquire(&range, command == F_SETLKW);
}

int64_t sys_flock(const uint64_t arg[6])
{
	struct file *file = fd_file(arg[0]);
	unsigned how = (unsigned)arg[1] & ~(unsigned)LOCK_NB;
	struct lock whole;

	if (!file || file->flags & O_PATH)
		return -EBADF;
	if (how != LOCK_SH && how != LOCK_EX && how != LOCK_UN)
		return -EINVAL;
	whole = (struct lock){.inode = file->inode,
			      .owner = file,
			      .exclusive = how == LOCK_EX,
			      .end = END_OF_FILE,
			      .pid = current->pid};
	return how == LOCK_UN ? release(&whole) : acquire(&whole, !(arg[1] & LOCK_NB));
}

void locks_drop(const struct inode *inode, const void *owner)
{
	bool dropped = false;

	list_each(node, &locks)
	{
		if (lock_of(node)->inode != inode || lock_of(node)->owner != owner)
			continue;
		lock_free(lock_of(node));
		dropped = true;
	}
	if (dropped)
		wake_all(&waiting);
}
