/*
 * What the hypercalls and their arguments are called, for traces and reports: calls.def once more.
 */
#include <string.h>

#include "hypercalls/host/hc.h"
#include "hypercalls/host/hc_internal.h"

#define ARGS_LENGTH 64

static const struct {
	const char *name, *doc;
	char args[ARGS_LENGTH]; /* separated by commas */
} calls[] = {
#define R3_CALL(nr, name, args, doc) [nr] = {#name, doc, args},
#include "hypercalls/calls.def"
#undef R3_CALL
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* The same, each argument's name by itself. */
static struct {
	unsigned count;
	char name[HC_ARGS][ARGS_LENGTH];
} arguments[CALLS];

static void split_arguments(void)
{
	for (size_t nr = 0; nr < CALLS; nr++) {
		const char *text = calls[nr].args;
		unsigned count = 0;
		while (*text && count < HC_ARGS) {
			size_t len = strcspn(text, ",");
			memcpy(arguments[nr].name[count], text, len);
			arguments[nr].name[count++][len] = 0;
			text += len + (text[len] == ',');
		}
		arguments[nr].count = count;
	}
}

const char *hc_name(uint64_t nr)
{
	return nr < CALLS ? calls[nr].name : NULL;
}

const char *hc_doc(uint64_t nr)
{
	return nr < CALLS ? calls[nr].doc : NULL;
}

unsigned hc_argument_count(uint64_t nr)
{
	static bool split;

	if (!split)
		split_arguments();
	split = true;
	return nr < CALLS ? arguments[nr].count : 0;
}

const char *hc_argument(uint64_t nr, unsigned index)
{
	return index < hc_argument_count(nr) ? arguments[nr].name[index] : NULL;
}
