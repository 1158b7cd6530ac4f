/*
 * A program calls its kernel from one place again and again; then the kernel changes something that the next call has
 * to go by: the code, its page, flags, breakpoints, or what SYSCALL is. What follows is the same whether the place was
 * executed twice before or some hundred times, when an engine may have made it cheaper. With breakpoints=0 the engine
 * has none for the guest.
 */
#include <pvguest/pvguest.h>

#define USER_CODE  (PVG_SPACE_BASE + 0x200000)
#define USER_ALIAS (PVG_SPACE_BASE + 0x300000)
#define USER_STACK (PVG_SPACE_BASE + 0x400000)
#define USER_PAGE  (X86_PTE_P | X86_PTE_U)

#define COLD	 2
#define HOT	 400
#define EXITS	 16 /* one in so many calls the kernel reads a device's register, which engines may look up for */
#define COUNT	 R3_BIT(40)
#define TICKS	 40
#define TICK_NS	 500000
#define PIC_MASK 0x21

#define SYSCALL_STOP 0x1000
#define TICK_STOP    0x2000

/* Where in its page, in the program, and in the place. */
#define PLACE	  64
#define NUMBER	  1
#define MOV	  5
#define AFTER	  7
#define JUMP	  10
#define END	  12
#define TRAIL_MAX 8

/* mov $1, %eax; syscall; dec %rsi; jnz to the MOV; mov $2, %eax; syscall */
static const uint8_t program[] = {0xb8, 1,    0,    0, 0, 0x0f, 0x05, 0x48, 0xff, 0xce,
				  0x75, 0xf4, 0xb8, 2, 0, 0,	0,    0x0f, 0x05};

static struct pvg_space space;
static struct pvg_context kernel, runner;
static struct pvg_user user;
static struct pvg_frame begun;
static uint8_t user_stack[16384] __attribute__((aligned(16)));
static uint8_t fpu_image[16384] __attribute__((aligned(PVG_FPU_ALIGNMENT)));
static uint8_t *code, *other;
static uint64_t at; /* the place */

/* What came of it. */
static struct result {
	struct pvg_frame stop;
	uint64_t address, trail[TRAIL_MAX];
	unsigned steps, odd;
	uint64_t seen;
} result;
static unsigned calls, heat;
static void (*act)(struct pvg_frame *frame);

static void leave_user(struct pvg_frame *frame)
{
	struct pvg_context gone;

	result.stop = *frame;
	pvg_context_switch(&gone, &kernel);
}

static void on_syscall(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	calls++;
	result.odd += frame->rip != at + AFTER || frame->rcx != at + AFTER || frame->r11 != frame->rflags;
	if (calls % EXITS == 0)
		pvg_inb(PIC_MASK);
	if (calls < heat)
		return;
	if (calls == heat && act) {
		act(frame);
		return;
	}
	frame->vector = SYSCALL_STOP;
	leave_user(frame);
}

static void on_trap(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	if (!(frame->cs & X86_SEL_RPL))
		pvg_panic_frame(frame, "fault in the kernel");
	result.address = frame->vector == X86_VEC_PF ? pvg_fault_address() : 0;
	if (frame->vector == X86_VEC_DB && (frame->rflags & X86_RFLAGS_TF) && result.steps < TRAIL_MAX) {
		result.trail[result.steps++] = frame->rip - at;
		return;
	}
	leave_user(frame);
}

static void start_user(void *arg)
{
	struct pvg_frame *frame = pvg_user_frame(&user);

	(void)arg;
	*frame = begun;
	pvg_user_enter(frame);
}

static void run(uint64_t page, unsigned times, void (*action)(struct pvg_frame *frame))
{
	static uint8_t stack[16384] __attribute__((aligned(16)));

	at = page + PLACE;
	calls = 0;
	heat = times;
	act = action;
	result = (struct result){.odd = 0};
	begun = (struct pvg_frame){.rip = at,
				   .cs = PVG_SEL_USER_CODE,
				   .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF,
				   .rsp = USER_STACK + X86_PAGE_SIZE,
				   .ss = PVG_SEL_USER_DATA,
				   .rdi = 0x1111,
				   .rsi = COUNT + times,
				   .r8 = 0x2222};
	pvg_user_load_fpu(&user);
	pvg_context_make(&runner, stack + sizeof(stack), start_user, NULL);
	pvg_context_switch(&kernel, &runner);
}

