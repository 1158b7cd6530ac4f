/*
 * Exits told in sentences.
 */
#include "monitor/debug/narrate/narrate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hypercalls/host/hc.h"
#include "monitor/debug/narrate/changes.h"
#include "monitor/debug/state/state.h"
#include "monitor/emulate/emulate.h"
#include "monitor/host/clock.h"
#include "monitor/run/run.h"
#include "monitor/vm/vm.h"

struct narrate {
	struct observer observer;
	bool asks;  /* waits for a person after each exit */
	bool taken; /* an exit is being told: what follows is filled in */
	uint64_t count;
	struct vm_exit exit;
	struct narrate_state before;
	uint8_t bytes[15]; /* of the instruction */
	bool interpreted;  /* taken before the interpreter executed it */
	char text[96];
	const char *name; /* as emu_name has it, NULL if not sensitive */
};

/* ------------------------------------------------------------------------------------------------ what was tried */

static const char *phrase_of(const char *name)
{
	static const char *const phrases[][2] = {
#define NARRATE(name, phrase) {name, phrase},
#include "monitor/debug/narrate/narrate.def"
#undef NARRATE
	};

	for (size_t i = 0; name && i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		if (!strcmp(name, phrases[i][0]))
			return phrases[i][1];
	}
	return NULL;
}

static const char *who(unsigned cpl)
{
	return cpl == 3 ? "user program" : "kernel";
}

static void take_insn(struct narrate *narrate, const struct emu_insn *insn, uint64_t rip)
{
	narrate->name = emu_is_sensitive(insn) ? emu_name(emu_id(insn)) : NULL;
	emu_format(insn, rip, narrate->text, sizeof(narrate->text));
}

static struct narrate *narrate_of(struct observer *self)
{
	return OBSERVER_OWNER(self, struct narrate, observer);
}

/* Without the effects on the guest that emu_decode has. */
static void look_at_instruction(struct narrate *narrate, struct vcpu *vcpu)
{
	struct emu_insn insn;
	uint8_t bytes[sizeof(insn.bytes)];
	size_t len = gm_peek(vcpu, vcpu_code_address(vcpu, vcpu->rip), bytes, sizeof(bytes));

	narrate->name = NULL;
	snprintf(narrate->text, sizeof(narrate->text), "(not mapped)");
	if (len && ZYAN_SUCCESS(emu_decode_bytes(emu_mode(vcpu), bytes, len, &insn)))
		take_insn(narrate, &insn, vcpu->rip);
}

/* What comes out of it is the exit that follows. */
static void interpreted(struct observer *self, struct vcpu *vcpu, const uint8_t *bytes, unsigned length)
{
	struct narrate *narrate = narrate_of(self);
	struct emu_insn insn;

	narrate_state_take(vcpu, &narrate->before);
	if (ZYAN_SUCCESS(emu_decode_bytes(emu_mode(vcpu), bytes, length, &insn)))
		take_insn(narrate, &insn, vcpu->rip);
	narrate->interpreted = true;
}

static void leave(struct observer *self, struct vcpu *vcpu, const struct vm_exit *exit, bool *taken)
{
	struct narrate *narrate = narrate_of(self);

	narrate->exit = *exit;
	narrate->taken = true;
	if (narrate->interpreted)
		return;
	narrate_state_take(vcpu, &narrate->before);
	if (exit->reason == EXIT_EXCEPTION)
		look_at_instruction(narrate, vcpu);
	else
		narrate->text[0] = 0;
}

/* ------------------------------------------------------------------------------------------------- why it came out */

static void tell_sensitive(const struct narrate *narrate, FILE *out)
{
	const char *phrase = phrase_of(narrate->name);

	fprintf(out, "  The guest's %s executed %s: it wants to %s.\n", who(narrate->before.cpl), narrate->name,
		phrase ? phrase : "use a part of the processor that is not its own");
	if (narrate->interpreted)
		fputs("  The interpreter met the instruction; nothing trapped.\n", out);
	else
		fprintf(out,
			"  It runs in ring 3 of the real processor, which refuses the instruction with %s: so it came "
			"to the "
			"monitor.\n",
			vcpu_vector_name(narrate->exit.vector));
}

static void tell_page_fault(const struct narrate *narrate, const uint64_t *now, FILE *out)
{
	const struct narrate_state *before = &narrate->before;
	uint32_t error = narrate->exit.error;
	const char *access = error & X86_PF_I ? "fetch from" : error & X86_PF_W ? "write to" : "read from";

	fprintf(out, "  The guest's %s wants to %s 0x%" PRIx64 ", and the processor raised #PF.\n", who(before->cpl),
		access, narrate->exit.gva);
	if (now[STAT_shadow_fill] != before->exits[STAT_shadow_fill])
		fprintf(out,
			"  The guest's page tables permit it; only the shadow of them, which the processor really "
			"walks, "
			"%s.\n",
			error & X86_PF_P ? "had the page read-only, so that its first write is seen"
					 : "had no such entry yet");
	else if (now[STAT_page_fault] != before->exits[STAT_page_fault])
		fputs("  The guest's own page tables do not permit it: the fault is the guest's.\n", out);
	else
		fputs("  The host cannot map this page for the guest: the monitor executes the one instruction "
		      "itself.\n",
		      out);
}

static void tell_exception(const struct narrate *narrate, const uint64_t *now, FILE *out)
{
	const struct narrate_state *before = &narrate->before;

	if (narrate->exit.vector == X86_VEC_PF) {
		tell_page_fault(narrate, now, out);
		return;
	}
	if (narrate->name && now[STAT_privileged] != before->exits[STAT_privileged]) {
		tell_sensitive(narrate, out);
		return;
	}
	fprintf(out,
		"  The guest's %s raised %s, as it would on a processor of its own: it is the guest's to handle.\n",
		who(before->cpl), vcpu_vector_name(narrate->exit.vector));
}

