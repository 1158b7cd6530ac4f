/*
 * A program of user mode that tries to reach its kernel's memory in every way in which an instruction can name some.
 * Each attempt has to end in an exception, before and after calls, in which kernel and program may have come to share
 * something. TAP on the console.
 */
#include "tests/modes/calls.h"

#define SECRET 0x5ec4e75eu
#define ROUNDS 4

void report(uint32_t magic, uint32_t info);

USER volatile uint32_t user_word[16] __attribute__((aligned(64)));
USER volatile uint32_t user_target, user_distance;

/* In EBX the target; in EDX 2^31 less, in ECX 2^31; in ESI a word of its own; in EAX the bits from there to the target.
 */
#define ATTEMPT(name, code)                                                                                            \
	__asm__(USER_ASM "user_" #name                                                                                 \
			 ": mov (user_target), %ebx\n lea 0x80000000(%ebx), %edx\n mov $0x80000000, %ecx\n"            \
			 "mov $user_word, %esi\n mov $user_word, %edi\n mov $user_word + 32, %ebp\n"                   \
			 "mov (user_distance), %eax\n" code "\n int $0x41\n.text");                                    \
	extern char user_##name[];

#define ATTEMPTS(X)                                                                                                    \
	X(load, "mov (%ebx), %eax")                                                                                    \
	X(store, "mov %eax, (%ebx)")                                                                                   \
	X(byte, "movzbl 1(%ebx), %eax")                                                                                \
	X(offset, "mov kernel_word, %eax")                                                                             \
	X(absolute, "mov kernel_word, %ecx")                                                                           \
	X(store_absolute, "mov %eax, kernel_word")                                                                     \
	X(displacement, "sub $0x12345678, %ebx\n mov 0x12345678(%ebx), %eax")                                          \
	X(wrap, "mov (%edx,%ecx), %eax")                                                                               \
	X(store_wrap, "mov %eax, (%edx,%ecx)")                                                                         \
	X(scale, "shr $2, %ebx\n mov (,%ebx,4), %eax")                                                                 \
	X(scale_wrap, "shr $3, %ebx\n or $0xe0000000, %ebx\n mov (,%ebx,8), %eax")                                     \
	X(code_segment, "mov %cs:(%ebx), %eax")                                                                        \
	X(stack_segment, "mov %ss:(%ebx), %eax")                                                                       \
	X(extra_segment, "mov %es:(%ebx), %eax")                                                                       \
	X(fs, "mov $0x33, %eax\n mov %eax, %fs\n sub $0x2000, %ebx\n mov %fs:(%ebx), %eax")                            \
	X(gs, "mov $0x33, %eax\n mov %eax, %gs\n sub $0x2000, %ebx\n mov %gs:(%ebx), %eax")                            \
	X(gs_below, "mov $0x33, %eax\n mov %eax, %gs\n mov %gs:0xfffff000, %eax")                                      \
	X(kernel_segment, "mov $0x10, %eax\n mov %eax, %ds\n mov (%ebx), %eax")                                        \
	X(two_segments, ".byte 0x65, 0x3e, 0x8b, 0x03")                                                                \
	X(word_address, ".byte 0x67, 0x8b, 0x07")                                                                      \
	X(rex_alike, ".byte 0x48, 0x8b, 0x03")                                                                         \
	X(rex_b_alike, ".byte 0x49, 0x89, 0x03")                                                                       \
	X(push, "push (%ebx)")                                                                                         \
	X(pop, "pop (%ebx)")                                                                                           \
	X(push_to, "lea 4(%ebx), %esp\n push %eax")                                                                    \
	X(pop_from, "mov %ebx, %esp\n pop %eax")                                                                       \
	X(push_all, "lea 32(%ebx), %esp\n pusha")                                                                      \
	X(pop_all, "mov %ebx, %esp\n popa")                                                                            \
	X(push_flags, "lea 4(%ebx), %esp\n pushf")                                                                     \
	X(pop_flags, "mov %ebx, %esp\n popf")                                                                          \
	X(push_segment, "lea 4(%ebx), %esp\n push %ds")                                                                \
	X(pop_segment, "mov %ebx, %esp\n pop %es")                                                                     \
	X(leave, "mov %ebx, %ebp\n leave")                                                                             \
	X(enter, "lea 4(%ebx), %esp\n enter $0, $0")                                                                   \
	X(call_to, "lea 4(%ebx), %esp\n call 1f\n1:")                                                                  \
	X(call_by, "call *(%ebx)")                                                                                     \
	X(jump_by, "jmp *(%ebx)")                                                                                      \
	X(call_there, "call report")                                                                                   \
	X(jump_there, "jmp *%ebx")                                                                                     \
	X(return_by, "mov %ebx, %esp\n ret")                                                                           \
	X(return_there, "push %ebx\n ret")                                                                             \
	X(far_return, "push $8\n push %ebx\n lret")                                                                    \
	X(interrupt_return, "push $0x10\n push %ebx\n pushf\n push $8\n push %ebx\n iret")                             \
	X(move_from, "mov %ebx, %esi\n movsl")                                                                         \
	X(move_to, "mov %ebx, %edi\n movsl")                                                                           \
	X(move_many, "mov %ebx, %esi\n mov $4, %ecx\n rep movsb")                                                      \
	X(move_down, "lea 12(%ebx), %edi\n mov $4, %ecx\n std\n rep movsl")                                            \
	X(store_string, "mov %ebx, %edi\n stosl")                                                                      \
	X(store_many, "mov %ebx, %edi\n mov $4, %ecx\n rep stosl")                                                     \
	X(load_string, "mov %ebx, %esi\n lodsb")                                                                       \
	X(compare_string, "mov %ebx, %esi\n cmpsl")                                                                    \
	X(scan, "mov %ebx, %edi\n mov $4, %ecx\n repne scasb")                                                         \
	X(table, "xor %eax, %eax\n xlat")                                                                              \
	X(exchange, "xchg %eax, (%ebx)")                                                                               \
	X(compare_exchange, "lock cmpxchg %ecx, (%ebx)")                                                               \
	X(compare_eight, "lock cmpxchg8b (%ebx)")                                                                      \
	X(add, "lock addl $1, (%ebx)")                                                                                 \
	X(bit, "bt %eax, (%esi)")                                                                                      \
	X(bit_set, "lock bts %eax, (%esi)")                                                                            \
	X(bit_constant, "btsl $3, (%ebx)")                                                                             \
	X(bounds, "bound %eax, (%ebx)")                                                                                \
	X(descriptor, "sgdt (%esi)\n lgdt (%ebx)")                                                                     \
	X(gate, "int $0x20")                                                                                           \
	X(system, ".byte 0x0f, 0x05")                                                                                  \
	X(base, ".byte 0xf3, 0x0f, 0xae, 0xd3")                                                                        \
	X(base_of_gs, ".byte 0xf3, 0x48, 0x0f, 0xae, 0xdb")