static void write_code(uint8_t *page, uint8_t number)
{
	memset(page, 0x90, X86_PAGE_SIZE);
	memcpy(page + PLACE, program, sizeof(program));
	page[PLACE + NUMBER] = number;
}

static void show_code(uint64_t gva, const void *page, uint64_t rights)
{
	pvg_assert(!pvg_map(&space, gva, pvg_ptr_to_gpa(page), 1, rights));
}

static uint64_t *entry_of_code(void)
{
	int err;
	uint64_t *entry = pvg_entry_make(&space, USER_CODE, 1, &err);

	pvg_assert(entry);
	return entry;
}

static void load_root(void)
{
	pvg_write_cr3(pvg_read_cr3());
}

/* -------------------------------------------------------------------------------------------------------- attempts */

static void act_nothing(struct pvg_frame *frame)
{
	(void)frame;
}

static void act_write(struct pvg_frame *frame)
{
	(void)frame;
	code[PLACE + NUMBER] = 3;
}

static void act_write_opcode(struct pvg_frame *frame)
{
	(void)frame;
	code[PLACE + MOV + 1] = 0x0b; /* UD2 */
}

static void act_remap(struct pvg_frame *frame)
{
	(void)frame;
	show_code(USER_CODE, other, USER_PAGE);
}

static void act_remap_by_load(struct pvg_frame *frame)
{
	(void)frame;
	*entry_of_code() = pvg_ptr_to_gpa(other) | USER_PAGE;
	load_root();
}

static void act_unmap(struct pvg_frame *frame)
{
	frame->rip = at;
	pvg_unmap(&space, USER_CODE, 1);
}

static void act_forbid(struct pvg_frame *frame)
{
	frame->rip = at;
	show_code(USER_CODE, code, USER_PAGE | X86_PTE_NX);
}

static void act_take(struct pvg_frame *frame)
{
	frame->rip = at;
	show_code(USER_CODE, code, X86_PTE_P);
}

/* Who executes it has the bit set again. */
static void act_unaccessed(struct pvg_frame *frame)
{
	(void)frame;
	*entry_of_code() &= ~(uint64_t)X86_PTE_A;
	pvg_invlpg(USER_CODE);
}

static void act_step(struct pvg_frame *frame)
{
	frame->rflags |= X86_RFLAGS_TF;
}

static void act_break_at(uint64_t gva)
{
	pvg_write_dr0(gva);
	pvg_write_dr6(0);
	pvg_write_dr7(X86_DR7_FIXED | 2);
}

static void act_break(struct pvg_frame *frame)
{
	(void)frame;
	act_break_at(at);
}

static void act_break_syscall(struct pvg_frame *frame)
{
	(void)frame;
	act_break_at(at + MOV);
}

static void act_no_syscall(struct pvg_frame *frame)
{
	(void)frame;
	pvg_wrmsr(X86_MSR_EFER, pvg_rdmsr(X86_MSR_EFER) & ~(uint64_t)X86_EFER_SCE);
}

/* Another handler, which counts and goes to the first one. */
uint64_t sites_entry, sites_entries;
void sites_other_entry(void);
__asm__(".pushsection .text\n"
	"sites_other_entry:\n"
	"	incq sites_entries(%rip)\n"
	"	jmp *sites_entry(%rip)\n"
	".popsection\n");

static void act_other_entry(struct pvg_frame *frame)
{
	(void)frame;
	pvg_wrmsr(X86_MSR_LSTAR, (uint64_t)sites_other_entry);
}

/* As the kernel has it there. */
static void act_look(struct pvg_frame *frame)
{
	(void)frame;
	for (unsigned n = 0; n < sizeof(program); n++)
		result.seen = result.seen * 31 + ((const volatile uint8_t *)at)[n];
}

static void act_jump_in(struct pvg_frame *frame)
{
	frame->rip = at + NUMBER; /* add %eax, (%rax), with no memory there */
	frame->rax = 0;
}

static void act_jump_to_syscall(struct pvg_frame *frame)
{
	frame->rip = at + MOV;
	frame->rax = 77;
}

static void act_flags(struct pvg_frame *frame)
{
	frame->rflags |= X86_RFLAGS_DF | X86_RFLAGS_CF;
}

