/*
 * The 8259 pair, register by register: initialisation, priorities, every way to end an interrupt, both trigger modes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hypercalls/x86.h"
#include "monitor/device/pic.h"
#include "monitor/vm/bus.h"
#include "tests/unit/ports.h"

#define MASTER X86_PORT_PIC1
#define SLAVE  X86_PORT_PIC2
#define BASE1  0x20
#define BASE2  0x28

#define ICW4_PC	  1
#define ICW4_AEOI 2
#define ICW4_SFNM 16

#define EOI	      0x20
#define EOI_SPECIFIC  0x60
#define EOI_ROTATE    0xa0
#define EOI_SPEC_ROT  0xe0
#define SET_LOWEST    0xc0
#define AEOI_ROTATE   0x80
#define AEOI_NOROTATE 0x00
#define READ_IRR      0x0a
#define READ_ISR      0x0b
#define POLL	      0x0c
#define SMM_ON	      0x68
#define SMM_OFF	      0x48

static struct bus bus;
static struct pic pic;

static uint8_t in(uint16_t port)
{
	return port_in(&bus, port);
}

static void out(uint16_t port, uint8_t byte)
{
	port_out(&bus, port, byte);
}

static void raise_line(unsigned line)
{
	pic_set_line(&pic, line, true);
}

static void lower_line(unsigned line)
{
	pic_set_line(&pic, line, false);
}

static void pulse(unsigned line)
{
	lower_line(line);
	raise_line(line);
}

static uint8_t isr(uint16_t chip)
{
	out(chip, READ_ISR);
	return in(chip);
}

static uint8_t irr(uint16_t chip)
{
	out(chip, READ_IRR);
	return in(chip);
}

static void init_chip(uint16_t chip, uint8_t base, uint8_t icw3, uint8_t icw4)
{
	out(chip, 0x11);
	out(chip + 1, base);
	out(chip + 1, icw3);
	out(chip + 1, icw4);
	out(chip + 1, 0);
}

static void init_both(uint8_t icw4)
{
	bus = (struct bus){0};
	pic_init(&pic, &bus);
	init_chip(MASTER, BASE1, 4, icw4);
	init_chip(SLAVE, BASE2, 2, icw4);
}

static int setup(void **state)
{
	init_both(ICW4_PC);
	return 0;
}

static void assert_ack(uint8_t vector)
{
	assert_true(pic_pending(&pic));
	assert_int_equal(pic_ack(&pic), vector);
}

/* ------------------------------------------------------------------------------------------------------------- */

static void reset_masks_everything(void **state)
{
	bus = (struct bus){0};
	pic_init(&pic, &bus);
	for (unsigned line = 0; line < PIC_LINES; line++)
		if (line != 2)
			raise_line(line);
	assert_false(pic_pending(&pic));
	assert_int_equal(in(MASTER + 1), 0xff);
}

static void every_line_has_its_vector(void **state)
{
	for (unsigned line = 0; line < PIC_LINES; line++) {
		if (line == 2)
			continue;
		raise_line(line);
		assert_ack((uint8_t)(line < 8 ? BASE1 + line : BASE2 + line - 8));
		assert_int_equal(isr(MASTER), line < 8 ? 1 << line : 1 << 2);
		assert_int_equal(isr(SLAVE), line < 8 ? 0 : 1 << (line - 8));
		if (line >= 8)
			out(SLAVE, EOI);
		out(MASTER, EOI);
		lower_line(line);
		assert_false(pic_pending(&pic));
	}
}

static void base_keeps_five_bits(void **state)
{
	init_chip(MASTER, 0x27, 4, ICW4_PC);
	raise_line(3);
	assert_ack(0x23);
}

/* For every pair: the second interrupts the service of the first exactly if it ranks higher. */
static void priority_matrix(void **state)
{
	for (unsigned first = 0; first < 8; first++) {
		for (unsigned second = 0; second < 8; second++) {
			if (first == 2 || second == 2)
				continue;
			init_both(ICW4_PC);
			pulse(first);
			assert_ack((uint8_t)(BASE1 + first));
			pulse(second);
			assert_int_equal(pic_pending(&pic), second < first);
			if (second >= first) {
				out(MASTER, EOI);
				assert_ack((uint8_t)(BASE1 + second));
			}
		}
	}
}

