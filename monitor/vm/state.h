/*
 * The state of the machine in lists: all members of a struct by name, and what each is to the guest. Whatever compares
 * machines or tells their state goes by these lists; a struct has one, or the machine's does not compile, and every
 * byte of it stands there (tests/unit/state_test.c).
 */
#ifndef MONITOR_VM_STATE_H
#define MONITOR_VM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum state_kind {
	STATE_IS_GUEST, /* decides what the guest sees: the same in machines that are the same */
	STATE_IS_PART,	/* a struct with a list of its own */
	STATE_IS_OPEN,	/* the guest's, in a form that engines choose: told, but compared by who knows how */
	STATE_IS_HOST,	/* the monitor's: wiring, notes, what is derived from the rest */
};

/* The name within: a table of pointers is written to at each start, wherever the program comes to lie. */
struct state_field {
	char name[36];
	uint32_t offset;
	uint32_t size; /* of one element */
	uint32_t count;
	enum state_kind kind;
	const struct state_list *part;
};

struct state_list {
	const char *type; /* the struct, and its size */
	size_t size;
	const struct state_field *field;
	size_t fields;
};

/* What a table of fields is made of: STATE_OF is defined as the struct that they are of. */
#define STATE_MEMBER(member) (((STATE_OF *)0)->member)
#define STATE_ROW(name, m, n, k, p)                                                                                    \
	{                                                                                                              \
		name, offsetof(STATE_OF, m), sizeof(STATE_MEMBER(m)) / (n), n, k, p                                    \
	}
#define STATE_COUNT(m)		     (sizeof(STATE_MEMBER(m)) / sizeof(STATE_MEMBER(m)[0]))
#define STATE_NAMED(name, m)	     STATE_ROW(name, m, 1, STATE_IS_GUEST, NULL)
#define STATE_NAMED_ARRAY(name, m)   STATE_ROW(name, m, STATE_COUNT(m), STATE_IS_GUEST, NULL)
#define STATE_GUEST(m)		     STATE_NAMED(#m, m)
#define STATE_ARRAY(m)		     STATE_NAMED_ARRAY(#m, m)
#define STATE_NAMED_PART(name, m, p) STATE_ROW(name, m, 1, STATE_IS_PART, &(p))
#define STATE_PART(m, p)	     STATE_NAMED_PART(#m, m, p)
#define STATE_PARTS(m, p)	     STATE_ROW(#m, m, STATE_COUNT(m), STATE_IS_PART, &(p))
#define STATE_OPEN(name, m)	     STATE_ROW(name, m, 1, STATE_IS_OPEN, NULL)
#define STATE_HOST(m)		     STATE_ROW(#m, m, 1, STATE_IS_HOST, NULL)
#define STATE_LIST(type, table)                                                                                        \
	{                                                                                                              \
#type, sizeof(type), table, sizeof(table) / sizeof((table)[0])                                         \
	}

#define STATE_NAME_MAX 80

struct state_difference {
	char name[STATE_NAME_MAX];
	uint64_t value[2];
};

/*
 * Fills at most `max` differences between two such structs, in the list's order, and returns how many; of an array that
 * is not one of parts, the first element alone. Fields of STATE_BULK bytes and more count only if `bulk` says so.
 */
#define STATE_BULK 4096
size_t state_compare(const struct state_list *list, const void *a, const void *b, bool bulk,
		     struct state_difference *out, size_t max);

/* Writes a line for each field of the guest's whose name begins with `only`, numbers in hexadecimal. */
void state_print(const struct state_list *list, const void *state, const char *only, FILE *out);

/* struct timer */
extern const struct state_list timer_state;

#endif
