/*
 * Stacks for contexts, each with a page below it that nothing may touch: an overflow faults instead of running over
 * what lies there.
 */
#include "pvguest/internal.h"

void *pvg_stack_alloc(size_t pages)
{
	char *memory = pvg_pages_alloc(pages + 1, 1);

	pvg_assert(pages);
	if (!memory)
		return NULL;
	if (pvg_guard_set(memory)) {
		pvg_pages_free(memory, pages + 1);
		return NULL;
	}
	return memory + (pages + 1) * X86_PAGE_SIZE;
}

void pvg_stack_free(void *top, size_t pages)
{
	char *memory = (char *)top - (pages + 1) * X86_PAGE_SIZE;

	pvg_guard_clear(memory);
	pvg_pages_free(memory, pages + 1);
}
