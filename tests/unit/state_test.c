/*
 * The lists of state: what is the guest's in processor, devices and paravirtual side is compared and told. That no
 * member is left out, state_members.py sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hypercalls/host/hc.h"
#include "hypercalls/host/hc_internal.h"
#include "monitor/cli/lockstep/state_diff.h"
#include "monitor/device/internal.h"
#include "monitor/device/machine.h"
#include "monitor/vm/state.h"
#include "monitor/vm/vcpu.h"
#include "monitor/vm/vm.h"

#define MAX 4

static const struct state_list *const wholes[] = {&machine_state, &vcpu_state, &hc_state};
#define WHOLES (sizeof(wholes) / sizeof(wholes[0]))

static void mark(const struct state_list *list, uint8_t *marks)
{
	for (const struct state_field *field = list->field; field < list->field + list->fields; field++) {
		size_t bytes = (size_t)field->size * field->count;
		if (!memchr(field->name, '\0', sizeof(field->name)))
			fail_msg("%s: a name is too long", list->type);
		if (field->offset + bytes > list->size)
			fail_msg("%s: %s lies outside", list->type, field->name);
		for (size_t n = field->offset; n < field->offset + bytes; n++)
			if (marks[n]++)
				fail_msg("%s: %s stands in the list twice", list->type, field->name);
	}
}

/* Parts are listed as wholes, and have lists of their own. */
static void check_list(const struct state_list *list)
{
	uint8_t *marks = calloc(1, list->size);
	assert_non_null(marks);
	mark(list, marks);
	free(marks);
	for (const struct state_field *field = list->field; field < list->field + list->fields; field++) {
		if (field->kind != STATE_IS_PART)
			continue;
		if (field->part->size != field->size)
			fail_msg("%s: %s has another struct's list", list->type, field->name);
		check_list(field->part);
	}
}

static void no_byte_stands_there_twice(void **state)
{
	for (size_t n = 0; n < WHOLES; n++)
		check_list(wholes[n]);
}

/* Changes each field in turn, the last byte of its last element: who compares sees that, and nothing else. */
static void change_each(const struct state_list *list, const struct state_list *outer, uint8_t *at, const uint8_t *a,
			const uint8_t *b)
{
	struct state_difference d[MAX];

	for (const struct state_field *field = list->field; field < list->field + list->fields; field++) {
		uint8_t *last = at + field->offset + (field->count - 1) * field->size;
		if (field->kind == STATE_IS_PART) {
			change_each(field->part, outer, last, a, b);
			continue;
		}
		last[field->size - 1] ^= 0x80;
		size_t found = state_compare(outer, a, b, true, d, MAX);
		if (found != (field->kind == STATE_IS_GUEST))
			fail_msg("%s: %zu differences", field->name, found);
		if (found && !strstr(d[0].name, field->name))
			fail_msg("%s is told as %s", field->name, d[0].name);
		last[field->size - 1] ^= 0x80;
	}
}

static void every_field_is_compared(void **state)
{
	for (size_t n = 0; n < WHOLES; n++) {
		uint8_t *a = calloc(1, wholes[n]->size), *b = calloc(1, wholes[n]->size);
		assert_true(a && b);
		change_each(wholes[n], wholes[n], b, a, b);
		free(a);
		free(b);
	}
}

/* What `ring3 lockstep` says of two machines. */
static void devices_are_compared(void **state)
{
	struct machine *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	struct hc hc_a = {0}, hc_b = {0};
	struct vm *of_a = calloc(1, sizeof(*of_a)), *of_b = calloc(1, sizeof(*of_b));
	struct state_difference d[MAX];
	assert_true(a && b && of_a && of_b);
	of_a->machine = a;
	of_b->machine = b;
	of_a->hc = &hc_a;
	of_b->hc = &hc_b;

	assert_int_equal(state_diff_devices(of_a, of_b, true, d, MAX), 0);
	b->pic.chip[1].imr = 0x12;
	b->lapic.timer.deadline = 7;
	hc_b.open = 5;
	assert_int_equal(state_diff_devices(of_a, of_b, true, d, MAX), 3);
	assert_string_equal(d[0].name, "pic.chip[1].imr");
	assert_int_equal(d[0].value[1], 0x12);
	assert_string_equal(d[1].name, "lapic.timer.deadline");
	assert_string_equal(d[2].name, "event channels open");
	assert_int_equal(state_diff_devices(of_a, of_b, true, d, 2), 2);
	/* Buffers only where something may have filled them. */
	*b = *a;
	hc_b.open = 0;
	b->ata.buffer[511] = 9;
	assert_int_equal(state_diff_devices(of_a, of_b, false, d, MAX), 0);
	assert_int_equal(state_diff_devices(of_a, of_b, true, d, MAX), 1);
	assert_string_equal(d[0].name, "ata.buffer[511]");
	free(a);
	free(b);
	free(of_a);
	free(of_b);
}

static void told(const struct machine *machine, const char *only, const char *expected)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	state_print(&machine_state, machine, only, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static void state_is_told(void **state)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	assert_non_null(machine);
	machine->rtc.index = 0xd;
	machine->ioapic.entry[17] = 0x1f0;
	machine->pit.channel[2].count = 0x10000;
	told(machine, "rtc.index", "rtc.index d\n");
	told(machine, "ioapic.entry",
	     "ioapic.entry[16] 0000000000000000 00000000000001f0 0000000000000000 "
	     "0000000000000000 0000000000000000 0000000000000000 0000000000000000 "
	     "0000000000000000\n");
	told(machine, "vga.crtc", "vga.crtc_index 0\nvga.crtc all 0\n");
	told(machine, "pit.channel[2].count", "pit.channel[2].count 10000\npit.channel[2].count_latched 0\n");
	told(machine, "nothing", "");
	free(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_byte_stands_there_twice),
		cmocka_unit_test(every_field_is_compared),
		cmocka_unit_test(devices_are_compared),
		cmocka_unit_test(state_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