/* The same for every rotation of the priorities. */
static void rotated_priority_matrix(void **state)
{
	for (unsigned lowest = 0; lowest < 8; lowest++) {
		for (unsigned first = 0; first < 8; first++) {
			for (unsigned second = 0; second < 8; second++) {
				unsigned rank1 = (first - lowest - 1) & 7, rank2 = (second - lowest - 1) & 7;

				if (first == 2 || second == 2)
					continue;
				init_both(ICW4_PC);
				out(MASTER, (uint8_t)(SET_LOWEST | lowest));
				pulse(first);
				assert_ack((uint8_t)(BASE1 + first));
				pulse(second);
				assert_int_equal(pic_pending(&pic), rank2 < rank1);
			}
		}
	}
}

static void simultaneous_requests_come_in_order(void **state)
{
	static const uint8_t order[] = {BASE1,	   BASE1 + 1, BASE2,	 BASE2 + 1, BASE2 + 2,
					BASE2 + 3, BASE2 + 4, BASE2 + 5, BASE2 + 6, BASE2 + 7,
					BASE1 + 3, BASE1 + 4, BASE1 + 5, BASE1 + 6, BASE1 + 7};

	for (unsigned line = 0; line < PIC_LINES; line++)
		if (line != 2)
			raise_line(line);
	for (unsigned i = 0; i < sizeof(order); i++) {
		assert_ack(order[i]);
		if (order[i] >= BASE2)
			out(SLAVE, EOI);
		out(MASTER, EOI);
	}
	assert_false(pic_pending(&pic));
}

static void mask_holds_and_releases(void **state)
{
	out(MASTER + 1, 1 << 4);
	raise_line(4);
	assert_false(pic_pending(&pic));
	assert_int_equal(irr(MASTER), 1 << 4);
	assert_int_equal(in(MASTER + 1), 1 << 4);
	out(MASTER + 1, 0);
	assert_ack(BASE1 + 4);
	out(MASTER, EOI);

	out(MASTER + 1, 1 << 2);
	raise_line(12);
	assert_false(pic_pending(&pic));
	out(MASTER + 1, 0);
	out(SLAVE + 1, 1 << 4);
	assert_false(pic_pending(&pic));
	out(SLAVE + 1, 0);
	assert_ack(BASE2 + 4);
}

static void non_specific_eoi_ends_the_highest(void **state)
{
	pulse(5);
	assert_ack(BASE1 + 5);
	pulse(1);
	assert_ack(BASE1 + 1);
	assert_int_equal(isr(MASTER), 1 << 5 | 1 << 1);
	out(MASTER, EOI);
	assert_int_equal(isr(MASTER), 1 << 5);
	out(MASTER, EOI);
	assert_int_equal(isr(MASTER), 0);
	out(MASTER, EOI);
	assert_int_equal(isr(MASTER), 0);
}

static void specific_eoi_ends_the_one_named(void **state)
{
	pulse(5);
	assert_ack(BASE1 + 5);
	pulse(1);
	assert_ack(BASE1 + 1);
	out(MASTER, EOI_SPECIFIC | 5);
	assert_int_equal(isr(MASTER), 1 << 1);
	out(MASTER, EOI_SPECIFIC | 3);
	assert_int_equal(isr(MASTER), 1 << 1);
	out(MASTER, EOI_SPECIFIC | 1);
	assert_int_equal(isr(MASTER), 0);
}

static void rotating_eois_make_it_the_lowest(void **state)
{
	pulse(1);
	assert_ack(BASE1 + 1);
	out(MASTER, EOI_ROTATE);
	pulse(1);
	pulse(0);
	pulse(3);
	assert_ack(BASE1 + 3);
	out(MASTER, EOI_SPEC_ROT | 3);
	/* Now 4 is the highest and 3 the lowest: 0 comes before 1. */
	assert_ack(BASE1);
	out(MASTER, EOI);
	assert_ack(BASE1 + 1);
}

