/*
 * Registers read and written by the debugger's packets.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/debug/gdb/fpu.h"
#include "monitor/debug/gdb/registers.h"

/* ----------------------------------------------------------------------------------------------------- one register */

static bool is_fpu(const struct reg *reg)
{
	return reg->kind >= KIND_ST;
}

static uint8_t *fpu_place(struct fpu *fpu, const struct reg *reg)
{
	switch (reg->kind) {
	case KIND_ST:
		return fpu->image + X86_FPU_ST + X86_FPU_SLOT * reg->index;
	case KIND_XMM:
		return fpu->image + X86_FPU_XMM + X86_FPU_SLOT * reg->index;
	case KIND_YMM:
		return fpu->ymm + X86_FPU_SLOT * reg->index;
	case KIND_MXCSR:
		return fpu->image + X86_FPU_MXCSR;
	default:
		return fpu->image + reg->index;
	}
}

static void get(struct gdb *gdb, const struct reg *reg, struct fpu *fpu, uint8_t to[REGISTER_MAX])
{
	struct vcpu *vcpu = gdb_vcpu(gdb);
	uint64_t rflags = vcpu_rflags(vcpu), pc = gdb_pc(gdb);

	memset(to, 0, REGISTER_MAX);
	switch (reg->kind) {
	case KIND_GPR:
		memcpy(to, &vcpu->gpr[reg->index], sizeof(uint64_t));
		break;
	case KIND_RIP:
		memcpy(to, &pc, sizeof(pc));
		break;
	case KIND_RFLAGS:
		memcpy(to, &rflags, reg->size);
		break;
	case KIND_FIELD:
		memcpy(to, (uint8_t *)vcpu + reg->index, reg->width);
		break;
	case KIND_X87:
		memcpy(to, fpu_place(fpu, reg), reg->width);
		if (reg->index == X86_FPU_FTW)
			memcpy(to, &(uint32_t){fpu_full_tag(fpu)}, sizeof(uint32_t));
		break;
	default:
		memcpy(to, fpu_place(fpu, reg), reg->size);
	}
}

static bool set(struct gdb *gdb, const struct reg *reg, struct fpu *fpu, const uint8_t from[REGISTER_MAX])
{
	struct vcpu *vcpu = gdb_vcpu(gdb);
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	if (reg->read_only)
		return false;
	switch (reg->kind) {
	case KIND_GPR:
		vcpu->gpr[reg->index] = reg->size == sizeof(uint32_t) ? (uint32_t)value : value;
		break;
	case KIND_RIP:
		if (!vcpu_canonical(value))
			return false;
		gdb_set_pc(gdb, reg->size == sizeof(uint32_t) ? (uint32_t)value : value);
		break;
	case KIND_RFLAGS:
		vcpu_set_rflags(vcpu, (uint32_t)value);
		break;
	case KIND_FIELD: /* the writable ones hold addresses */
		if (!vcpu_canonical(value) && reg->index != offsetof(struct vcpu, star))
			return false;
		memcpy((uint8_t *)vcpu + reg->index, &value, reg->width);
		break;
	case KIND_X87:
		if (reg->index == X86_FPU_FTW)
			value = fpu_short_tag((uint32_t)value);
		memcpy(fpu_place(fpu, reg), &value, reg->width);
		break;
	default:
		memcpy(fpu_place(fpu, reg), from, reg->size);
	}
	return true;
}

/* --------------------------------------------------------------------------------------------------------- packets */

void registers_read_all(struct gdb *gdb)
{
	char text[GDB_PACKET];
	uint8_t value[REGISTER_MAX];
	struct fpu fpu;
	size_t used = 0, count;
	const struct reg *regs = registers_list(gdb, &count);

	fpu_load(gdb, &fpu);
	for (size_t i = 0; i < count; i++) {
		get(gdb, &regs[i], &fpu, value);
		packet_to_hex(text + used, value, regs[i].size);
		used += 2 * regs[i].size;
	}
	packet_send_data(gdb, text, used);
}

/* Read-only ones are passed over: the debugger sends back what it read. */
void registers_write_all(struct gdb *gdb, const char *hex, size_t digits)
{
	uint8_t value[REGISTER_MAX];
	struct fpu fpu;
	size_t count;
	const struct reg *regs = registers_list(gdb, &count);

	fpu_load(gdb, &fpu);
	for (size_t i = 0; i < count && digits >= 2 * regs[i].size; i++) {
		memset(value, 0, sizeof(value));
		if (packet_from_hex(value, hex, 2 * regs[i].size) == regs[i].size)
			set(gdb, &regs[i], &fpu, value);
		hex += 2 * regs[i].size;
		digits -= 2 * regs[i].size;
	}
	fpu_store(gdb, &fpu);
	packet_send(gdb, "OK");
}

void registers_read(struct gdb *gdb, unsigned number)
{
	char text[2 * REGISTER_MAX];
	uint8_t value[REGISTER_MAX];
	struct fpu fpu;
	size_t count;
	const struct reg *regs = registers_list(gdb, &count);

	if (number >= count) {
		packet_send(gdb, "E%02x", EINVAL);
		return;
	}
	if (is_fpu(&regs[number]))
		fpu_load(gdb, &fpu);
	get(gdb, &regs[number], &fpu, value);
	packet_to_hex(text, value, regs[number].size);
	packet_send_data(gdb, text, 2 * regs[number].size);
}

void registers_write(struct gdb *gdb, unsigned number, const char *hex, size_t digits)
{
	uint8_t value[REGISTER_MAX] = {0};
	struct fpu fpu;
	size_t count;
	const struct reg *regs = registers_list(gdb, &count);

	if (number >= count || digits != 2 * regs[number].size ||
	    packet_from_hex(value, hex, digits) != regs[number].size) {
		packet_send(gdb, "E%02x", EINVAL);
		return;
	}
	if (is_fpu(&regs[number]))
		fpu_load(gdb, &fpu);
	if (!set(gdb, &regs[number], &fpu, value)) {
		packet_send(gdb, "E%02x", EPERM);
		return;
	}
	if (is_fpu(&regs[number]))
		fpu_store(gdb, &fpu);
	packet_send(gdb, "OK");
}