ATTEMPTS(ATTEMPT)

#define ENTRY(name, code) {#name, user_##name},
static const struct {
	const char *name;
	const void *program;
} attempts[] = {ATTEMPTS(ENTRY)};

#define ATTEMPT_COUNT (sizeof(attempts) / sizeof(attempts[0]))

__asm__(USER_ASM "user_calls: mov $50, %ecx\n1: int $0x42\n int $0x40\n dec %ecx\n jnz 1b\n int $0x41\n"
		 "user_caught: int $0x41\n.text");
extern char user_calls[], user_caught[];

/* Words that the attempts are after; what lies around them must stay too. */
uint32_t kernel_word_area[48] __attribute__((aligned(64)));
__asm__(".globl kernel_word\n.set kernel_word, kernel_word_area + 64");
extern uint32_t kernel_word[];

static volatile uint32_t caught, error, vector;

void handle(struct frame *frame)
{
	if (frame->vector == VECTOR_CALL)
		return;
	if ((frame->cs & 3) != 3) {
		print("Bail out! vector %u, error %x, at %x in the kernel\n", frame->vector, frame->error, frame->eip);
		leave(1);
	}
	caught++;
	vector = frame->vector;
	error = frame->error;
	frame->eip = (uint32_t)user_caught;
	frame->esp = (uint32_t)user_stack_top;
	frame->eflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	frame->ds = frame->es = USER_DS;
	frame->fs = frame->gs = 0;
}

/* It was stopped by an exception, a page fault by one of user mode's; nothing has changed, and nothing was seen. */
static int is_stopped(const void *program, uint32_t target)
{
	uint32_t before = caught, got;

	user_target = target;
	user_distance = (target - (uint32_t)user_word) * 8;
	for (unsigned n = 0; n < 48; n++)
		kernel_word_area[n] = SECRET;
	got = run_user(program, X86_RFLAGS_FIXED | X86_RFLAGS_IF);
	if (caught != before + 1)
		print("# caught %u, last vector %u, error %x, EAX %x\n", caught - before, vector, error, got);
	for (unsigned n = 0; n < 48; n++)
		if (kernel_word_area[n] != SECRET)
			return 0;
	for (unsigned n = 0; n < 16; n++)
		if (user_word[n] == SECRET)
			return 0;
	return caught == before + 1 && got != SECRET && (vector != X86_VEC_PF || error & X86_PF_U);
}

void report(uint32_t magic, uint32_t address)
{
	start_tables();
	print("1..%u\n", (uint32_t)ATTEMPT_COUNT);
	for (unsigned n = 0; n < ATTEMPT_COUNT; n++) {
		int stopped = 1;

		for (unsigned round = 0; round < ROUNDS; round++) {
			stopped &= is_stopped(attempts[n].program, (uint32_t)kernel_word);
			run_user(user_calls, X86_RFLAGS_FIXED | X86_RFLAGS_IF);
		}
		print("%s %u - %s\n", stopped ? "ok" : "not ok", n + 1, attempts[n].name);
	}
	leave(0);
}
