/*
 * The gate's addresses in the monitor.
 */
#include "monitor/engine/trap/reserve.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "monitor/engine/trap/gate.h"
#include "monitor/host/walls/names.h"
#include "monitor/vm/layout.h"

_Static_assert(NAMES_READ >= GATE_SHARED + GATE_PAGE && NAMES_END <= GATE_PEERS, "names lie where a cell has nothing");

/* Chance strikes about once in a thousand starts. */
#define TRIES_MAX 5
#define TRIES_ENV "RING3_START"

bool reserve_gate_held(void)
{
	static bool tried, held;
	static int error;
	if (!tried) {
		held = mmap((void *)GATE_HOLE_START, LAYOUT_GATE_END - GATE_HOLE_START, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
			    0) == (void *)GATE_HOLE_START;
		error = errno;
	}
	tried = true;
	errno = error;
	return held;
}

void reserve_gate(char **argv)
{
	const char *tries = getenv(TRIES_ENV);
	char next[] = {tries && tries[0] >= '0' ? tries[0] + 1 : '1', '\0'};
	if (reserve_gate_held()) {
		unsetenv(TRIES_ENV);
		return;
	}
	if (errno != EEXIST || next[0] > '0' + TRIES_MAX)
		return;
	setenv(TRIES_ENV, next, 1);
	execv("/proc/self/exe", argv);
}
