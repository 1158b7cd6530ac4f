/*
 * The guest's call chain, through exceptions back to what they interrupted. The image's tables and the guest's memory
 * may be garbage or malice: a process of its own does the work, and reads are counted.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "monitor/boot/image.h"
#include "monitor/debug/crash/backtrace_internal.h"
#include "monitor/debug/crash/jail.h"
#include "monitor/debug/crash/report.h"
#include "monitor/debug/crash/unwinder.h"
#include "monitor/vm/vm.h"

/* Reads of guest memory that one backtrace may make; an honest one takes some thousands. */
#define READS_MAX 200000

static const uint8_t dwarf_gpr[GPR_COUNT] = {RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP,
					     R8,  R9,  R10, R11, R12, R13, R14, R15};

bool bt_read(struct backtrace *bt, uint64_t gva, uint64_t *word)
{
	uint64_t at = (gva - bt->window_gva) / sizeof(*word);

	if (++bt->reads > READS_MAX)
		return false;
	if (bt->word == sizeof(*word) && bt->vcpu->cpl != 3 && at < bt->window_words &&
	    !((gva - bt->window_gva) % sizeof(*word))) {
		*word = bt->window[at];
		return true;
	}
	*word = 0;
	return gm_peek(bt->vcpu, gva, word, bt->word) == bt->word;
}

/* ---------------------------------------------------------------------------------------------------- the frames */

/* The kernel's symbols do not name user mode's code, unless that is in the same image. */
static bool is_image(struct backtrace *bt, uint64_t ip)
{
	uint64_t there, loaded;

	return bt->vcpu->cpl != 3 ||
	       (gm_probe(bt->vcpu, ip, &there) && image_gpa(bt->vcpu->vm, ip, &loaded) && there == loaded);
}

void bt_print(struct backtrace *bt, uint64_t ip, bool is_return)
{
	uint64_t offset, back = is_return ? 1 : 0;
	const char *name = is_image(bt, ip - back) ? image_symbol(bt->vcpu->vm, ip - back, &offset) : NULL;
	const char *file;
	int line;

	fprintf(bt->out, "  #%-2u 0x%016" PRIx64, bt->frames++, ip);
	if (name)
		fprintf(bt->out, " %s+0x%" PRIx64, name, offset + back);
	if (name && image_line(bt->vcpu->vm, ip - back, &file, &line))
		fprintf(bt->out, " at %s:%d", file, line);
	fputc('\n', bt->out);
}

const struct vcpu_frame *bt_exception_above(struct backtrace *bt, uint64_t low)
{
	const struct vcpu *vcpu = bt->vcpu;
	const struct vcpu_frame *best = NULL;
	uint64_t rip, cs;

	for (unsigned i = 0; i < VCPU_FRAMES; i++) {
		const struct vcpu_frame *frame = &vcpu->frames[i];
		if (!frame->gva || frame->gva < low || (best && frame->gva >= best->gva))
			continue;
		if (bt_read(bt, frame->gva, &rip) && rip == frame->rip && bt_read(bt, frame->gva + sizeof(rip), &cs) &&
		    cs == frame->cs)
			best = frame;
	}
	return best;
}

static const char *vector_at(const struct vcpu *vcpu, uint64_t gva, unsigned *vector)
{
	for (unsigned i = 0; i < VCPU_FRAMES; i++) {
		if (gva && vcpu->frames[i].gva == gva) {
			*vector = vcpu->frames[i].vector;
			return vcpu_vector_name(vcpu->frames[i].vector);
		}
	}
	return NULL;
}

bool bt_cross(struct backtrace *bt, uint64_t gva)
{
	uint64_t frame[5]; /* RIP, CS, RFLAGS, RSP, SS */
	unsigned vector;

	for (unsigned i = 0; i < 5; i++)
		if (!bt_read(bt, gva + i * sizeof(frame[0]), &frame[i]))
			return false;
	const char *name = vector_at(bt->vcpu, gva, &vector);
	bool user = (frame[1] & X86_SEL_RPL) == 3;
	if (name)
		fprintf(bt->out, "  --- %s (vector %u) came here", name, vector);
	else
		fputs("  --- an exception came here", bt->out);
	fprintf(bt->out, "%s ---\n", user && bt->vcpu->cpl != 3 ? ", from user mode" : "");
	if (user)
		bt->vcpu->cpl = 3;
	bt->reg[UNW_X86_64_RIP] = frame[0];
	bt->reg[UNW_X86_64_RSP] = frame[3];
	return true;
}

