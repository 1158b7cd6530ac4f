/*
 * `ring3 doctor`: goes through the checks and says what was found, what is missing, and the remedy.
 */
#include "monitor/cli/doctor/doctor.h"
#include "monitor/cli/doctor/internal.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "monitor/vm/vm.h"

#define DOCTOR_SCHEMA  "ring3-doctor"
#define DOCTOR_VERSION 1

static const char *const status_names[] = {
	[DOCTOR_INFO] = "info",
	[DOCTOR_OK] = "ok",
	[DOCTOR_LIMITED] = "limited",
	[DOCTOR_MISSING] = "missing",
};

void doctor_found(struct doctor_result *result, enum doctor_status status, const char *remedy, const char *format, ...)
{
	va_list args;

	result->status = status;
	result->remedy = remedy;
	va_start(args, format);
	vsnprintf(result->found, sizeof(result->found), format, args);
	va_end(args);
}

/* ---------------------------------------------------------------------------------------------------------- report */

static void print_text(const struct doctor_check *check, const struct doctor_result *result)
{
	printf("%-8s %-16s %s: %s\n", status_names[result->status], check->name, check->title, result->found);
	if (result->remedy)
		printf("%-25s remedy: %s\n", "", result->remedy);
}

static void add_json(json_t *list, const struct doctor_check *check, const struct doctor_result *result)
{
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s?}", "name", check->name, "title", check->title,
					      "status", status_names[result->status], "found", result->found, "remedy",
					      result->remedy));
}

/*
 * Makes the checks, and returns the worst that came of them. What a guest has just started without is a limit at most:
 * starting it decides.
 */
static enum doctor_status examine(const struct doctor_check *checks, unsigned count, enum doctor_status most,
				  json_t *list)
{
	enum doctor_status worst = DOCTOR_OK;

	for (unsigned i = 0; i < count; i++) {
		struct doctor_result result = {0};

		checks[i].run(&result);
		doctor_untried(&result);
		if (result.status > most)
			result.status = most;
		if (list)
			add_json(list, &checks[i], &result);
		else
			print_text(&checks[i], &result);
		if (result.status > worst)
			worst = result.status;
	}
	return worst;
}

static const char *verdict(enum doctor_status worst)
{
	switch (worst) {
	case DOCTOR_MISSING:
		return "Guests cannot run here until what is missing is there.";
	case DOCTOR_LIMITED:
		return "Guests run here, within the limits above.";
	default:
		return "Guests run here.";
	}
}

static enum doctor_status examine_all(json_t *list)
{
	enum doctor_status start = examine(doctor_starts, doctor_starts_count, DOCTOR_MISSING, list);
	doctor_starts_end();
	enum doctor_status most = start == DOCTOR_MISSING ? DOCTOR_MISSING : DOCTOR_LIMITED;
	enum doctor_status live = examine(doctor_live, doctor_live_count, most, list);
	enum doctor_status walls = examine(doctor_walls, doctor_walls_count, most, list);
	enum doctor_status host = examine(doctor_host, doctor_host_count, most, list);
	enum doctor_status rest = live > host ? live : host;

	rest = walls > rest ? walls : rest;

	return start == DOCTOR_MISSING || start > rest ? start : rest;
}

static int report_json(void)
{
	json_t *list = json_array();
	enum doctor_status worst = examine_all(list);
	json_t *document = json_pack("{s:s, s:i, s:s, s:o}", "schema", DOCTOR_SCHEMA, "version", DOCTOR_VERSION,
				     "verdict", status_names[worst], "checks", list);
	int err = !document || json_dumpf(document, stdout, JSON_INDENT(2)) || puts("") < 0;

	json_decref(document);
	return err || worst == DOCTOR_MISSING ? VM_STATUS_HOST : 0;
}

static int report_text(void)
{
	enum doctor_status worst = examine_all(NULL);

	printf("\n%s\n", verdict(worst));
	return worst == DOCTOR_MISSING ? VM_STATUS_HOST : 0;
}

/* --------------------------------------------------------------------------------------------------------- the verb */

static const struct argp_option options[] = {
	{"json", 'j', NULL, 0, "print one JSON document", 0},
	{0},
};

static const char doc[] = "Tries out what running guests needs of this host and says what is missing, and the remedy.\v"
			  "Exit status: 0 guests can run (perhaps within limits, see the output), 125 they cannot.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	bool *json = state->input;

	if (key == ARGP_KEY_ARG) {
		fprintf(stderr, "ring3: doctor: '%s' is one argument too many: it takes --json only\n", arg);
		return EINVAL;
	}
	if (key != 'j')
		return ARGP_ERR_UNKNOWN;
	*json = true;
	return 0;
}

static const struct argp argp = {.options = options, .parser = parse, .doc = doc};

static int cli_doctor(int argc, char **argv)
{
	bool json = false;
	int status = verb_parse(&argp, argc, argv, &json);

	if (status != VERB_GOES_ON)
		return status;
	return json ? report_json() : report_text();
}

const struct verb doctor_verb = {"doctor", cli_doctor, "what this host offers, what is missing, and the remedy", &argp};
