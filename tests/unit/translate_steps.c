/*
 * A block of one instruction, executed host instruction by host instruction in a child.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypercalls/x86.h"
#include "monitor/vm/vcpu.h"
#include "tests/unit/translate_child.h"
#include "tests/unit/translate_rules.h"
#include "tests/unit/translate_steps.h"

#define STEPS_MAX 128
#define AREA_END  (TEST_BASE + 0x100000)

static pid_t child;
static struct bt_code code;

int steps_start(struct user_regs_struct *regs)
{
	void *area = mmap((void *)TEST_BASE, AREA_END - TEST_BASE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (area != (void *)TEST_BASE)
		return -1;
	/* Every lookup of the table misses. */
	for (unsigned n = 0; n < 65536; n++)
		((uint64_t *)TEST_TABLE)[n % ((AREA_END - TEST_TABLE) / 8)] = TEST_GATE;
	child = test_child();
	if (child < 0)
		return -1;
	return (int)ptrace(PTRACE_GETREGS, child, 0, regs);
}

int steps_end(void)
{
	test_child_end(child);
	return 0;
}

volatile struct bt_state *steps_state(void)
{
	return (volatile struct bt_state *)TEST_STATE;
}

/* What POPF loads of the processor's flags. */
#define FREE (BT_POPF_FREE & ~X86_RFLAGS_IF)

static void take_both(struct user_regs_struct *regs)
{
	regs->rax = steps_state()->rax;
	regs->rcx = steps_state()->rcx;
}

static void take_status(struct user_regs_struct *regs)
{
	const uint64_t in_ah = 0xd5;
	regs->eflags &= ~(in_ah | X86_RFLAGS_OF);
	regs->eflags |= (regs->rax >> 8 & in_ah) | (regs->rax & 1 ? X86_RFLAGS_OF : 0);
}

/* As engine/translate/leave.c does it. */
static bool rebuild(struct user_regs_struct *regs, const struct bt_locus *locus)
{
	volatile struct bt_state *s = steps_state();
	unsigned long long *const low[] = {&regs->rax, &regs->rcx, &regs->rdx, &regs->rbx,
					   &regs->rsp, &regs->rbp, &regs->rsi, &regs->rdi};
	bool enabled = s->iflag;
	uint64_t value;
	regs->rip = locus->rip;
	regs->rsp += (uint64_t)(int64_t)locus->rsp;
	regs->rdi -= locus->moved_di ? s->moved_di : 0;
	regs->rsi -= locus->moved_si ? s->moved_si : 0;
	switch (locus->undo) {
	case BT_EXACT:
		break;
	case BT_SCRATCH:
		*low[locus->reg] = s->scratch;
		break;
	case BT_AUX:
		regs->rcx = s->tsc_aux;
		break;
	case BT_PAIR:
		*low[locus->reg] = s->scratch;
		*low[locus->reg2] = s->scratch2;
		break;
	case BT_STACK:
		regs->rsp = *low[locus->reg] + UPPER_BASE;
		*low[locus->reg] = s->scratch;
		break;
	case BT_POPPED:
		enabled = regs->rcx & X86_RFLAGS_IF;
		regs->rcx = s->rcx;
		break;
	case BT_COUNTER:
		regs->rcx = s->rcx;
		break;
	case BT_BOTH:
		take_both(regs);
		break;
	case BT_FOUR:
	case BT_LENT:
		take_both(regs);
		regs->rdx = s->scratch;
		regs->rbx = s->scratch2;
		break;
	case BT_SWAPPED:
		s->kernel_gs = regs->rax;
		take_both(regs);
		break;
	case BT_GIVEN:
		value = regs->rcx;
		take_status(regs);
		take_both(regs);
		*low[locus->reg] = value;
		break;
	case BT_DELIVERS:
	case BT_DELIVERED:
	case BT_STATUS:
		take_status(regs);
		take_both(regs);
		if (locus->undo == BT_DELIVERS)
			regs->rsp = s->scratch;
		if (locus->undo == BT_DELIVERED)
			regs->rip = s->target;
		break;
	case BT_RETURNS:
		take_both(regs);
		regs->eflags = (regs->eflags & ~(uint64_t)FREE) | (s->stack[0] & FREE);
		regs->rsp = s->scratch;
		regs->rip = s->target;
		enabled = s->stack[0] & X86_RFLAGS_IF;
		break;
	case BT_UNDERWAY:
		regs->rcx = s->rcx;
		regs->rip = s->target;
		break;
	default:
		fail_msg("not of 64-bit code");
	}
	return enabled;
}

