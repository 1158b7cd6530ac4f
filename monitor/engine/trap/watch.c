/*
 * Debug registers of the runners, through ptrace: under transport ptrace they are stopped under it already, under
 * transport signal each is traced for the moment it takes. What is written stays when the tracer goes.
 */
#include "monitor/engine/trap/watch.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "monitor/engine/trap/trap.h"
#include "monitor/host/debug_registers.h"
#include "monitor/vm/vm.h"

static void *debug_register(unsigned n)
{
	return (void *)(offsetof(struct user, u_debugreg) + n * sizeof(uint64_t));
}

static int stop(const struct cell *cell, bool traced)
{
	int status;
	pid_t who;
	if (traced)
		return 0;
	if (ptrace(PTRACE_SEIZE, cell->runner, 0, 0))
		return -errno;
	if (ptrace(PTRACE_INTERRUPT, cell->runner, 0, 0)) {
		int error = -errno;
		ptrace(PTRACE_DETACH, cell->runner, 0, 0);
		return error;
	}
	do
		who = waitpid(cell->runner, &status, __WALL);
	while (who < 0 && errno == EINTR);
	return who == cell->runner && WIFSTOPPED(status) ? 0 : -ESRCH;
}

static void go_on(const struct cell *cell, bool traced)
{
	if (!traced)
		ptrace(PTRACE_DETACH, cell->runner, 0, 0);
}

/* Switched off first: the host checks address and control together. */
static int write_registers(pid_t runner, const struct engine_watch *wanted)
{
	if (ptrace(PTRACE_POKEUSER, runner, debug_register(7), 0))
		return -errno;
	for (unsigned i = 0; i < ENGINE_WATCHES; i++)
		if (ptrace(PTRACE_POKEUSER, runner, debug_register(i), (void *)wanted->address[i]))
			return -errno;
	return ptrace(PTRACE_POKEUSER, runner, debug_register(7), (void *)wanted->control) ? -errno : 0;
}

static int write_cell(struct cell *cell, const struct engine_watch *wanted, bool traced)
{
	int error = cell_is_dead(cell) ? -ESRCH : stop(cell, traced);
	if (error == -ESRCH)
		return 0; /* found dead when it is entered next */
	if (error)
		return error;
	error = write_registers(cell->runner, wanted);
	go_on(cell, traced);
	return error;
}

int trap_watch_cell(const struct watch *watch, struct cell *cell, bool traced)
{
	return watch->wanted.control ? write_cell(cell, &watch->wanted, traced) : 0;
}

static bool watches_data(const struct engine_watch *wanted)
{
	for (unsigned i = 0; i < ENGINE_WATCHES; i++)
		if (wanted->control & X86_DR7_L(i) &&
		    (wanted->control >> X86_DR7_FIELD_SHIFT(i) & X86_DR7_RW_ACCESS) != X86_DR7_RW_EXECUTE)
			return true;
	return false;
}

/* Breakpoints have another way, and nothing need be said. */
static int refuse(const struct engine_watch *wanted)
{
	static bool told;
	if (watches_data(wanted) && !told) {
		fputs("ring3: watchpoints need debug registers, and this host's do not stop programs: take --engine "
		      "interpret, hybrid or translate, which look at each access\n",
		      stderr);
		told = true;
	}
	return -ENOTSUP;
}

int trap_watch(struct vm *vm, const struct engine_watch *wanted)
{
	struct trap *trap = trap_of(vm);
	int error = 0;
	if (wanted->control && !debug_registers_fire())
		return refuse(wanted);
	for (struct cell *cell = trap->cells.all; cell && !error; cell = cell->next)
		error = write_cell(cell, wanted, trap->transport->traced);
	if (error) {
		for (struct cell *cell = trap->cells.all; cell; cell = cell->next)
			write_cell(cell, &trap->watch.wanted, trap->transport->traced);
		return error;
	}
	trap->watch.wanted = *wanted;
	return 0;
}

unsigned trap_watch_hits(struct vcpu *vcpu)
{
	struct trap *trap = trap_of(vcpu->vm);
	struct cell *cell = trap->cells.last;
	bool traced = trap->transport->traced;
	if (!trap->watch.wanted.control || !cell || cell->dead || stop(cell, traced))
		return 0;
	errno = 0;
	long status = ptrace(PTRACE_PEEKUSER, cell->runner, debug_register(6), 0);
	unsigned hits = errno ? 0 : status & ((1u << ENGINE_WATCHES) - 1);
	ptrace(PTRACE_POKEUSER, cell->runner, debug_register(6), 0);
	go_on(cell, traced);
	return hits;
}
