/*
 * Encoding.
 */
#include "monitor/engine/translate/emit.h"

#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64

static void need(const struct emit *e, size_t len)
{
	if (e->len + len > e->room)
		abort();
}

void emit8(struct emit *e, unsigned value)
{
	need(e, 1);
	e->bytes[e->len++] = (uint8_t)value;
}

void emit_bytes(struct emit *e, const uint8_t *bytes, size_t len)
{
	need(e, len);
	memcpy(e->bytes + e->len, bytes, len);
	e->len += (unsigned)len;
}

void emit32(struct emit *e, uint32_t value)
{
	emit_bytes(e, (const uint8_t *)&value, sizeof(value));
}

void emit64(struct emit *e, uint64_t value)
{
	emit_bytes(e, (const uint8_t *)&value, sizeof(value));
}

static uint64_t here(const struct emit *e)
{
	return e->place->host + e->len;
}

/* The displacement to an address, from behind it and `more` bytes of the instruction. */
static void emit_displacement(struct emit *e, uint64_t address, unsigned more)
{
	emit32(e, (uint32_t)(address - (here(e) + 4 + more)));
}

/* REX.R in its place: registers above 7. */
static void emit_memory(struct emit *e, unsigned opcode, unsigned reg, uint64_t address)
{
	emit8(e, REX_W | (reg & 8) >> 1);
	emit8(e, opcode);
	emit8(e, (reg & 7) << 3 | MODRM_RIP);
	emit_displacement(e, address, 0);
}

void emit_state(struct emit *e, unsigned opcode, unsigned reg, size_t slot)
{
	emit_memory(e, opcode, reg, e->place->state + slot);
}

void emit_store(struct emit *e, unsigned reg, size_t slot)
{
	emit_state(e, OPCODE_STORE, reg, slot);
}

void emit_load(struct emit *e, unsigned reg, size_t slot)
{
	emit_state(e, OPCODE_LOAD, reg, slot);
}

void emit_pop(struct emit *e, size_t slot)
{
	emit8(e, 0x8f);
	emit8(e, MODRM_RIP);
	emit_displacement(e, e->place->state + slot, 0);
}

void emit_load_half(struct emit *e, unsigned reg, size_t slot)
{
	emit8(e, OPCODE_LOAD);
	emit8(e, reg << 3 | MODRM_RIP);
	emit_displacement(e, e->place->state + slot, 0);
}

void emit_load_word(struct emit *e, unsigned reg, size_t slot)
{
	emit8(e, 0x66);
	if (reg & 8)
		emit8(e, REX | (reg & 8) >> 1);
	emit8(e, OPCODE_LOAD);
	emit8(e, (reg & 7) << 3 | MODRM_RIP);
	emit_displacement(e, e->place->state + slot, 0);
}

static void emit_vector(struct emit *e, const uint8_t opcode[3], unsigned xmm, size_t slot)
{
	emit_bytes(e, opcode, 3);
	emit8(e, xmm << 3 | MODRM_RIP);
	emit_displacement(e, e->place->state + slot, 0);
}

void emit_load_vector(struct emit *e, unsigned xmm, size_t slot)
{
	emit_vector(e, (const uint8_t[]){0xf3, 0x0f, 0x7e}, xmm, slot);
}

void emit_store_vector(struct emit *e, unsigned xmm, size_t slot)
{
	emit_vector(e, (const uint8_t[]){0x66, 0x0f, 0xd6}, xmm, slot);
}

void emit_store_imm(struct emit *e, uint64_t address, uint32_t value)
{
	emit8(e, 0xc7);
	emit8(e, MODRM_RIP);
	emit_displacement(e, address, sizeof(value));
	emit32(e, value);
}

void emit_compare_zero(struct emit *e, size_t slot)
{
	emit8(e, 0x83);
	emit8(e, 7 << 3 | MODRM_RIP);
	emit_displacement(e, e->place->state + slot, 1);
	emit8(e, 0);
}

void emit_compare(struct emit *e, size_t slot, uint32_t value)
{
	emit8(e, 0x81);
	emit8(e, 7 << 3 | MODRM_RIP);
	emit_displacement(e, e->place->state + slot, sizeof(value));
	emit32(e, value);
}

void emit_store_address(struct emit *e, size_t slot)
{
	emit_store_imm(e, e->place->state + slot, (uint32_t)(here(e) + EMIT_STORE_ADDRESS));
}

void emit_constant64(struct emit *e, unsigned reg, uint64_t value)
{
	emit8(e, REX_W | (reg & 8) >> 3);
	emit8(e, 0xb8 | (reg & 7));
	emit64(e, value);
}

void emit_constant(struct emit *e, unsigned reg, uint64_t value)
{
	if (value >> 32) {
		emit_constant64(e, reg, value);
		return;
	}
	if (reg & 8)
		emit8(e, 0x41);
	emit8(e, 0xb8 | (reg & 7));
	emit32(e, (uint32_t)value);
}

void emit_jump(struct emit *e, uint64_t target)
{
	emit8(e, 0xe9);
	emit_displacement(e, target, 0);
}

void emit_patch(struct emit *e, unsigned at, unsigned to)
{
	uint32_t displacement = to - (at + 4);
	memcpy(e->bytes + at, &displacement, sizeof(displacement));
}

void emit_pad_for_patch(struct emit *e, unsigned before)
{
	static const uint8_t nops[3][3] = {{0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0x00}};
	unsigned at = (here(e) + before) % CACHE_LINE;
	if (at > CACHE_LINE - 4)
		emit_bytes(e, nops[CACHE_LINE - 1 - at], CACHE_LINE - at);
}

unsigned emit_jump_for_patch(struct emit *e)
{
	emit_pad_for_patch(e, 1);
	emit_jump(e, 0);
	return e->len - 4;
}

unsigned emit_hop(struct emit *e, unsigned opcode)
{
	emit8(e, opcode);
	emit8(e, 0);
	return e->len;
}

unsigned emit_skip(struct emit *e)
{
	return emit_hop(e, 0xeb);
}

void emit_skip_end(struct emit *e, unsigned skip)
{
	if (e->len - skip > INT8_MAX)
		abort();
	e->bytes[skip - 1] = (uint8_t)(e->len - skip);
}
