/*
 * Two 8259A interrupt controllers at ports 0x20 and 0xa0, the slave on input 2 of the master, and the ELCR at 0x4d0
 * (Intel 8259A data sheet; PIIX3 data sheet for the ELCR). The plain machine has these alone because port I/O traps
 * cleanly, as #GP at the instruction, where an APIC's page needs each access decoded; and because every teaching kernel
 * knows them.
 */
#include "monitor/device/pic.h"

#include "hypercalls/x86.h"
#include "monitor/vm/bus.h"

#define CASCADE	     2 /* the master's input that the slave hangs on */
#define SPURIOUS     7
#define NO_INPUT     8
#define PORT_COMMAND 0

/* Command port, by bits 4 and 3: ICW1, OCW3, else OCW2. */
#define ICW1	    0x10
#define ICW1_IC4    0x01
#define ICW1_SINGLE 0x02
#define OCW3	    0x08
#define OCW3_RIS    0x01
#define OCW3_RR	    0x02
#define OCW3_POLL   0x04
#define OCW3_SMM    0x20
#define OCW3_ESMM   0x40
#define OCW2_INPUT  0x07
#define OCW2_EOI    0x20
#define OCW2_SL	    0x40
#define OCW2_ROTATE 0x80

#define ICW2_BASE 0xf8
#define ICW4_AEOI 0x02
#define ICW4_SFNM 0x10

#define POLL_REQUEST 0x80

/* Lines that no ISA or PCI device may make level-triggered: timer, keyboard, cascade; clock, coprocessor. */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

/* ------------------------------------------------------------------------------------------------- one chip */

/* The input of highest priority in `set`, NO_INPUT if it is empty; *rank counts from 0, the highest. */
static unsigned highest_of(const struct pic_chip *chip, uint8_t set, unsigned *rank)
{
	for (*rank = 0; *rank < 8; ++*rank) {
		unsigned input = (chip->highest + *rank) & 7;

		if (set & (1u << input))
			return input;
	}
	return NO_INPUT;
}

/* The input whose request the chip would pass on now, NO_INPUT if there is none. */
static unsigned request(const struct pic_chip *chip)
{
	const uint8_t requests = chip->irr & ~chip->imr;
	uint8_t in_service = chip->isr;
	unsigned request_rank, service_rank, input;

	if (!requests)
		return NO_INPUT;
	input = highest_of(chip, requests, &request_rank);
	/* Special mask mode: an in-service input that is masked holds nobody back. */
	if (chip->special_mask)
		in_service &= ~chip->imr;
	/* Special fully nested mode: the slave may interrupt its own service with a higher request. */
	if (chip->special_fully_nested && chip->master)
		in_service &= ~(1u << CASCADE);
	highest_of(chip, in_service, &service_rank);
	return chip->init == PIC_READY && request_rank < service_rank ? input : NO_INPUT;
}

static void drive(struct pic_chip *chip, unsigned input, bool level)
{
	uint8_t bit = (uint8_t)(1u << input);
	bool rises = level && !(chip->lines & bit);

	chip->lines = level ? chip->lines | bit : chip->lines & ~bit;
	/* A request must stay up until it is acknowledged, in edge mode too. */
	if (!level)
		chip->irr &= ~bit;
	else if (rises || (chip->elcr & bit))
		chip->irr |= bit;
}

/* INTA or poll for an input that requests. */
static void serve(struct pic_chip *chip, unsigned input)
{
	uint8_t bit = (uint8_t)(1u << input);

	if (!(chip->elcr & bit))
		chip->irr &= ~bit;
	if (!chip->auto_eoi)
		chip->isr |= bit;
	else if (chip->rotate_on_auto_eoi)
		chip->highest = (input + 1) & 7;
}

static void start_init(struct pic_chip *chip, uint8_t value)
{
	/* The edge detectors are reset: a line that is up must fall and rise again. ELCR stands in for ICW1's LTIM. */
	chip->irr = chip->lines & chip->elcr;
	chip->imr = 0;
	chip->isr = 0;
	chip->highest = 0;
	chip->auto_eoi = false;
	chip->rotate_on_auto_eoi = false;
	chip->special_fully_nested = false;
	chip->special_mask = false;
	chip->read_isr = false;
	chip->poll = false;
	chip->single = value & ICW1_SINGLE;
	chip->wants_icw4 = value & ICW1_IC4;
	chip->init = PIC_WANTS_ICW2;
}

static void end_of_interrupt(struct pic_chip *chip, uint8_t value)
{
	unsigned input = value & OCW2_INPUT;

	if (!(value & OCW2_SL)) {
		uint8_t in_service = chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
		unsigned rank;

		input = highest_of(chip, in_service, &rank);
		if (input == NO_INPUT)
			return;
	}
	chip->isr &= ~(1u << input);
	if (value & OCW2_ROTATE)
		chip->highest = (input + 1) & 7;
}

