/*
 * A bare kernel that goes from one address space to another, and what must be each one's own: registers, bases, user
 * memory, and the kernel's part where a root has another. Tables of roots that are not loaded change meanwhile.
 */
#include <pvguest/pvguest.h>

#define USER_CODE  (PVG_SPACE_BASE + 0x200000)
#define USER_DATA  (PVG_SPACE_BASE + 0x400000)
#define SPACES	   5
#define ROUNDS	   60
#define PIECES	   70 /* more than a translated kernel sees at a time */
#define PIECE_SIZE R3_BIT(40)
#define CROWD	   70 /* programs, of whom it sees one piece each */
#define LOOKS	   1000
#define PROBE_SLOT 100 /* of the kernel's table of the third level, with nothing in it */

/* Says what it has, again and again; copied to USER_CODE. */
extern const char user_program[], user_program_end[];
__asm__(".pushsection .rodata\n"
	"user_program:\n"
	"	movq %rdx, %xmm7\n"
	"1:	movq %xmm7, %rdx\n	mov (%rdi), %rsi\n	syscall\n	jmp 1b\n"
	"user_program_end:\n"
	".popsection\n");

struct context {
	struct pvg_user user;
	struct pvg_frame saved; /* where it stands while others run */
};

static struct pvg_space spaces[SPACES];
static struct context contexts[SPACES], *current, *loaded;
static struct pvg_context kernel, runner;
static uint64_t *data[SPACES], *other[SPACES]; /* a page of each, and another one */
static uint64_t *probed[2], *thirds[2];	       /* what the kernel's part shows, by which table */
static uint8_t stacks[SPACES][16384] __attribute__((aligned(16)));
static uint8_t fpu_images[SPACES][16384] __attribute__((aligned(PVG_FPU_ALIGNMENT)));

static void on_syscall(struct pvg_frame *frame, void *arg)
{
	struct pvg_context gone;
	(void)arg;
	current->saved = *frame;
	pvg_context_switch(&gone, &kernel);
}

static void start_user(void *arg)
{
	struct pvg_frame *frame = pvg_user_frame(&current->user);
	(void)arg;
	*frame = current->saved;
	pvg_user_enter(frame);
}

/* Its root, registers and bases. */
static void load(struct context *context)
{
	pvg_user_switch(loaded ? &loaded->user : NULL, &context->user);
	loaded = current = context;
}

/* Runs it until its next system call. */
static void resume(struct context *context)
{
	static uint8_t stack[16384] __attribute__((aligned(16)));

	load(context);
	pvg_context_make(&runner, stack + sizeof(stack), start_user, NULL);
	pvg_context_switch(&kernel, &runner);
}

static uint64_t vector_of(unsigned n)
{
	return 0x1000 + n;
}

static void make_contexts(void)
{
	void *code = pvg_page_alloc();

	memcpy(code, user_program, user_program_end - user_program);
	for (unsigned n = 0; n < SPACES; n++) {
		data[n] = pvg_page_alloc();
		other[n] = pvg_page_alloc();
		*data[n] = n;
		*other[n] = 100 + n;
		pvg_assert(!pvg_space_create(&spaces[n]));
		pvg_assert(!pvg_map(&spaces[n], USER_CODE, pvg_ptr_to_gpa(code), 1, X86_PTE_U));
		pvg_assert(!pvg_map(&spaces[n], USER_DATA, pvg_ptr_to_gpa(data[n]), 1, X86_PTE_U | X86_PTE_NX));
		contexts[n].user = (struct pvg_user){.stack_top = (uint64_t)stacks[n] + sizeof(stacks[n]),
						     .space = &spaces[n],
						     .fpu = fpu_images[n],
						     .fs_base = (n + 1) << 12};
		contexts[n].saved = (struct pvg_frame){.rip = USER_CODE,
						       .cs = PVG_SEL_USER_CODE,
						       .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF,
						       .ss = PVG_SEL_USER_DATA,
						       .rdi = USER_DATA,
						       .rdx = vector_of(n)};
		pvg_fpu_reset(fpu_images[n]);
	}
}

static bool has_its_own(unsigned n, uint64_t value)
{
	const struct pvg_frame *frame = &contexts[n].saved;

	return frame->rdx == vector_of(n) && frame->rsi == value;
}

static void test_turns(void)
{
	unsigned wrong = 0, bases = 0;

	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned n = 0; n < SPACES; n++) {
			resume(&contexts[n]);
			wrong += !has_its_own(n, n);
			bases += pvg_rdmsr(X86_MSR_FS_BASE) != (n + 1) << 12;
		}
	pvg_test_equal(wrong, 0, "each program has registers and memory of its own");
	pvg_test_equal(bases, 0, "and its base of FS");
}

