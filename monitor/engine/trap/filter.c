#include "monitor/engine/trap/filter.h"

#include <linux/bpf_common.h>
#include <stdlib.h>

#include "monitor/engine/confine/filter.h"

/* By filter_make.c. */
#include "cell_filters.inc"

/* Has the program compare descriptors with guest RAM's. */
static void name_ram(struct sock_filter *code, unsigned len, int ram_fd)
{
	unsigned named = 0;

	for (unsigned i = 0; i < len; i++) {
		if (code[i].code != (BPF_JMP | BPF_JEQ | BPF_K) || code[i].k != FILTER_RAM_FD)
			continue;
		code[i].k = (uint32_t)ram_fd;
		named++;
	}
	if (!named)
		abort();
}

void filter_fill(struct gate_data *data, int ram_fd, uint32_t bases)
{
	struct confine_programs programs = {
		.code = data->code,
		.address = GATE_DATA + offsetof(struct gate_data, code),
		.room = sizeof(data->code) / sizeof(data->code[0]),
	};

	if (bases == GATE_BASES_INSNS)
		data->runner = CONFINE_FILTER_ADD(&programs, runner_by_insns);
	else
		data->runner = CONFINE_FILTER_ADD(&programs, runner_by_calls);
	struct sock_filter *to = programs.code + programs.used;
	data->mapper = CONFINE_FILTER_ADD(&programs, mapper);
	name_ram(to, data->mapper.len, ram_fd);
}
