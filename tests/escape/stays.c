/*
 * Out of a short stay in user mode. Just after a page fault an engine may execute a program, and its kernel where it
 * looks at the program's memory, otherwise than at other times: by what rights, and by which of the tables that the
 * kernel changed in between, is the same.
 */
#include "escape.h"

#define CODE  (PVG_SPACE_BASE + 0x200000)
#define STACK (PVG_SPACE_BASE + 0x400000)
#define HOLE  (PVG_SPACE_BASE + 0x600000) /* two pages */
#define OWN   (PVG_SPACE_BASE + 0x800000)
#define ONLY  (PVG_SPACE_BASE + 0xa00000) /* of the other program's alone */
#define INNER (PVG_SPACE_BASE + 0xc00000) /* of the kernel's, among the program's */
#define LOOKS (PVG_SPACE_BASE + 0xe00000) /* OWN, over and over */

#define PAGE   (X86_PTE_P | X86_PTE_U | X86_PTE_W)
#define SECRET R3_U64(0x5ec4e75ec4e75ec4)
#define MINE   R3_U64(0x0123456789abcdef)
#define ROUNDS 3

/* The kernel does something else first, which takes longer than an engine has patience. */
#define ELSEWHERE  5000
#define LOOK_PAGES 64

/*
 * RDI: HOLE, RSI: what it is after, RDX: how, R8: whether it may look there before its kernel knows better, RAX: what
 * it found. It ends by #UD.
 */
__asm__(".pushsection .rodata\n"
	"stays_program:\n"
	"	movb $1, (%rdi)\n"
	"	test %r8, %r8\n	jz 1f\n	mov (%rsi), %rax\n	mov %rax, (%rsi)\n	xor %eax, %eax\n"
	"1:	movb $1, 4096(%rdi)\n"
	"	test %edx, %edx\n	jz 2f\n	dec %edx\n	jz 3f\n	dec %edx\n	jz 4f\n"
	"	dec %edx\n	jz 5f\n	dec %edx\n	jz 6f\n	dec %edx\n	jz 7f\n	ud2\n"
	"2:	mov (%rsi), %rax\n	ud2\n"
	"3:	movq $0x5a, (%rsi)\n	ud2\n"
	"4:	lock incq (%rsi)\n	ud2\n"
	"5:	mov $8, %ecx\n	rep movsb\n	mov -8(%rdi), %rax\n	ud2\n"
	"6:	mov $8, %ecx\n	xchg %rsi, %rdi\n	rep movsb\n	ud2\n"
	"7:	movq %xmm0, (%rsi)\n	ud2\n"
	"stays_program_end:\n"
	".popsection\n");
extern const char stays_program[], stays_program_end[];

enum way { READ, WRITE, LOCKED, COPY_FROM, COPY_TO, VECTOR, WAYS };

static struct program {
	struct pvg_space space;
	struct pvg_user user;
	uint64_t *own; /* the page at OWN */
} programs[2];

static struct pvg_context kernel, runner;
static struct pvg_frame begun, stop;
static uint64_t stop_address, looked;
static void (*change)(struct pvg_space *space); /* what the kernel does about the second fault */
static struct program *current;
static uint64_t *inner, *only;
static uint64_t secret = SECRET;
static unsigned looks;

static void leave(struct pvg_frame *frame)
{
	struct pvg_context gone;

	stop = *frame;
	pvg_context_switch(&gone, &kernel);
}

static void on_fault(struct pvg_frame *frame, void *arg)
{
	uint64_t page;

	if (!(frame->cs & X86_SEL_RPL))
		pvg_panic_frame(frame, "fault in the kernel");
	stop_address = frame->vector == X86_VEC_PF ? pvg_fault_address() : 0;
	page = stop_address & ~(uint64_t)X86_PAGE_MASK;
	if (frame->vector != X86_VEC_PF || (page != HOLE && page != HOLE + X86_PAGE_SIZE) ||
	    (frame->error & X86_PF_P)) {
		leave(frame);
		return;
	}
	pvg_assert(!pvg_map(&current->space, page, pvg_ptr_to_gpa(pvg_page_alloc()), 1, PAGE | X86_PTE_NX));
	if (page == HOLE)
		return;
	/* What the cell of a kernel in the upper half does not show by itself. */
	for (volatile unsigned n = 0; n < ELSEWHERE; n++)
		;
	looked = *(volatile uint64_t *)(LOOKS + looks++ % LOOK_PAGES * X86_PAGE_SIZE);
	if (change)
		change(&current->space);
}

static void start_user(void *arg)
{
	struct pvg_frame *frame = pvg_user_frame(&current->user);

	*frame = begun;
	pvg_user_enter(frame);
}

static void run(uint64_t target, enum way way, bool before)
{
	static uint8_t stack[16384] __attribute__((aligned(16)));

	pvg_unmap(&current->space, HOLE, 2);
	begun = (struct pvg_frame){.rip = CODE,
				   .cs = PVG_SEL_USER_CODE,
				   .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF,
				   .rsp = STACK + X86_PAGE_SIZE,
				   .ss = PVG_SEL_USER_DATA,
				   .rdi = HOLE,
				   .rsi = target,
				   .rdx = way,
				   .r8 = before};
	looked = 0;
	pvg_user_load_fpu(&current->user);
	pvg_context_make(&runner, stack + sizeof(stack), start_user, NULL);
	pvg_context_switch(&kernel, &runner);
}

static uint64_t *map_new(struct pvg_space *space, uint64_t gva, uint64_t flags)
{
	uint64_t *page = pvg_page_alloc();

	pvg_assert(page && !pvg_map(space, gva, pvg_ptr_to_gpa(page), 1, flags));
	return page;
}

