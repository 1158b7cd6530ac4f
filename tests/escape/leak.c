/*
 * Nobody's secrets are to be read by others. Programs, each in a space of its own, fill all their registers with words
 * of their own; what the next one finds in registers, state images and the gate's pages is looked through for them.
 * What each finds in the gate at first, before it has made an exit of its own, is kept for leak.py, which knows the
 * monitor's addresses and secrets, and looks at cells from outside while the guest waits.
 *
 *   seed=N       words are made of this: leak.py makes them as well, of as many as there are programs=N
 *   bases=0      this host does not know of WRFSBASE, and keeps no bases apart
 *   careless=1   the kernel hands one program's registers to the next: to be seen
 *   sites=1      with direct=1, or pv=off: each leaves by a SYSCALL that needs no signal; then leak.py sends signals to
 * who waits
 */
#include "escape.h"

#define PROGRAMS_MAX 64
#define GOLDEN	     0x9e3779b97f4a7c15
/* Pages that hold a word of each program's: of RAM that nobody uses, and that user mode does not see elsewhere. */
#define MEMORY_GPA 0xa0000
/* Where a program has code that it cannot write. */
#define PLACE (PVG_SPACE_BASE + X86_PAGE_SIZE)
/* Segment bases, by program. */
#define BASES_START  0x123400000000
#define BASES_STRIDE 0x1000
#define KEPT_ROUNDS  3
#define HEAT_CALLS   400
#define KICK_EVERY   16
#define XSAVE_ALL    0xffffffff
#define XSAVE_HEADER 512
#define COMPONENTS   0xe7 /* x87, SSE, AVX, AVX-512 */

static uint64_t seed, inverse, programs;
static bool has_gate, knows_bases;

static uint8_t image[16384] __attribute__((aligned(64)));
static uint8_t kept[KEPT_ROUNDS][GATE_END - GATE_XCHG] __attribute__((aligned(4096)));
uint64_t leak_registers[16]; /* not static: the code below names them */
static volatile unsigned found, looks;
static volatile uint64_t first_where, first_what;

/* Of program i: 2 * i in registers, 2 * i + 1 in memory. */
static uint64_t word_of(uint64_t n)
{
	return (seed + n) * GOLDEN;
}

static void look_at(uint64_t where, uint64_t word, uint64_t self)
{
	uint64_t n = word * inverse - seed, base = (word - BASES_START) / BASES_STRIDE;
	bool secret = n < 2 * programs && n / 2 != self;
	bool base_of = knows_bases && word >= BASES_START && base < programs && base != self;

	if ((secret || base_of) && !found++) {
		first_where = where;
		first_what = word;
	}
}

/* Words at any of four places: images pack them. */
static void look_through(const void *from, uint64_t size, uint64_t self)
{
	const uint8_t *bytes = from;

	for (uint64_t i = 0; i + sizeof(uint64_t) <= size; i += 2) {
		uint64_t word;

		memcpy(&word, bytes + i, sizeof(word));
		look_at((uint64_t)(bytes + i), word, self);
	}
}

/* After an instruction whose address the x87 remembers, and its operand's. */
static void look_at_fpu(uint64_t self)
{
	static double one = 1;

	memset(image, 0, sizeof(image));
	__asm__ volatile("xsave64 %0" : "+m"(image) : "a"(XSAVE_ALL), "d"(XSAVE_ALL));
	look_through(image, sizeof(image), self);
	__asm__ volatile("fninit\n\tfldl %0\n\tfxsave64 %1\n\tfninit" : "+m"(one), "=m"(image));
	look_through(image, 512, self);
}

void leak_here(uint64_t self);
void leak_here(uint64_t self)
{
	uint64_t base;

	look_through(leak_registers, sizeof(leak_registers), self);
	look_at_fpu(self);
	if (knows_bases) {
		__asm__ volatile("rdfsbase %0" : "=r"(base));
		look_at(X86_MSR_FS_BASE, base, self);
		__asm__ volatile("rdgsbase %0" : "=r"(base));
		look_at(X86_MSR_GS_BASE, base, self);
	}
	if (!has_gate)
		return;
	memcpy(kept[looks++ % KEPT_ROUNDS], (const void *)GATE_XCHG, sizeof(kept[0]));
	look_through((const void *)GATE_TURN, GATE_END - GATE_TURN, self);
}

