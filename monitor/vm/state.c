/*
 * Going through the lists of state: comparing, and telling.
 */
#include "monitor/vm/state.h"

#include <inttypes.h>
#include <string.h>

#include "monitor/host/timer.h"

#define STATE_OF struct timer
static const struct state_field timer_fields[] = {
	STATE_GUEST(deadline),
	STATE_HOST(expired),
	STATE_HOST(arg),
	STATE_HOST(next),
};
#undef STATE_OF
const struct state_list timer_state = STATE_LIST(struct timer, timer_fields);

/* "lapic.timer", "pic.chip[1].irr"; the name of the last field stands alone if nothing encloses it. */
static void append(char *to, const char *outer, const struct state_field *field, size_t n)
{
	const char *dot = *outer ? "." : "";

	if (field->count > 1)
		snprintf(to, STATE_NAME_MAX, "%.32s%s%.32s[%zu]", outer, dot, field->name, n);
	else
		snprintf(to, STATE_NAME_MAX, "%.32s%s%.40s", outer, dot, field->name);
}

static const uint8_t *element(const void *state, const struct state_field *field, size_t n)
{
	return (const uint8_t *)state + field->offset + n * field->size;
}

/* The first eight bytes of it, of larger ones. */
static uint64_t number(const uint8_t *at, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size < sizeof(value) ? size : sizeof(value));
	return value;
}

/* ------------------------------------------------------------------------------------------------------ comparing */

struct comparison {
	struct state_difference *out;
	size_t found, max;
	bool bulk;
};

/* An element, and the part that it is in. Most are as they should be, so names are made of those that are not. */
struct place {
	const struct place *outer;
	const struct state_field *field;
	size_t n;
};

/* Parts are no deeper than the structs they are of. */
static void name_place(char name[STATE_NAME_MAX], const struct place *place)
{
	char outer[STATE_NAME_MAX] = "";

	if (place->outer)
		name_place(outer, place->outer);
	append(name, outer, place->field, place->n);
}

static void compare_list(struct comparison *c, const struct state_list *list, const struct place *outer, const void *a,
			 const void *b);

static void compare_parts(struct comparison *c, const struct state_field *field, const struct place *outer,
			  const void *a, const void *b)
{
	for (size_t n = 0; n < field->count; n++) {
		const struct place place = {outer, field, n};
		compare_list(c, field->part, &place, element(a, field, n), element(b, field, n));
	}
}

static void compare_field(struct comparison *c, const struct state_field *field, const struct place *outer,
			  const void *a, const void *b)
{
	size_t bytes = (size_t)field->size * field->count, n = 0;

	if ((bytes >= STATE_BULK && !c->bulk) || !memcmp(element(a, field, 0), element(b, field, 0), bytes))
		return;
	while (!memcmp(element(a, field, n), element(b, field, n), field->size))
		n++;
	struct state_difference *out = &c->out[c->found++];
	name_place(out->name, &(struct place){outer, field, n});
	out->value[0] = number(element(a, field, n), field->size);
	out->value[1] = number(element(b, field, n), field->size);
}

static void compare_list(struct comparison *c, const struct state_list *list, const struct place *outer, const void *a,
			 const void *b)
{
	for (const struct state_field *field = list->field; field < list->field + list->fields; field++) {
		if (c->found == c->max)
			return;
		if (field->kind == STATE_IS_PART)
			compare_parts(c, field, outer, a, b);
		else if (field->kind == STATE_IS_GUEST)
			compare_field(c, field, outer, a, b);
	}
}

size_t state_compare(const struct state_list *list, const void *a, const void *b, bool bulk,
		     struct state_difference *out, size_t max)
{
	struct comparison c = {.out = out, .max = max, .bulk = bulk};

	compare_list(&c, list, NULL, a, b);
	return c.found;
}

/* -------------------------------------------------------------------------------------------------------- telling */

#define NUMBERS_A_LINE 16

static bool is_zero(const uint8_t *at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (at[i])
			return false;
	return true;
}

/* Line by line; lines of nothing but zeroes are left out, so that a large buffer is no longer than what is in it. */
static void print_array(const struct state_field *field, const char *name, const void *state, FILE *out)
{
	bool any = false;

	for (size_t n = 0; n < field->count; n += NUMBERS_A_LINE) {
		size_t count = field->count - n < NUMBERS_A_LINE ? field->count - n : NUMBERS_A_LINE;
		if (is_zero(element(state, field, n), count * field->size))
			continue;
		any = true;
		fprintf(out, "%s[%zu]", name, n);
		for (size_t i = n; i < n + count; i++)
			fprintf(out, " %0*" PRIx64, (int)(2 * field->size),
				number(element(state, field, i), field->size));
		fputc('\n', out);
	}
	if (!any)
		fprintf(out, "%s all 0\n", name);
}

static void print_field(const struct state_field *field, const char *outer, const void *state, const char *only,
			FILE *out)
{
	struct state_field whole = *field;
	char name[STATE_NAME_MAX];

	whole.count = 1;
	append(name, outer, &whole, 0);
	if (strncmp(name, only, strlen(only)))
		return;
	if (field->count > 1)
		print_array(field, name, state, out);
	else
		fprintf(out, "%s %" PRIx64 "\n", name, number(element(state, field, 0), field->size));
}

static void print_list(const struct state_list *list, const char *outer, const void *state, const char *only, FILE *out)
{
	char name[STATE_NAME_MAX];

	for (const struct state_field *field = list->field; field < list->field + list->fields; field++) {
		if (field->kind == STATE_IS_GUEST || field->kind == STATE_IS_OPEN)
			print_field(field, outer, state, only, out);
		for (size_t n = 0; field->kind == STATE_IS_PART && n < field->count; n++) {
			append(name, outer, field, n);
			print_list(field->part, name, element(state, field, n), only, out);
		}
	}
}

void state_print(const struct state_list *list, const void *state, const char *only, FILE *out)
{
	print_list(list, "", state, only, out);
}
