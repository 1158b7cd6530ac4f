/*
 * Exits that are honest but for a word or two, drawn: for a seed, the same each time. Whatever a user cell claims, its
 * kernel is shown what a processor could have shown. For tests/fuzz/seeded.py.
 *
 *   seed=N count=N
 */
#include "forge.h"

#define VSYSCALL    0xffffffffff600000
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* Where something begins or ends: what lies about there is drawn. */
static uint64_t any_address(void)
{
	static const uint64_t bounds[] = {0,	      R3_BIT(21),     R3_BIT(32),	  GATE_HOLE_START,
					  GATE_TEXT,  GATE_XCHG,      GATE_STACK,	  GATE_END,
					  GATE_PEERS, GATE_PEERS_END, GATE_HOLE_END,	  LAYOUT_TASK_END,
					  R3_BIT(47), R3_BIT(63),     0xffff800000000000, VSYSCALL};
	static const int64_t away[] = {0, 0, 1, -1, 8, -8, 16, -X86_PAGE_SIZE, X86_PAGE_SIZE};

	return luck() % 8 ? bounds[luck() % COUNT(bounds)] + (uint64_t)away[luck() % COUNT(away)] : luck();
}

static uint64_t any_bits(void)
{
	switch (luck() % 4) {
	case 0:
		return ~0ull;
	case 1:
		return luck();
	default:
		return R3_BIT(luck() % 64) | R3_BIT(luck() % 64);
	}
}

static void change_word(struct host_frame *claim)
{
	static const int32_t codes[] = {-60, -6, -1, 0, 1, 2, 3, 4, 5, 6, 0x80};
	uint64_t *gpr = &claim->r8;

	switch (luck() % 12) {
	case 0:
	case 1:
		claim->trapno = luck() % 8 ? luck() % 32 : luck() % 2 ? luck() % 300 : any_bits();
		break;
	case 2:
		claim->signo = (int32_t)(luck() % 66);
		break;
	case 3:
		claim->code = codes[luck() % COUNT(codes)];
		break;
	case 4:
		claim->rflags ^= any_bits();
		break;
	case 5:
		claim->rip = any_address();
		break;
	case 6:
		claim->rsp = any_address();
		break;
	case 7:
		claim->error = any_bits();
		break;
	case 8:
		claim->trapno = X86_VEC_PF;
		claim->cr2 = any_address();
		break;
	case 9:
		claim->si_addr = any_address();
		break;
	case 10:
		claim->si_arch = luck() % 2 ? 0x40000003 : (uint32_t)luck();
		break;
	default:
		if (luck() % 2)
			claim->csgsfs = luck() % 2 ? 0x23 | 0x2bull << 48 : any_bits();
		else
			gpr[luck() % 15] = any_address();
	}
}

static void change_claim(struct host_frame *claim)
{
	static const int32_t signals[] = {HOST_SIGSEGV, HOST_SIGSEGV, HOST_SIGBUS, HOST_SIGILL,
					  HOST_SIGFPE,	HOST_SIGTRAP, HOST_SIGSYS};

	if (claim->signo == HOST_SIGSEGV)
		claim->signo = signals[luck() % COUNT(signals)];
	do
		change_word(claim);
	while (luck() % 3 == 0);
}

static bool is_fetch_fault(const struct forge_shown *shown)
{
	return shown->frame.vector == X86_VEC_PF && shown->cr2 == shown->frame.rip && shown->frame.error & X86_PF_I;
}

static bool is_plausible_rip(const struct forge_shown *shown)
{
	uint64_t rip = shown->frame.rip;

	if (!is_canonical(rip))
		return shown->frame.vector == X86_VEC_GP && !shown->frame.error;
	if ((rip >= GATE_HOLE_START && rip < GATE_HOLE_END) || rip >= LAYOUT_TASK_END)
		return is_fetch_fault(shown);
	return true;
}

static bool is_plausible_error(const struct forge_shown *shown)
{
	const uint64_t selectors =
		R3_BIT(X86_VEC_TS) | R3_BIT(X86_VEC_NP) | R3_BIT(X86_VEC_SS) | R3_BIT(X86_VEC_GP) | R3_BIT(X86_VEC_CP);
	uint64_t error = shown->frame.error;

	if (shown->frame.vector == X86_VEC_PF)
		return error & X86_PF_U && !(error & ~(uint64_t)(X86_PF_P | X86_PF_W | X86_PF_U | X86_PF_I)) &&
		       is_canonical(shown->cr2);
	return shown->frame.vector < 32 && selectors >> shown->frame.vector & 1 ? error <= 0xffff : !error;
}

static bool is_plausible(const struct forge_shown *shown)
{
	const uint64_t may = X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF |
			     X86_RFLAGS_TF | X86_RFLAGS_DF | X86_RFLAGS_OF | X86_RFLAGS_RF | X86_RFLAGS_AC |
			     X86_RFLAGS_ID,
		       must = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	const struct pvg_frame *frame = &shown->frame;

	return (frame->vector == PVG_TRAP_SYSCALL || frame->vector == 0x80 || user_can_leave_by(frame->vector)) &&
	       (frame->rflags & must) == must && !(frame->rflags & ~(may | must)) && is_plausible_rip(shown) &&
	       is_plausible_error(shown) && frame->cs == PVG_SEL_USER_CODE && frame->ss == PVG_SEL_USER_DATA;
}

void attack_seeded_claims(void)
{
	uint64_t count = number("count", 200);
	unsigned odd = 0;

	luck_seed(number("seed", 1));
	forge_begin();
	for (uint64_t n = 0; n < count; n++) {
		const struct forge_shown *shown = forge_claim((enum forge_kind)(luck() % FORGE_KINDS), change_claim);
		const struct pvg_frame *frame = &shown->frame;

		if (is_plausible(shown) || odd++)
			continue;
		pvg_printf("# claim %lu: vector %lx error %lx rip %lx rflags %lx cr2 %lx cs %lx ss %lx\n", n,
			   (uint64_t)frame->vector, frame->error, frame->rip, frame->rflags, shown->cr2, frame->cs,
			   frame->ss);
	}
	pvg_test_equal(odd, 0, "the kernel is shown what a processor could show");
}
