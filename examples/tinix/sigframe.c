/*
 * The frame on the user's stack that a signal handler runs on, in Linux's layout for x86-64, and the return from it.
 */
#include "examples/tinix/core.h"

/* Below RSP lies what the compiler may use without moving it (System V ABI 3.2.2). */
#define RED_ZONE 128
/* What a handler may change of RFLAGS. */
#define USER_RFLAGS                                                                                                    \
	(X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_TF |               \
	 X86_RFLAGS_DF | X86_RFLAGS_OF | X86_RFLAGS_RF | X86_RFLAGS_AC | X86_RFLAGS_ID)
#define SW_RESERVED 464 /* of struct _fpstate: what follows the state, for programs that look */

struct signal_frame {
	uint64_t restorer;
	struct ucontext context;
	siginfo_t info;
};

void signal_info_report(siginfo_t *to, const struct signal_info *from)
{
	memset(to, 0, sizeof(*to));
	to->si_signo = from->signal;
	to->si_code = from->code;
	switch (from->signal) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGTRAP:
		to->si_addr = (void *)from->address;
		break;
	default:
		to->si_pid = from->pid;
		to->si_status = from->status;
	}
}

static bool on_altstack(uint64_t rsp)
{
	const stack_t *stack = &current->core->altstack;

	return !(stack->ss_flags & SS_DISABLE) && rsp - (uint64_t)stack->ss_sp <= stack->ss_size;
}

/* Registers that trap frame and signal context have under the same names. */
#define COPY_REGISTERS(to, from)                                                                                       \
	((to)->r8 = (from)->r8, (to)->r9 = (from)->r9, (to)->r10 = (from)->r10, (to)->r11 = (from)->r11,               \
	 (to)->r12 = (from)->r12, (to)->r13 = (from)->r13, (to)->r14 = (from)->r14, (to)->r15 = (from)->r15,           \
	 (to)->rdi = (from)->rdi, (to)->rsi = (from)->rsi, (to)->rbp = (from)->rbp, (to)->rbx = (from)->rbx,           \
	 (to)->rdx = (from)->rdx, (to)->rax = (from)->rax, (to)->rcx = (from)->rcx, (to)->rsp = (from)->rsp,           \
	 (to)->rip = (from)->rip)

static void save_registers(struct sigcontext *to, const struct pvg_frame *from)
{
	const struct proc_core *core = current->core;

	*to = (struct sigcontext){.eflags = from->rflags,
				  .cs = (uint16_t)from->cs,
				  .ss = (uint16_t)from->ss,
				  .trapno = core->trap_vector,
				  .err = core->trap_error,
				  .cr2 = core->trap_address};
	COPY_REGISTERS(to, from);
}

static void load_registers(struct pvg_frame *to, const struct sigcontext *from)
{
	*to = (struct pvg_frame){.cs = PVG_SEL_USER_CODE,
				 .ss = PVG_SEL_USER_DATA,
				 .rflags = (from->eflags & USER_RFLAGS) | X86_RFLAGS_IF | X86_RFLAGS_FIXED};
	COPY_REGISTERS(to, from);
}

/* The FPU image with the words by which programs find its size; false if the stack cannot take it. */
static bool push_fpu(uint64_t at)
{
	const uint32_t magic2 = FP_XSTATE_MAGIC2;
	const struct _fpx_sw_bytes sw = {.magic1 = FP_XSTATE_MAGIC1,
					 .extended_size = pvg_fpu_size() + sizeof(magic2),
					 .xfeatures = pvg_fpu_components(),
					 .xstate_size = pvg_fpu_size()};

	save_fpu();
	return !copy_to_user(at, current->core->user.fpu, pvg_fpu_size()) &&
	       !copy_to_user(at + SW_RESERVED, &sw, sizeof(sw)) &&
	       !copy_to_user(at + pvg_fpu_size(), &magic2, sizeof(magic2));
}

bool sigframe_push(struct pvg_frame *frame, const struct signal_info *info, const struct signal_action *action,
		   uint64_t mask)
{
	const stack_t *alt = &current->core->altstack;
	struct signal_frame out = {.restorer = action->restorer};
	uint64_t rsp = frame->rsp - RED_ZONE, fpu;

	if (action->flags & SA_ONSTACK && !(alt->ss_flags & SS_DISABLE) && !on_altstack(frame->rsp))
		rsp = (uint64_t)alt->ss_sp + alt->ss_size;
	fpu = (rsp - pvg_fpu_size() - sizeof(uint32_t)) & ~(uint64_t)(PVG_FPU_ALIGNMENT - 1);
	/* A function is entered with RSP 8 below a multiple of 16. */
	rsp = ((fpu - sizeof(out)) & ~15ul) - 8;

	save_registers(&out.context.uc_mcontext, frame);
	out.context.uc_mcontext.fpstate = (void *)fpu;
	out.context.uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	out.context.uc_stack = *alt;
	out.context.uc_sigmask = mask;
	signal_info_report(&out.info, info);
	if (!(action->flags & SA_RESTORER) || action->handler >= USER_END || !push_fpu(fpu) ||
	    copy_to_user(rsp, &out, sizeof(out)))
		return false;
	frame->rsp = rsp;
	frame->rip = action->handler;
	frame->rdi = (uint64_t)info->signal;
	frame->rsi = rsp + offsetof(struct signal_frame, info);
	frame->rdx = rsp + offsetof(struct signal_frame, context);
	frame->rax = 0;
	frame->rflags &= ~(X86_RFLAGS_DF | X86_RFLAGS_TF | X86_RFLAGS_RF);
	return true;
}

static bool pop_fpu(uint64_t at)
{
	struct pvg_user *user = &current->core->user;

	if (!at)
		pvg_fpu_reset(user->fpu);
	else if (copy_from_user(user->fpu, at, pvg_fpu_size()))
		return false;
	pvg_fpu_sanitize(user->fpu);
	load_fpu();
	return true;
}

int64_t sys_rt_sigreturn(const uint64_t arg[6])
{
	struct pvg_frame *frame = pvg_user_frame(&current->core->user);
	struct ucontext context;

	/* The handler's RET took the restorer's address. */
	if (copy_from_user(&context, frame->rsp, sizeof(context)) || context.uc_mcontext.rip >= USER_END ||
	    !pop_fpu((uint64_t)context.uc_mcontext.fpstate)) {
		signal_force(SIGSEGV, SI_KERNEL, 0);
		return 0;
	}
	load_registers(frame, &context.uc_mcontext);
	current->core->blocked = context.uc_sigmask & ~UNBLOCKABLE;
	return (int64_t)frame->rax;
}

int64_t sys_sigaltstack(const uint64_t arg[6])
{
	stack_t *stack = &current->core->altstack, new;
	uint64_t rsp = pvg_user_frame(&current->core->user)->rsp;
	stack_t old = *stack;

	if (on_altstack(rsp))
		old.ss_flags |= SS_ONSTACK;
	if (arg[0]) {
		if (copy_from_user(&new, arg[0], sizeof(new)))
			return -EFAULT;
		if (on_altstack(rsp))
			return -EPERM;
		if (new.ss_flags & ~(SS_DISABLE | SS_ONSTACK))
			return -EINVAL;
		if (!(new.ss_flags &SS_DISABLE) && new.ss_size < MINSIGSTKSZ)
			return -ENOMEM;
		*stack = new;
		stack->ss_flags &= SS_DISABLE;
	}
	return arg[1] ? copy_to_user(arg[1], &old, sizeof(old)) : 0;
}