/* Called as the program's first instruction: the registers it is entered with. */
__asm__(".text\n"
	"leak_look:\n\t"
	"mov %rax, leak_registers(%rip)\n\t"
	"mov %rcx, leak_registers+8(%rip)\n\t"
	"mov %rdx, leak_registers+16(%rip)\n\t"
	"mov %rbx, leak_registers+24(%rip)\n\t"
	"mov %rbp, leak_registers+32(%rip)\n\t"
	"mov %rsi, leak_registers+40(%rip)\n\t"
	"mov %r8, leak_registers+48(%rip)\n\t"
	"mov %r9, leak_registers+56(%rip)\n\t"
	"mov %r10, leak_registers+64(%rip)\n\t"
	"mov %r11, leak_registers+72(%rip)\n\t"
	"mov %r12, leak_registers+80(%rip)\n\t"
	"mov %r13, leak_registers+88(%rip)\n\t"
	"mov %r14, leak_registers+96(%rip)\n\t"
	"mov %r15, leak_registers+104(%rip)\n\t"
	"jmp leak_here\n");
void leak_look(uint64_t self);

static void fill_vectors(uint64_t word)
{
	uint64_t *words = (uint64_t *)image;

	for (unsigned i = 0; i < sizeof(image) / sizeof(word); i++)
		words[i] = word;
	words[XSAVE_HEADER / sizeof(word)] = COMPONENTS;
	pvg_fpu_sanitize(image);
	__asm__ volatile("xrstor64 %0" : : "m"(image), "a"(COMPONENTS), "d"(0));
}

/* All registers full of the program's word; then exits of several kinds, and it does not come back. */
static void fill(uint64_t self)
{
	uint64_t word = word_of(2 * self), base = BASES_START + self * BASES_STRIDE;

	look_at(PVG_SPACE_BASE, *(volatile uint64_t *)PVG_SPACE_BASE, self);
	/* Elsewhere the host would show them to whoever runs on this processor next. */
	if (knows_bases)
		__asm__ volatile("wrfsbase %0\n\twrgsbase %0" : : "r"(base));
	fill_vectors(word);
	raw_syscall(word, word, word, word, word, word, word);
	__asm__ volatile("mov %0, %%rbx\n\t"
			 "mov %0, %%rbp\n\t"
			 "mov %0, %%r8\n\t"
			 "mov %0, %%r9\n\t"
			 "mov %0, %%r10\n\t"
			 "mov %0, %%r12\n\t"
			 "mov %0, %%r13\n\t"
			 "mov %0, %%r14\n\t"
			 "mov %0, %%r15\n\t"
			 "syscall\n\t"
			 "mov %0, %%r11\n\t"
			 "ud2"
			 :
			 : "a"(word));
}

/*
 * A place that makes SYSCALLs again and again, and its kernel, which does not come back from the one with LEAVE: so the
 * program's last words are still in the registers of its runner, which met no signal.
 */
#define LEAVE 0x1eafe
__asm__(".text\n"
	".balign 4096\n"
	"leak_page:\n\t"
	".fill 64, 1, 0x90\n"
	"leak_place:\n\t"
	"mov 8(%rsp), %r9\n\t"
	"syscall\n\t"
	"ret\n"
	".balign 4096\n"
	"leak_entry:\n\t"
	"cmp $0x1eafe, %eax\n\t"
	"je 1f\n\t"
	"push $0\n\t"
	"push $0\n\t"
	"push %rax\n\t"
	"mov leak_return(%rip), %eax\n\t"
	"call pvg_hypercall_page\n"
	"1:\tud2\n"
	"leak_bare_entry:\n\t"
	"cmp $0x1eafe, %eax\n\t"
	"je 1f\n\t"
	"sysretq\n"
	"1:\tlea leak_stack + 4096(%rip), %rsp\n\t"
	"ud2\n");
extern const char leak_page[], leak_place[], leak_entry[], leak_bare_entry[];
uint8_t leak_stack[4096] __attribute__((aligned(16))); /* not static either */
uint32_t leak_return = R3_HC_iret;		       /* not static: the code above names it */