static void assert_same(const struct snapshot *a, const struct snapshot *b, uint64_t flags, unsigned offset)
{
	struct user_regs_struct x = a->regs, y = b->regs;
	/* TF is the tracer's. */
	flags &= ~(uint64_t)X86_RFLAGS_TF;
	x.eflags &= flags, y.eflags &= flags;
	x.orig_rax = y.orig_rax;
	if (memcmp(&x, &y, sizeof(x)) || a->enabled != b->enabled)
		fail_msg("at offset %#x: rip %llx %llx, rax %llx %llx, rcx %llx %llx, rsp %llx %llx, flags %llx %llx, "
			 "IF %d %d",
			 offset, x.rip, y.rip, x.rax, y.rax, x.rcx, y.rcx, x.rsp, y.rsp, x.eflags, y.eflags, a->enabled,
			 b->enabled);
}

/* As engine/translate/form.c does it. */
static void to_host(struct user_regs_struct *regs, unsigned flavour)
{
	regs->rip = TEST_CODE;
	if (!(flavour & BT_UPPER))
		return;
	regs->rsp += UPPER_BASE;
	regs->fs_base = UPPER_BASE;
	regs->gs_base += UPPER_BASE;
	if (!(flavour & BT_GS_SLOT))
		return;
	steps_state()->gs = regs->gs_base;
	regs->gs_base = 0;
}

static void to_guest(struct user_regs_struct *regs, const struct user_regs_struct *from, unsigned flavour)
{
	if (!(flavour & BT_UPPER))
		return;
	regs->rsp -= UPPER_BASE;
	regs->fs_base = from->fs_base;
	regs->gs_base = (flavour & BT_GS_SLOT ? steps_state()->gs : regs->gs_base) - UPPER_BASE;
}

/* What a repeated string instruction has done of itself is taken back, with the flags of the last comparison. */
static void unwind(struct snapshot *now, const struct snapshot *before, int part)
{
	uint64_t done = before->regs.rcx - now->regs.rcx;
	if (!part || now->regs.rip != before->regs.rip)
		return;
	now->regs.rcx += done;
	now->regs.rsi -= before->regs.rsi == now->regs.rsi ? 0 : done * (uint64_t)(int64_t)part;
	now->regs.rdi -= before->regs.rdi == now->regs.rdi ? 0 : done * (uint64_t)(int64_t)part;
	now->regs.eflags = before->regs.eflags;
}

