/*
 * leak.c for 32-bit code: programs, each with page tables of its own, fill their registers with words of their own;
 * what the next one, and the kernel, finds in registers and state images is looked through for them. Where an image
 * names an instruction or an operand, it is the guest's. What was found at first is kept for leak.py, which also makes
 * the words. On the command line as there: seed, programs, careless. TAP on the console.
 */
#include "tests/modes/calls.h"

#define PAGE	     4096u
#define PROGRAMS_MAX 64
#define GOLDEN	     R3_U64(0x9e3779b97f4a7c15)
#define OWN	     0x400000u /* where each program sees its page, and what that page is: the next of these */
#define OWN_PAGES    0x200000u
#define WINDOW_STEP  0x800000u
#define WINDOW_STEPS 512u
#define IMAGE	     8192 /* the largest state that is asked for: AVX-512's */
#define XSAVE_HEADER 512
#define COMPONENTS   0xe7 /* x87, SSE, AVX, AVX-512 */
#define FX_POINTERS  8	  /* in bytes; words of an environment */
#define ENV_POINTERS 3
#define KEPT_ROUNDS  3
#define PIC_EOI	     0x20
#define UART_ENABLE  0x3f9
#define UART_STATUS  0x3fd
#define USER_PAGE    (X86_PTE_P | X86_PTE_W | X86_PTE_U)

void report(uint32_t magic, uint32_t info);

/* Of user mode's pages: the kernel's code looks at them as well. */
struct images {
	uint8_t xsave[IMAGE] __attribute__((aligned(64)));
	uint8_t fxsave[512];
	uint32_t fnstenv[7], fnsave[27];
};

USER uint8_t filling[IMAGE] __attribute__((aligned(64)));
USER struct images user_images __attribute__((aligned(4096)));
USER uint32_t user_registers[8], user_word[2], user_components, user_probe;
USER double user_one;
static struct images images;
struct x87_pointers {
	uint32_t ip, cs, dp, ds;
};
double kernel_one;
static struct {
	uint32_t registers[8];
	struct images user, kernel;
} kept[KEPT_ROUNDS] __attribute__((aligned(4096)));

static uint32_t directories[PROGRAMS_MAX][1024] __attribute__((aligned(4096)));
static uint32_t tables[PROGRAMS_MAX][1024] __attribute__((aligned(4096)));

/* All registers as the program is entered, and state as it is; then what an instruction at a known address leaves. */
__asm__(USER_ASM
	"user_look:\n"
	"mov %eax, user_registers\n mov %ecx, user_registers+4\n mov %edx, user_registers+8\n"
	"mov %ebx, user_registers+12\n mov %ebp, user_registers+16\n mov %esi, user_registers+20\n"
	"mov %edi, user_registers+24\n"
	"mov user_components, %eax\n test %eax, %eax\n jz 1f\n xor %edx, %edx\n xsave user_images\n"
	"1: fxsave user_images+8192\n fninit\n"
	"user_fld: fldl user_one\n fnstenv user_images+8704\n fnsave user_images+8732\n int $0x41\n"
	/* Words in all of them, on ways into the kernel of each kind, until one that is no call. */
	"user_fill: mov user_components, %eax\n test %eax, %eax\n jz 1f\n xor %edx, %edx\n xrstor filling\n jmp 2f\n"
	"1: fxrstor filling\n"
	"2: movl $100, user_registers\n"
	"3: call 4f\n int $0x40\n call 4f\n int $0x42\n"
	"call 4f\n mov %esp, %ecx\n mov $5f, %edx\n sysenter\n 5: decl user_registers\n jnz 3b\n"
	"call 4f\n ud2\n"
	"4: mov user_word, %eax\n mov user_word+4, %ecx\n mov %eax, %edx\n mov %ecx, %ebx\n mov %eax, %ebp\n"
	"mov %ecx, %esi\n mov %eax, %edi\n ret\n"
	/* What is nobody's, in each form in which a translator has an address. */
	"user_reach: mov user_probe, %ebx\n mov (%ebx), %eax\n int $0x41\n"
	"user_reach_far: mov user_probe, %ebx\n mov $0x40000000, %ecx\n sub %ecx, %ebx\n sub %ecx, %ebx\n"
	"mov (%ebx,%ecx,2), %eax\n int $0x41\n"
	"user_caught: int $0x41\n.text\n"
	"kernel_look: mov user_components, %eax\n test %eax, %eax\n jz 1f\n xor %edx, %edx\n xsave (%ecx)\n"
	"1: fxsave 8192(%ecx)\n fninit\n"
	"kernel_fld: fldl kernel_one\n fnstenv 8704(%ecx)\n fnsave 8732(%ecx)\n ret\n");
extern char user_look[], user_fld[], user_fill[], user_reach[], user_reach_far[], user_caught[], kernel_fld[];
__attribute__((fastcall)) void kernel_look(struct images *to);

static uint64_t seed, inverse;
static uint32_t programs, tests, failed, faults, found, looks;

