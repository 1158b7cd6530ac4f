/*
 * Reading a trace line by line. A line that is none of ring3's, or no JSON, is counted and passed over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli/report/digest.h"

static bool keep(json_t **where, json_t *line)
{
	json_decref(*where);
	*where = json_incref(line);
	return true;
}

static bool is_header(const json_t *line)
{
	const char *schema = json_string_value(json_object_get(line, "schema"));

	return schema && !strcmp(schema, "ring3-trace");
}

static bool read_line(struct digest *digest, const char *text, size_t len)
{
	json_t *line = json_loadb(text, len, 0, NULL);
	const char *type = json_string_value(json_object_get(line, "type"));
	bool good = false;

	if (type && !strcmp(type, "event"))
		good = digest_event(digest, line);
	else if (type && !strcmp(type, "header"))
		good = is_header(line) && keep(&digest->header, line);
	else if (type && !strcmp(type, "summary"))
		good = keep(&digest->summary, line);
	else if (type) /* counters, and what later versions may add */
		good = true;
	json_decref(line);
	return good;
}

/* The next line into buffer, without its end; more than fits is dropped, and *len is DIGEST_LINE_MAX. False: no more.
 */
static bool next_line(FILE *in, char *buffer, size_t *len)
{
	int c = EOF;

	for (*len = 0; (c = getc_unlocked(in)) != EOF && c != '\n';)
		if (*len < DIGEST_LINE_MAX)
			buffer[(*len)++] = (char)c;
	return c != EOF || *len > 0;
}

int digest_read(struct digest *digest, FILE *in)
{
	char *buffer = malloc(DIGEST_LINE_MAX);
	size_t len;

	if (!buffer)
		return -ENOMEM;
	digest->bucket_ns = 1000;
	while (next_line(in, buffer, &len)) {
		digest->lines++;
		if (len == DIGEST_LINE_MAX || !read_line(digest, buffer, len))
			digest->bad++;
	}
	free(buffer);
	return ferror(in) ? -(errno ? errno : EIO) : 0;
}

void digest_free(struct digest *digest)
{
	json_decref(digest->header);
	json_decref(digest->summary);
	digest->header = digest->summary = NULL;
}
