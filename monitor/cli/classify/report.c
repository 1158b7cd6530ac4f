/*
 * The reports of `ring3 classify` in words: text, comma-separated values, JSON.
 */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/cli/classify/internal.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/vcpu.h"

#define CLASSIFY_SCHEMA	 "ring3-classify"
#define CLASSIFY_VERSION 3

/* LGDT's operand, SDM 3A 2.4.1. */
#define TABLE_BYTES 10

const char *classify_kind_name(enum classify_kind kind)
{
	static const char *const names[] = {
		[CLASSIFY_CONTROL] = "control",
		[CLASSIFY_WAY_IN] = "control/way-in",
		[CLASSIFY_MODE] = "behaviour/mode",
		[CLASSIFY_STATE] = "behaviour/state",
	};
	return names[kind];
}

void classify_outcome(const struct classify_result *result, char *text)
{
	bool has_error = result->vector == X86_VEC_GP || result->vector == X86_VEC_PF || result->vector == X86_VEC_NP ||
			 result->vector == X86_VEC_SS;
	if (result->lost)
		snprintf(text, CLASSIFY_TEXT, "lost");
	else if (!result->trapped)
		snprintf(text, CLASSIFY_TEXT, "silent");
	else if (has_error)
		snprintf(text, CLASSIFY_TEXT, "%s(%#x)", vcpu_vector_name(result->vector), result->error);
	else if (vcpu_vector_name(result->vector)[0] == '#')
		snprintf(text, CLASSIFY_TEXT, "%s", vcpu_vector_name(result->vector));
	else
		snprintf(text, CLASSIFY_TEXT, "vector %u", result->vector);
}

void classify_ring3(const struct classify_table *table, const struct classify_row *row, unsigned b, char *text)
{
	if (!table->there[b])
		snprintf(text, CLASSIFY_TEXT, "-");
	else if (classify_absent(table, row, b))
		snprintf(text, CLASSIFY_TEXT, "not there");
	else
		classify_outcome(&row->ring3[b], text);
}

void classify_shown(const struct classify_insn *insn, const struct classify_result *result, char *text)
{
	uint16_t limit;
	uint64_t base;
	text[0] = '\0';
	if (result->trapped || result->lost)
		return;
	switch (insn->shows) {
	case CLASSIFY_NOTHING:
		return;
	case CLASSIFY_VALUE:
		snprintf(text, CLASSIFY_TEXT, "%#" PRIx64, result->value);
		return;
	case CLASSIFY_TIME:
		snprintf(text, CLASSIFY_TEXT, "a time");
		return;
	case CLASSIFY_BYTES:
		memcpy(&limit, result->bytes, sizeof(limit));
		memcpy(&base, result->bytes + sizeof(limit), sizeof(base));
		snprintf(text, CLASSIFY_TEXT, "base %#" PRIx64 " limit %#x", base, limit);
	}
}

bool classify_same(const struct classify_insn *insn, const struct classify_result *a, const struct classify_result *b)
{
	if (a->lost || b->lost || a->trapped != b->trapped)
		return a->lost == b->lost && a->trapped == b->trapped;
	if (a->trapped)
		return a->vector == b->vector && a->error == b->error;
	if (insn->shows == CLASSIFY_VALUE)
		return a->value == b->value;
	return insn->shows != CLASSIFY_BYTES || !memcmp(a->bytes, b->bytes, TABLE_BYTES);
}

bool classify_exact(const struct classify_table *table, const struct classify_row *row, unsigned engine)
{
	return classify_same(row->insn, &row->ring0[engine], &row->ring0[table->reference]);
}

