#include "monitor/engine/trap/filter.h"

#include <linux/bpf_common.h>
#include <stdlib.h>

#include "monitor/engine/confine/filter.h"

/* By filter_make.c. */
#include "cell_filters.inc"

/* Has the program compare descriptors with fd where it was made with a stand-in. */
static void name_descriptor(struct sock_filter *code, unsigned len, uint32_t stand_in, int fd)
{
	unsigned named = 0;

	for (unsigned i = 0; i < len; i++) {
		if (code[i].code != (BPF_JMP | BPF_JEQ | BPF_K) || code[i].k != stand_in)
			continue;
		code[i].k = (uint32_t)fd;
		named++;
	}
	if (!named)
		abort();
}

static struct sock_fprog add_runner(struct confine_programs *programs, bool by_insns, bool dispatched)
{
	if (by_insns && dispatched)
		return CONFINE_FILTER_ADD(programs, runner_by_insns);
	if (by_insns)
		return CONFINE_FILTER_ADD(programs, runner_alone_by_insns);
	if (dispatched)
		return CONFINE_FILTER_ADD(programs, runner_by_calls);
	return CONFINE_FILTER_ADD(programs, runner_alone_by_calls);
}

void filter_fill(struct gate_data *data, int ram_fd, int answers_fd, int sites_fd, uint32_t bases, bool dispatched)
{
	struct confine_programs programs = {
		.code = data->code,
		.address = GATE_DATA + offsetof(struct gate_data, code),
		.room = sizeof(data->code) / sizeof(data->code[0]),
	};

	data->runner = add_runner(&programs, bases == GATE_BASES_INSNS, dispatched);
	struct sock_filter *to = programs.code + programs.used;
	if (sites_fd >= 0)
		data->mapper = CONFINE_FILTER_ADD(&programs, mapper_of_sites);
	else
		data->mapper = CONFINE_FILTER_ADD(&programs, mapper_of_ram);
	name_descriptor(to, data->mapper.len, FILTER_RAM_FD, ram_fd);
	name_descriptor(to, data->mapper.len, FILTER_ANSWERS_FD, answers_fd);
	if (sites_fd >= 0)
		name_descriptor(to, data->mapper.len, FILTER_SITES_FD, sites_fd);
}
