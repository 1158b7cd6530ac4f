/*
 * Manual pages, as roff (man(7)): made of the verbs' option tables and of what their --help says, so that all three say
 * the same.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli/verbs.h"
#include "monitor/vm/vm.h"

/* Text that is no markup: hyphens are to be copied from, and no line is a request. */
static void put_text(const char *text, size_t len, FILE *out)
{
	bool begins = true;

	for (; len; len--, text++) {
		if (begins && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else
			putc(*text, out);
		begins = *text == '\n';
	}
}

static void put(const char *text, FILE *out)
{
	put_text(text, strlen(text), out);
}

static void put_head(const char *name, const char *summary, FILE *out)
{
	fprintf(out, ".TH %s 1 \"\" \"ring3 %s\" \"User Commands\"\n.SH NAME\n", name, R3_VERSION);
	put(name, out);
	fputs(" \\- ", out);
	put(summary, out);
	putc('\n', out);
}

static void put_option(const struct argp_option *option, FILE *out)
{
	bool letter = option->key > ' ' && option->key < 0x7f;

	fputs(".TP\n\\fB", out);
	if (letter) {
		put((char[]){'-', (char)option->key, '\0'}, out);
		if (option->name)
			fputs("\\fR, \\fB", out);
	}
	if (option->name) {
		put("--", out);
		put(option->name, out);
	}
	fputs("\\fR", out);
	if (option->arg) {
		fputs(option->name ? "=\\fI" : " \\fI", out);
		put(option->arg, out);
		fputs("\\fR", out);
	}
	putc('\n', out);
	put(option->doc, out);
	putc('\n', out);
}

static void put_options(const struct argp *argp, FILE *out)
{
	static const struct argp_option help = {"help", 'h', NULL, 0, "print a summary and end", 0};

	fputs(".SH OPTIONS\n", out);
	for (const struct argp_option *option = argp->options; option && (option->name || option->key); option++)
		if (option->doc && !(option->flags & OPTION_HIDDEN))
			put_option(option, out);
	put_option(&help, out);
}

static void put_verb(const struct verb *verb, FILE *out)
{
	const struct argp *argp = verb->argp;
	const char *doc = argp->doc ? argp->doc : "", *rest = strchr(doc, '\v');
	char *name;

	if (asprintf(&name, "ring3-%s", verb->name) < 0)
		abort();
	put_head(name, verb->summary, out);
	free(name);
	fprintf(out, ".SH SYNOPSIS\n\\fBring3 %s\\fR [\\fIOPTION\\fR...] \\fI", verb->name);
	put(argp->args_doc ? argp->args_doc : "", out);
	fputs("\\fR\n.SH DESCRIPTION\n", out);
	put_text(doc, rest ? (size_t)(rest - doc) : strlen(doc), out);
	putc('\n', out);
	put_options(argp, out);
	if (rest) {
		char *filtered = argp->help_filter ? argp->help_filter(ARGP_KEY_HELP_POST_DOC, rest + 1, NULL) : NULL;
		fputs(".SH NOTES\n", out);
		fputs(filtered ? ".nf\n" : "", out);
		put(filtered ? filtered : rest + 1, out);
		fputs(filtered ? "\n.fi\n" : "\n", out);
		if (filtered != rest + 1)
			free(filtered);
	}
	fputs(".SH SEE ALSO\n\\fBring3\\fR(1)\n", out);
}

static void put_program(FILE *out)
{
	put_head("ring3", "virtual machine monitor that is an ordinary process", out);
	fputs(".SH SYNOPSIS\n\\fBring3\\fR \\fIVERB\\fR [\\fIARGUMENT\\fR...]\n.br\n\\fBring3 help\\fR [\\fIVERB\\fR]\n"
	      ".br\n\\fBring3 \\-\\-version\\fR [\\fB\\-\\-verbose\\fR]\n.SH DESCRIPTION\n"
	      "Runs guest kernels deprivileged, in ring 3 of ordinary processes: no KVM, no kernel module, no root.\n"
	      "On a terminal, Ctrl\\-A X ends a guest, whatever it does.\n.SH VERBS\n",
	      out);
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		fprintf(out, ".TP\n\\fB%s\\fR\n", (*verb)->name);
		put((*verb)->summary, out);
		putc('\n', out);
	}
	fprintf(out,
		".SH EXIT STATUS\n0 to 119: the guest's own. %d: the guest crashed. %d: time ran out. %d: wrong usage, "
		"or "
		"the host refused. %d: the image cannot be used. 128 and N: ended by signal N.\n.SH FILES\n"
		"Pages called docs/NAME.md are installed in share/doc/ring3, guests to begin with in share/ring3.\n"
		".SH SEE ALSO\n",
		VM_STATUS_CRASH, VM_STATUS_TIMEOUT, VM_STATUS_HOST, VM_STATUS_IMAGE);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		fprintf(out, "%s\\fBring3\\-%s\\fR(1)", verb == verbs ? "" : ",\n", (*verb)->name);
	putc('\n', out);
}

void manual_print(const struct verb *verb, FILE *out)
{
	if (verb)
		put_verb(verb, out);
	else
		put_program(out);
}
