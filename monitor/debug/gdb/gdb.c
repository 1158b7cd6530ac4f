/*
 * When the guest stops for the debugger and when it goes on: between two exits, on the vCPU thread.
 */
#include "monitor/debug/gdb/gdb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "hypercalls/host/hc.h"
#include "monitor/boot/image.h"
#include "monitor/debug/gdb/internal.h"
#include "monitor/device/console.h"
#include "monitor/device/machine.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/run/inject.h"
#include "monitor/run/run.h"

/* A peer that sends without end gets no more than this many reads before the guest's turn. */
#define READS_MAX 64

bool gdb_address_valid(const char *address)
{
	return link_address_valid(address);
}

/* ------------------------------------------------------------------------------------------------------- stopping */

/* What was queued is delivered, so that the debugger sees the instruction that really comes next. */
static void stop(struct gdb *gdb, int signal, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void stop(struct gdb *gdb, int signal, const char *format, ...)
{
	struct vcpu *vcpu = gdb_vcpu(gdb);
	va_list args;

	while (vcpu->event_pending && !gdb->vm->ended) {
		inject_event(vcpu);
		gdb->vm->stats.vcpu[vcpu->id].injected++;
	}
	break_lift(gdb);
	vcpu->debug.step = vcpu->debug.hold = false;
	gdb->stepping = gdb->steps = gdb->stop_asked = false;
	gdb->stopped = true;
	gdb->signal = signal;
	gdb->stop_rip = vcpu->rip;
	va_start(args, format);
	vsnprintf(gdb->stop_note, sizeof(gdb->stop_note), format, args);
	va_end(args);
	machine_flush(gdb->vm);
	if (gdb->owes_stop && (!gdb->vm->ended || gdb->ended))
		command_send_stop(gdb);
}

static void stop_at_watch(struct gdb *gdb, const struct gdb_watch *watch)
{
	static const char *const names[] = {
		[WATCH_WRITE] = "watch", [WATCH_READ] = "rwatch", [WATCH_ACCESS] = "awatch"};

	if (watch->kind == BREAK_HARDWARE)
		stop(gdb, GDB_SIGTRAP, "hwbreak:;");
	else
		stop(gdb, GDB_SIGTRAP, "%s:%lx;", names[watch->kind], watch->gva);
}

/* Has one instruction made, with the breakpoint at index `over` out of the way (-1: none). */
static void start_step(struct gdb *gdb, int over)
{
	struct vcpu *vcpu = gdb_vcpu(gdb);

	gdb->stepping = vcpu->debug.step = true;
	gdb->entered = false;
	/* A handler that runs in between is not the next instruction; but only an interrupt ends a halt. */
	vcpu->debug.hold = !vcpu->halted;
	break_place(gdb, over);
}

void gdb_resume(struct gdb *gdb, bool steps)
{
	struct vcpu *vcpu = gdb_vcpu(gdb);
	int over = vcpu->rip == gdb->stop_rip ? break_find(gdb, gdb_pc(gdb)) : -1;

	gdb->stopped = gdb->stop_asked = false;
	gdb->owes_stop = true;
	if (gdb->ended)
		return;
	memcpy(gdb->counts, gdb->vm->stats.vcpu[vcpu->id].exits, sizeof(gdb->counts));
	gdb->steps = steps;
	if (steps || over >= 0)
		start_step(gdb, over);
	else
		break_place(gdb, -1);
}

void gdb_detach(struct gdb *gdb)
{
	struct vcpu *vcpu = gdb_vcpu(gdb);

	break_remove_all(gdb);
	memset(&vcpu->debug, 0, sizeof(vcpu->debug));
	gdb->stepping = gdb->steps = gdb->stopped = gdb->stop_asked = gdb->owes_stop = false;
	gdb->physical = false;
	gdb->stop_on = 0;
}

void gdb_dismiss(struct gdb *gdb)
{
	gdb_detach(gdb);
	gdb->vm->dismissed = true;
	vm_end(gdb->vm, CONSOLE_STATUS_QUIT);
}

/* -------------------------------------------------------------------------------------------------------- serving */

/* The debugger takes one width for all of its connection: the file's that it will look at, else the code's now. */
static unsigned bits_of(struct gdb *gdb)
{
	unsigned bits = image_bits(gdb->vm);

	return bits ? bits : vcpu_code_bits(gdb_vcpu(gdb));
}

static void attach(struct gdb *gdb)
{
	gdb->bits = bits_of(gdb);
	gdb->parser.state = PARSE_IDLE;
	gdb->sent_len = 0;
	gdb->stop_asked = !gdb->stopped;
	gdb_vcpu(gdb)->debug.attached = true;
}

/* The debugger is gone, by its own wish or because it took no answers. */
static void detach_lost(struct gdb *gdb)
{
	if (gdb_vcpu(gdb)->debug.attached && !link_connected(&gdb->link))
		gdb_detach(gdb);
}

/* INT3s are never seen by the debugger: also not while the guest runs on. */
static void answer(struct gdb *gdb)
{
	bool ran = !gdb->stopped;

	if (ran)
		break_lift(gdb);
	command_answer(gdb, gdb->parser.body, gdb->parser.len);
	if (ran && !gdb->stopped)
		break_place(gdb, -1);
}

/* What comes after the wish for a reset is for the machine made anew. */
static bool goes_on(const struct gdb *gdb)
{
	return link_connected(&gdb->link) && !gdb_reset_wanted() && !events_quit_signal();
}

static void serve(struct gdb *gdb)
{
	uint8_t data[GDB_INPUT];
	ssize_t n = 0;

	if (!link_ready(&gdb->link))
		return;
	if (link_accept(&gdb->link)) {
		gdb->no_ack = false;
		attach(gdb);
	}
	for (unsigned reads = 0; reads < READS_MAX && goes_on(gdb); reads++) {
		n = link_read(&gdb->link, data, sizeof(data));
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n && goes_on(gdb); i++)
			if (packet_feed(gdb, data[i]) && link_connected(&gdb->link))
				answer(gdb);
	}
	if (n < 0)
		link_hang_up(&gdb->link);
	detach_lost(gdb);
	link_rearm(&gdb->link);
}

