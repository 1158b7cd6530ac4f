/*
 * Traps in C: the table of handlers, the dispatch that every stub calls, and what happens when nobody takes a trap.
 */
#include "pvguest/traps.h"
#include "pvguest/internal.h"

struct trap_slot {
	pvg_trap_handler handler;
	void *arg;
};

static struct trap_slot slots[X86_VEC_COUNT + 1];
_Static_assert(PVG_TRAP_SYSCALL_NUMBER == PVG_TRAP_SYSCALL && PVG_TRAP_SYSCALL == X86_VEC_COUNT,
	       "SYSCALL has the slot after the vectors");
_Static_assert(PVG_USER_CODE == PVG_SEL_USER_CODE && PVG_USER_DATA == PVG_SEL_USER_DATA, "one set of selectors");
static uint64_t user_vectors[X86_VEC_COUNT / 64] = {R3_BIT(X86_VEC_BP) | R3_BIT(X86_VEC_OF)};

/* Where the stubs jump to leave; read by traps.S. */
void (*pvg_trap_return)(void);

static void install(void)
{
	uint64_t entries[X86_VEC_COUNT];

	for (unsigned vector = 0; vector < X86_VEC_COUNT; vector++)
		entries[vector] = (uint64_t)pvg_trap_stubs + vector * PVG_TRAP_STUB_SIZE;
	pvg_ops->set_traps(entries, user_vectors);
}

void pvg_traps_init(void)
{
	pvg_trap_return = pvg_ops->trap_return;
	install();
}

void pvg_trap_register(unsigned vector, pvg_trap_handler handler, void *arg)
{
	bool enabled = pvg_irq_save();

	pvg_assert(vector < X86_VEC_COUNT);
	slots[vector] = (struct trap_slot){handler, arg};
	pvg_irq_restore(enabled);
}

void pvg_syscall_register(pvg_trap_handler handler, void *arg)
{
	slots[PVG_TRAP_SYSCALL_NUMBER] = (struct trap_slot){handler, arg};
	/* The library touches what user mode keeps in FPU, FS and GS by hypercalls alone. */
	if (pvg_is_paravirt()) {
		pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_DIRECT, 1);
		pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_SITES, 1);
	}
	pvg_ops->set_syscall_entry((uint64_t)(pvg_is_paravirt() ? pvg_syscall_paravirt : pvg_syscall_native));
}

void pvg_trap_allow_user(unsigned vector)
{
	pvg_assert(vector < X86_VEC_COUNT);
	user_vectors[vector / 64] |= R3_BIT(vector % 64);
	install();
}

void pvg_traps_clear(void)
{
	pvg_ops->clear_traps();
}

uint64_t pvg_fault_address(void)
{
	return pvg_ops->read_cr2();
}

static _Noreturn void unhandled(const struct pvg_frame *frame)
{
	const char *what = NULL, *name = pvg_vector_name((unsigned)frame->vector);

	/* A page fault that found no stack either became a double fault. */
	if (frame->vector == X86_VEC_PF)
		what = pvg_protect_name(pvg_fault_address(), frame->error);
	if (frame->vector == X86_VEC_DF)
		what = pvg_protect_name(pvg_fault_address(), 0);
	if (frame->vector == X86_VEC_DF && !what &&
	    frame->rsp - pvg_fault_address() + X86_PAGE_SIZE < 2 * X86_PAGE_SIZE)
		what = "what is below a stack, which has overflowed, or is no stack";
	if (what)
		pvg_panic_frame(frame, "%s at %lx: an access to %s", name, frame->rip, what);
	pvg_panic_frame(frame, "nobody handles %s", name);
}

void pvg_trap_c(struct pvg_frame *frame)
{
	const struct trap_slot *slot = &slots[frame->vector];

	pvg_ops->trap_enter();
	if (slot->handler)
		slot->handler(frame, slot->arg);
	else if (!pvg_catch_trap(frame))
		unhandled(frame);
	pvg_user_return(frame);
	pvg_ops->trap_leave(frame);
}

const char *pvg_vector_name(unsigned vector)
{
	static const char *const names[32] = {
		[X86_VEC_DE] = "#DE", [X86_VEC_DB] = "#DB", [X86_VEC_NMI] = "NMI", [X86_VEC_BP] = "#BP",
		[X86_VEC_OF] = "#OF", [X86_VEC_BR] = "#BR", [X86_VEC_UD] = "#UD",  [X86_VEC_NM] = "#NM",
		[X86_VEC_DF] = "#DF", [X86_VEC_TS] = "#TS", [X86_VEC_NP] = "#NP",  [X86_VEC_SS] = "#SS",
		[X86_VEC_GP] = "#GP", [X86_VEC_PF] = "#PF", [X86_VEC_MF] = "#MF",  [X86_VEC_AC] = "#AC",
		[X86_VEC_MC] = "#MC", [X86_VEC_XM] = "#XM", [X86_VEC_CP] = "#CP",
	};

	return vector < 32 && names[vector] ? names[vector] : "vector";
}

bool pvg_vector_has_error(unsigned vector)
{
	const uint32_t with_error = R3_BIT(X86_VEC_DF) | R3_BIT(X86_VEC_TS) | R3_BIT(X86_VEC_NP) | R3_BIT(X86_VEC_SS) |
				    R3_BIT(X86_VEC_GP) | R3_BIT(X86_VEC_PF) | R3_BIT(X86_VEC_AC) | R3_BIT(X86_VEC_CP);

	return vector < 32 && with_error >> vector & 1;
}

void pvg_frame_print(const struct pvg_frame *f)
{
	pvg_printf("vector %lu (%s) error %lx\n", f->vector, pvg_vector_name((unsigned)f->vector), f->error);
	pvg_printf("rip %016lx cs %04lx rflags %08lx\n", f->rip, f->cs, f->rflags);
	pvg_printf("rsp %016lx ss %04lx cr2 %016lx\n", f->rsp, f->ss, pvg_fault_address());
	pvg_printf("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
	pvg_printf("rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", f->rsi, f->rdi, f->rbp, f->r8);
	pvg_printf("r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", f->r9, f->r10, f->r11, f->r12);
	pvg_printf("r13 %016lx r14 %016lx r15 %016lx\n", f->r13, f->r14, f->r15);
}
