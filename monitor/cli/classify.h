/*
 * What `ring3 classify` learns of an instruction.
 */
#ifndef MONITOR_CLI_CLASSIFY_H
#define MONITOR_CLI_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

enum classify_kind { CLASSIFY_CONTROL, CLASSIFY_MODE, CLASSIFY_LOCATION, CLASSIFY_WAY_IN };
enum classify_shows { CLASSIFY_NOTHING, CLASSIFY_VALUE, CLASSIFY_BYTES };

struct classify_insn {
	const char *name, *code, *why;
	enum classify_kind kind;
	enum classify_shows shows;
	void (*run)(void);
};

struct classify_result {
	bool trapped;	/* else it passed silently */
	bool lost;	/* neither: the probe was killed or did not come back */
	uint8_t vector; /* of a trap */
	uint32_t error;
	uint64_t value; /* RAX after it passed */
	uint8_t bytes[64];
};

extern const struct classify_insn classify_insns[];
extern const unsigned classify_insn_count;

/* Tries the instruction in a process of its own. 0 or negative errno. */
int classify_try(const struct classify_insn *insn, struct classify_result *result);

#endif
