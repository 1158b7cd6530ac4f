/*
 * From what was seen to what it means: an instruction is privileged if it traps in ring 3 in every attempt, whatever
 * the operands, and it is no instruction of this processor if ring 0 finds it unknown as well.
 */
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/cli/classify/internal.h"

static bool is_unknown(const struct classify_result *result)
{
	return result->trapped && result->vector == X86_VEC_UD;
}

bool classify_absent(const struct classify_table *table, const struct classify_row *row, unsigned b)
{
	bool asked = table->engines && b == 0;
	return is_unknown(&row->ring3[b]) && (!asked || is_unknown(&row->ring0[table->reference]));
}

/* True for the first row of an instruction; the others need not follow it at once. */
static bool is_first(const struct classify_table *table, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(table->row[i].insn->of, table->row[n].insn->of))
			return false;
	return true;
}

/* False where nothing comes back: a host without a segment for 32-bit programs. */
static bool runs(const struct classify_table *table, unsigned b)
{
	for (unsigned n = 0; n < classify_insn_count; n++)
		if (!table->row[n].ring3[b].lost)
			return true;
	return false;
}

void classify_count(struct classify_table *table)
{
	for (unsigned b = 0; b < 2 && runs(table, b); b++)
		for (unsigned first = 0; first < classify_insn_count; first++) {
			bool there = false, silent = false;
			for (unsigned n = first; is_first(table, first) && n < classify_insn_count; n++) {
				const struct classify_row *row = &table->row[n];
				if (strcmp(row->insn->of, table->row[first].insn->of))
					continue;
				there |= !classify_absent(table, row, b);
				silent |= !row->ring3[b].trapped;
			}
			table->there[b] += there;
			table->silent[b] += silent;
		}
}
