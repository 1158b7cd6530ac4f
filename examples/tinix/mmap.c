/*
 * System calls that change an address space.
 */
#include "examples/tinix/core.h"

int mm_map(struct mm *mm, uint64_t start, uint64_t length, unsigned prot, unsigned how, struct inode *inode,
	   uint64_t offset)
{
	const struct vma vma = {.start = start,
				.end = start + length,
				.prot = prot,
				.shared = how & MM_SHARED,
				.read_only = how & MM_READ_ONLY,
				.inode = inode,
				.offset = offset};

	return vma_insert(mm, &vma);
}

/* [start, start + length) lies in user space; length is rounded up, and not 0. */
static bool range_valid(uint64_t start, uint64_t *length)
{
	uint64_t rounded = page_up(*length);

	if (start & PAGE_MASK || rounded < *length || !rounded || start > USER_END || rounded > USER_END - start)
		return false;
	*length = rounded;
	return true;
}

/* The process may have that many bytes more; those of private writable memory count as data too. */
static bool within_limits(struct mm *mm, uint64_t more, bool data)
{
	uint64_t all = more, private = data ? more : 0;

	list_each(node, &mm->vmas)
	{
		const struct vma *vma = list_entry(node, struct vma, link);

		all += vma->end - vma->start;
		private += !vma->shared && !vma->stack && vma->prot & PROT_WRITE ? vma->end - vma->start : 0;
	}
	return all <= current->limits[RLIMIT_AS].rlim_cur &&
	       (!data || private <= current->limits[RLIMIT_DATA].rlim_cur);
}

static bool range_free(struct mm *mm, uint64_t start, uint64_t length)
{
	const struct vma *vma = vma_find(mm, start);

	return start >= USER_START && length <= USER_END - start && (!vma || vma->start >= start + length);
}

int64_t sys_brk(const uint64_t arg[6])
{
	struct mm *mm = current->mm;
	uint64_t old = page_up(mm->brk), new = page_up(arg[0]);
	struct vma heap = {.start = old, .end = new, .prot = PROT_READ | PROT_WRITE, .heap = true};

	if (arg[0] < mm->brk_start || arg[0] >= USER_END || new - mm->brk_start > current->limits[RLIMIT_DATA].rlim_cur)
		return (int64_t)mm->brk;
	if (new > old && !within_limits(mm, new - old, true))
		return (int64_t)mm->brk;
	if (new > old && (new - old > memory_total() || !range_free(mm, old, new - old) || vma_insert(mm, &heap)))
		return (int64_t)mm->brk;
	if (new < old && mm_unmap(mm, new, old))
		return (int64_t)mm->brk;
	mm->brk = arg[0];
	return (int64_t)arg[0];
}

/* Where a mapping goes: 0 if nowhere. What was at a fixed place is unmapped. */
static int64_t choose_place(struct mm *mm, uint64_t hint, uint64_t length, unsigned flags)
{
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (hint & PAGE_MASK)
			return -EINVAL;
		if (hint > USER_END || length > USER_END - hint)
			return -ENOMEM;
		if (hint < USER_START)
			return -EPERM;
		if (!range_free(mm, hint, length)) {
			int err = flags & MAP_FIXED_NOREPLACE ? -EEXIST : mm_unmap(mm, hint, hint + length);

			if (err)
				return err;
		}
		return (int64_t)hint;
	}
	hint = page_down(hint);
	if (hint && hint < USER_END && range_free(mm, hint, length))
		return (int64_t)hint;
	hint = mm_find_free(mm, length);
	return hint ? (int64_t)hint : -ENOMEM;
}

/* The file to map, with a reference; NULL for private anonymous memory. */
static int choose_file(const uint64_t arg[6], uint64_t length, struct inode **inode, unsigned *how)
{
	unsigned prot = (unsigned)arg[2], flags = (unsigned)arg[3];
	bool writable = true;
	int err = 0;

	*inode = NULL;
	if (!(flags & MAP_ANONYMOUS))
		err = files_map((int)arg[4], prot, flags, inode, &writable);
	if ((flags & MAP_TYPE) != MAP_PRIVATE)
		*how = MM_SHARED | (writable ? 0 : MM_READ_ONLY);
	if (err || *inode || (flags & MAP_TYPE) == MAP_PRIVATE)
		return err;
	*inode = inode_anonymous(length);
	return *inode ? 0 : -ENOMEM;
}

