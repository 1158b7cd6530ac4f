/*
 * Copying between kernel and user memory.
 */
#include "examples/tinix/core.h"

int copy_from_user(void *to, uint64_t from, size_t len)
{
	return pvg_copy_from_user(&current->mm->memory, to, from, len) == len ? 0 : -EFAULT;
}

int copy_to_user(uint64_t to, const void *from, size_t len)
{
	return copy_to_mm(current->mm, to, from, len);
}

int zero_user(uint64_t to, size_t len)
{
	return zero_mm(current->mm, to, len);
}

int copy_to_mm(struct mm *mm, uint64_t to, const void *from, size_t len)
{
	return pvg_copy_to_user(&mm->memory, to, from, len) == len ? 0 : -EFAULT;
}

int zero_mm(struct mm *mm, uint64_t to, size_t len)
{
	return pvg_zero_user(&mm->memory, to, len) == len ? 0 : -EFAULT;
}

int64_t string_from_user(char *to, uint64_t from, size_t size)
{
	int64_t len = pvg_string_from_user(&current->mm->memory, to, from, size);

	if (len < 0)
		return -EFAULT;
	return (size_t)len == size ? -ENAMETOOLONG : len;
}

size_t read_process_memory(struct mm *mm, void *to, uint64_t from, size_t len)
{
	return mm ? pvg_copy_from_user(&mm->memory, to, from, len) : 0;
}
