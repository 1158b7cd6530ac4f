/*
 * The two 8237A and their page registers. There is no clock: a device that has something to move has it moved at once.
 * Transfers from memory to memory, which the board does not wire, are left out.
 */
#include "monitor/device/dma.h"

#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/vm/guest_mem.h"

/* Registers of a chip; below them two for each channel. */
enum { STATUS = 8, REQUEST, MASK_ONE, MODE, FLIP_FLOP, CLEAR, MASK_NONE, MASK_ALL, REGISTERS };
#define IS_COUNT 1 /* of a channel's two: else it is the address */

#define COMMAND_OFF   0x04
#define MODE_AUTO     0x10
#define MODE_DOWN     0x20
#define MODE_CASCADE  0xc0
#define MODE_TYPE(m)  ((m) >> 2 & 3)
#define ONE_CHANNEL   0x03 /* of a datum that sets or clears the bit of one channel */
#define ONE_SET	      0x04
#define ALL_CHANNELS  0x0f
#define SECOND_STRIDE 2 /* its registers are at every other port */

enum dma_type { TYPE_VERIFY, TYPE_TO_MEMORY, TYPE_FROM_MEMORY };

/* -------------------------------------------------------------------------------------------------------- transfers */

static struct dma_channel *channel_of(struct dma *dma, unsigned channel)
{
	return &dma->chip[channel / DMA_CHANNELS].channel[channel % DMA_CHANNELS];
}

static bool is_open(const struct dma_chip *chip, unsigned n)
{
	return !(chip->command & COMMAND_OFF) && !(chip->mask >> n & 1);
}

static bool is_cascade(const struct dma_channel *channel)
{
	return (channel->mode & MODE_CASCADE) == MODE_CASCADE;
}

/* The channel moves that way now. To verify is to move to memory without writing it. */
static bool goes(const struct dma *dma, unsigned channel, enum dma_type way)
{
	const struct dma_chip *chip = &dma->chip[channel / DMA_CHANNELS], *second = &dma->chip[1];
	const struct dma_channel *ch = &chip->channel[channel % DMA_CHANNELS];
	enum dma_type type = (enum dma_type)MODE_TYPE(ch->mode);

	if (chip != second && (!is_open(second, 0) || !is_cascade(&second->channel[0])))
		return false;
	return is_open(chip, channel % DMA_CHANNELS) && !is_cascade(ch) &&
	       (type == way || (type == TYPE_VERIFY && way == TYPE_TO_MEMORY));
}

static unsigned width_of(unsigned channel)
{
	return channel < DMA_CHANNELS ? 1 : 2;
}

static uint64_t place_of(const struct dma *dma, unsigned channel)
{
	/* Of ports 0x80 to 0x8f. */
	static const uint8_t page_of[DMA_CHIPS * DMA_CHANNELS] = {0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};
	const struct dma_channel *ch = &dma->chip[channel / DMA_CHANNELS].channel[channel % DMA_CHANNELS];
	uint64_t page = dma->page[page_of[channel]];

	if (width_of(channel) == 1)
		return page << 16 | ch->address;
	return (page & ~UINT64_C(1)) << 16 | (uint64_t)ch->address << 1;
}

/* How many bytes of `len` lie behind each other, up to where the count ends or the address wraps. */
static size_t run_of(struct dma *dma, unsigned channel, size_t len)
{
	const struct dma_channel *ch = channel_of(dma, channel);
	size_t units = len / width_of(channel), wrap = (size_t)UINT16_MAX + 1 - ch->address;

	if (units > (size_t)ch->count + 1)
		units = (size_t)ch->count + 1;
	if (units > wrap)
		units = wrap;
	if (units > 1 && ch->mode & MODE_DOWN)
		units = 1;
	return units * width_of(channel);
}

/* So many bytes are through. Whether the count has run out. */
static bool advance(struct dma *dma, unsigned channel, size_t bytes)
{
	struct dma_chip *chip = &dma->chip[channel / DMA_CHANNELS];
	struct dma_channel *ch = channel_of(dma, channel);
	uint16_t units = (uint16_t)(bytes / width_of(channel));
	uint8_t bit = (uint8_t)(1u << channel % DMA_CHANNELS);
	bool ended = bytes / width_of(channel) > ch->count;

	ch->address = (uint16_t)(ch->mode & MODE_DOWN ? ch->address - units : ch->address + units);
	ch->count = (uint16_t)(ch->count - units);
	if (!ended)
		return false;
	chip->ended |= bit;
	chip->requests &= (uint8_t)~bit;
	if (ch->mode & MODE_AUTO) {
		ch->address = ch->first_address;
		ch->count = ch->first_count;
	} else {
		chip->mask |= bit;
	}
	return true;
}

static void put(struct dma *dma, uint64_t gpa, const uint8_t *from, size_t len)
{
	if (gm_write(dma->mem, gpa, from, len))
		return;
	for (size_t i = 0; i < len; i++)
		gm_write(dma->mem, gpa + i, from + i, 1);
}

static void get(struct dma *dma, uint64_t gpa, uint8_t *to, size_t len)
{
	if (gm_read(dma->mem, gpa, to, len))
		return;
	memset(to, 0xff, len);
	for (size_t i = 0; i < len; i++)
		gm_read(dma->mem, gpa + i, to + i, 1);
}

size_t dma_to_memory(struct dma *dma, unsigned channel, const void *from, size_t len, bool *ended)
{
	size_t done = 0;

	*ended = false;
	while (done < len && !*ended && goes(dma, channel, TYPE_TO_MEMORY)) {
		size_t part = run_of(dma, channel, len - done);

		if (!part)
			break;
		if (MODE_TYPE(channel_of(dma, channel)->mode) == TYPE_TO_MEMORY)
			put(dma, place_of(dma, channel), (const uint8_t *)from + done, part);
		*ended = advance(dma, channel, part);
		done += part;
	}
	return done;
}