/* ------------------------------------------------------------------------------------------------ frame pointers */

/*
 * Along saved RBPs, each of which must lie above the one before. An exception saves none: RBP stays the interrupted
 * function's, so where its frame is not next on the stack, an exception frame is.
 */
static void walk_frame_pointers(struct backtrace *bt)
{
	uint64_t low = bt->reg[UNW_X86_64_RSP], frame = bt->reg[UNW_X86_64_RBP], next, ip;

	bt_print(bt, bt->reg[UNW_X86_64_RIP], false);
	while (bt->frames < REPORT_FRAMES) {
		const struct vcpu_frame *exception = bt->vcpu->cpl == 3 ? NULL : bt_exception_above(bt, low);
		if (exception && (frame < low || frame >= exception->gva)) {
			if (exception->gva - low > BT_REACH || !bt_cross(bt, exception->gva))
				return;
			bt_print(bt, bt->reg[UNW_X86_64_RIP], false);
			low = bt->reg[UNW_X86_64_RSP];
			/* Of a function that had not made its frame yet, its caller's. */
			continue;
		}
		if (frame < low || (bt->word == sizeof(uint64_t) && frame % bt->word) || !bt_read(bt, frame, &next) ||
		    !bt_read(bt, frame + bt->word, &ip) || !ip)
			return;
		bt_print(bt, ip, true);
		low = frame + 2 * bt->word;
		frame = next;
	}
}

/* ---------------------------------------------------------------------------------------------------- as a whole */

/* The vCPU's registers, even with a tracee: only they know what was emulated since it stopped. */
static void take_registers(struct backtrace *bt)
{
	const struct vcpu *vcpu = bt->vcpu;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		bt->reg[i] = bt->word == sizeof(uint64_t) ? vcpu->gpr[dwarf_gpr[i]] : (uint32_t)vcpu->gpr[dwarf_gpr[i]];
	bt->reg[UNW_X86_64_RIP] = vcpu_code_address(vcpu, vcpu->rip);
}

/* The words from RSP up as the tracee sees them: its tracer is this process alone. */
static void take_window(struct backtrace *bt, pid_t tracee)
{
	const struct unwinder *calls = unwinder();
	void *upt = tracee > 0 && calls ? calls->_UPT_create(tracee) : NULL;

	bt->window_gva = bt->vcpu->gpr[RSP];
	while (upt && bt->window_words < BT_WINDOW &&
	       !calls->_UPT_access_mem(NULL, bt->window_gva + bt->window_words * sizeof(uint64_t),
				       &bt->window[bt->window_words], 0, upt))
		bt->window_words++;
	if (upt)
		calls->_UPT_destroy(upt);
}

static void walk(void *arg, FILE *out)
{
	struct backtrace *bt = arg;

	bt->out = out;
	const char *why_not = unwind_impossible(bt);

	if (why_not) {
		fprintf(out, "Backtrace by frame pointers (%s):\n", why_not);
		walk_frame_pointers(bt);
	} else {
		fputs("Backtrace:\n", out);
		unwind_walk(bt);
	}
	if (bt->frames >= REPORT_FRAMES)
		fprintf(out, "  (no more than %d frames are shown)\n", REPORT_FRAMES);
}

void report_backtrace(struct vcpu *vcpu, pid_t tracee, uint64_t patience_ns, FILE *out)
{
	struct backtrace *bt = calloc(1, sizeof(*bt));

	if (!bt)
		return;
	bt->vcpu = vcpu;
	bt->word = vcpu_code_bits(vcpu) / 8;
	take_registers(bt);
	take_window(bt, tracee);
	if (!jail_run(&vcpu->vm->mem, walk, bt, patience_ns, out))
		fputs("  (the backtrace ends here: the guest's unwind tables or debug information are damaged, or take "
		      "too "
		      "long)\n",
		      out);
	free(bt);
}
