/*
 * Port I/O: IN, OUT, INS, OUTS with REP (SDM 2A, 2B; permission: SDM 1 19.5).
 */
#include <string.h>

#include "monitor/emulate/group.h"
#include "monitor/host/clock.h"
#include "monitor/trace/trace.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

/* Iterations of one REP at a time; then interrupts get in, and the instruction goes on where it stood. */
#define REP_BATCH 4096

/* The TSS's I/O bitmap: a clear bit for each port of the access permits it. */
static bool bitmap_permits(struct vcpu *vcpu, uint16_t port, unsigned size, struct gm_fault *fault)
{
	uint16_t base, bits;
	*fault = (struct gm_fault){.vector = X86_VEC_GP};
	if (!vcpu->tr.present || vcpu->tr.limit < X86_TSS_IOMAP + sizeof(base) - 1)
		return false;
	if (!gm_read_gva(vcpu, vcpu->tr.base + X86_TSS_IOMAP, &base, sizeof(base), GM_SYSTEM, fault))
		return false;
	/* The processor always reads two bytes, so both must lie inside. */
	uint32_t offset = base + port / 8u;
	if (offset + sizeof(bits) - 1 > vcpu->tr.limit)
		return false;
	if (!gm_read_gva(vcpu, vcpu->tr.base + offset, &bits, sizeof(bits), GM_SYSTEM, fault))
		return false;
	return (bits >> port % 8 & ((1u << size) - 1)) == 0;
}

/* False: an exception is queued. */
static bool permitted(struct vcpu *vcpu, uint16_t port, unsigned size)
{
	struct gm_fault fault;
	if (vcpu->cpl <= vcpu_iopl(vcpu) || bitmap_permits(vcpu, port, size, &fault))
		return true;
	vcpu_raise_fault(vcpu, &fault);
	return false;
}

static void port_io(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint32_t *value)
{
	struct vm *vm = vcpu->vm;
	uint64_t since = trace_wants(vm, TRACE_device) ? clock_tsc() : 0;
	bus_io(&vm->bus, port, size, write, value);
	if (since)
		trace_device(vcpu, port, size, write, *value, since);
}

/* Bytes of the access: the operand size, but no more than 4. */
static unsigned access_size(const struct emu_insn *insn, unsigned operand)
{
	return insn->operands[operand].size / 8;
}

static uint16_t port_of(const struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand)
{
	const ZydisDecodedOperand *op = &insn->operands[operand];
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return (uint8_t)op->imm.value.u;
	return (uint16_t)vcpu->gpr[RDX];
}

enum emu_step emu_in(struct vcpu *vcpu, const struct emu_insn *insn)
{
	unsigned size = access_size(insn, 0);
	uint16_t port = port_of(vcpu, insn, 1);
	uint32_t value = 0;
	if (!permitted(vcpu, port, size))
		return STEP_FAULT;
	port_io(vcpu, port, size, false, &value);
	uint64_t mask = R3_BIT(8 * size) - 1;
	/* As with any register, a 32-bit result clears the upper half and a smaller one keeps the rest. */
	vcpu->gpr[RAX] = size == 4 ? value : (vcpu->gpr[RAX] & ~mask) | (value & mask);
	return STEP_NEXT;
}

enum emu_step emu_out(struct vcpu *vcpu, const struct emu_insn *insn)
{
	unsigned size = access_size(insn, 1);
	uint16_t port = port_of(vcpu, insn, 0);
	if (!permitted(vcpu, port, size))
		return STEP_FAULT;
	uint32_t value = (uint32_t)(vcpu->gpr[RAX] & (R3_BIT(8 * size) - 1));
	port_io(vcpu, port, size, true, &value);
	return STEP_NEXT;
}

/* An INS or OUTS under way. */
struct string_io {
	struct vcpu *vcpu;
	unsigned size;		/* of one element */
	enum vcpu_gpr pointer;	/* RDI or RSI */
	enum vcpu_sreg segment; /* that it points into */
	uint64_t mask;		/* address size */
	bool repeats;
	bool input;
};

static uint64_t wrap(const struct string_io *io, uint64_t value)
{
	return value & io->mask;
}

/* One element. False: an exception is queued and no port was touched. */
static bool one_element(const struct string_io *io, uint16_t port)
{
	struct vcpu *vcpu = io->vcpu;
	struct gm_fault fault;
	uint64_t gva;
	uint32_t value = 0;
	if (!permitted(vcpu, port, io->size))
		return false;
	if (!emu_linear(vcpu, io->segment, wrap(io, vcpu->gpr[io->pointer]), io->size, io->input, &gva))
		return false;
	/* Memory first: a datum once taken from a port could not be put back. */
	bool reachable = io->input ? gm_probe_write_gva(vcpu, gva, io->size, GM_CPL, &fault)
				   : gm_read_gva(vcpu, gva, &value, io->size, GM_CPL, &fault);
	if (!reachable) {
		vcpu_raise_fault(vcpu, &fault);
		return false;
	}
	port_io(vcpu, port, io->size, !io->input, &value);
	if (io->input && !gm_write_gva(vcpu, gva, &value, io->size, GM_CPL, &fault)) {
		/* Another vCPU changed the tables in between; the datum is lost, as on hardware. */
		vcpu_raise_fault(vcpu, &fault);
		return false;
	}
	return true;
}

/* Registers of 16 bits leave the rest of the register alone; those of 32 clear the upper half. */
static void add(const struct string_io *io, enum vcpu_gpr reg, uint64_t step)
{
	uint64_t *gpr = &io->vcpu->gpr[reg], kept = io->mask == UINT16_MAX ? *gpr & ~io->mask : 0;
	*gpr = kept | wrap(io, *gpr + step);
}

