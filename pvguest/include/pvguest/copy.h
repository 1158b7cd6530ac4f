/*
 * Copying to and from user memory. The pages are found in the page tables and reached through the direct mapping, so no
 * access can fault; where an entry does not permit one, the guest's own fault handling is called instead.
 */
#ifndef PVGUEST_COPY_H
#define PVGUEST_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pvguest/language.h>
#include <pvguest/map.h>

PVG_BEGIN

/* Makes [gva] accessible as a fault would; true if the page tables now permit the access. May be NULL: never. */
typedef bool (*pvg_fault_resolver)(void *arg, uint64_t gva, bool write);

struct pvg_user_memory {
	struct pvg_space *space;
	uint64_t end; /* addresses from here up are nobody's */
	pvg_fault_resolver resolve;
	void *arg;
};

/* Where the kernel finds the byte at gva, valid to the end of its page; NULL: not accessible to user mode. */
void *pvg_user_ptr(const struct pvg_user_memory *memory, uint64_t gva, bool write);

/* Bytes copied before the first that was not accessible: len if all went well. */
size_t pvg_copy_from_user(const struct pvg_user_memory *memory, void *to, uint64_t gva, size_t len);
size_t pvg_copy_to_user(const struct pvg_user_memory *memory, uint64_t gva, const void *from, size_t len);
size_t pvg_zero_user(const struct pvg_user_memory *memory, uint64_t gva, size_t len);
/* Copies up to and including the terminator; its length, size if there is none within size bytes, -R3_EFAULT. */
int64_t pvg_string_from_user(const struct pvg_user_memory *memory, char *to, uint64_t gva, size_t size);

PVG_END

#endif