static void make_program(struct program *program)
{
	static uint8_t stacks[2][16384] __attribute__((aligned(16))),
		image[16384] __attribute__((aligned(PVG_FPU_ALIGNMENT)));

	pvg_assert(!pvg_space_create(&program->space));
	memcpy(map_new(&program->space, CODE, X86_PTE_P | X86_PTE_U), stays_program,
	       (size_t)(stays_program_end - stays_program));
	map_new(&program->space, STACK, PAGE | X86_PTE_NX);
	program->own = map_new(&program->space, OWN, PAGE | X86_PTE_NX);
	for (unsigned n = 0; n < LOOK_PAGES; n++)
		pvg_assert(!pvg_map(&program->space, LOOKS + n * X86_PAGE_SIZE, pvg_ptr_to_gpa(program->own), 1,
				    PAGE | X86_PTE_NX));
	pvg_fpu_reset(image);
	program->user = (struct pvg_user){.stack_top = (uint64_t)stacks[program - programs] + sizeof(stacks[0]),
					  .space = &program->space,
					  .fpu = image};
}

static void become(unsigned n)
{
	struct pvg_user *before = current ? &current->user : NULL;

	current = &programs[n];
	pvg_space_switch(&current->space);
	pvg_user_switch(before, &current->user);
}

/* The stay ended where it should have: at the first byte, as what a program's access to it is. */
static bool is_refused(uint64_t target, bool present, enum way way)
{
	bool writes = way != READ && way != COPY_FROM;
	uint64_t error = X86_PF_U | (writes ? X86_PF_W : 0) | (present ? X86_PF_P : 0);

	return looked == MINE && stop.vector == X86_VEC_PF && stop_address == target && stop.error == error &&
	       stop.rax != SECRET;
}

static void test_out_of_reach(void)
{
	const struct {
		const char *name;
		uint64_t gva;
		uint64_t *word;
		bool present;
	} targets[] = {{"a word of the kernel's", (uint64_t)&secret, &secret, true},
		       {"the other's page where the kernel has it", (uint64_t)programs[1].own, programs[1].own, true},
		       {"the other's page where the other has it", ONLY, only, false},
		       {"the kernel's page among the program's", INNER, inner, true}};

	for (unsigned n = 0; n < sizeof(targets) / sizeof(targets[0]); n++) {
		*targets[n].word = SECRET;
		for (enum way way = READ; way < WAYS; way++) {
			unsigned refused = 0;

			for (unsigned round = 0; round < ROUNDS; round++) {
				/* The other one is at home there, and has just been. */
				become(1);
				run(ONLY, READ, true);
				become(0);
				run(targets[n].gva, way, false);
				refused += is_refused(targets[n].gva, targets[n].present, way);
			}
			pvg_test(refused == ROUNDS && *targets[n].word == SECRET, "%s by way %u is refused",
				 targets[n].name, way);
		}
	}
}

static void take_away(struct pvg_space *space)
{
	pvg_unmap(space, OWN, 1);
}

static void make_inner(struct pvg_space *space)
{
	pvg_assert(!pvg_protect(space, OWN, 1, X86_PTE_P | X86_PTE_W | X86_PTE_NX));
}

static void make_constant(struct pvg_space *space)
{
	pvg_assert(!pvg_protect(space, OWN, 1, X86_PTE_P | X86_PTE_U | X86_PTE_NX));
}

/* The page behind OWN is another one than when the program looked there. */
static void exchange(struct pvg_space *space)
{
	pvg_unmap(space, OWN, 1);
	pvg_assert(!pvg_map(space, OWN, pvg_ptr_to_gpa(inner), 1, PAGE | X86_PTE_NX));
}

static void give_back(void)
{
	change = NULL;
	pvg_unmap(&current->space, OWN, 1);
	pvg_assert(!pvg_map(&current->space, OWN, pvg_ptr_to_gpa(current->own), 1, PAGE | X86_PTE_NX));
	*current->own = MINE;
}

static void test_taken(void)
{
	static const struct {
		const char *name;
		void (*change)(struct pvg_space *space);
		bool present, reads;
	} rows[] = {{"taken away", take_away, false, false},
		    {"made the kernel's", make_inner, true, false},
		    {"made read-only", make_constant, true, true}};

	become(0);
	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++)
		for (enum way way = READ; way < WAYS; way++) {
			bool writes = way != READ && way != COPY_FROM;
			unsigned right = 0;

			for (unsigned round = 0; round < ROUNDS; round++) {
				give_back();
				change = rows[n].change;
				run(OWN, way, true);
				right += writes || !rows[n].reads ? is_refused(OWN, rows[n].present, way)
								  : stop.vector == X86_VEC_UD && stop.rax == MINE;
				right -= *current->own != MINE;
			}
			pvg_test_equal(right, ROUNDS, "a page %s under a stay, by way %u", rows[n].name, way);
		}
	give_back();
	*inner = ~MINE;
	change = exchange;
	run(OWN, READ, true);
	pvg_test(stop.vector == X86_VEC_UD && stop.rax == ~MINE, "a page exchanged under a stay");
	run(OWN, WRITE, true);
	pvg_test(*inner == 0x5a && *current->own == MINE, "is not written any more");
}

void attack_stays(void)
{
	for (unsigned vector = 0; vector < 32; vector++)
		pvg_trap_register(vector, on_fault, NULL);
	pvg_irq_disable();
	for (unsigned n = 0; n < 2; n++) {
		make_program(&programs[n]);
		*programs[n].own = MINE;
	}
	only = map_new(&programs[1].space, ONLY, PAGE | X86_PTE_NX);
	inner = map_new(&programs[0].space, INNER, X86_PTE_P | X86_PTE_W | X86_PTE_NX);
	test_out_of_reach();
	test_taken();
}