/* The instruction was made, or what it did took it elsewhere; not so if the monitor only made way for it. */
static bool step_is_through(const struct gdb *gdb, const struct vcpu *vcpu)
{
	const struct vm_exit *exit = &gdb->last_exit;

	if (!vcpu->debug.step)
		return true;
	if (!gdb->entered || exit->reason == EXIT_KICK)
		return false;
	if (exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_PF)
		return vcpu->event_pending || vcpu->rip != gdb->entry_rip;
	return true;
}

static void look_at_step(struct gdb *gdb, struct vcpu *vcpu)
{
	const struct gdb_watch *watch;

	if (!gdb->stepping || vcpu->call.unfinished || !step_is_through(gdb, vcpu))
		return;
	watch = break_hit(gdb);
	if (watch) {
		stop_at_watch(gdb, watch);
	} else if (gdb->steps) {
		stop(gdb, GDB_SIGTRAP, "%s", "");
	} else {
		gdb->stepping = vcpu->debug.step = vcpu->debug.hold = false;
		break_lift(gdb);
		break_place(gdb, -1);
	}
}

/* `monitor stop on`: exits of these kinds have happened. */
static void look_at_counts(struct gdb *gdb, const struct vcpu *vcpu)
{
	const uint64_t *exits = gdb->vm->stats.vcpu[vcpu->id].exits;

	for (unsigned i = 0; i < STAT_COUNT && gdb->stop_on && !gdb->stopped; i++)
		if (gdb->stop_on & 1u << i && exits[i] != gdb->counts[i])
			stop(gdb, GDB_SIGTRAP, "%s", "");
}

/* The machine's time stands still as long as somebody thinks. */
static void wait_stopped(struct gdb *gdb)
{
	struct vm *vm = gdb->vm;
	uint64_t since = clock_tsc();

	clock_hold();
	while (gdb->stopped && !vm->ended) {
		events_sleep(&vm->attention, TIMER_NEVER);
		vm_attend(vm);
		serve(gdb);
	}
	clock_release();
	hc_time_held(vm, since);
}

static void between(struct observer *self, struct vcpu *vcpu)
{
	struct gdb *gdb = OBSERVER_OWNER(self, struct gdb, observer);

	look_at_step(gdb, vcpu);
	look_at_counts(gdb, vcpu);
	serve(gdb);
	/* What ends the wait may bring the wish to stop again in the same bytes. */
	do {
		if (gdb->stop_asked && !gdb->stopped)
			stop(gdb, GDB_SIGINT, "%s", "");
		detach_lost(gdb);
		if (gdb->stopped)
			wait_stopped(gdb);
	} while (gdb->stop_asked && !gdb->vm->ended);
	gdb->entry_rip = vcpu->rip;
	gdb->entered = false;
}