static void test(int is, const char *what)
{
	print("%s %u - %s\n", is ? "ok" : "not ok", ++tests, what);
	failed += !is;
}

static uint64_t number(const char *line, const char *name, uint64_t otherwise)
{
	for (; *line; line++) {
		uint64_t value = 0;
		uint32_t n = 0;

		while (name[n] && line[n] == name[n])
			n++;
		if (name[n] || line[n] != '=')
			continue;
		for (line += n + 1; *line >= '0' && *line <= '9'; line++)
			value = value * 10 + (uint32_t)(*line - '0');
		return value;
	}
	return otherwise;
}

void handle(struct frame *frame)
{
	if (frame->vector == VECTOR_TIME)
		out(X86_PORT_PIC1, PIC_EOI);
	if (frame->vector == VECTOR_CALL || frame->vector == VECTOR_FAST || frame->vector == VECTOR_TIME)
		return;
	if ((frame->cs & 3) != 3) {
		print("Bail out! vector %u, error %x, at %x in the kernel\n", frame->vector, frame->error, frame->eip);
		leave(1);
	}
	faults++;
	frame->eip = (uint32_t)user_caught;
	frame->esp = (uint32_t)user_stack_top;
	frame->ds = frame->es = USER_DS;
}

/* ------------------------------------------------------------------------------------------------------- looking */

/* Of program i: 2 * i in registers, 2 * i + 1 in memory. */
static uint64_t word_of(uint64_t n)
{
	return (seed + n) * GOLDEN;
}

static void is_found(const char *where, uint32_t at, uint32_t what)
{
	if (!found++)
		print("# %s + %x: %x\n", where, at, what);
}

static void look_through(const char *where, const void *from, uint32_t size, uint32_t self)
{
	const uint8_t *bytes = from;

	for (uint32_t i = 0; i + sizeof(uint64_t) <= size; i += 2) {
		uint64_t n = *(const uint64_t *)(bytes + i) * inverse - seed;

		if (n < 2 * programs && (uint32_t)n / 2 != self)
			is_found(where, i, (uint32_t)n);
	}
}

/* A register has half of a word. */
static void look_at_registers(uint32_t self)
{
	for (uint32_t i = 0; i < 7; i++)
		for (uint32_t n = 0; n < 2 * programs; n++) {
			uint64_t word = word_of(n);

			if (n / 2 != self && (user_registers[i] == (uint32_t)word || user_registers[i] == word >> 32))
				is_found("register", i, n);
		}
}

/* What the x87 remembers is the guest's own, or nothing. */
static void look_at_pointers(const char *where, const struct x87_pointers *got)
{
	uint32_t cs = got->cs & 0xffff, ds = got->ds & 0xffff;

	if (got->ip && got->ip != (uint32_t)user_fld && got->ip != (uint32_t)kernel_fld)
		is_found(where, 0, got->ip);
	if (cs && cs != USER_CS && cs != KERNEL_CS)
		is_found(where, 4, cs);
	if (got->dp && got->dp != (uint32_t)&user_one && got->dp != (uint32_t)&kernel_one)
		is_found(where, 8, got->dp);
	if (ds && ds != USER_DS && ds != KERNEL_DS)
		is_found(where, 12, ds);
}

static void look_at_images(const struct images *in, uint32_t self)
{
	look_through("images", in, sizeof(*in), self);
	look_at_pointers("XSAVE", (const void *)(in->xsave + FX_POINTERS));
	look_at_pointers("FXSAVE", (const void *)(in->fxsave + FX_POINTERS));
	look_at_pointers("FNSTENV", (const void *)(in->fnstenv + ENV_POINTERS));
	look_at_pointers("FNSAVE", (const void *)(in->fnsave + ENV_POINTERS));
}

static void copy(void *to, const void *from, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

static void look_around(uint32_t self)
{
	for (uint32_t i = 0; i < sizeof(user_images); i++)
		((volatile uint8_t *)&user_images)[i] = ((volatile uint8_t *)&images)[i] = 0;
	run_user(user_look, X86_RFLAGS_FIXED);
	look_at_registers(self);
	look_at_images(&user_images, self);
	kernel_look(&images);
	look_at_images(&images, self);
	copy(&kept[looks % KEPT_ROUNDS].user, &user_images, sizeof(user_images));
	copy(&kept[looks % KEPT_ROUNDS].kernel, &images, sizeof(images));
	copy(kept[looks % KEPT_ROUNDS].registers, user_registers, sizeof(user_registers));
	looks++;
}

/* ------------------------------------------------------------------------------------------------------- programs */

static void restore(const void *image)
{
	if (user_components)
		__asm__ volatile("xrstor (%0)" : : "r"(image), "a"(user_components), "d"(0) : "memory");
	else
		__asm__ volatile("fxrstor (%0)" : : "r"(image) : "memory");
}

/* What XRSTOR takes: control words, no exception that waits, components that there are, the header's rest zero. */
static void make_filling(uint64_t word)
{
	for (uint32_t i = 0; i < IMAGE / 8; i++)
		((uint64_t *)filling)[i] = word;
	*(uint16_t *)filling = 0x37f;
	*(uint16_t *)(filling + 2) = 0;
	*(uint32_t *)(filling + 24) = X86_MXCSR_RESET;
	for (uint32_t i = 0; i < 64; i++)
		((volatile uint8_t *)filling)[XSAVE_HEADER + i] = 0;
	filling[XSAVE_HEADER] = (uint8_t)user_components;
}

static void clean(void)
{
	static uint8_t nothing[IMAGE] __attribute__((aligned(64)));

	*(uint16_t *)nothing = 0x37f;
	*(uint32_t *)(nothing + 24) = X86_MXCSR_RESET;
	restore(nothing);
}

static void begin_program(uint32_t i)
{
	uint64_t *own = (uint64_t *)(OWN_PAGES + i * PAGE);

	*own = word_of(2 * i + 1);
	tables[i][0] = (uint32_t)own | USER_PAGE;
	directories[i][0] = page_directory[0];
	directories[i][OWN >> 22] = (uint32_t)tables[i] | USER_PAGE;
}

static void switch_to(uint32_t i)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(directories[i]) : "memory");
}