static void write_ocw2(struct pic_chip *chip, uint8_t value)
{
	if (value & OCW2_EOI)
		end_of_interrupt(chip, value);
	else if (!(value & OCW2_SL))
		chip->rotate_on_auto_eoi = value & OCW2_ROTATE;
	else if (value & OCW2_ROTATE)
		chip->highest = ((value & OCW2_INPUT) + 1) & 7;
}

static void write_ocw3(struct pic_chip *chip, uint8_t value)
{
	if (value & OCW3_POLL)
		chip->poll = true;
	if (value & OCW3_RR)
		chip->read_isr = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		chip->special_mask = value & OCW3_SMM;
}

static void write_data(struct pic_chip *chip, uint8_t value)
{
	switch (chip->init) {
	case PIC_READY:
		chip->imr = value;
		return;
	case PIC_WANTS_ICW2:
		chip->base = value & ICW2_BASE;
		chip->init = !chip->single ? PIC_WANTS_ICW3 : chip->wants_icw4 ? PIC_WANTS_ICW4 : PIC_READY;
		return;
	case PIC_WANTS_ICW3: /* how the two are wired is known */
		chip->init = chip->wants_icw4 ? PIC_WANTS_ICW4 : PIC_READY;
		return;
	case PIC_WANTS_ICW4:
		chip->auto_eoi = value & ICW4_AEOI;
		chip->special_fully_nested = value & ICW4_SFNM;
		chip->init = PIC_READY;
		return;
	}
}

/* ------------------------------------------------------------------------------------------------- the pair */

static void update_cascade(struct pic *pic)
{
	drive(&pic->chip[0], CASCADE, request(&pic->chip[1]) != NO_INPUT);
}

/* INTA takes the slave's INT output down for a moment: a second request makes a new edge. */
static void serve_slave(struct pic *pic, unsigned input)
{
	serve(&pic->chip[1], input);
	drive(&pic->chip[0], CASCADE, false);
	update_cascade(pic);
}

static uint8_t poll_read(struct pic *pic, struct pic_chip *chip)
{
	unsigned input = request(chip);

	chip->poll = false;
	if (input == NO_INPUT)
		return 0;
	if (chip->master)
		serve(chip, input);
	else
		serve_slave(pic, input);
	return (uint8_t)(POLL_REQUEST | input);
}

static uint8_t read_port(struct pic *pic, struct pic_chip *chip, uint16_t offset)
{
	if (chip->poll)
		return poll_read(pic, chip);
	if (offset != PORT_COMMAND)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip->irr;
}

static void write_port(struct pic_chip *chip, uint16_t offset, uint8_t value)
{
	if (offset != PORT_COMMAND)
		write_data(chip, value);
	else if (value & ICW1)
		start_init(chip, value);
	else if (value & OCW3)
		write_ocw3(chip, value);
	else
		write_ocw2(chip, value);
}

static void access_chip(struct pic *pic, unsigned which, uint16_t offset, bool write, uint32_t *value)
{
	if (write)
		write_port(&pic->chip[which], offset, (uint8_t)*value);
	else
		*value = read_port(pic, &pic->chip[which], offset);
	update_cascade(pic);
}

static void access_master(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	access_chip(device, 0, offset, write, value);
}

static void access_slave(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	access_chip(device, 1, offset, write, value);
}

static void access_elcr(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct pic *pic = device;
	struct pic_chip *chip = &pic->chip[offset];

	if (!write) {
		*value = chip->elcr;
		return;
	}
	chip->elcr = (uint8_t)*value & elcr_writable[offset];
	chip->irr |= chip->lines & chip->elcr;
	update_cascade(pic);
}

void pic_set_line(void *controller, unsigned line, bool level)
{
	struct pic *pic = controller;

	drive(&pic->chip[line / 8], line % 8, level);
	update_cascade(pic);
}

bool pic_pending(const struct pic *pic)
{
	return request(&pic->chip[0]) != NO_INPUT;
}

uint8_t pic_ack(struct pic *pic)
{
	struct pic_chip *master = &pic->chip[0], *slave = &pic->chip[1];
	unsigned input = request(master);

	if (input == NO_INPUT)
		return master->base + SPURIOUS;
	serve(master, input);
	if (input != CASCADE)
		return (uint8_t)(master->base + input);
	input = request(slave);
	if (input == NO_INPUT)
		return slave->base + SPURIOUS;
	serve_slave(pic, input);
	return (uint8_t)(slave->base + input);
}

void pic_init(struct pic *pic, struct bus *bus)
{
	*pic = (struct pic){.chip = {{.master = true, .imr = 0xff}, {.imr = 0xff}}};
	bus_register(bus, X86_PORT_PIC1, 2, 1, access_master, pic, "pic1");
	bus_register(bus, X86_PORT_PIC2, 2, 1, access_slave, pic, "pic2");
	bus_register(bus, X86_PORT_ELCR, 2, 1, access_elcr, pic, "elcr");
}

unsigned pic_line_of(const struct pic *pic, uint8_t vector)
{
	for (unsigned chip = 0; chip < 2; chip++) {
		if ((vector & ~7u) == pic->chip[chip].base)
			return chip * 8 + (vector & 7);
	}
	return vector;
}
