/*
 * The top of the guest's stack in the crash report, word by word.
 */
#include <inttypes.h>

#include "monitor/debug/state/state.h"
#include "monitor/vm/vm.h"

/* Enough for an exception frame and the registers that a handler saves above it. */
#define STACK_WORDS 32

void report_stack(struct vcpu *vcpu, FILE *out)
{
	uint64_t gva = vcpu->gpr[RSP], word, previous = 0;
	unsigned equal = 0;

	fprintf(out, "Stack from RSP up:\n");
	for (unsigned i = 0; i < STACK_WORDS; i++, gva += sizeof(word)) {
		if (gm_peek(vcpu, gva, &word, sizeof(word)) != sizeof(word)) {
			fprintf(out, "  %016" PRIx64 "  not mapped\n", gva);
			return;
		}
		equal = i && word == previous ? equal + 1 : 0;
		previous = word;
		if (equal == 1)
			fputs("  *\n", out);
		if (equal)
			continue;
		fprintf(out, "  %016" PRIx64 "  %016" PRIx64, gva, word);
		report_symbol(vcpu->vm, word, out);
		fputc('\n', out);
	}
}
