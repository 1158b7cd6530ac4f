/*
 * How a guest stands and how it ended, told in as many words as the way it ended leaves time for.
 */
#include "monitor/cli/run/tell.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/debug/core/core.h"
#include "monitor/debug/crash/report.h"
#include "monitor/debug/stats/summary.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/vm/vm.h"

/* For unwind tables and source lines: of a guest that died; of one that somebody wants to see; of one to be gone. */
#define DEAD_NS	  (10 * CLOCK_NS_PER_SEC)
#define LOOKED_NS (2 * CLOCK_NS_PER_SEC)
#define LEAVE_NS  (CLOCK_NS_PER_SEC / 2)

/* Text that is gathered first: whoever reads stderr gets it whole, by one write, and nobody waits between its lines. */
struct piece {
	char *text;
	size_t size;
	FILE *out;
};

static FILE *piece_begin(struct piece *piece)
{
	*piece = (struct piece){0};
	piece->out = open_memstream(&piece->text, &piece->size);
	return piece->out ? piece->out : stderr;
}

static void piece_end(struct piece *piece)
{
	if (!piece->out)
		return;
	fclose(piece->out);
	fwrite(piece->text, 1, piece->size, stderr);
	free(piece->text);
}

static void say(struct vm *vm, enum report_size size, uint64_t patience_ns)
{
	struct piece piece;

	report_write(vm, size, patience_ns, piece_begin(&piece));
	piece_end(&piece);
}

static void write_core(struct vm *vm)
{
	if (vm->config->core_file)
		core_write(vm, vm->config->core_file, stderr);
}

/* ----------------------------------------------------------------------------------------------- while it runs */

static void attend(struct observer *self, struct vm *vm)
{
	struct piece piece;
	FILE *out;

	if (!events_take(SIGUSR1))
		return;
	out = piece_begin(&piece);
	summary_print(vm, out);
	report_write(vm, REPORT_WHOLE, LOOKED_NS, out);
	piece_end(&piece);
	write_core(vm);
}

static struct observer observer = {&(const struct observer_ops){.attend = attend}};

void tell_up(struct vm *vm)
{
	observer_add(vm, &observer);
}

void tell_down(struct vm *vm)
{
	observer_remove(vm, &observer);
}

/* ----------------------------------------------------------------------------------------------------- its end */

/* Who asks for the end wants it soon: Ctrl-\ is the one that asks for all there is to see, as it does elsewhere. */
static void say_signal(struct vm *vm)
{
	switch (events_quit_signal()) {
	case SIGQUIT:
		say(vm, REPORT_WHOLE, LOOKED_NS);
		break;
	case SIGINT:
		if (!isatty(STDERR_FILENO)) { /* nobody's hand: a script's */
			say(vm, REPORT_PLACE, 0);
			break;
		}
		say(vm, REPORT_SHORT, LEAVE_NS);
		fputs("ring3: for the whole report end it by SIGQUIT (Ctrl-\\), or look while it runs by kill -USR1\n",
		      stderr);
		break;
	default:
		say(vm, REPORT_PLACE, 0);
	}
}

void tell_end(struct vm *vm, bool ran)
{
	bool timeout = vm->status == VM_STATUS_TIMEOUT;
	bool signalled = vm->status > VM_STATUS_IMAGE && events_quit_signal();

	if (vm->dismissed || !(vm->reason[0] || timeout || signalled))
		return;
	if (!ran) {
		report_title(vm, stderr);
		return;
	}
	if (vm->reason[0])
		say(vm, REPORT_WHOLE, DEAD_NS);
	else if (timeout)
		say(vm, REPORT_WHOLE, LOOKED_NS);
	else
		say_signal(vm);
	write_core(vm);
}
