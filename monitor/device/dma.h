/*
 * The ISA bus's DMA: two 8237A of four channels, the first cascaded through channel 4, and their page registers (Intel
 * 8237A data sheet; 82371SB, DMA). Channels 0 to 3 move bytes, 5 to 7 words. What a channel moves to or from where
 * there is no RAM goes nowhere and reads as ones.
 */
#ifndef MONITOR_DEVICE_DMA_H
#define MONITOR_DEVICE_DMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor/vm/bus.h"

#define DMA_CHIPS    2
#define DMA_CHANNELS 4 /* of a chip */
#define DMA_PAGES    16

struct guest_mem;

/* Addresses and counts are in bytes, on the second chip in words. */
struct dma_channel {
	uint16_t first_address, first_count; /* as written; autoinitialization goes back to them */
	uint16_t address, count;
	uint8_t mode;
};

struct dma_chip {
	struct dma_channel channel[DMA_CHANNELS];
	uint8_t command;
	uint8_t ended, requests, mask; /* a bit for each channel: at its terminal count, asked by software, closed */
	bool high;		       /* the flip-flop: the next byte of a word is its high one */
};

/* Who is wired to a channel, to be told that it may have opened. */
struct dma_wire {
	void (*opened)(void *device);
	void *device;
};

struct dma {
	struct dma_chip chip[DMA_CHIPS];
	uint8_t page[DMA_PAGES]; /* by port */
	const struct guest_mem *mem;
	struct dma_wire wire[DMA_CHIPS * DMA_CHANNELS];
};

/* `cascaded`: the cascade is open, as firmware leaves it, instead of all being closed as after reset. */
void dma_init(struct dma *dma, struct bus *bus, const struct guest_mem *mem, bool cascaded);
void dma_connect(struct dma *dma, unsigned channel, void (*opened)(void *device), void *device);

/*
 * A device moves bytes to memory, or from there, an even number of them by a channel of words: as many of `len` as the
 * channel lets through, which is none while it is closed or goes the other way. Sets *ended if its count ran out with
 * the last of them. The address wraps within its 64 KiB, or 128 KiB of words.
 */
size_t dma_to_memory(struct dma *dma, unsigned channel, const void *from, size_t len, bool *ended);
size_t dma_from_memory(struct dma *dma, unsigned channel, void *to, size_t len, bool *ended);

#endif
