/*
 * The report of `ring3 classify` as one page that needs nothing else.
 */
#include <string.h>

#include "monitor/cli/classify/internal.h"
#include "monitor/vm/engine.h"

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n<title>Sensitive instructions</title>\n<style>\n"
	":root { color-scheme: light dark; --line: #8885; --bad: #b3261e; --good: #1b6e3c; }\n"
	"@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7bd69b; } }\n"
	"body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 100em; padding: 0 1em; }\n"
	"table { border-collapse: collapse; width: 100%; }\n"
	"th, td { border-bottom: 1px solid var(--line); padding: .25em .6em; text-align: left; vertical-align: top; }\n"
	"thead th { position: sticky; top: 0; background: Canvas; }\n"
	"td:first-child, code { font-family: ui-monospace, monospace; white-space: nowrap; }\n"
	".bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); }\n"
	"@media print { body { font-size: 8pt; margin: 0; } thead th { position: static; } tr { break-inside: avoid; } "
	"}\n"
	"</style>\n</head>\n<body>\n<h1>Which sensitive instructions trap</h1>\n"
	"<p>Popek and Goldberg (1974): a monitor that runs a guest kernel in user mode is exact if every "
	"<em>sensitive</em> instruction (it changes what is the monitor's, or does something else depending on the "
	"mode "
	"or on what is the monitor's) is <em>privileged</em> (it traps in user mode, always). Each was executed: in "
	"ring 3 of this host, and in ring 0 of a "
	"guest "
	"under each engine.</p>\n";

/* All text is ours, but assembly and messages hold characters that HTML reads. */
static void put(const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			fputs("&lt;", stdout);
			break;
		case '>':
			fputs("&gt;", stdout);
			break;
		case '&':
			fputs("&amp;", stdout);
			break;
		case '"':
			fputs("&quot;", stdout);
			break;
		default:
			putchar(*text);
		}
}

static void cell(const char *class, const char *text)
{
	printf("<td%s%s%s>", class ? " class=\"" : "", class ? class : "", class ? "\"" : "");
	put(text);
	puts("</td>");
}

static void print_row(const struct classify_table *table, const struct classify_row *row)
{
	char text[CLASSIFY_TEXT];
	printf("<tr><td title=\"");
	put(row->insn->code);
	printf("\">");
	put(row->insn->name);
	puts("</td>");
	cell(NULL, classify_kind_name(row->insn->kind));
	for (unsigned b = 0; b < 2; b++) {
		classify_ring3(table, row, b, text);
		cell(classify_absent(table, row, b) ? NULL : row->ring3[b].trapped ? "good" : "bad", text);
	}
	classify_shown(row->insn, &row->ring3[0], text);
	cell(NULL, text);
	if (table->engines) {
		classify_shown(row->insn, &row->ring0[table->reference], text);
		if (!text[0])
			classify_outcome(&row->ring0[table->reference], text);
		cell(NULL, strcmp(text, "silent") ? text : "passes");
	}
	for (unsigned e = 0; e < table->engines; e++) {
		classify_answer(table, row, e, text);
		cell(classify_exact(table, row, e) ? "good" : "bad", text);
	}
	cell(NULL, row->insn->why);
	puts("</tr>");
}

void classify_print_html(const struct classify_table *table)
{
	const char *note;
	fputs(head, stdout);
	printf("<p><strong>%u of the %u that there are do not always trap in 64-bit code, %u of %u in 32-bit code: the "
	       "condition %s here.</strong></p>\n<ul>\n",
	       table->silent[0], table->there[0], table->silent[1], table->there[1],
	       table->silent[0] ? "does not hold" : "holds");
	for (unsigned n = 0; (note = classify_note(table, n)); n++) {
		printf("<li>");
		put(note);
		puts("</li>");
	}
	puts("</ul>\n<table>\n<thead><tr><th>instruction</th><th>kind</th><th>ring 3</th><th>32-bit</th><th>shows "
	     "there</th>");
	if (table->engines)
		puts("<th>ring 0 has</th>");
	for (unsigned e = 0; e < table->engines; e++)
		printf("<th><code>%s</code></th>\n", engines[e]->name);
	puts("<th>what it does</th></tr></thead>\n<tbody>");
	for (unsigned n = 0; n < classify_insn_count; n++)
		print_row(table, &table->row[n]);
	puts("</tbody>\n</table>\n</body>\n</html>");
}
