/*
 * Which of the x87's instructions are executed here, and the host's that do it, by opcode (SDM 2D B.17, tables A-7 to
 * all but those that work on the environment, on packed decimals, on empty registers, or give two results, and
 * remainders, whose conditions are a matter of what the processor did before.
 */
#include "monitor/engine/interpret/x87.h"

#include <stddef.h>

#include "monitor/vm/cpu.h"

/* ------------------------------------------------------------------------------------------------------- operations */

/* The flags are sticky, and waited for by nobody as long as they are masked. */
static inline uint16_t settled(uint16_t fsw)
{
	if (fsw & X86_FSW_EXCEPTIONS)
		__asm__ volatile("fnclex");
	return fsw;
}

/* `text` is executed in a function of that name; %1 is `to`, %2 `from`, %0 AX. */
#define OPERATION(name, text)                                                                                          \
	static uint16_t do_##name(void *to, const void *from)                                                          \
	{                                                                                                              \
		uint16_t fsw;                                                                                          \
		__asm__ volatile(text : "=&a"(fsw) : "r"(to), "r"(from) : "memory", "st", "st(1)");                    \
		return settled(fsw);                                                                                   \
	}

/* X(name): what has a form for each kind of operand. */
#define ARITHMETIC(X) X(add) X(sub) X(subr) X(mul) X(div) X(divr)
#define WITH_REGISTER(name)                                                                                            \
	OPERATION(name, "fldt (%2)\n\tfldt (%1)\n\tf" #name " %%st(1), %%st\n\tfnstsw %0\n\tfstpt (%1)\n\tfstp "       \
			"%%st(0)")
