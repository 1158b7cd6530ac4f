/*
 * Solution of 05-segments: a kernel learns its ring, and that of whom it interrupted, from the frame of a trap and
 * never from a segment register. INT n traps on every engine, and its frame is written by the monitor.
 */
#include <pvguest/pvguest.h>

#define VECTOR_RING 0x40

static unsigned interrupted_ring;

static void ring_handler(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	/* EXERCISE: where does a trap show whom it interrupted? */
	interrupted_ring = frame->cs & X86_SEL_RPL;
	/* END */
}

static unsigned my_ring(void)
{
	/* EXERCISE: ask */
	__asm__ volatile("int %0" : : "i"(VECTOR_RING) : "memory");
	/* END */
	return interrupted_ring;
}

/* INT 40h; UD2, at an address that user mode may execute. */
static void enter_user(void *arg)
{
	struct pvg_frame frame = {.rip = PVG_SPACE_BASE,
				  .cs = PVG_SEL_USER_CODE,
				  .rflags = X86_RFLAGS_FIXED,
				  .rsp = PVG_SPACE_BASE + X86_PAGE_SIZE,
				  .ss = PVG_SEL_USER_DATA};

	(void)arg;
	pvg_user_enter(&frame);
}

int main(const char *cmdline)
{
	static const uint8_t program[] = {0xcd, VECTOR_RING, 0x0f, 0x0b};
	static uint8_t kernel_stack[8192] __attribute__((aligned(16)));
	struct pvg_caught caught;
	void *page = pvg_page_alloc();

	(void)cmdline;
	pvg_trap_register(VECTOR_RING, ring_handler, NULL);
	pvg_trap_allow_user(VECTOR_RING);
	pvg_printf("the kernel runs in ring %u\n", my_ring());

	memcpy(page, program, sizeof(program));
	pvg_assert(!pvg_map(pvg_space_current(), PVG_SPACE_BASE, pvg_ptr_to_gpa(page), 1, X86_PTE_W | X86_PTE_U));
	pvg_set_kernel_stack((uint64_t)kernel_stack + sizeof(kernel_stack));
	pvg_catch(enter_user, NULL, &caught);
	pvg_printf("its user program runs in ring %u\n", interrupted_ring);
	return 0;
}