static void advance(const struct string_io *io, unsigned count)
{
	uint64_t bytes = (uint64_t)count * io->size;
	add(io, io->pointer, io->vcpu->rflags & X86_RFLAGS_DF ? -bytes : bytes);
	if (io->repeats)
		add(io, RCX, -(uint64_t)count);
}

/*
 * How many elements lie upwards in one page of memory, at *gva, and in reach of the segment; below 2: they go one by
 * one, which raises what there is to raise.
 */
static unsigned run_length(const struct string_io *io, unsigned most, uint64_t *gva)
{
	struct vcpu *vcpu = io->vcpu;
	const struct vcpu_segment *segment = &vcpu->sreg[io->segment];
	uint64_t offset = wrap(io, vcpu->gpr[io->pointer]), left = wrap(io, vcpu->gpr[RCX]);
	unsigned count = left < most ? (unsigned)left : most;
	uint32_t linear;
	if ((vcpu->rflags & X86_RFLAGS_DF) || vcpu_checks_alignment(vcpu))
		return 0;
	*gva = offset;
	if (vcpu_code_bits(vcpu) != 64) {
		if (!seg_linear(segment, (uint32_t)offset, io->size, io->input, &linear))
			return 0;
		*gva = linear;
	} else if (io->segment == SREG_FS || io->segment == SREG_GS) {
		*gva += segment->base;
	}
	uint64_t room = X86_PAGE_SIZE - (*gva & X86_PAGE_MASK);
	if (room / io->size < count)
		count = (unsigned)(room / io->size);
	if (!count || io->mask - offset < (uint64_t)count * io->size)
		return 0;
	if (vcpu_code_bits(vcpu) != 64 && !seg_linear(segment, (uint32_t)offset, count * io->size, io->input, &linear))
		return 0;
	return count;
}

/* A device may have ended the machine; and what one element has it do may take a millisecond. */
static bool gives_way(struct vm *vm)
{
	return vm->ended || atomic_load_explicit(&vm->attention, memory_order_relaxed);
}

/* As many elements as one page of memory holds: memory is asked once. 0: they go one by one. */
static unsigned run_of_elements(const struct string_io *io, uint16_t port, unsigned most)
{
	struct vcpu *vcpu = io->vcpu;
	uint8_t bytes[X86_PAGE_SIZE];
	struct gm_fault fault;
	uint64_t gva;
	unsigned done = 0, count = run_length(io, most, &gva);
	if (count < 2 || vcpu->cpl > vcpu_iopl(vcpu))
		return 0;
	if (!(io->input ? gm_probe_write_gva(vcpu, gva, (uint64_t)count * io->size, GM_CPL, &fault)
			: gm_read_gva(vcpu, gva, bytes, (uint64_t)count * io->size, GM_CPL, &fault)))
		return 0;
	do {
		uint32_t value = 0;
		if (!io->input)
			memcpy(&value, bytes + done * io->size, io->size);
		port_io(vcpu, port, io->size, !io->input, &value);
		if (io->input)
			memcpy(bytes + done * io->size, &value, io->size);
	} while (++done < count && !gives_way(vcpu->vm));
	if (io->input)
		gm_write_gva(vcpu, gva, bytes, (uint64_t)done * io->size, GM_CPL, &fault);
	return done;
}

static enum emu_step run_string(const struct string_io *io)
{
	struct vcpu *vcpu = io->vcpu;
	uint16_t port = (uint16_t)vcpu->gpr[RDX];
	/* With TF set each iteration is a step of its own. */
	unsigned batch = vcpu->rflags & X86_RFLAGS_TF ? 1 : REP_BATCH;

	if (!io->repeats) {
		if (!one_element(io, port))
			return STEP_FAULT;
		advance(io, 1);
		return STEP_NEXT;
	}
	for (unsigned i = 0, count; i < batch && wrap(io, vcpu->gpr[RCX]); i += count) {
		count = run_of_elements(io, port, batch - i);
		if (!count) {
			if (!one_element(io, port))
				return STEP_FAULT;
			count = 1;
		}
		advance(io, count);
		if (gives_way(vcpu->vm))
			break;
	}
	return wrap(io, vcpu->gpr[RCX]) ? STEP_STAYS : STEP_NEXT;
}

static bool has_rep(const struct emu_insn *insn)
{
	for (unsigned i = 0; i < insn->info.raw.prefix_count; i++) {
		uint8_t prefix = insn->info.raw.prefixes[i].value;
		if (prefix == X86_PREFIX_REP || prefix == X86_PREFIX_REPNE)
			return true;
	}
	return false;
}

static struct string_io string_io(struct vcpu *vcpu, const struct emu_insn *insn, bool input)
{
	unsigned operand = input ? 0 : 1, width = insn->info.address_width;
	return (struct string_io){
		.vcpu = vcpu,
		.size = access_size(insn, operand),
		.pointer = input ? RDI : RSI,
		.segment = (enum vcpu_sreg)ZydisRegisterGetId(insn->operands[operand].mem.segment),
		.mask = width == 64 ? UINT64_MAX : R3_BIT(width) - 1,
		.repeats = has_rep(insn),
		.input = input,
	};
}

enum emu_step emu_ins(struct vcpu *vcpu, const struct emu_insn *insn)
{
	struct string_io io = string_io(vcpu, insn, true);
	return run_string(&io);
}

enum emu_step emu_outs(struct vcpu *vcpu, const struct emu_insn *insn)
{
	struct string_io io = string_io(vcpu, insn, false);
	return run_string(&io);
}