static void call_place(uint64_t number, uint64_t word)
{
	__asm__ volatile(
		"push %1\n\tpush %1\n\t"
		"mov %1, %%r8\n\tmov %1, %%r10\n\tmov %1, %%r12\n\tmov %1, %%r13\n\tmov %1, %%r14\n\tmov %1, %%r15\n\t"
		"mov %1, %%rdi\n\tmov %1, %%rsi\n\t"
		"call *%2\n\tpop %%r15\n\tpop %%r15"
		: "+a"(number)
		: "d"(word), "b"(PLACE + (leak_place - leak_page))
		: "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
}

/* Often enough to be made cheap at the exit that follows; not for so long that the monitor looks, by a signal. */
static void heat(uint64_t self)
{
	for (unsigned n = 0; n < HEAT_CALLS; n++)
		call_place(n, word_of(2 * self));
}

static void leave_by_site(uint64_t self)
{
	fill_vectors(word_of(2 * self));
	call_place(LEAVE, word_of(2 * self));
}

static void switch_to(struct pvg_space *space, bool careless)
{
	char text[2];

	pvg_space_switch(space);
	if (careless)
		return;
	pvg_fpu_reset(image);
	if (pvg_option("direct", text, sizeof(text)))
		pvg_assert(!pvg_hypercall2(R3_HC_fpu_switch, 0, 0));
	else
		__asm__ volatile("xrstor64 %0" : : "m"(image), "a"(XSAVE_ALL), "d"(XSAVE_ALL));
	pvg_wrmsr(X86_MSR_FS_BASE, 0);
	pvg_wrmsr(X86_MSR_GS_BASE, 0);
	__asm__ volatile("xor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d" : : : "r8", "r9", "r10");
}

static void begin_program(struct pvg_space *space, uint64_t i)
{
	const uint64_t rights = X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D, gpa = MEMORY_GPA + i * X86_PAGE_SIZE;

	pvg_assert(!pvg_space_create(space) && !pvg_map(space, PVG_SPACE_BASE, gpa, 1, rights) &&
		   !pvg_map(space, PLACE, pvg_ptr_to_gpa(leak_page), 1, X86_PTE_U | X86_PTE_A));
	*(uint64_t *)pvg_gpa_to_ptr(gpa) = word_of(2 * i + 1);
}

static void begin(void)
{
	char text[12];

	seed = number("seed", 1);
	programs = number("programs", 4);
	pvg_assert(programs <= PROGRAMS_MAX);
	inverse = GOLDEN;
	for (unsigned i = 0; i < 6; i++)
		inverse *= 2 - GOLDEN * inverse; /* Newton: twice as many bits are right */
	has_gate = !pvg_option("engine", text, sizeof(text)) || pvg_strcmp(text, "interpret");
	knows_bases = number("bases", 1);
	user_init();
}

static void tick(void *arg)
{
	(void)arg;
}

static void wait_for_word(void)
{
	pvg_console_flush();
	pvg_timer_every(20 * PVG_NS_PER_MS, tick, NULL);
	while (pvg_getc() < 0)
		pvg_halt();
	pvg_timer_stop();
}

/* Where Linux has it come back is no address of this guest's: on AMD's processors it is #UD. */
static void leave_by_sysenter(uint64_t self)
{
	(void)self;
	__asm__ volatile("mov $20, %%eax\n\tmov %%esp, %%ebp\n\tsysenter" : : : "rax", "memory");
}

void attack_leak(void)
{
	static struct pvg_space spaces[PROGRAMS_MAX];
	struct pvg_caught caught;
	const bool sites = number("sites", 0);

	begin();
	if (sites && pvg_is_paravirt()) {
		pvg_assert(!pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_SITES, 1));
		pvg_assert(!pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_SYSCALL, (uint64_t)leak_entry));
	} else if (sites) {
		pvg_wrmsr(X86_MSR_SFMASK, X86_RFLAGS_IF);
		pvg_wrmsr(X86_MSR_LSTAR, (uint64_t)leak_bare_entry);
	}
	for (uint64_t i = 0; i < programs; i++)
		begin_program(&spaces[i], i);
	for (uint64_t round = 0; round < 2 * programs; round++) {
		uint64_t i = round % programs;

		switch_to(&spaces[i], number("careless", 0));
		if (sites && round && round % KICK_EVERY == 0) {
			pvg_puts("asleep\n");
			wait_for_word();
		}
		pvg_test(user_run(leak_look, i, &caught), "program %lu looks around", i);
		if (sites)
			user_run(heat, i, &caught);
		user_run(sites ? leave_by_site : fill, i, &caught);
		pvg_test_equal(caught.vector, X86_VEC_UD, "program %lu has words of its own", i);
	}
	switch_to(&spaces[0], number("careless", 0));
	pvg_test(user_run(leak_look, 0, &caught), "the first program looks again");
	if (found)
		pvg_printf("# at %lx: %lx\n", first_where, first_what);
	pvg_test_equal(found, 0, "no program reads another's words");
	user_run(leave_by_sysenter, 0, &caught);
	pvg_printf("landed %lx\n", caught.rip);
	pvg_printf("held %lx %lx %x\n", pvg_ptr_to_gpa(kept), (uint64_t)sizeof(kept), MEMORY_GPA);
	wait_for_word();
}
