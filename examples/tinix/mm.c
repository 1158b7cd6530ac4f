/*
 * Address spaces: their life, and the sorted list of areas that says what each address is.
 */
#include "examples/tinix/core.h"

/* Below the stack at its largest, mappings are handed out from the top down. */
#define STACK_ROOM (64ul << 20)
#define MMAP_TOP   (STACK_TOP - STACK_ROOM)

static bool resolve(void *arg, uint64_t address, bool write)
{
	enum fault_result result = mm_fault(arg, address, write ? PROT_WRITE : PROT_READ);

	if (result == FAULT_NO_MEMORY && current && current->mm == arg)
		signal_force(SIGKILL, SI_KERNEL, address);
	return result == FAULT_OK;
}

struct mm *mm_new(void)
{
	struct mm *mm = kalloc(sizeof(*mm));

	if (!mm)
		return NULL;
	if (pvg_space_create(&mm->space)) {
		kfree(mm);
		return NULL;
	}
	mm->refs = 1;
	mm->memory = (struct pvg_user_memory){&mm->space, USER_END, resolve, mm};
	list_init(&mm->vmas);
	return mm;
}

struct mm *mm_get(struct mm *mm)
{
	mm->refs++;
	return mm;
}

static struct vma *vma_of(struct list *node)
{
	return list_entry(node, struct vma, link);
}

static void vma_free(struct vma *vma)
{
	list_remove(&vma->link);
	if (vma->inode)
		inode_put(vma->inode);
	kfree(vma);
}

static struct vma *vma_copy(const struct vma *vma)
{
	struct vma *copy = kalloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *vma;
	if (copy->inode)
		inode_get(copy->inode);
	return copy;
}

void mm_put(struct mm *mm)
{
	if (--mm->refs)
		return;
	table_destroy(mm);
	list_each(node, &mm->vmas) vma_free(vma_of(node));
	kfree(mm);
}

struct mm *mm_fork(struct mm *mm)
{
	struct mm *child = mm_new();
	int err = 0;

	if (!child)
		return NULL;
	list_each(node, &mm->vmas)
	{
		struct vma *copy = vma_copy(vma_of(node));

		if (!copy)
			err = -ENOMEM;
		else
			list_add(&child->vmas, &copy->link);
	}
	child->brk_start = mm->brk_start;
	child->brk = mm->brk;
	child->info = mm->info;
	child->resident = mm->resident;
	if (err || table_fork(child, mm)) {
		mm_put(child);
		return NULL;
	}
	return child;
}

struct vma *vma_find(struct mm *mm, uint64_t address)
{
	list_each(node, &mm->vmas) if (vma_of(node)->end > address) return vma_of(node);
	return NULL;
}

/* b, which begins where a ends, goes on as a does. */
static bool continues(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->prot == b->prot && a->shared == b->shared && a->read_only == b->read_only &&
	       a->stack == b->stack && a->heap == b->heap && a->inode == b->inode &&
	       (!a->inode || a->offset + (a->end - a->start) == b->offset);
}

int vma_insert(struct mm *mm, const struct vma *wanted)
{
	struct vma *next = vma_find(mm, wanted->start), *copy;
	struct list *at = next ? &next->link : &mm->vmas;
	struct vma *previous = at->prev == &mm->vmas ? NULL : vma_of(at->prev);

	if (previous && continues(previous, wanted)) {
		previous->end = wanted->end;
		return 0;
	}
	copy = vma_copy(wanted);
	if (!copy)
		return -ENOMEM;
	list_add(at, &copy->link);
	return 0;
}

static int cut_at(struct mm *mm, uint64_t address)
{
	struct vma *vma = vma_find(mm, address), *head;

	if (!vma || vma->start >= address)
		return 0;
	head = vma_copy(vma);
	if (!head)
		return -ENOMEM;
	head->end = address;
	vma->offset += address - vma->start;
	vma->start = address;
	list_add(&vma->link, &head->link);
	return 0;
}

int vma_cut(struct mm *mm, uint64_t start, uint64_t end)
{
	int err = cut_at(mm, start);

	return err ? err : cut_at(mm, end);
}

int mm_unmap(struct mm *mm, uint64_t start, uint64_t end)
{
	int err = vma_cut(mm, start, end);

	if (!err)
		err = table_clear(mm, start, end);
	if (err)
		return err;
	list_each(node, &mm->vmas) if (vma_of(node)->start >= start && vma_of(node)->end <= end) vma_free(vma_of(node));
	return 0;
}

uint64_t mm_find_free(struct mm *mm, uint64_t length)
{
	uint64_t end = MMAP_TOP;

	for (struct list *node = mm->vmas.prev; node != &mm->vmas; node = node->prev) {
		const struct vma *vma = vma_of(node);

		if (vma->end <= end && end - vma->end >= length)
			break;
		end = min_u64(end, vma->start);
	}
	return end >= USER_START && end - USER_START >= length ? end - length : 0;
}

void mm_get_info(struct mm *mm, struct mm_info *out)
{
	*out = mm->info;
	out->resident_pages = mm->resident;
	out->virtual_bytes = 0;
	list_each(node, &mm->vmas) out->virtual_bytes += vma_of(node)->end - vma_of(node)->start;
}

/* The part of an area that shows the file's pages from an index on. */
static void forget(struct mm *mm, const struct vma *vma, uint64_t index)
{
	uint64_t first = vma->offset / PAGE_SIZE;
	uint64_t start = index > first ? vma->start + (index - first) * PAGE_SIZE : vma->start;

	if (start < vma->end)
		table_clear(mm, start, vma->end);
}

void mm_forget_file(const struct inode *inode, uint64_t index)
{
	list_each(node, &proc_all)
	{
		struct mm *mm = list_entry(node, struct proc, link)->mm;

		if (mm)
			list_each(at, &mm->vmas) if (vma_of(at)->inode == inode) forget(mm, vma_of(at), index);
	}
}