/* An INT3 trapped, or was interpreted: RIP is after it. */
static bool is_int3(const struct vcpu *vcpu, const struct vm_exit *exit)
{
	const struct vcpu_event *event = &vcpu->event;

	if (exit->reason == EXIT_EXCEPTION)
		return exit->vector == X86_VEC_BP;
	return exit->reason == EXIT_EMULATED && vcpu->event_pending && event->kind == EVENT_SOFT &&
	       event->vector == X86_VEC_BP && event->length == 1;
}

static bool meet_int3(struct gdb *gdb, struct vcpu *vcpu)
{
	int at = break_find(gdb, vcpu_code_address(vcpu, vcpu->rip - 1));

	if (at < 0 || !gdb->breaks[at].placed)
		return false;
	vcpu->rip--;
	vcpu->event_pending = false;
	if (gdb->breaks[at].gva == gdb_pc(gdb)) {
		stop(gdb, GDB_SIGTRAP, "swbreak:;");
	} else { /* set at another address of the same byte */
		break_lift(gdb);
		start_step(gdb, at);
	}
	return true;
}

/* An exit that is the debugger's own, a breakpoint, is taken. */
static void leave(struct observer *self, struct vcpu *vcpu, const struct vm_exit *exit, bool *taken)
{
	struct gdb *gdb = OBSERVER_OWNER(self, struct gdb, observer);
	const struct gdb_watch *watch;

	gdb->last_exit = *exit;
	gdb->entered = true;
	if (!vcpu->debug.attached)
		return;
	if (is_int3(vcpu, exit)) {
		*taken |= meet_int3(gdb, vcpu);
	} else if (exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_DB) {
		watch = break_hit(gdb);
		if (watch)
			stop_at_watch(gdb, watch);
		*taken |= watch != NULL;
	}
}

/* ------------------------------------------------------------------------------------------------ start and end */

static const struct observer_ops gdb_ops = {.between = between, .leave = leave};

/* NULL: no debugger was asked for. */
static struct gdb *gdb_of(const struct vm *vm)
{
	struct observer *observer = observer_find(vm, &gdb_ops);

	return observer ? OBSERVER_OWNER(observer, struct gdb, observer) : NULL;
}

int gdb_up(struct vm *vm)
{
	struct gdb *gdb;

	if (!vm->config->gdb)
		return 0;
	gdb = calloc(1, sizeof(*gdb));
	if (!gdb) {
		fprintf(stderr, "ring3: this host has no memory left: end other programs first\n");
		return -ENOMEM;
	}
	gdb->observer.ops = &gdb_ops;
	observer_add(vm, &gdb->observer);
	gdb->vm = vm;
	gdb->stopped = vm->config->gdb_stop;
	gdb->signal = GDB_SIGTRAP;
	if (reset_inherit(gdb))
		return 0;
	return link_open(&gdb->link, vm->config->gdb);
}

void gdb_down(struct vm *vm)
{
	struct gdb *gdb = gdb_of(vm);

	if (!gdb)
		return;
	if (gdb->owes_stop)
		packet_send(gdb, "W%02x", vm->status & 0xff);
	reset_bequeath(gdb);
	link_close(&gdb->link);
	observer_remove(vm, &gdb->observer);
	free(gdb);
}

int gdb_start(struct vm *vm)
{
	struct gdb *gdb = gdb_of(vm);

	if (!gdb)
		return 0;
	if (link_connected(&gdb->link)) /* stdio: nobody will be accepted */
		attach(gdb);
	return link_start(&gdb->link);
}

void gdb_finish(struct vm *vm)
{
	struct gdb *gdb = gdb_of(vm);

	if (!gdb)
		return;
	gdb->ended = true;
	if (vm->reason[0] && link_connected(&gdb->link))
		stop(gdb, vm->status == VM_STATUS_CRASH ? GDB_SIGSEGV : GDB_SIGABRT, "%s", "");
	while (vm->reason[0] && gdb->stopped && link_connected(&gdb->link) && !events_quit_signal()) {
		events_sleep(&vm->attention, TIMER_NEVER);
		atomic_store(&vm->attention, false);
		serve(gdb);
	}
	link_stop(&gdb->link);
}