/* The kernel changes its mind before it enters anybody. */
static void test_detours(void)
{
	unsigned wrong = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned n = 0; n < round % SPACES; n++)
			load(&contexts[(round + n) % SPACES]);
		resume(&contexts[round * 3 % SPACES]);
		wrong += !has_its_own(round * 3 % SPACES, round * 3 % SPACES);
	}
	pvg_test_equal(wrong, 0, "also when others are loaded in between");
}

/* SDM 1 13.4: where in an XSAVE image. */
#define IMAGE_XMM7   (160 + 16 * 7)
#define IMAGE_HEADER 512

/* What is stored and loaded while a program waits whose space is not the one in force. */
static void test_images(void)
{
	unsigned wrong = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned n = round % SPACES, next = (n + 1) % SPACES;
		uint64_t word = vector_of(next);

		resume(&contexts[n]);
		pvg_space_switch(&spaces[next]);
		pvg_user_save_fpu(&contexts[n].user);
		wrong += memcmp(fpu_images[n] + IMAGE_XMM7, &contexts[n].saved.rdx, sizeof(word));
		memcpy(fpu_images[n] + IMAGE_XMM7, &word, sizeof(word));
		fpu_images[n][IMAGE_HEADER] |= 3;
		pvg_user_load_fpu(&contexts[n].user);
		pvg_space_switch(&spaces[n]);
		resume(&contexts[n]);
		wrong += contexts[n].saved.rdx != word;
		word = vector_of(n);
		memcpy(fpu_images[n] + IMAGE_XMM7, &word, sizeof(word));
		pvg_user_load_fpu(&contexts[n].user);
	}
	pvg_test_equal(wrong, 0, "a state that is loaded under another root is the program's");
}

/* A store to a table needs no more than the next load of CR3. */
static void store_entry(unsigned n, uint64_t gva, const void *page)
{
	unsigned level;
	uint64_t *entry = pvg_lookup(&spaces[n], gva, &level);

	*(volatile uint64_t *)entry = (*entry & ~X86_PTE_ADDR) | pvg_ptr_to_gpa(page);
}

static void test_written_tables(void)
{
	unsigned wrong = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned n = round % SPACES, next = (n + 1 + round / SPACES % (SPACES - 1)) % SPACES;

		resume(&contexts[n]);
		store_entry(next, USER_DATA, other[next]);
		resume(&contexts[next]);
		wrong += !has_its_own(next, 100 + next);
		resume(&contexts[n]);
		wrong += !has_its_own(n, n);
		store_entry(next, USER_DATA, data[next]);
		/* As long as tables are compared, and longer. */
		for (unsigned quiet = 0; quiet <= round % 20; quiet++) {
			unsigned which = quiet % 2 ? n : next;

			resume(&contexts[which]);
			wrong += !has_its_own(which, which);
		}
	}
	pvg_test_equal(wrong, 0, "what was stored to tables that were not loaded is in force");
}

/* Where the kernel's own half of the same address is. */
static void test_user_memory(void)
{
	unsigned wrong = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned n = round * 2 % SPACES;

		resume(&contexts[n]);
		wrong += *(volatile uint64_t *)USER_DATA != n;
		load(&contexts[(n + 1) % SPACES]);
		wrong += *(volatile uint64_t *)USER_DATA != (n + 1) % SPACES;
	}
	pvg_test_equal(wrong, 0, "the kernel sees the memory of the one that is loaded");
}

/* None where a cell has the gate. */
static uint64_t piece(unsigned n)
{
	return USER_DATA + (n < PIECES / 2 ? n : n + PIECES / 2) * PIECE_SIZE;
}

static void make_pieces(struct pvg_space *space)
{
	pvg_assert(!pvg_space_create(space));
	for (unsigned n = 0; n < PIECES; n++) {
		uint64_t *page = pvg_page_alloc();

		*page = 1000 + n;
		pvg_assert(!pvg_map(space, piece(n), pvg_ptr_to_gpa(page), 1, X86_PTE_U));
	}
}

static unsigned count_wrong_pieces(void)
{
	unsigned wrong = 0;

	for (unsigned n = 0; n < PIECES; n++)
		wrong += *(volatile uint64_t *)piece(n) != 1000 + n;
	return wrong;
}

static unsigned count_wrong_turns(void)
{
	unsigned wrong = 0;

	for (unsigned n = 0; n < SPACES; n++) {
		resume(&contexts[n]);
		wrong += *(volatile uint64_t *)USER_DATA != n;
	}
	return wrong;
}

