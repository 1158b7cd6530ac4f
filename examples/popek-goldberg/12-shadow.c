/*
 * 12-shadow: shadow paging, watched. The guest maps a page, reads it, writes it, turns its entry to another page, and
 * takes it away; after each step it calls look(), where a debugger can stop. What the guest sees of all that are its
 * own entry and the page's contents. What the processor uses is another table, which only the monitor sees.
 */
#include <pvguest/pvguest.h>

#define PAGE  PVG_SPACE_BASE
#define FIRST R3_U64(0x2000000) /* guest-physical; nobody else uses memory there */
#define OTHER R3_U64(0x2800000)

/* A place for a breakpoint. */
__attribute__((noinline)) void look(const char *name);
void look(const char *name)
{
	unsigned level;
	uint64_t *entry = pvg_lookup(pvg_space_current(), PAGE, &level), value = entry ? *entry : 0;

	if (!(value & X86_PTE_P))
		pvg_printf("%-12s not present\n", name);
	else
		pvg_printf("%-12s page 0x%lx%s%s\n", name, (unsigned long)(value & X86_PTE_ADDR),
			   value & X86_PTE_A ? ", accessed" : "", value & X86_PTE_D ? ", dirty" : "");
}

int main(const char *cmdline)
{
	volatile uint64_t *word = (volatile uint64_t *)PAGE;
	struct pvg_space *space = pvg_space_current();
	uint64_t *entry;
	unsigned level;

	(void)cmdline;
	*(uint64_t *)pvg_gpa_to_ptr(FIRST) = 1;
	*(uint64_t *)pvg_gpa_to_ptr(OTHER) = 2;

	pvg_assert(!pvg_map(space, PAGE, FIRST, 1, X86_PTE_W | X86_PTE_NX));
	look("mapped");
	pvg_assert(*word == 1);
	look("read");
	*word = 3;
	look("written");
	entry = pvg_lookup(space, PAGE, &level);
	*(volatile uint64_t *)entry = OTHER | X86_PTE_NX | X86_PTE_W | X86_PTE_P;
	look("entry stored");
	pvg_ops->invlpg(PAGE);
	look("INVLPG");
	pvg_assert(*word == 2);
	look("read");
	pvg_assert(!pvg_unmap(space, PAGE, 1));
	look("unmapped");
	return 0;
}
