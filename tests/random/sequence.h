/*
 * Sequences of random instructions: what the generator, the test against the processor and the guest that runs them
 * agree on. Dual-use: freestanding too.
 */
#ifndef TESTS_RANDOM_SEQUENCE_H
#define TESTS_RANDOM_SEQUENCE_H

#define SEQ_MAGIC    0x71657333
#define SEQ_CODE_MAX 216

/* What lies where, from the base of kernel or user sequences. */
#define SEQ_KERNEL_BASE 0x100000
#define SEQ_USER_BASE	0x300000
#define SEQ_UPPER_BASE	0xffffffff80100000
#define SEQ_LOW_BASE	0x500000 /* data and stack in user memory, several times */
#define SEQ_LOW_STEP	(1ull << 40)
#define SEQ_LOW_COUNT	6
#define SEQ_UPPER_GS	0xfffffffffffffff0
#define SEQ_CODE	0x0    /* two pages */
#define SEQ_DATA	0x8000 /* two pages */
#define SEQ_STACK	0xf000 /* two pages; RSP begins between them */
#define SEQ_HOLE	0xa000 /* behind the data: not present */
#define SEQ_READ_ONLY	0x21000
#define SEQ_SUPERVISOR	0x22000
#define SEQ_NX		0x23000
#define SEQ_NO_RAM	0x24000
#define SEQ_DATA_ALIAS	0x25000 /* the first page of data once more */
#define SEQ_CODE_ALIAS	0x26000 /* the first page of code once more */
#define SEQ_KEYED	0x27000 /* a page with protection key 1, in a process beside the test */
#define SEQ_AREA_SIZE	0x2000	/* of code, of data, of the stack */

/* R12 points here, aligned to 64; R15 nearby, sometimes near the end of the page. R14 is a small index. */
#define SEQ_R12 (SEQ_DATA + 0x840)

#ifndef __ASSEMBLER__
#include <stdint.h>

#include "hypercalls/x86.h"

/* Runs at CPL 3; changes the system's registers, which whoever runs it puts back. */
#define SEQ_USER   1u
#define SEQ_SYSTEM 2u
#define SEQ_NO_FPU 4u  /* with CR0.TS set */
#define SEQ_STEP   8u  /* each instruction by itself, with TF set */
#define SEQ_IRQ	   16u /* an interrupt waits until the sequence lets it in */
#define SEQ_AGAIN  32u /* over and over: as it has changed itself, written anew, in other frames */
#define SEQ_UPPER  64u /* in the upper half */

struct sequence {
	uint64_t seed; /* of the state that it starts with */
	uint16_t flags, size, offset /* of its first byte in the page of code */, reserved;
	uint8_t code[SEQ_CODE_MAX];
};

/* A file of sequences: this, and then they. */
struct sequence_file {
	uint32_t magic, count;
	uint64_t reserved;
};

struct seq_random {
	uint64_t state;
};

/* xorshift64*, seeded through splitmix64 so that neighbouring seeds have nothing in common. */
static inline uint64_t seq_random(struct seq_random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

static inline struct seq_random seq_random_from(uint64_t seed)
{
	uint64_t z = seed + 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (struct seq_random){(z ^ z >> 31) | 1};
}

/* Half of all values lie at an edge. */
static inline uint64_t seq_random_value(struct seq_random *r)
{
	static const uint64_t edges[] = {0,	     1,		0x7f,	    0x80,	0xff,
					 0x7fff,     0x8000,	0xffff,	    0x7fffffff, 0x80000000,
					 0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX, 0x0f};
	uint64_t bits = seq_random(r);
	if (bits & 1)
		return seq_random(r) >> (bits >> 8 & 63);
	return edges[(bits >> 8) % (sizeof(edges) / sizeof(edges[0]))] + (bits & 2 ? (bits >> 40 & 3) : 0);
}

/* The registers that a sequence starts with, in the order of their encoding. */
static inline void seq_registers(struct seq_random *r, uint64_t base, uint64_t gpr[16], uint64_t *rflags)
{
	for (unsigned n = 0; n < 16; n++)
		gpr[n] = seq_random_value(r);
	uint64_t bits = seq_random(r);
	gpr[4] = base + SEQ_STACK + 0x1000;
	gpr[12] = base + SEQ_R12;
	gpr[14] = bits & 7;
	gpr[15] = base + SEQ_DATA + 0x800 + (bits >> 8 & 63) + (bits >> 16 & 7 ? 0 : 0x7c0);
	*rflags = 2 | (bits >> 32 & 0x8d5);
}

/* Of a kernel in the upper half: pointers into user memory, GS's base, now and then a stack of its program's. */
static inline void seq_registers_upper(struct seq_random *r, uint64_t gpr[16])
{
	const uint64_t bits = seq_random(r);
	uint64_t low = SEQ_LOW_BASE + (bits >> 8) % SEQ_LOW_COUNT * SEQ_LOW_STEP - SEQ_UPPER_BASE;
	if (bits & 1)
		gpr[15] += low;
	if ((bits & 6) == 6)
		gpr[12] += low;
	if ((bits & 0xf8) == 0xf8)
		gpr[4] += low;
}

static inline void seq_put(uint8_t *to, uint64_t value, unsigned size)
{
	for (unsigned n = 0; n < size; n++)
		to[n] = (uint8_t)(value >> 8 * n);
}

/*
 * What others have left in the x87 and in MXCSR: registers in use, pointers, flags, rounding, now and then exceptions
 * that are not masked, or one that waits.
 */
static inline void seq_fpu(struct seq_random *r, uint64_t base, uint8_t *fpu)
{
	uint64_t bits = seq_random(r), more = seq_random(r);
	unsigned open = bits & 15 ? 0 : bits >> 4 & 0x3f, raised = bits >> 10 & 0x3f, waits = (raised & open) != 0;
	unsigned mxcsr_open = more & 15 ? 0 : more >> 4 & 0x3f;
	if (bits >> 16 & 1) {
		seq_put(fpu + X86_FPU_FCW, (0x7f ^ open) | (bits >> 17 & 0xf) << 8, 2);
		seq_put(fpu + X86_FPU_FSW, raised | (waits ? 0x8080 : 0) | (bits >> 21 & 0x7f) << 8, 2);
		seq_put(fpu + X86_FPU_FTW, bits >> 28 & 0xff, 1);
		seq_put(fpu + X86_FPU_FOP, bits >> 36 & 0x7ff, 2);
		seq_put(fpu + X86_FPU_FIP, base + (bits >> 48 & 0xfff), 8);
		seq_put(fpu + X86_FPU_FDP, base + SEQ_DATA + (bits >> 52), 8);
		for (unsigned n = 0; n < 8; n++) {
			seq_put(fpu + X86_FPU_ST + 16 * n, seq_random_value(r), 8);
			seq_put(fpu + X86_FPU_ST + 16 * n + 8, 0x3fff + (seq_random(r) & 0x803f) - 0x1f, 2);
		}
	}
	if (more >> 16 & 1)
		seq_put(fpu + X86_FPU_MXCSR, ((0x3full ^ mxcsr_open) << 7) | (more >> 17 & 0xe07f), 4);
}

#endif
#endif