static void auto_eoi_leaves_nothing_in_service(void **state)
{
	init_both(ICW4_PC | ICW4_AEOI);
	pulse(3);
	assert_ack(BASE1 + 3);
	assert_int_equal(isr(MASTER), 0);
	pulse(7);
	assert_ack(BASE1 + 7);
	pulse(9);
	assert_ack(BASE2 + 1);
	assert_int_equal(isr(MASTER) | isr(SLAVE), 0);
}

static void auto_eoi_can_rotate(void **state)
{
	init_both(ICW4_PC | ICW4_AEOI);
	out(MASTER, AEOI_ROTATE);
	pulse(0);
	assert_ack(BASE1);
	pulse(0);
	pulse(7);
	assert_ack(BASE1 + 7);
	out(MASTER, AEOI_NOROTATE);
	assert_ack(BASE1);
	pulse(0);
	pulse(1);
	assert_ack(BASE1);
}

/* Nested inside the slave: a second request of higher rank gets through only in special fully nested mode. */
static void special_fully_nested_mode(void **state)
{
	pulse(12);
	assert_ack(BASE2 + 4);
	pulse(9);
	assert_false(pic_pending(&pic));
	out(SLAVE, EOI);
	out(MASTER, EOI);
	assert_ack(BASE2 + 1);

	init_both(ICW4_PC | ICW4_SFNM);
	pulse(12);
	assert_ack(BASE2 + 4);
	pulse(14);
	assert_false(pic_pending(&pic));
	pulse(9);
	assert_ack(BASE2 + 1);
}

static void special_mask_mode_lets_lower_ones_through(void **state)
{
	pulse(1);
	assert_ack(BASE1 + 1);
	pulse(6);
	assert_false(pic_pending(&pic));
	out(MASTER + 1, 1 << 1);
	assert_false(pic_pending(&pic));
	out(MASTER, SMM_ON);
	assert_ack(BASE1 + 6);
	/* A masked in-service bit is not what a non-specific EOI ends. */
	out(MASTER, EOI);
	assert_int_equal(isr(MASTER), 1 << 1);
	out(MASTER, EOI);
	assert_int_equal(isr(MASTER), 1 << 1);
	out(MASTER, SMM_OFF);
	out(MASTER, EOI);
	assert_int_equal(isr(MASTER), 0);
}

static void polling_acknowledges(void **state)
{
	out(MASTER, POLL);
	assert_int_equal(in(MASTER), 0);
	pulse(4);
	out(MASTER, POLL);
	assert_int_equal(in(MASTER), 0x84);
	assert_int_equal(isr(MASTER), 1 << 4);
	assert_false(pic_pending(&pic));
	out(MASTER, EOI);
	pulse(11);
	out(SLAVE, POLL);
	assert_int_equal(in(SLAVE), 0x83);
	assert_int_equal(isr(SLAVE), 1 << 3);
	assert_false(pic_pending(&pic));
	/* The poll is over: the next read is of a register. */
	assert_int_equal(in(SLAVE + 1), 0);
}

static void spurious_vectors_leave_no_service(void **state)
{
	assert_int_equal(pic_ack(&pic), BASE1 + 7);
	assert_int_equal(isr(MASTER), 0);
	raise_line(5);
	lower_line(5);
	assert_false(pic_pending(&pic));
	assert_int_equal(pic_ack(&pic), BASE1 + 7);

	/* The slave's own comes when the master has latched its request. The master then has bit 2 in service. */
	out(X86_PORT_ELCR, 0);
	pic.chip[0].irr |= 1 << 2;
	assert_int_equal(pic_ack(&pic), BASE2 + 7);
	assert_int_equal(isr(SLAVE), 0);
	assert_int_equal(isr(MASTER), 1 << 2);
}