#define WITH_MEMORY(name, text) OPERATION(name, "fldt (%1)\n\t" text " (%2)\n\tfnstsw %0\n\tfstpt (%1)")
#define OF_ALL_KINDS(name)                                                                                             \
	WITH_REGISTER(name)                                                                                            \
	WITH_MEMORY(name##_m32, "f" #name "s")                                                                         \
	WITH_MEMORY(name##_m64, "f" #name "l")                                                                         \
	WITH_MEMORY(name##_i16, "fi" #name "s")                                                                        \
	WITH_MEMORY(name##_i32, "fi" #name "l")
ARITHMETIC(OF_ALL_KINDS)

/* ST(0) by ST(1), which stays. */
OPERATION(scale, "fldt (%2)\n\tfldt (%1)\n\tfscale\n\tfnstsw %0\n\tfstpt (%1)\n\tfstp %%st(0)")

#define UNARY(name) OPERATION(name, "fldt (%1)\n\tf" #name "\n\tfnstsw %0\n\tfstpt (%1)")
UNARY(chs)
UNARY(abs)
UNARY(sqrt)
UNARY(rndint)
UNARY(sin)
UNARY(cos)
UNARY(2xm1)

#define COMPARE(name)		   OPERATION(name, "fldt (%2)\n\tfldt (%1)\n\tf" #name "\n\tfnstsw %0")
#define COMPARE_MEMORY(name, text) OPERATION(name, "fldt (%1)\n\t" text " (%2)\n\tfnstsw %0")
COMPARE(compp)
COMPARE(ucompp)
COMPARE_MEMORY(com_m32, "fcomps")
COMPARE_MEMORY(com_m64, "fcompl")
COMPARE_MEMORY(com_i16, "ficomps")
COMPARE_MEMORY(com_i32, "ficompl")
OPERATION(tst, "fldt (%1)\n\tftst\n\tfnstsw %0\n\tfstp %%st(0)")
OPERATION(xam, "fldt (%1)\n\tfxam\n\tfnstsw %0\n\tfstp %%st(0)")

#define COMPARE_FLAGS(name)                                                                                            \
	static uint16_t do_##name(void *to, const void *from)                                                          \
	{                                                                                                              \
		struct x87_flags *flags = to;                                                                          \
		uint16_t fsw;                                                                                          \
		__asm__ volatile("fldt (%3)\n\tfldt (%2)\n\tf" #name                                                   \
				 " %%st(1), %%st\n\tlahf\n\tseto %%al\n\tmovzwl %%ax, %1\n\tfnstsw %0\n\tfstp %%st(0)" \
				 : "=&a"(fsw), "=&r"(flags->ax)                                                        \
				 : "r"(flags->first), "r"(from)                                                        \
				 : "cc", "memory", "st", "st(1)");                                                     \
		return settled(fsw);                                                                                   \
	}
COMPARE_FLAGS(comip)
COMPARE_FLAGS(ucomip)

#define LOAD(name, text)  OPERATION(name, text " (%2)\n\tfnstsw %0\n\tfstpt (%1)")
#define CONSTANT(name)	  OPERATION(name, "f" #name "\n\tfnstsw %0\n\tfstpt (%1)")
#define STORE(name, text) OPERATION(name, "fldt (%2)\n\t" text " (%1)\n\tfnstsw %0")
LOAD(ld_m32, "flds")
LOAD(ld_m64, "fldl")
LOAD(ild_i16, "filds")
LOAD(ild_i32, "fildl")
LOAD(ild_i64, "fildll")
CONSTANT(ld1)
CONSTANT(ldl2t)
CONSTANT(ldl2e)
CONSTANT(ldpi)
CONSTANT(ldlg2)
CONSTANT(ldln2)
CONSTANT(ldz)
STORE(st_m32, "fstps")
STORE(st_m64, "fstpl")
STORE(ist_i16, "fistps")
STORE(ist_i32, "fistpl")
STORE(ist_i64, "fistpll")
STORE(istt_i16, "fisttps")
STORE(istt_i32, "fisttpl")
STORE(istt_i64, "fisttpll")

/* ---------------------------------------------------------------------------------------------------------- tables */

#define C1  X86_FSW_C1
#define ALL (X86_FSW_C0 | X86_FSW_C1 | X86_FSW_C2 | X86_FSW_C3)

/* clang-format off */
#define ON_TOP(name)	     {x87_run_operation, do_##name, C1, 0, 0}
#define ON_REGISTER(name, n) {x87_run_to_register, do_##name, C1, 0, n}
#define ON_ONE(name)	     {x87_run_unary, do_##name, C1, 0, 0}
#define ON_ANGLE(name)	     {x87_run_unary, do_##name, C1 | X86_FSW_C2, X86_FSW_C2, 0}
#define COMPARES(name, n)    {x87_run_compare, do_##name, ALL, 0, n}
#define EXAMINES(name)	     {x87_run_examine, do_##name, ALL, 0, 0}
#define SETS_FLAGS(name, n)  {x87_run_compare_flags, do_##name, 0, C1, n}
#define LOADS(name)	     {x87_run_load, do_##name, C1, 0, 0}
#define LOADS_ONE(name)	     {x87_run_constant, do_##name, C1, 0, 0}
#define STORES(name, n)	     {x87_run_store, do_##name, C1, 0, n}
#define MOVES(how, n)	     {x87_run_##how, NULL, C1, 0, n}
#define MOVES_IF	     {x87_run_conditional, NULL, 0, C1, 0}
#define CONTROL(how)	     {x87_run_##how, NULL, 0, 0, 0}
#define NONE		     {NULL, NULL, 0, 0, 0}

/* Opcodes D8 to DF by the middle bits of ModRM, with an operand in memory. */
#define ALL_ON(kind) \
	{ON_TOP(add_##kind), ON_TOP(mul_##kind), COMPARES(com_##kind, 0), COMPARES(com_##kind, 1), \
	 ON_TOP(sub_##kind), ON_TOP(subr_##kind), ON_TOP(div_##kind), ON_TOP(divr_##kind)}
static const struct x87_form of_memory[8][8] = {
	ALL_ON(m32),
	{LOADS(ld_m32), NONE, STORES(st_m32, 0), STORES(st_m32, 1),
	 NONE, CONTROL(control_load), NONE, CONTROL(word_store)},
	ALL_ON(i32),
	{LOADS(ild_i32), STORES(istt_i32, 1), STORES(ist_i32, 0), STORES(ist_i32, 1),
	 NONE, MOVES(load_whole, 0), NONE, MOVES(store_whole, 1)},
	ALL_ON(m64),
	{LOADS(ld_m64), STORES(istt_i64, 1), STORES(st_m64, 0), STORES(st_m64, 1),
	 NONE, NONE, NONE, CONTROL(word_store)},
	ALL_ON(i16),
	{LOADS(ild_i16), STORES(istt_i16, 1), STORES(ist_i16, 0), STORES(ist_i16, 1),
	 NONE, LOADS(ild_i64), NONE, STORES(ist_i64, 1)},
};

/* Likewise, where ModRM names a register. */
#define ALL_ON_REGISTER(n) \
	{ON_REGISTER(add, n), ON_REGISTER(mul, n), NONE, NONE, \
	 ON_REGISTER(subr, n), ON_REGISTER(sub, n), ON_REGISTER(divr, n), ON_REGISTER(div, n)}
static const struct x87_form of_registers[8][8] = {
	{ON_TOP(add), ON_TOP(mul), COMPARES(compp, 0), COMPARES(compp, 1),
	 ON_TOP(sub), ON_TOP(subr), ON_TOP(div), ON_TOP(divr)},
	{MOVES(load_register, 0), MOVES(exchange, 0)},
	{MOVES_IF, MOVES_IF, MOVES_IF, MOVES_IF},
	{MOVES_IF, MOVES_IF, MOVES_IF, MOVES_IF, NONE, SETS_FLAGS(ucomip, 0), SETS_FLAGS(comip, 0)},
	ALL_ON_REGISTER(0),
	{NONE, NONE, MOVES(store_register, 0), MOVES(store_register, 1), COMPARES(ucompp, 0), COMPARES(ucompp, 1)},
	ALL_ON_REGISTER(1),
	{NONE, NONE, NONE, NONE, NONE, SETS_FLAGS(ucomip, 1), SETS_FLAGS(comip, 1)},
};

/* D9 E0 to FF. */
static const struct x87_form of_none[32] = {
	[0x00] = ON_ONE(chs),	   [0x01] = ON_ONE(abs),      [0x04] = EXAMINES(tst),	 [0x05] = EXAMINES(xam),
	[0x08] = LOADS_ONE(ld1),   [0x09] = LOADS_ONE(ldl2t), [0x0a] = LOADS_ONE(ldl2e), [0x0b] = LOADS_ONE(ldpi),
	[0x0c] = LOADS_ONE(ldlg2), [0x0d] = LOADS_ONE(ldln2), [0x0e] = LOADS_ONE(ldz),	 [0x10] = ON_ONE(2xm1),
	[0x1a] = ON_ONE(sqrt),	   [0x1c] = ON_ONE(rndint),   [0x1d] = ON_TOP(scale),	 [0x1e] = ON_ANGLE(sin),
	[0x1f] = ON_ANGLE(cos),
};

static const struct x87_form twice_unordered = COMPARES(ucompp, 2), twice = COMPARES(compp, 2),
			     status_to_ax = CONTROL(status_to_ax);
/* clang-format on */

/* ---------------------------------------------------------------------------------------------------------- decoding
 */

#define ESCAPE 0xd8 /* the first of eight opcodes */

static const struct x87_form *find(const struct insn_detail *d, unsigned reg, unsigned rm)
{
	unsigned opcode = d->emu.info.opcode;
	switch (opcode << 8 | 0xc0 | reg << 3 | rm) {
	case 0xdae9:
		return &twice_unordered;
	case 0xded9:
		return &twice;
	case 0xdfe0:
		return &status_to_ax;
	default:
		return opcode == ESCAPE + 1 && reg >= 4 ? &of_none[(reg - 4) << 3 | rm]
							: &of_registers[opcode - ESCAPE][reg];
	}
}

insn_function *x87_pick(struct insn *i)
{
	struct insn_detail *d = i->detail;
	unsigned opcode = d->emu.info.opcode, reg = d->emu.info.raw.modrm.reg, rm = d->emu.info.raw.modrm.rm;
	if (d->emu.info.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || opcode - ESCAPE > 7)
		return NULL;
	d->x87_form = d->size ? &of_memory[opcode - ESCAPE][reg] : find(d, reg, rm);
	i->src = (uint8_t)rm;
	if (d->x87_form->run == x87_run_conditional)
		i->imm = (reg == 3 ? 10 : 2 * (reg + 1)) + (opcode & 1);
	if (d->x87_form->run == x87_run_word_store)
		i->imm = opcode == ESCAPE + 1 ? X86_FPU_FCW : X86_FPU_FSW;
	/* ST(1) is the other operand of all that name none. */
	if (!d->size && (opcode == ESCAPE + 1 ? reg >= 4 : d->x87_form->pops == 2))
		i->src = 1;
	return d->x87_form->run;
}