static void tell_hypercall(const struct narrate *narrate, FILE *out)
{
	static const enum vcpu_gpr order[] = {RDI, RSI, RDX, R10, R8, R9};
	const uint64_t *gpr = narrate->before.gpr;
	const char *name = hc_name(gpr[RAX]);

	if (narrate->before.cpl != 0) {
		fputs("  The guest's user program called the hypercall page, which is its kernel's alone.\n", out);
		return;
	}
	fprintf(out, "  The guest's kernel called the monitor by itself, through the hypercall page: %s(",
		name ? name : "an unknown number");
	for (unsigned i = 0; i < hc_argument_count(gpr[RAX]); i++)
		fprintf(out, "%s%s=0x%" PRIx64, i ? ", " : "", hc_argument(gpr[RAX], i), gpr[order[i]]);
	fprintf(out, ").\n  No trap was needed for that. The call %s.\n", name ? hc_doc(gpr[RAX]) : "does not exist");
}

static void tell_why(const struct narrate *narrate, const uint64_t *now, FILE *out)
{
	const uint64_t *gpr = narrate->before.gpr;

	switch (narrate->exit.reason) {
	case EXIT_KICK:
		fputs("  Nothing in the guest: the monitor wanted the processor, for a timer, console input or a "
		      "signal.\n",
		      out);
		break;
	case EXIT_HYPERCALL:
		tell_hypercall(narrate, out);
		break;
	case EXIT_EXCEPTION:
		tell_exception(narrate, now, out);
		break;
	case EXIT_SYSCALL:
		fprintf(out,
			"  The guest's user program executed SYSCALL number %" PRIu64 " (rdi=0x%" PRIx64
			", rsi=0x%" PRIx64 ", rdx=0x%" PRIx64 ").\n"
			"  It must not reach the host's kernel, so it comes to the monitor, which enters the guest's "
			"kernel as the processor would.\n",
			gpr[RAX], gpr[RDI], gpr[RSI], gpr[RDX]);
		break;
	case EXIT_INT80:
		fputs("  The guest executed INT 0x80, a software interrupt of its own; on the host it would be a "
		      "system "
		      "call.\n",
		      out);
		break;
	case EXIT_EMULATED:
		if (narrate->interpreted && narrate->name)
			tell_sensitive(narrate, out);
		else
			fputs("  The interpreter met something that the monitor has to see to.\n", out);
		break;
	case EXIT_DEAD:
		fputs("  The guest cannot go on.\n", out);
		break;
	}
}

/* ------------------------------------------------------------------------------------------------- the person */

/* The first byte of a line; Enter alone is '\n'. 'c' where nobody answers any more. */
static char read_answer(struct vm *vm)
{
	char line[64];
	ssize_t n;

	while (!vm->ended) {
		n = read(STDIN_FILENO, line, sizeof(line));
		if (n > 0)
			return line[0];
		if (n == 0 || errno != EINTR)
			return 'c';
		if (atomic_load(&vm->attention))
			vm_attend(vm);
	}
	return 'c';
}

static void ask(struct narrate *narrate, struct vm *vm)
{
	uint64_t since = clock_tsc();
	char answer;

	fputs("  [Enter: next, c: go on without asking, q: end the guest] ", stderr);
	/* The machine's time stands still meanwhile. */
	clock_hold();
	answer = read_answer(vm);
	clock_release();
	hc_time_held(vm, since);
	switch (answer) {
	case 'c':
		narrate->asks = false;
		break;
	case 'q':
		vm_end(vm, 0);
		break;
	}
}

/* Guest code goes on, or waits, or has ended: what changed since it stopped was the monitor's doing. */
static void tell(struct observer *self, struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct narrate *narrate = narrate_of(self);
	const struct narrate_state *before = &narrate->before;
	uint64_t ns = clock_ns() - vm->stats.start_ns;

	if (!narrate->taken)
		return;
	fprintf(stderr, "#%" PRIu64 " at %.6f s, vCPU %u, %s at 0x%" PRIx64, ++narrate->count,
		(double)ns / (double)CLOCK_NS_PER_SEC, vcpu->id, who(before->cpl), before->rip);
	report_symbol(vm, before->rip, stderr);
	fprintf(stderr, "%s%s\n", narrate->text[0] ? ": " : "", narrate->text);
	tell_why(narrate, vm->stats.vcpu[vcpu->id].exits, stderr);
	narrate_changes(before, vcpu, stderr);
	fflush(stderr);
	narrate->taken = narrate->interpreted = false;
	narrate->text[0] = 0;
	if (narrate->asks && !vm->ended)
		ask(narrate, vm);
}

/* ------------------------------------------------------------------------------------------------ start and end */

static const struct observer_ops narrate_ops = {
	.enter = tell, .leave = leave, .rest = tell, .interpreted = interpreted};

int narrate_up(struct vm *vm)
{
	struct narrate *narrate;

	if (!vm->config->narrate)
		return 0;
	narrate = calloc(1, sizeof(*narrate));
	if (!narrate) {
		fprintf(stderr, "ring3: this host has no memory left: end other programs first\n");
		return -ENOMEM;
	}
	narrate->observer.ops = &narrate_ops;
	observer_add(vm, &narrate->observer);
	narrate->asks = isatty(STDIN_FILENO);
	/* Every exit by itself. */
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vm->vcpu[i]->debug.attached = true;
	return 0;
}

void narrate_down(struct vm *vm)
{
	struct observer *observer = observer_find(vm, &narrate_ops);

	if (!observer)
		return;
	observer_remove(vm, observer);
	free(narrate_of(observer));
}