static void edge_mode_needs_an_edge(void **state)
{
	raise_line(4);
	assert_ack(BASE1 + 4);
	out(MASTER, EOI);
	assert_false(pic_pending(&pic));
	raise_line(4);
	assert_false(pic_pending(&pic));
	pulse(4);
	assert_ack(BASE1 + 4);
	/* One that comes during service is kept. */
	pulse(4);
	assert_false(pic_pending(&pic));
	out(MASTER, EOI);
	assert_ack(BASE1 + 4);
}

static void level_mode_repeats_while_the_line_is_up(void **state)
{
	out(X86_PORT_ELCR, 1 << 5);
	out(X86_PORT_ELCR + 1, 1 << 2);
	for (unsigned i = 0; i < 2; i++) {
		raise_line(i ? 10 : 5);
		for (unsigned again = 0; again < 3; again++) {
			assert_ack(i ? BASE2 + 2 : BASE1 + 5);
			assert_false(pic_pending(&pic));
			if (i)
				out(SLAVE, EOI);
			out(MASTER, EOI);
		}
		lower_line(i ? 10 : 5);
		assert_false(pic_pending(&pic));
	}
}

static void elcr_keeps_timer_keyboard_and_cascade_edge(void **state)
{
	out(X86_PORT_ELCR, 0xff);
	out(X86_PORT_ELCR + 1, 0xff);
	assert_int_equal(in(X86_PORT_ELCR), 0xf8);
	assert_int_equal(in(X86_PORT_ELCR + 1), 0xde);
	/* Turning a line that is up to level mode makes it a request. */
	out(X86_PORT_ELCR, 0);
	raise_line(5);
	assert_ack(BASE1 + 5);
	out(MASTER, EOI);
	assert_false(pic_pending(&pic));
	out(X86_PORT_ELCR, 1 << 5);
	assert_true(pic_pending(&pic));
}

static void icw1_forgets(void **state)
{
	pulse(1);
	assert_ack(BASE1 + 1);
	pulse(5);
	out(MASTER + 1, 0xf0);
	out(MASTER, 0x11);
	assert_false(pic_pending(&pic));
	out(MASTER + 1, 0x40);
	out(MASTER + 1, 4);
	out(MASTER + 1, ICW4_PC);
	assert_int_equal(in(MASTER + 1), 0);
	assert_int_equal(irr(MASTER), 0);
	assert_int_equal(isr(MASTER), 0);
	assert_false(pic_pending(&pic));
	pulse(5);
	assert_ack(0x45);
}

static void short_initialisations(void **state)
{
	out(MASTER, 0x12); /* single, no ICW4 */
	out(MASTER + 1, 0x50);
	out(MASTER + 1, 0xfe); /* already the mask */
	assert_int_equal(in(MASTER + 1), 0xfe);
	pulse(0);
	assert_ack(0x50);

	out(MASTER, 0x13); /* single, with ICW4 */
	out(MASTER + 1, 0x58);
	out(MASTER + 1, ICW4_PC | ICW4_AEOI);
	out(MASTER + 1, 0xfd);
	pulse(1);
	assert_ack(0x59);
	assert_int_equal(isr(MASTER), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(reset_masks_everything),
		T(every_line_has_its_vector),
		T(base_keeps_five_bits),
		T(priority_matrix),
		T(rotated_priority_matrix),
		T(simultaneous_requests_come_in_order),
		T(mask_holds_and_releases),
		T(non_specific_eoi_ends_the_highest),
		T(specific_eoi_ends_the_one_named),
		T(rotating_eois_make_it_the_lowest),
		T(auto_eoi_leaves_nothing_in_service),
		T(auto_eoi_can_rotate),
		T(special_fully_nested_mode),
		T(special_mask_mode_lets_lower_ones_through),
		T(polling_acknowledges),
		T(spurious_vectors_leave_no_service),
		T(edge_mode_needs_an_edge),
		T(level_mode_repeats_while_the_line_is_up),
		T(elcr_keeps_timer_keyboard_and_cascade_edge),
		T(icw1_forgets),
		T(short_initialisations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