static const struct attempt {
	const char *name;
	void (*act)(struct pvg_frame *frame);
	uint64_t vector, rip, rax;
} attempts[] = {
	{"nothing changes", act_nothing, SYSCALL_STOP, AFTER, 1},
	{"the number is written", act_write, SYSCALL_STOP, AFTER, 3},
	{"the SYSCALL is", act_write_opcode, X86_VEC_UD, MOV, 1},
	{"another page lies there", act_remap, SYSCALL_STOP, AFTER, 4},
	{"and with the next root", act_remap_by_load, SYSCALL_STOP, AFTER, 4},
	{"none does", act_unmap, X86_VEC_PF, 0, 1},
	{"it may not be executed", act_forbid, X86_VEC_PF, 0, 1},
	{"it is the kernel's", act_take, X86_VEC_PF, 0, 1},
	{"it is not accessed yet", act_unaccessed, SYSCALL_STOP, AFTER, 1},
	{"it is stepped through", act_step, SYSCALL_STOP, AFTER, 1},
	{"there is a breakpoint", act_break, X86_VEC_DB, 0, 1},
	{"and one at the SYSCALL", act_break_syscall, X86_VEC_DB, MOV, 1},
	{"SYSCALL is none", act_no_syscall, X86_VEC_UD, MOV, 1},
	{"it has another handler", act_other_entry, SYSCALL_STOP, AFTER, 1},
	{"the kernel reads it", act_look, SYSCALL_STOP, AFTER, 1},
	{"it is jumped into", act_jump_in, X86_VEC_PF, NUMBER, 0},
	{"its SYSCALL is jumped to", act_jump_to_syscall, SYSCALL_STOP, AFTER, 77},
	{"flags are set", act_flags, SYSCALL_STOP, AFTER, 1},
};

static void undo(void)
{
	pvg_write_dr7(X86_DR7_FIXED);
	pvg_write_dr6(0);
	pvg_wrmsr(X86_MSR_EFER, pvg_rdmsr(X86_MSR_EFER) | X86_EFER_SCE);
	pvg_wrmsr(X86_MSR_LSTAR, sites_entry);
}

static void prepare(void)
{
	write_code(code, 1);
	write_code(other, 4);
	show_code(USER_CODE, code, USER_PAGE);
	sites_entries = 0;
}

/* RSI counts down from where it makes no difference; a SYSCALL that is none may have taken RCX and R11. */
static bool same(const struct result *a, const struct result *b, bool lost)
{
	const struct pvg_frame *f = &a->stop, *g = &b->stop;

	return f->vector == g->vector && f->error == g->error && f->rip == g->rip && f->cs == g->cs && f->ss == g->ss &&
	       f->rflags == g->rflags && f->rsp == g->rsp && f->rax == g->rax && f->rbx == g->rbx && f->rdx == g->rdx &&
	       f->rdi == g->rdi && f->rbp == g->rbp && f->r8 == g->r8 && f->r15 == g->r15 &&
	       (lost || (f->rcx == g->rcx && f->r11 == g->r11)) && a->address == b->address && a->steps == b->steps &&
	       !memcmp(a->trail, b->trail, sizeof(a->trail)) && a->odd == b->odd && a->seen == b->seen;
}

static void print(const struct result *is)
{
	pvg_printf("# vector %lx error %lx rip %lx rax %lx rcx %lx r11 %lx rflags %lx cr2 %lx odd %u steps %u:",
		   is->stop.vector, is->stop.error, is->stop.rip, is->stop.rax, is->stop.rcx, is->stop.r11,
		   is->stop.rflags, is->address, is->odd, is->steps);
	for (unsigned n = 0; n < is->steps; n++)
		pvg_printf(" %lu", is->trail[n]);
	pvg_printf("\n");
}

