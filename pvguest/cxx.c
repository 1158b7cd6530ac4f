/*
 * What C++ compilers call: constructors and destructors of objects that live as long as the guest, and the ends of what
 * must not happen. There is no heap, so nothing to delete.
 */
#include "pvguest/internal.h"

typedef void (*constructor)(void);

/* The linker script's; a guest's own script may have none. */
#pragma weak pvg_init_array
#pragma weak pvg_init_array_end
#pragma weak pvg_fini_array
#pragma weak pvg_fini_array_end
extern const constructor pvg_init_array[], pvg_init_array_end[], pvg_fini_array[], pvg_fini_array_end[];

#define ENTRIES ((X86_PAGE_SIZE - 2 * sizeof(uint64_t)) / (2 * sizeof(uint64_t)))

/* Destructors to be called, a page of them after the other, the latest first. */
static struct page {
	struct page *older;
	uint64_t count;
	struct {
		void (*destroy)(void *object);
		void *object;
	} entry[ENTRIES];
} * latest;

/* Itanium C++ ABI 3.3.5. */
int __cxa_atexit(void (*destroy)(void *object), void *object, void *dso);
void __cxa_pure_virtual(void);
void _ZdlPv(void *object);		 /* operator delete(void *) */
void _ZdlPvm(void *object, size_t size); /* operator delete(void *, size_t) */
void *__dso_handle;

int __cxa_atexit(void (*destroy)(void *object), void *object, void *dso)
{
	(void)dso;
	if (!latest || latest->count == ENTRIES) {
		struct page *page = pvg_page_alloc();

		if (!page)
			return -1;
		page->older = latest;
		latest = page;
	}
	latest->entry[latest->count].destroy = destroy;
	latest->entry[latest->count++].object = object;
	return 0;
}

void __cxa_pure_virtual(void)
{
	pvg_panic("a pure virtual function was called");
}

/* Virtual destructors name them, called or not. Weak: a guest with a heap brings its own. */
__attribute__((weak)) void _ZdlPv(void *object)
{
	pvg_panic("operator delete of %p, and there is no heap", object);
}

__attribute__((weak)) void _ZdlPvm(void *object, size_t size)
{
	(void)size;
	_ZdlPv(object);
}

void pvg_constructors(void)
{
	for (const constructor *each = pvg_init_array; each < pvg_init_array_end; each++)
		(*each)();
}

/* Those that destructors register meanwhile are called as well. */
void pvg_destructors(void)
{
	while (latest) {
		struct page *page = latest;

		if (page->count) {
			page->count--;
			page->entry[page->count].destroy(page->entry[page->count].object);
		} else {
			latest = page->older;
			pvg_page_free(page);
		}
	}
	for (const constructor *each = pvg_fini_array_end; each > pvg_fini_array;)
		(*--each)();
}