/* What a cell shows of one's memory goes to another, who has it all over. */
static void test_pieces(void)
{
	static struct pvg_space scattered;
	unsigned wrong = 0;

	make_pieces(&scattered);
	wrong += count_wrong_turns();
	pvg_space_switch(&scattered);
	wrong += count_wrong_pieces();
	pvg_space_switch(current->user.space);
	for (unsigned round = 0; round < 3; round++)
		wrong += count_wrong_turns();
	pvg_test_equal(wrong, 0, "also when another one's has been seen meanwhile, which lies all over");
}

static unsigned count_wrong_crowd(const struct pvg_space *crowd)
{
	unsigned wrong = 0;

	for (unsigned n = 0; n < CROWD; n++) {
		pvg_space_switch(&crowd[n]);
		/* Longer than an interpreter goes on behind the switch. */
		for (unsigned i = 0; i < LOOKS; i++)
			wrong += *(volatile uint64_t *)USER_DATA != 2000 + n;
	}
	return wrong;
}

/* Each has one piece of what a cell shows, and keeps it for a while. */
static void test_crowd(void)
{
	static struct pvg_space crowd[CROWD];
	unsigned wrong = 0;

	for (unsigned n = 0; n < CROWD; n++) {
		uint64_t *page = pvg_page_alloc();

		*page = 2000 + n;
		pvg_assert(!pvg_space_create(&crowd[n]));
		pvg_assert(!pvg_map(&crowd[n], USER_DATA, pvg_ptr_to_gpa(page), 1, X86_PTE_U));
	}
	for (unsigned round = 0; round < 3; round++)
		wrong += count_wrong_crowd(crowd);
	pvg_space_switch(current->user.space);
	wrong += count_wrong_turns();
	pvg_test_equal(wrong, 0, "also of many, one after the other");
}

/* ------------------------------------------------------------------------------------------- the kernel's own part */

int main(const char *cmdline);

static unsigned kernel_slot(void)
{
	return (uint64_t)main >> 39 & (X86_PT_ENTRIES - 1);
}

static volatile uint64_t *probe(void)
{
	uint64_t slot = (uint64_t)main >> 39 << 39;

	return (volatile uint64_t *)(slot + PROBE_SLOT * R3_BIT(30));
}

static uint64_t entry_to(const void *table)
{
	return pvg_ptr_to_gpa(table) | X86_PTE_P | X86_PTE_W | X86_PTE_A | X86_PTE_D;
}

/* The address has another page in the second table, which otherwise says the same as the first. */
static void make_probes(void)
{
	uint64_t *root = pvg_gpa_to_ptr(spaces[0].root);

	thirds[0] = pvg_gpa_to_ptr(root[kernel_slot()] & X86_PTE_ADDR);
	thirds[1] = pvg_page_alloc();
	memcpy(thirds[1], thirds[0], X86_PAGE_SIZE);
	for (unsigned n = 0; n < 2; n++) {
		uint64_t *second = pvg_page_alloc(), *first = pvg_page_alloc();

		probed[n] = pvg_page_alloc();
		*probed[n] = 200 + n;
		first[0] = entry_to(probed[n]);
		second[0] = entry_to(first);
		*(volatile uint64_t *)&thirds[n][PROBE_SLOT] = entry_to(second);
	}
}

static void set_kernel_part(unsigned n, unsigned which)
{
	volatile uint64_t *root = pvg_gpa_to_ptr(spaces[n].root);

	root[kernel_slot()] = entry_to(thirds[which]);
}

/* One root has a kernel's part of its own; then another one. */
static void test_kernel_parts(void)
{
	unsigned wrong = 0, odd = SPACES;

	make_probes();
	load(&contexts[0]);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned n = 0; n < SPACES; n++) {
			resume(&contexts[n]);
			wrong += *probe() != 200 + (n == odd) || !has_its_own(n, n);
		}
		odd = round % 4 ? odd : (odd + 2) % SPACES;
		for (unsigned n = 0; n < SPACES; n++)
			set_kernel_part(n, n == odd);
	}
	pvg_test_equal(wrong, 0, "a root that has another kernel's part has that one");
}

int main(const char *cmdline)
{
	(void)cmdline;
	make_contexts();
	pvg_syscall_register(on_syscall, NULL);
	pvg_irq_disable();
	test_turns();
	test_detours();
	test_images();
	test_user_memory();
	test_written_tables();
	test_turns();
	test_pieces();
	test_crowd();
	test_kernel_parts();
	return pvg_test_finish();
}