static void fill(uint32_t i)
{
	uint64_t word = word_of(2 * i);

	user_word[0] = (uint32_t)word;
	user_word[1] = (uint32_t)(word >> 32);
	make_filling(word);
	restore(filling);
	run_user(user_fill, X86_RFLAGS_FIXED | X86_RFLAGS_IF);
	user_word[0] = user_word[1] = 0;
}

/* Of the 4 GiB a program has its pages and no others: neither what the monitor has there nor its kernel's. */
static int reaches_nothing(void)
{
	uint32_t before = faults;

	for (uint32_t n = 0; n < WINDOW_STEPS; n++) {
		user_probe = n ? n * WINDOW_STEP : 0xfffffffd;
		run_user(user_reach, X86_RFLAGS_FIXED);
		user_probe -= PAGE;
		run_user(user_reach_far, X86_RFLAGS_FIXED);
	}
	if (faults != before + 2 * WINDOW_STEPS)
		print("# %u of %u tries\n", faults - before, 2 * WINDOW_STEPS);
	return faults == before + 2 * WINDOW_STEPS;
}

/* ------------------------------------------------------------------------------------------------------- the guest */

static void start_states(void)
{
	uint32_t a = 1, b, c, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	__asm__ volatile("mov %%cr4, %%eax\n\tor %0, %%eax\n\tmov %%eax, %%cr4"
			 :
			 : "r"((uint32_t)(X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | (c >> 26 & 1 ? X86_CR4_OSXSAVE : 0)))
			 : "eax");
	if (!(c >> 26 & 1))
		return;
	a = 0xd;
	c = 0;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	user_components = a & COMPONENTS;
	__asm__ volatile("xsetbv" : : "c"(0), "a"(user_components), "d"(0));
}

static void start(const char *line)
{
	seed = number(line, "seed", 1);
	programs = (uint32_t)number(line, "programs", 4);
	inverse = GOLDEN;
	for (uint32_t i = 0; i < 6; i++)
		inverse *= 2 - GOLDEN * inverse;
	start_tables();
	start_states();
	set_sysenter(KERNEL_CS, entry_fast, (uint32_t)kernel_stack_top);
}

static uint8_t in(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static int is_typed(void)
{
	uint8_t status = in(UART_STATUS);

	return status & 1;
}

/* For the timer, over and over, until something is typed. */
static void wait(void)
{
	static const uint8_t words[] = {VECTOR_TIME, 4, 1, 0xfe};

	out(X86_PORT_PIC1, 0x11);
	for (uint32_t i = 0; i < sizeof(words); i++)
		out(X86_PORT_PIC1 + 1, words[i]);
	out(X86_PORT_PIT + 3, 0x34); /* periods of 55 ms */
	out(X86_PORT_PIT, 0);
	out(X86_PORT_PIT, 0);
	out(UART_ENABLE, 1); /* what is typed goes to who listens */
	while (!is_typed())
		__asm__ volatile("sti\n\thlt\n\tcli");
}

void report(uint32_t magic, uint32_t info)
{
	const char *line = (const char *)((const uint32_t *)info)[4];
	uint32_t careless = (uint32_t)number(line, "careless", 0), before;

	start(line);
	for (uint32_t i = 0; i < programs; i++)
		begin_program(i);
	for (uint32_t round = 0; round < 2 * programs; round++) {
		uint32_t i = round % programs;

		switch_to(i);
		if (!careless)
			clean();
		look_around(i);
		before = faults;
		fill(i);
		test(faults == before + 1, "a program has words of its own");
	}
	switch_to(0);
	if (!careless)
		clean();
	look_around(0);
	test(!found, "no program reads another's words, nor addresses that are not its own");
	test(reaches_nothing(), "nor anything else of its 4 GiB");
	print("held %x %x %x\n", (uint32_t)kept, (uint32_t)sizeof(kept), OWN_PAGES);
	wait();
	print("1..%u\n", tests);
	leave(failed != 0);
}