size_t dma_from_memory(struct dma *dma, unsigned channel, void *to, size_t len, bool *ended)
{
	size_t done = 0;

	*ended = false;
	while (done < len && !*ended && goes(dma, channel, TYPE_FROM_MEMORY)) {
		size_t part = run_of(dma, channel, len - done);

		if (!part)
			break;
		get(dma, place_of(dma, channel), (uint8_t *)to + done, part);
		*ended = advance(dma, channel, part);
		done += part;
	}
	return done;
}

/* -------------------------------------------------------------------------------------------------------- registers */

/* What was written may have let a channel through that somebody waits for. */
static void tell_wires(struct dma *dma)
{
	for (unsigned channel = 0; channel < DMA_CHIPS * DMA_CHANNELS; channel++)
		if (dma->wire[channel].opened)
			dma->wire[channel].opened(dma->wire[channel].device);
}

static void write_word(struct dma_chip *chip, uint16_t *first, uint16_t *now, uint8_t value)
{
	*first = (uint16_t)(chip->high ? (*first & 0xff) | value << 8 : (*first & 0xff00) | value);
	*now = *first;
	chip->high = !chip->high;
}

static void write_channel(struct dma_chip *chip, unsigned reg, uint8_t value)
{
	struct dma_channel *ch = &chip->channel[reg / 2];

	if (reg & IS_COUNT)
		write_word(chip, &ch->first_count, &ch->count, value);
	else
		write_word(chip, &ch->first_address, &ch->address, value);
}

static uint8_t set_one(uint8_t bits, uint8_t value)
{
	uint8_t bit = (uint8_t)(1u << (value & ONE_CHANNEL));

	return value & ONE_SET ? bits | bit : bits & (uint8_t)~bit;
}

static void clear(struct dma_chip *chip)
{
	chip->command = chip->ended = chip->requests = 0;
	chip->mask = ALL_CHANNELS;
	chip->high = false;
}

static void write_register(struct dma *dma, struct dma_chip *chip, unsigned reg, uint8_t value)
{
	switch (reg) {
	case STATUS:
		chip->command = value;
		break;
	case REQUEST: /* nobody is wired for it */
		chip->requests = set_one(chip->requests, value);
		break;
	case MASK_ONE:
		chip->mask = set_one(chip->mask, value);
		break;
	case MODE:
		chip->channel[value & ONE_CHANNEL].mode = value & (uint8_t)~ONE_CHANNEL;
		break;
	case FLIP_FLOP:
		chip->high = false;
		break;
	case CLEAR:
		clear(chip);
		break;
	case MASK_NONE:
		chip->mask = 0;
		break;
	case MASK_ALL:
		chip->mask = value & ALL_CHANNELS;
		break;
	default:
		write_channel(chip, reg, value);
	}
	tell_wires(dma);
}

static uint8_t read_register(struct dma_chip *chip, unsigned reg)
{
	const struct dma_channel *ch = &chip->channel[reg / 2 % DMA_CHANNELS];
	uint8_t status;
	uint16_t word;

	switch (reg) {
	case STATUS:
		status = (uint8_t)(chip->requests << 4 | chip->ended);
		chip->ended = 0;
		return status;
	case CLEAR: /* the temporary register, of transfers from memory to memory */
		return 0;
	case MASK_ALL:
		return chip->mask;
	case REQUEST:
	case MASK_ONE:
	case MODE:
	case FLIP_FLOP:
	case MASK_NONE:
		return 0xff;
	default:
		word = reg & IS_COUNT ? ch->count : ch->address;
		word = chip->high ? word >> 8 : word;
		chip->high = !chip->high;
		return (uint8_t)word;
	}
}

static void access_chip(struct dma *dma, unsigned number, unsigned reg, bool write, uint32_t *value)
{
	if (write)
		write_register(dma, &dma->chip[number], reg, (uint8_t)*value);
	else
		*value = read_register(&dma->chip[number], reg);
}

static void access_first(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	access_chip(device, 0, offset, write, value);
}

static void access_second(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	access_chip(device, 1, offset / SECOND_STRIDE, write, value);
}

static void access_pages(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct dma *dma = device;
	uint8_t *page = &dma->page[offset + X86_PORT_DMA_PAGE % DMA_PAGES];

	if (write)
		*page = (uint8_t)*value;
	else
		*value = *page;
}

void dma_connect(struct dma *dma, unsigned channel, void (*opened)(void *device), void *device)
{
	dma->wire[channel] = (struct dma_wire){.opened = opened, .device = device};
}

void dma_init(struct dma *dma, struct bus *bus, const struct guest_mem *mem, bool cascaded)
{
	*dma = (struct dma){.mem = mem};
	clear(&dma->chip[0]);
	clear(&dma->chip[1]);
	if (cascaded) {
		dma->chip[1].channel[0].mode = MODE_CASCADE;
		dma->chip[1].mask &= (uint8_t)~1u;
	}
	bus_register(bus, X86_PORT_DMA1, REGISTERS, 1, access_first, dma, "dma1");
	bus_register(bus, X86_PORT_DMA2, REGISTERS * SECOND_STRIDE, 1, access_second, dma, "dma2");
	/* The first of them is the POST port's, another device here. */
	bus_register(bus, X86_PORT_DMA_PAGE, DMA_PAGES - 1, 1, access_pages, dma, "dma-pages");
}