struct snapshot steps_run(const struct bt_source *given, const struct user_regs_struct *from, bool enabled,
			  uint64_t kept_flags, int part)
{
	struct bt_source source = *given;
	struct bt_place place;
	struct bt_locus locus;
	struct user_regs_struct regs = *from;
	struct snapshot before = {*from, enabled}, trail[STEPS_MAX];
	unsigned offsets[STEPS_MAX], steps = 0;
	before.regs.rip = source.gva;
	before.regs.orig_rax = ~0ull;
	test_place(&place);
	place.slots = TEST_SLOTS;
	assert_true(bt_compile(&source, &place, &code));
	source.len = code.guest_len;
	memcpy((void *)TEST_CODE, code.bytes, code.len);
	steps_state()->iflag = enabled ? X86_RFLAGS_IF : 0;
	steps_state()->pushed = -(uint64_t)X86_RFLAGS_IF;
	steps_state()->upper = source.flavour & BT_UPPER ? UPPER_BASE : 0;
	to_host(&regs, source.flavour);
	regs.orig_rax = ~0ull;
	assert_int_equal(ptrace(PTRACE_SETREGS, child, 0, &regs), 0);
	for (;;) {
		struct snapshot *now = &trail[steps];
		int status;
		assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &now->regs), 0);
		uint64_t offset = now->regs.rip - TEST_CODE;
		offsets[steps] = (unsigned)offset;
		if (offset < code.stubs) {
			assert_true(bt_locate(&source, &place, (unsigned)offset, &locus));
			now->enabled = rebuild(&now->regs, &locus);
			to_guest(&now->regs, from, source.flavour);
		} else if (offset < code.len) {
			for (unsigned n = 0; n < code.exit_count; n++)
				if (code.exits[n].stub == offset)
					now->regs.rip = code.exits[n].target;
			now->enabled = steps_state()->iflag;
			to_guest(&now->regs, from, source.flavour);
			break;
		} else {
			assert_int_equal(now->regs.rip, TEST_GATE);
			now->enabled = rebuild(&now->regs, &(struct bt_locus){.undo = BT_UNDERWAY});
			to_guest(&now->regs, from, source.flavour);
			break;
		}
		assert_true(++steps < STEPS_MAX);
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, 0, 0), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSTOPPED(status));
		/*
		 * A fault: where it happens nothing of the guest's instruction may have, but for parts of it; or it is
		 * of a host that does not return to where RSP is not canonical.
		 */
		if (WSTOPSIG(status) != SIGTRAP) {
			const uint64_t up = source.flavour & BT_UPPER ? UPPER_BASE : 0;
			assert_true(now->regs.rip == source.gva || !vcpu_canonical(now->regs.rsp + up));
			trail[steps] = *now;
			break;
		}
	}
	struct snapshot after = trail[steps];
	for (unsigned n = 0; n < steps; n++) {
		bool undone = trail[n].regs.rip == source.gva;
		unwind(&trail[n], &before, part);
		assert_same(&trail[n], undone ? &before : &after, undone ? kept_flags : ~0ull, offsets[n]);
	}
	return after;
}

unsigned steps_check(uint64_t gva, uint64_t target, const struct user_regs_struct *from)
{
	const uint64_t exits[] = {TEST_GATE, TEST_GATE + 1};
	struct snapshot before = {*from, true}, now;
	struct bt_place place;
	unsigned otherwise, len, steps = 0;
	before.regs.rip = target;
	before.regs.orig_rax = ~0ull;
	test_place(&place);
	len = bt_compile_thunk(&place, gva, exits[0], &otherwise, (uint8_t *)TEST_CODE);
	uint32_t displacement = (uint32_t)(exits[1] - (TEST_CODE + otherwise + 4));
	memcpy((uint8_t *)TEST_CODE + otherwise, &displacement, sizeof(displacement));
	steps_state()->iflag = X86_RFLAGS_IF;
	steps_state()->rcx = from->rcx;
	steps_state()->target = target;
	now.regs = before.regs;
	now.regs.rip = TEST_CODE;
	now.regs.rcx = ~target;
	assert_int_equal(ptrace(PTRACE_SETREGS, child, 0, &now.regs), 0);
	for (;;) {
		int status;
		assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &now.regs), 0);
		uint64_t rip = now.regs.rip;
		bool left = rip - TEST_CODE >= len;
		/* At the block registers are the guest's; the next check asks for the target by itself. */
		if (left && rip == exits[0])
			now.regs.rip = target;
		else
			rebuild(&now.regs, &(struct bt_locus){.undo = BT_UNDERWAY});
		now.enabled = steps_state()->iflag;
		assert_same(&now, &before, ~0ull, (unsigned)(rip - TEST_CODE));
		if (left)
			return rip == exits[1];
		assert_true(++steps < STEPS_MAX);
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, 0, 0), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	}
}

bool steps_has_parts(const struct emu_insn *insn)
{
	const ZydisInstructionAttributes repeats =
		ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE;
	return (insn->info.attributes & repeats) || insn->info.meta.category == ZYDIS_CATEGORY_GATHER ||
	       insn->info.meta.category == ZYDIS_CATEGORY_SCATTER;
}