void classify_answer(const struct classify_table *table, const struct classify_row *row, unsigned engine, char *text)
{
	const struct classify_result *ring0 = &row->ring0[engine];
	char shown[CLASSIFY_TEXT];
	if (classify_exact(table, row, engine)) {
		bool direct = !strcmp(engines[engine]->name, "trap");
		snprintf(text, CLASSIFY_TEXT, "%s",
			 ring0->translated	 ? "translated"
			 : !direct		 ? "interpreted"
			 : row->ring3[0].trapped ? "emulated"
						 : "as ring 0");
		return;
	}
	classify_shown(row->insn, ring0, shown);
	if (ring0->lost)
		snprintf(text, CLASSIFY_TEXT, "ends the guest");
	else if (shown[0])
		snprintf(text, CLASSIFY_TEXT, "%.56s", shown);
	else
		classify_outcome(ring0, text);
}

/* ---------------------------------------------------------------------------------------------------------- text */

static void print_condition(const struct classify_table *table)
{
	static const unsigned bits[] = {64, 32};
	for (unsigned b = 0; b < 2; b++) {
		printf("%s", b ? "" : "\n");
		if (!table->there[b]) {
			printf("Code of %u bits does not run here.\n", bits[b]);
			continue;
		}
		printf("%u of the %u sensitive instructions that there are in %u-bit code do not always trap in ring 3 "
		       "here: Popek and Goldberg's condition %s.\n",
		       table->silent[b], table->there[b], bits[b], table->silent[b] ? "does not hold" : "holds");
	}
}

/* What ring 3 of the host does, and what the instruction is for. */
static void print_host(const struct classify_table *table)
{
	printf("%-14s %-15s %-10s %-10s %s\n", "instruction", "kind", "ring 3", "32-bit", "what it does");
	for (unsigned n = 0; n < classify_insn_count; n++) {
		const struct classify_row *row = &table->row[n];
		char text[2][CLASSIFY_TEXT];
		classify_ring3(table, row, 0, text[0]);
		classify_ring3(table, row, 1, text[1]);
		printf("%-14s %-15s %-10s %-10s %s\n", row->insn->name, classify_kind_name(row->insn->kind), text[0],
		       text[1], row->insn->why);
	}
}

/* Where something is to be seen after it passed. */
static void print_shown(const struct classify_table *table)
{
	printf("\n%-14s %-36s%s\n", "instruction", "shows there", table->engines ? " ring 0 has" : "");
	for (unsigned n = 0; n < classify_insn_count; n++) {
		const struct classify_row *row = &table->row[n];
		char there[CLASSIFY_TEXT], ring0[CLASSIFY_TEXT] = "";
		classify_shown(row->insn, &row->ring3[0], there);
		if (table->engines)
			classify_shown(row->insn, &row->ring0[table->reference], ring0);
		if (there[0])
			printf("%-14s %-36s %s\n", row->insn->name, there, ring0);
	}
}

/* In ring 0 of a guest: a word for each engine. */
static void print_engines(const struct classify_table *table)
{
	printf("\n%-14s %-10s", "instruction", "ring 0");
	for (unsigned e = 0; e < table->engines; e++)
		printf(" %-14s", engines[e]->name);
	printf("\n");
	for (unsigned n = 0; n < classify_insn_count; n++) {
		const struct classify_row *row = &table->row[n];
		char text[CLASSIFY_TEXT], shown[CLASSIFY_TEXT];
		classify_outcome(&row->ring0[table->reference], text);
		printf("%-14s %-10s", row->insn->name, !strcmp(text, "silent") ? "passes" : text);
		for (unsigned e = 0; e < table->engines; e++) {
			classify_shown(row->insn, &row->ring0[e], shown);
			if (shown[0] && !classify_exact(table, row, e))
				snprintf(text, sizeof(text), "as ring 3");
			else
				classify_answer(table, row, e, text);
			printf(" %-14s", text);
		}
		printf("\n");
	}
}

void classify_print_text(const struct classify_table *table)
{
	const char *note;
	print_host(table);
	print_shown(table);
	if (table->engines)
		print_engines(table);
	print_condition(table);
	for (unsigned n = 0; (note = classify_note(table, n)); n++)
		printf("%s%s\n", n ? "" : "\nOn this host:\n", note);
}

