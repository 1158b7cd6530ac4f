/*
 * `ring3 report`: a trace as one page to look at, with its charts and their library inside.
 */
#include "monitor/cli/report/report.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli/common/embed.h"
#include "monitor/cli/report/digest.h"
#include "monitor/host/output_file.h"
#include "monitor/host/walls/walls.h"
#include "monitor/vm/vm.h"

#define OUTPUT_DEFAULT "report.html"
#define REMEDY	       "name a file where you may write, with -o"

struct request {
	const char *trace, *output;
};

static int complain(const char *path, const char *what, int err, const char *remedy)
{
	fprintf(stderr, "ring3: report: %s: %s: %s: %s\n", path, what, strerror(-err), remedy);
	return VM_STATUS_HOST;
}

/* ------------------------------------------------------------------------------------------------------- the page */

#ifdef R3_CHART_JS

EMBED(page_html, "monitor/cli/report/page/page.html");
EMBED(page_css, "monitor/cli/report/page/page.css");
EMBED(page_js, "monitor/cli/report/page/page.js");
EMBED(page_chart_js, R3_CHART_JS);

/* What each place of page.html, a line of its own, is filled with. */
static const struct filling {
	const char *place, *text, *end; /* text NULL: the data */
} fillings[] = {
	{"/*@STYLE@*/", page_css, page_css_end},
	{"/*@CHARTS@*/", page_chart_js, page_chart_js_end},
	{"/*@SCRIPT@*/", page_js, page_js_end},
	{"/*@DATA@*/", NULL, NULL},
};

/* In a script element, "<" could end it or begin a comment; in JSON it stands in strings alone. */
static void put_data(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '<' || *text == '>' || *text == '&')
			fprintf(out, "\\u%04x", (unsigned)*text);
		else
			fputc(*text, out);
	}
}

static void put_page(const char *data, FILE *out)
{
	for (const char *at = page_html; at < page_html_end;) {
		const struct filling *next = NULL;
		const char *first = page_html_end;

		for (size_t i = 0; i < sizeof(fillings) / sizeof(fillings[0]); i++) {
			const char *place = strstr(at, fillings[i].place);

			if (place && place < first) {
				first = place;
				next = &fillings[i];
			}
		}
		fwrite(at, 1, (size_t)(first - at), out);
		if (next && next->text)
			fwrite(next->text, 1, (size_t)(next->end - next->text), out);
		else if (next)
			put_data(data, out);
		at = first + (next ? strlen(next->place) : 0);
	}
}

/* In memory first: it is under a megabyte. */
static int write_page(const struct digest *digest, const struct request *request)
{
	json_t *document = digest_json(digest, request->trace);
	char *data = document ? json_dumps(document, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL, *page = NULL;
	size_t size = 0;
	struct output_file file;
	FILE *out = data ? open_memstream(&page, &size) : NULL;
	int err = -ENOMEM;

	if (out) {
		put_page(data, out);
		err = fclose(out) ? -ENOMEM : output_open(&file, request->output);
		if (!err)
			err = output_finish(&file, output_write(&file, page, size));
	}
	json_decref(document);
	free(data);
	free(page);
	return err;
}

#else

static int write_page(const struct digest *digest, const struct request *request)
{
	return -ENOSYS;
}

#endif

/* ------------------------------------------------------------------------------------------------------- the trace */

/* From the first byte on that somebody else wrote, this process can read that file, write the page, and no more. */
static int read_trace(struct digest *digest, const char *path)
{
	bool standard = !strcmp(path, "-");
	FILE *in = standard ? stdin : fopen(path, "re");
	int err = in ? 0 : -errno;

	json_object_seed(0); /* by /dev/urandom, while it can be had */
	if (in && walls_up(WALLS_REPORT, NULL))
		return VM_STATUS_HOST;
	if (in)
		err = digest_read(digest, in);
	if (in && !standard)
		fclose(in);
	if (err)
		return complain(path, "cannot read", err, "name the file that --trace-file wrote");
	if (!digest->header && !digest->events) {
		fprintf(stderr,
			"ring3: report: %s is no trace: make one with 'ring3 run --trace-file NAME.jsonl KERNEL'\n",
			path);
		return VM_STATUS_HOST;
	}
	if (digest->bad)
		fprintf(stderr, "ring3: report: %ju of %ju lines of %s could not be understood: the page says so\n",
			(uintmax_t)digest->bad, (uintmax_t)digest->lines, path);
	return 0;
}

/* Another version of the format may mean other things by the same words. */
static bool version_fits(const struct digest *digest, const char *path)
{
	json_int_t version = json_integer_value(json_object_get(digest->header, "version"));

	if (!digest->header || version == 1)
		return true;
	fprintf(stderr,
		"ring3: report: %s is a trace of version %jd, this ring3 reads version 1: use the ring3 that made it\n",
		path, (intmax_t)version);
	return false;
}

/* -------------------------------------------------------------------------------------------------------- the verb */

static int make_report(const struct request *request)
{
	struct digest *digest = calloc(1, sizeof(*digest));
	int status, err;

	if (!digest)
		return complain(request->trace, "cannot read", -ENOMEM, "end other programs first");
	err = output_check(request->output);
	if (err) {
		free(digest);
		return complain(request->output, "cannot write", err, REMEDY);
	}
	status = read_trace(digest, request->trace);
	if (!status && !version_fits(digest, request->trace))
		status = VM_STATUS_HOST;
	err = status ? 0 : write_page(digest, request);
	if (err)
		status = complain(request->output, "cannot write", err, REMEDY);
	digest_free(digest);
	free(digest);
	return status;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *request = state->input;

	switch (key) {
	case 'o':
		request->output = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!request->trace) {
			request->trace = arg;
			return 0;
		}
		fprintf(stderr, "ring3: report: '%s' is one argument too many: name one trace\n", arg);
		return EINVAL;
	case ARGP_KEY_END:
		if (request->trace)
			return 0;
		fputs("ring3: report: name the trace: a file that 'ring3 run --trace-file NAME.jsonl' wrote\n", stderr);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{"output", 'o', "FILE", 0, "the page to write (default " OUTPUT_DEFAULT ")", 0},
	{0},
};
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "TRACE",
	.doc = "Makes a page to look at of TRACE, a file in JSON Lines that --trace-file wrote; '-' is "
	       "standard "
	       "input.\vdocs/report.md explains what the page shows.",
};

static int cli_report(int argc, char **argv)
{
	struct request request = {.output = OUTPUT_DEFAULT};
	int status = verb_parse(&argp, argc, argv, &request);

	if (status != VERB_GOES_ON)
		return status;
#ifndef R3_CHART_JS
	fputs("ring3: report: this build has no charts: install Debian's libjs-chart.js, and build again\n", stderr);
	return VM_STATUS_HOST;
#endif
	return make_report(&request);
}

const struct verb report_verb = {"report", cli_report, "make a page to look at of a trace", &argp};
