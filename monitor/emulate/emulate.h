/*
 * Sensitive instructions, done in software on the virtual state. Engines call this when the guest's code trapped on
 * one (or, interpreting, when they meet one); it knows nothing of how the guest runs.
 */
#ifndef MONITOR_EMULATE_EMULATE_H
#define MONITOR_EMULATE_EMULATE_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

#include "hypercalls/x86.h"

struct vcpu;
struct cpu;

struct emu_insn {
	ZydisDecodedInstruction info;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	uint8_t bytes[X86_INSN_MAX];
};

enum emu_result {
	EMU_DONE,     /* executed; RIP and all state advanced */
	EMU_RAISED,   /* an exception is queued; RIP at the instruction (after it for INT n and traps) */
	EMU_NOT_OURS, /* innocuous, or none that the group files know: nothing changed */
};

/*
 * Fetches and decodes at CS:RIP. EMU_DONE with *insn filled, or EMU_RAISED (#PF on fetch, #UD, #GP if longer than 15 or
 * beyond the limit of CS).
 */
enum emu_result emu_decode(struct vcpu *vcpu, struct emu_insn *insn);

/* How the code that CS names is decoded at present. */
ZydisMachineMode emu_mode(const struct vcpu *vcpu);
/* The same by size alone: REAL_16 is LEGACY_16 then, which decodes more. */
ZydisMachineMode emu_mode_of(unsigned code_bits);

/* The same as emu_decode of bytes at hand, which are read once, without an exception: what Zydis says. */
ZyanStatus emu_decode_bytes(ZydisMachineMode mode, const uint8_t *bytes, size_t len, struct emu_insn *insn);

/*
 * A near branch with the operand-size prefix that counts, as on AMD's processors: what it pushes, pops or goes to has
 * 16 bits (APM 1 3.7.2). REX.W outranks the prefix; on Intel's processors it is ignored.
 */
bool emu_is_narrow_branch(const struct emu_insn *insn);

/* A vector register makes it an instruction of the FPU, whatever its category (PXOR is "logical"). */
bool emu_is_vector(const ZydisDecodedOperand *op);
bool emu_has_vector(const struct emu_insn *insn);

/* The machine's processor, by its model, does not have it, though the host's may: it is #UD. */
bool emu_is_absent(const struct cpu *cpu, const struct emu_insn *insn);
/* It is LZCNT or TZCNT, which the model does not have: BSR or BSF. */
bool emu_ignores_prefix(const struct cpu *cpu, const struct emu_insn *insn);

/* Executes one decoded sensitive instruction at the present CPL with the manual's checks. */
enum emu_result emu_execute(struct vcpu *vcpu, const struct emu_insn *insn);

/* True if emu_execute knows the instruction, be it one that traps or one that an interpreter must not miss. */
bool emu_is_sensitive(const struct emu_insn *insn);

/* RDRAND or RDSEED. */
static inline bool emu_is_random(const struct emu_insn *insn)
{
	return insn->info.meta.category == ZYDIS_CATEGORY_RDRAND || insn->info.meta.category == ZYDIS_CATEGORY_RDSEED;
}
/* What may make a deadline, an interrupt or an end that the run loop has to see to. */
bool emu_reaches_devices(const struct emu_insn *insn);
/*
 * Looking on after an exit: decodes at RIP and is true if that instruction, run directly in ring 3, always traps, so
 * that emu_execute at once, without a trap of its own, changes nothing the guest could tell. Not so SGDT, MOV to
 * segment registers and their like, which the processor may let pass. Queues nothing when false.
 */
bool emu_look_on(struct vcpu *vcpu, struct emu_insn *insn);

/* Decodes at RIP for somebody who looks on: no bit of the guest's tables is set, nothing queued. False: (bad). */
bool emu_peek(struct vcpu *vcpu, struct emu_insn *insn);

/*
 * SYSCALL was executed: RIP after it, RCX and R11 not yet written. Enters the guest's kernel as SDM 2B SYSCALL says, or
 * at the entry point that a paravirtual guest registered for its user mode (then with interrupts masked and TF, DF,
 * NT, AC clear, on the user's stack as ever); #UD if there is neither.
 */
void emu_syscall(struct vcpu *vcpu);

/* CS and SS as SYSCALL loads them. */
void emu_load_syscall_segments(struct vcpu *vcpu);

/*
 * IRETQ with the frame {rip, cs, rflags, rsp, ss} already read (64-bit operand size, SDM 2A IRET, 64-bit mode):
 * performs all checks; on failure an exception is queued and the state is unchanged.
 */
void emu_return(struct vcpu *vcpu, const uint64_t frame[5]);

/* A small number for each sensitive instruction, to count by, and what it is called: "cli", "mov cr". */
#define EMU_IDS 2048
unsigned emu_id(const struct emu_insn *insn);
const char *emu_name(unsigned id); /* NULL: none has that number */

/*
 * The instruction's text in Intel syntax, for reports, from its bytes and info.machine_mode; returns `text`. Never
 * fails: undecodable bytes come as "(bad)".
 */
const char *emu_format(const struct emu_insn *insn, uint64_t rip, char *text, unsigned size);

#endif