/* ----------------------------------------------------------------------------------------------------------- CSV */

void classify_print_csv(const struct classify_table *table)
{
	printf("instruction,attempt,kind,outcome,traps,shows,outcome32,traps32,shows32");
	for (unsigned e = 0; e < table->engines; e++)
		printf(",%s,%s exact", engines[e]->name, engines[e]->name);
	printf(",what it does\n");
	for (unsigned n = 0; n < classify_insn_count; n++) {
		const struct classify_row *row = &table->row[n];
		char what[CLASSIFY_TEXT], value[CLASSIFY_TEXT];
		printf("\"%s\",\"%s\",%s", row->insn->of, row->insn->name, classify_kind_name(row->insn->kind));
		for (unsigned b = 0; b < 2; b++) {
			classify_ring3(table, row, b, what);
			classify_shown(row->insn, &row->ring3[b], value);
			printf(",%s,%s,\"%s\"", what,
			       classify_absent(table, row, b) ? "not there"
			       : row->ring3[b].trapped	      ? "yes"
							      : "no",
			       value);
		}
		for (unsigned e = 0; e < table->engines; e++) {
			classify_answer(table, row, e, what);
			printf(",\"%s\",%s", what, classify_exact(table, row, e) ? "yes" : "no");
		}
		printf(",\"%s\"\n", row->insn->why);
	}
}

/* ---------------------------------------------------------------------------------------------------------- JSON */

static json_t *json_of(const struct classify_insn *insn, const struct classify_result *result)
{
	char what[CLASSIFY_TEXT], value[CLASSIFY_TEXT];
	classify_outcome(result, what);
	classify_shown(insn, result, value);
	return json_pack("{s:s, s:b, s:s}", "outcome", what, "traps", result->trapped, "shows", value);
}

static json_t *json_ring3(const struct classify_table *table, const struct classify_row *row, unsigned b)
{
	json_t *one = json_of(row->insn, &row->ring3[b]);
	json_object_set_new(one, "there", json_boolean(!classify_absent(table, row, b)));
	return one;
}

static json_t *json_engines(const struct classify_table *table, const struct classify_row *row)
{
	json_t *all = json_object();
	for (unsigned e = 0; e < table->engines; e++) {
		char answer[CLASSIFY_TEXT];
		json_t *one = json_of(row->insn, &row->ring0[e]);
		classify_answer(table, row, e, answer);
		json_object_set_new(one, "exact", json_boolean(classify_exact(table, row, e)));
		json_object_set_new(one, "answer", json_string(answer));
		json_object_set_new(all, engines[e]->name, one);
	}
	return all;
}

void classify_print_json(const struct classify_table *table)
{
	json_t *rows = json_array(), *notes = json_array();
	const char *note;
	for (unsigned n = 0; n < classify_insn_count; n++) {
		const struct classify_row *row = &table->row[n];
		json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:s}", "instruction", row->insn->of, "name",
					row->insn->name, "code", row->insn->code, "kind",
					classify_kind_name(row->insn->kind), "does", row->insn->why);
		json_object_set_new(one, "ring3", json_ring3(table, row, 0));
		json_object_set_new(one, "ring3_32", json_ring3(table, row, 1));
		if (table->engines)
			json_object_set_new(one, "ring0", json_of(row->insn, &row->ring0[table->reference]));
		json_object_set_new(one, "engines", json_engines(table, row));
		json_array_append_new(rows, one);
	}
	for (unsigned n = 0; (note = classify_note(table, n)); n++)
		json_array_append_new(notes, json_string(note));
	json_t *document =
		json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:o, s:o}", "schema", CLASSIFY_SCHEMA, "version",
			  CLASSIFY_VERSION, "there", (int)table->there[0], "there_32", (int)table->there[1], "silent",
			  (int)table->silent[0], "silent_32", (int)table->silent[1], "notes", notes, "attempts", rows);
	json_dumpf(document, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(document);
}