int64_t sys_mmap(const uint64_t arg[6])
{
	uint64_t length = arg[1], offset = arg[5];
	unsigned prot = arg[2] & (PROT_READ | PROT_WRITE | PROT_EXEC), flags = (unsigned)arg[3];
	unsigned how = 0;
	struct mm *mm = current->mm;
	struct inode *inode;
	int64_t start;
	int err;

	if (offset & PAGE_MASK || (flags & MAP_TYPE) == 0 || (flags & MAP_TYPE) > MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (!range_valid(0, &length))
		return arg[1] ? -ENOMEM : -EINVAL;
	if (flags & MAP_ANONYMOUS && prot && !(flags & MAP_NORESERVE) && length > memory_total())
		return -ENOMEM;
	if (!within_limits(mm, length, (flags & MAP_TYPE) == MAP_PRIVATE && prot & PROT_WRITE))
		return -ENOMEM;
	err = choose_file(arg, length, &inode, &how);
	if (err)
		return err;
	start = choose_place(mm, arg[0], length, flags);
	if (start > 0) {
		err = mm_map(mm, (uint64_t)start, length, prot, how, inode, flags & MAP_ANONYMOUS ? 0 : offset);
		if (err)
			start = err;
	}
	if (inode)
		inode_put(inode);
	return start;
}

int64_t sys_munmap(const uint64_t arg[6])
{
	uint64_t length = arg[1];

	return range_valid(arg[0], &length) ? mm_unmap(current->mm, arg[0], arg[0] + length) : -EINVAL;
}

/* True if areas cover the whole range. */
static bool is_mapped(struct mm *mm, uint64_t start, uint64_t end)
{
	while (start < end) {
		const struct vma *vma = vma_find(mm, start);

		if (!vma || vma->start > start)
			return false;
		start = vma->end;
	}
	return true;
}

static bool holds_read_only(struct mm *mm, uint64_t start, uint64_t end)
{
	list_each(node, &mm->vmas)
	{
		const struct vma *vma = list_entry(node, struct vma, link);

		if (vma->read_only && vma->start < end && vma->end > start)
			return true;
	}
	return false;
}

int64_t sys_mprotect(const uint64_t arg[6])
{
	uint64_t start = arg[0], length = arg[1];
	unsigned prot = arg[2] & (PROT_READ | PROT_WRITE | PROT_EXEC);
	struct mm *mm = current->mm;
	int err;

	if (!(start & PAGE_MASK) && !length)
		return 0;
	if (!range_valid(start, &length))
		return start & PAGE_MASK ? -EINVAL : -ENOMEM;
	if (!is_mapped(mm, start, start + length))
		return -ENOMEM;
	if (prot & PROT_WRITE && holds_read_only(mm, start, start + length))
		return -EACCES;
	err = vma_cut(mm, start, start + length);
	if (err)
		return err;
	list_each(node, &mm->vmas)
	{
		struct vma *vma = list_entry(node, struct vma, link);

		if (vma->start >= start && vma->end <= start + length)
			vma->prot = prot;
	}
	return table_protect(mm, start, start + length, prot);
}

static bool advice_known(uint64_t advice)
{
	return advice <= MADV_DONTNEED || (advice >= MADV_FREE && advice <= MADV_POPULATE_WRITE);
}

int64_t sys_madvise(const uint64_t arg[6])
{
	uint64_t length = arg[1];
	struct mm *mm = current->mm;
	int err = 0;

	if (!advice_known(arg[2]) || arg[0] & PAGE_MASK)
		return -EINVAL;
	if (!length)
		return 0;
	if (!range_valid(arg[0], &length))
		return -EINVAL;
	/* Private pages come back zero or as the file has them. */
	if (arg[2] == MADV_DONTNEED)
		err = table_clear(mm, arg[0], arg[0] + length);
	return err ? err : is_mapped(mm, arg[0], arg[0] + length) ? 0 : -ENOMEM;
}
