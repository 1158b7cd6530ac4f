/*
 * What `ring3 classify` learns of each instruction: in ring 3 of the host, and in ring 0 of a guest under each engine.
 */
#ifndef MONITOR_CLI_CLASSIFY_H
#define MONITOR_CLI_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum classify_kind { CLASSIFY_CONTROL, CLASSIFY_WAY_IN, CLASSIFY_MODE, CLASSIFY_STATE };
/* What there is to see when it passed; a time is never the same twice. */
enum classify_shows { CLASSIFY_NOTHING, CLASSIFY_VALUE, CLASSIFY_BYTES, CLASSIFY_TIME };

/* One attempt. Attempts of the same instruction, which may end differently, have one name for it. */
struct classify_insn {
	const char *of, *name, *code, *why;
	enum classify_kind kind;
	enum classify_shows shows;
	void (*run)(void); /* 64-bit code */
	const char *run32; /* 32-bit code, position independent, ends in a far return */
};

struct classify_result {
	bool trapped;	 /* else it passed silently */
	bool lost;	 /* neither: it did not come back, or ended the guest */
	bool translated; /* the kernel's translation did it, and left it to nobody */
	uint8_t vector;	 /* of a trap */
	uint32_t error;
	uint64_t value; /* RAX after it passed */
	uint8_t bytes[64];
};

extern const struct classify_insn classify_insns[];
extern const unsigned classify_insn_count;

#define CLASSIFY_ENGINES_MAX 8

struct classify_row {
	const struct classify_insn *insn;
	struct classify_result ring3[2];		    /* of the host, in 64-bit and in 32-bit code */
	struct classify_result ring0[CLASSIFY_ENGINES_MAX]; /* of a guest, by engine */
};

struct classify_table {
	struct classify_row *row;
	unsigned engines;   /* 0: not asked */
	unsigned reference; /* the engine that is exact by construction: the interpreter */
	/* Instructions, not attempts, in code of 64 and 32 bits. Privileged is what traps in every attempt. */
	unsigned there[2],
		silent[2]; /* that there are, 0 where such code does not run; those that pass in some attempt */
};

/* Tries the instruction in ring 3 in a process of its own, in code of 64 or 32 bits. 0 or negative errno. */
int classify_try(const struct classify_insn *insn, unsigned bits, struct classify_result *result);

/* Has a guest kernel try all of them under each engine. 0 or negative errno with a message printed. */
int classify_ask_engines(struct classify_table *table);

/* True if both are the same to a program: exception, or what was to see. */
bool classify_same(const struct classify_insn *insn, const struct classify_result *a, const struct classify_result *b);

/* What this host does to some of them that another would not, and why: a sentence each, n from 0; NULL after the last.
 */
const char *classify_note(const struct classify_table *table, unsigned n);

/*
 * True if the processor does not have the instruction: #UD in ring 3, and in ring 0 as well where that was asked
 * (64-bit code, under engines). What is not there is not privileged.
 */
bool classify_absent(const struct classify_table *table, const struct classify_row *row, unsigned b);
/* Fills in the table's numbers from its rows. */
void classify_count(struct classify_table *table);

/* Words for reports. Buffers: CLASSIFY_TEXT bytes. */
#define CLASSIFY_TEXT 64
const char *classify_kind_name(enum classify_kind kind);
/* "#GP(0x10)", "silent", "lost". */
void classify_outcome(const struct classify_result *result, char *text);
/* The same of ring 3, or "not there". */
void classify_ring3(const struct classify_table *table, const struct classify_row *row, unsigned b, char *text);
/* What it gave away, if it passed; else "". */
void classify_shown(const struct classify_insn *insn, const struct classify_result *result, char *text);
/* How the engine answers a guest kernel: "emulated", "as ring 0", "interpreted", "translated", or in what it differs
 * from ring 0. */
void classify_answer(const struct classify_table *table, const struct classify_row *row, unsigned engine, char *text);
/* True if the engine's answer is what ring 0 has. */
bool classify_exact(const struct classify_table *table, const struct classify_row *row, unsigned engine);

void classify_print_text(const struct classify_table *table);
void classify_print_csv(const struct classify_table *table);
void classify_print_json(const struct classify_table *table);
void classify_print_html(const struct classify_table *table);

#endif
