/*
 * A program claims an exit and goes on writing to a page that its kernel takes away meanwhile: from then on the page is
 * the kernel's own, and nobody else's.
 */
#include "forge.h"

#define PAGE	   PVG_SPACE_BASE
#define OTHER_PAGE (PVG_SPACE_BASE + X86_PAGE_SIZE)
#define RIGHTS	   (X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D)
#define WATCH_NS   (60 * PVG_NS_PER_MS)
#define TICK_NS	   (5 * PVG_NS_PER_MS)
#define MARK	   0x5ec4e75ec4e75ec4

static struct pvg_space space, another;
static volatile uint64_t *page;

static void honest(uint64_t arg)
{
	*(volatile uint64_t *)PAGE = 0;
	*(volatile uint64_t *)OTHER_PAGE = 0;
}

/* What it claims is a fault; its words keep coming. */
static void go_on(uint64_t arg)
{
	raw_syscall(1, 0, 0, 0, 0, 0, 0);
	forge_frame()->rip = (uint64_t)honest;
	forge_frame()->rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	forge_frame()->signo = HOST_SIGSEGV;
	forge_frame()->code = 1;
	forge_frame()->trapno = X86_VEC_PF;
	forge_frame()->error = X86_PF_U;
	forge_frame()->cr2 = 0;
	*(volatile uint64_t *)PAGE = 0;
	forge_handover(GATE_KIND_SIGNAL);
	for (;;)
		++*(volatile uint64_t *)PAGE;
}

static void unmap(void)
{
	pvg_unmap(&space, PAGE, 1);
}

static void protect(void)
{
	pvg_assert(!pvg_protect(&space, PAGE, 1, RIGHTS & ~X86_PTE_W));
}

static void hide(void)
{
	pvg_assert(!pvg_protect(&space, PAGE, 1, RIGHTS & ~X86_PTE_U));
}

/* Another page lies there now: one that nobody looks at. */
static void replace(void)
{
	pvg_assert(!pvg_map(&space, PAGE, pvg_ptr_to_gpa(pvg_page_alloc()), 1, RIGHTS));
}

/* While another address space is in force, with all addresses forgotten by the load of its root. */
static void unmap_elsewhere(void)
{
	pvg_space_switch(&another);
	pvg_unmap(&space, PAGE, 1);
	pvg_write_cr3(pvg_read_cr3());
}

/* By a store alone, which the load of another root makes true. */
static void leave(void)
{
	unsigned level = 1;

	*pvg_lookup(&space, PAGE, &level) = 0;
	pvg_space_switch(&another);
}

static void destroy(void)
{
	pvg_space_switch(pvg_space_boot());
	pvg_space_destroy(&space);
}

static void tick(void *arg)
{
	user_tick();
}

/* The page is the kernel's, who writes to it once. */
static bool stays(void)
{
	uint64_t start = pvg_clock_ns();

	*page = MARK;
	while (pvg_clock_ns() - start < WATCH_NS)
		if (*page != MARK)
			return false;
	return true;
}

static void take_away(void (*how)(void), const char *what)
{
	struct pvg_caught caught;
	bool kept;

	page = pvg_page_alloc();
	pvg_assert(page && !pvg_space_create(&space) && !pvg_space_create(&another));
	pvg_assert(!pvg_map(&space, PAGE, pvg_ptr_to_gpa((void *)page), 1, RIGHTS));
	pvg_assert(!pvg_map(&space, OTHER_PAGE, pvg_ptr_to_gpa(pvg_page_alloc()), 1, RIGHTS));
	pvg_space_switch(&space);
	user_run(honest, 0, &caught);
	pvg_timer_every(TICK_NS, tick, NULL);
	user_run(go_on, 0, &caught);
	pvg_timer_stop();
	how();
	kept = stays();
	pvg_test(kept, "a page is its kernel's once it is %s", what);
	pvg_space_switch(pvg_space_boot());
	if (how != destroy)
		pvg_space_destroy(&space);
	pvg_space_destroy(&another);
}

void attack_stale(void)
{
	char pv[4];

	user_init();
	take_away(unmap, "unmapped");
	take_away(protect, "read-only");
	take_away(hide, "not user mode's");
	take_away(replace, "replaced by another");
	take_away(unmap_elsewhere, "unmapped from elsewhere");
	take_away(leave, "unmapped in tables that are left");
	/* A bare kernel cannot say that an address space is gone, and need not where who has stopped stands. */
	if (number("gone", 0) || (pvg_option("pv", pv, sizeof(pv)) && !pvg_strcmp(pv, "on")))
		take_away(destroy, "of a space that is gone");
}
