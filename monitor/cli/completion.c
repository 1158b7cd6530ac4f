/*
 * Completion of the command line in shells: made of the verbs' option tables.
 */
#include <stdbool.h>
#include <string.h>

#include "monitor/cli/verbs.h"
#include "monitor/vm/engine.h"

static bool shown(const struct argp_option *option)
{
	return option->name && option->doc && !(option->flags & OPTION_HIDDEN);
}

/* The words that an option's value is one of, if the table says so: A|B, or the engines. */
static bool put_values(const struct argp_option *option, FILE *out)
{
	if (!option->arg)
		return false;
	if (!strcmp(option->name, "engine")) {
		for (const struct engine_ops *const *engine = engines; *engine; engine++)
			fprintf(out, "%s%s", engine == engines ? "" : " ", (*engine)->name);
		return true;
	}
	if (!strchr(option->arg, '|'))
		return false;
	for (const char *c = option->arg; *c; c++)
		putc(*c == '|' ? ' ' : *c, out);
	return true;
}

#define EACH(option, verb)                                                                                             \
	for (const struct argp_option *option = (verb)->argp->options; option && (option->name || option->key);        \
	     option++)

static void put_verbs(FILE *out)
{
	for (const struct verb *const *verb = verbs; *verb; verb++)
		fprintf(out, "%s ", (*verb)->name);
	fputs("help", out);
}

static void bash_verb(const struct verb *verb, FILE *out)
{
	fprintf(out, "\t%s)\n\t\tcase $prev in\n", verb->name);
	EACH(option, verb)
	{
		if (!shown(option) || !option->arg || !(strchr(option->arg, '|') || !strcmp(option->name, "engine")))
			continue;
		fprintf(out, "\t\t--%s) words='", option->name);
		put_values(option, out);
		fputs("' ;;\n", out);
	}
	fputs("\t\t*) [[ $cur != -* ]] || words='", out);
	EACH(option, verb)
	if (shown(option))
		fprintf(out, "--%s ", option->name);
	fputs("--help' ;;\n\t\tesac ;;\n", out);
}

/* What yields no word is completed as a file's name. */
static void bash(FILE *out)
{
	fputs("# bash completion for ring3\n_ring3()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} "
	      "prev=${COMP_WORDS[COMP_CWORD - 1]} words=\n\tif [ \"$prev\" = = ]; then\n\t\t"
	      "prev=${COMP_WORDS[COMP_CWORD - 2]}\n\tfi\n\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords='",
	      out);
	put_verbs(out);
	fputs(" --help --version'\n\telse\n\tcase ${COMP_WORDS[1]} in\n\thelp) words='", out);
	put_verbs(out);
	fputs("' ;;\n", out);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		bash_verb(*verb, out);
	fputs("\tesac\n\tfi\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n"
	      "complete -o default -F _ring3 ring3\n",
	      out);
}

/* Text in single quotes, in a specification of _arguments, where brackets and colons count. */
static void zsh_text(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else if (strchr("[]:\\", *text))
			fprintf(out, "\\%c", *text);
		else
			putc(*text, out);
	}
}

static void zsh_verb(const struct verb *verb, FILE *out)
{
	fprintf(out, "\t%s)\n\t\t_arguments", verb->name);
	EACH(option, verb)
	{
		if (!shown(option))
			continue;
		fprintf(out, " \\\n\t\t\t'*--%s%s[", option->name, option->arg ? "=" : "");
		zsh_text(option->doc, out);
		putc(']', out);
		if (option->arg) {
			putc(':', out);
			zsh_text(option->arg, out);
			if (strchr(option->arg, '|') || !strcmp(option->name, "engine")) {
				fputs(":(", out);
				put_values(option, out);
				putc(')', out);
			} else {
				fputs(":_files", out);
			}
		}
		putc('\'', out);
	}
	fputs(" \\\n\t\t\t'--help[print this and end]' '*:file:_files' ;;\n", out);
}

static void zsh(FILE *out)
{
	fputs("#compdef ring3\n_ring3()\n{\n\tlocal -a verbs=(", out);
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		fprintf(out, "\n\t\t'%s:", (*verb)->name);
		zsh_text((*verb)->summary, out);
		putc('\'', out);
	}
	fputs("\n\t\t'help:tell more of a verb')\n\tif (( CURRENT == 2 )); then\n\t\t_describe verb verbs\n\t\treturn\n"
	      "\tfi\n\tlocal verb=${words[2]}\n\tshift words\n\t(( CURRENT-- ))\n\tcase $verb in\n"
	      "\thelp) _describe verb verbs ;;\n",
	      out);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		zsh_verb(*verb, out);
	fputs("\tesac\n}\n_ring3 \"$@\"\n", out);
}

bool completion_print(const char *shell, FILE *out)
{
	if (!strcmp(shell, "bash"))
		bash(out);
	else if (!strcmp(shell, "zsh"))
		zsh(out);
	else
		return false;
	return true;
}
