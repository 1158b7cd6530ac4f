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
	unsigned bits = vcpu_stack_bits(vcpu), width = bits / 8, equal = 0;
	int digits = bits == 64 ? 16 : 8;
	uint64_t gva = vcpu->gpr[RSP], word, previous = 0;

	/* In its segment, where that counts. */
	if (bits != 64)
		gva = (uint32_t)(vcpu->sreg[SREG_SS].base + (gva & (R3_BIT(bits) - 1)));
	fprintf(out, "Stack from %sSP up:\n", bits == 64 ? "R" : bits == 32 ? "E" : "");
	for (unsigned i = 0; i < STACK_WORDS; i++, gva += width) {
		word = 0;
		if (gm_peek(vcpu, gva, &word, width) != width) {
			fprintf(out, "  %0*" PRIx64 "  not mapped\n", digits, gva);
			return;
		}
		equal = i && word == previous ? equal + 1 : 0;
		previous = word;
		if (equal == 1)
			fputs("  *\n", out);
		if (equal)
			continue;
		fprintf(out, "  %0*" PRIx64 "  %0*" PRIx64, digits, gva, (int)(2 * width), word);
		if (bits != 16)
			report_symbol(vcpu->vm, word, out);
		fputc('\n', out);
	}
}
