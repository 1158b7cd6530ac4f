#include "monitor/engine/confine/filter.h"

#include <stdlib.h>
#include <string.h>

struct sock_fprog confine_filter_add(struct confine_programs *programs, const struct sock_filter *code, size_t len)
{
	if (len > programs->room - programs->used)
		abort();
	uint64_t address = programs->address + programs->used * sizeof(*code);
	memcpy(programs->code + programs->used, code, len * sizeof(*code));
	programs->used += len;
	return (struct sock_fprog){(unsigned short)len, (void *)address};
}
