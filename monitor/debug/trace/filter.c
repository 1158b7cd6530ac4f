/*
 * Which events are wanted: the argument of --trace.
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/boot/image.h"
#include "monitor/debug/trace/internal.h"

#define ALL_KINDS (R3_BIT(TRACE_KIND_COUNT) - 1)

/* One word: a kind, `all`, either with a dash before it to leave it out. */
static bool parse_kind(const char *word, struct trace_filter *filter, bool *first)
{
	bool without = *word == '-';
	uint32_t bits = 0;

	word += without;
	if (!strcmp(word, "all"))
		bits = ALL_KINDS;
	for (unsigned i = 0; i < TRACE_KIND_COUNT; i++)
		bits |= strcmp(word, trace_kind_names[i]) ? 0 : (uint32_t)R3_BIT(i);
	if (!bits)
		return false;
	if (*first)
		filter->kinds = without ? ALL_KINDS : 0;
	*first = false;
	filter->kinds = without ? filter->kinds & ~bits : filter->kinds | bits;
	return true;
}

/* FIRST or FIRST-LAST. */
static bool parse_range(const char *text, struct trace_term *term)
{
	char *end;

	term->first = strtoull(text, &end, 0);
	term->last = term->first;
	if (end == text)
		return false;
	if (*end == '-') {
		text = end + 1;
		term->last = strtoull(text, &end, 0);
		if (end == text)
			return false;
	}
	return !*end && term->first <= term->last;
}

static bool parse_term(const char *word, struct trace_filter *filter)
{
	static const char *const keys[TRACE_KEY_COUNT] = {"rip=", "symbol=", "reason=", "cpl="};
	struct trace_term *term = &filter->term[filter->count];
	unsigned key;

	for (key = 0; key < TRACE_KEY_COUNT; key++) {
		if (!strncmp(word, keys[key], strlen(keys[key])))
			break;
	}
	if (key == TRACE_KEY_COUNT || filter->count == TRACE_TERMS)
		return false;
	word += strlen(keys[key]);
	term->key = key;
	filter->count++;
	if (key == TRACE_KEY_RIP || key == TRACE_KEY_CPL)
		return parse_range(word, term);
	if (!*word || strlen(word) >= sizeof(term->pattern))
		return false;
	strcpy(term->pattern, word);
	return true;
}

bool trace_filter_parse(const char *text, struct trace_filter *filter, char *wrong, size_t size)
{
	char word[80];
	bool first = true;

	*filter = (struct trace_filter){.kinds = ALL_KINDS};
	if (!text)
		return true;
	while (true) {
		size_t len = strcspn(text, ",");
		size_t kept = len < sizeof(word) ? len : sizeof(word) - 1;
		memcpy(word, text, kept);
		word[kept] = 0;
		if (len >= sizeof(word) || (!parse_kind(word, filter, &first) && !parse_term(word, filter))) {
			snprintf(wrong, size, "%s", word);
			return false;
		}
		if (!text[len])
			return true;
		text += len + 1;
	}
}

static bool term_holds(struct vm *vm, const struct trace_term *term, const struct trace_event *event)
{
	const char *symbol;
	uint64_t offset;

	switch (term->key) {
	case TRACE_KEY_RIP:
		return term->first <= event->rip && event->rip <= term->last;
	case TRACE_KEY_CPL:
		return term->first <= event->cpl && event->cpl <= term->last;
	case TRACE_KEY_SYMBOL:
		symbol = image_symbol(vm, event->rip, &offset);
		return symbol && !fnmatch(term->pattern, symbol, 0);
	case TRACE_KEY_REASON:
		return !fnmatch(term->pattern, trace_reason(event), 0);
	case TRACE_KEY_COUNT:
		break;
	}
	return false;
}

bool trace_filter_match(struct vm *vm, const struct trace_filter *filter, const struct trace_event *event)
{
	bool asked[TRACE_KEY_COUNT] = {false}, holds[TRACE_KEY_COUNT] = {false};

	for (unsigned i = 0; i < filter->count; i++) {
		enum trace_key key = filter->term[i].key;
		asked[key] = true;
		holds[key] |= term_holds(vm, &filter->term[i], event);
	}
	return !memcmp(asked, holds, sizeof(asked));
}