static void compare(const struct attempt *attempt)
{
	struct result cold, hot;
	uint64_t entries;

	prepare();
	run(USER_CODE, COLD, attempt->act);
	cold = result;
	entries = sites_entries;
	undo();
	prepare();
	run(USER_CODE, HOT, attempt->act);
	hot = result;
	undo();
	bool right = hot.stop.vector == attempt->vector && hot.stop.rip == USER_CODE + PLACE + attempt->rip &&
		     hot.stop.rax == attempt->rax && !hot.odd;
	bool equal = same(&cold, &hot, attempt->act == act_no_syscall) && entries == sites_entries;
	pvg_test(right && equal, "%s: after %u calls as after %u", attempt->name, HOT, COLD);
	if (!right || !equal) {
		print(&cold);
		print(&hot);
	}
	if (attempt->act == act_unaccessed)
		pvg_test(*entry_of_code() & X86_PTE_A, "and is accessed then");
	if (attempt->act == act_other_entry)
		pvg_test_equal(sites_entries, 1, "which is gone to once");
	if (attempt->act == act_step)
		pvg_test(hot.steps == 3 && hot.trail[0] == JUMP && !hot.trail[1] && hot.trail[2] == MOV,
			 "from instruction to instruction");
}

/* ------------------------------------------------------------------------------------------------------- the rest */

static volatile unsigned ticks;
static unsigned elsewhere;

static void tick(void *arg)
{
	(void)arg;
	ticks++;
}

/* A tick is a return from where the program was, between two instructions of its own. */
static void on_return(struct pvg_frame *frame)
{
	static unsigned seen;
	const uint64_t rip = frame->rip - at;

	if (ticks == seen || !act)
		return;
	seen = ticks;
	if (rip != 0 && rip != MOV && rip != AFTER && rip != JUMP && rip != END)
		elsewhere++;
	if (rip == MOV && frame->rax != 1)
		elsewhere++;
	if (ticks >= TICKS)
		heat = 0;
}

static void test_ticks(void)
{
	prepare();
	pvg_user_return_register(on_return);
	pvg_timer_every(TICK_NS, tick, NULL);
	run(USER_CODE, ~0u, act_nothing);
	pvg_timer_stop();
	act = NULL;
	pvg_test(ticks >= TICKS, "interrupts come while a program calls its kernel");
	pvg_test(!elsewhere && !result.odd, "each where the program is");
}

/* Two addresses of one page: what is written counts at both. */
static void test_alias(void)
{
	prepare();
	show_code(USER_ALIAS, code, USER_PAGE);
	run(USER_ALIAS, HOT, NULL);
	pvg_test(result.stop.rax == 1 && !result.odd, "a second address of the page becomes hot");
	run(USER_CODE, HOT, act_write);
	pvg_test(result.stop.rax == 3 && !result.odd, "what is written counts at the first");
	run(USER_ALIAS, 1, act_nothing);
	pvg_test(result.stop.rax == 3 && !result.odd, "and at the second");
	pvg_unmap(&space, USER_ALIAS, 1);
}

/* A program that loses its place again and again has it again and again. */
static void test_again(void)
{
	unsigned bad = 0;

	for (unsigned n = 0; n < 50; n++) {
		prepare();
		run(USER_CODE, 100, act_write);
		bad += result.stop.rax != 3 || result.odd;
	}
	pvg_test_equal(bad, 0, "it is written again and again");
}

int main(const char *cmdline)
{
	char text[2];

	(void)cmdline;
	code = pvg_page_alloc();
	other = pvg_page_alloc();
	pvg_assert(!pvg_space_create(&space));
	pvg_assert(
		!pvg_map(&space, USER_STACK, pvg_ptr_to_gpa(pvg_page_alloc()), 1, USER_PAGE | X86_PTE_W | X86_PTE_NX));
	user = (struct pvg_user){
		.stack_top = (uint64_t)user_stack + sizeof(user_stack), .space = &space, .fpu = fpu_image};
	pvg_fpu_reset(fpu_image);
	pvg_user_switch(NULL, &user);
	pvg_syscall_register(on_syscall, NULL);
	sites_entry = pvg_rdmsr(X86_MSR_LSTAR);
	for (unsigned vector = 0; vector < 32; vector++)
		pvg_trap_register(vector, on_trap, NULL);
	for (unsigned n = 0; n < sizeof(attempts) / sizeof(attempts[0]); n++)
		if (attempts[n].vector == X86_VEC_DB && pvg_option("breakpoints", text, sizeof(text)))
			pvg_test_skip(attempts[n].name, "code that runs directly has none");
		else
			compare(&attempts[n]);
	test_alias();
	test_again();
	test_ticks();
	return pvg_test_finish();
}
