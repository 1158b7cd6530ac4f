/*
 * A guest that asks the monitor for random things, to see it refuse them: "what=ports" port I/O of all sizes, plain and
 * repeated, with moments for interrupts between; "what=calls" hypercalls, alone and in multicalls, with tables in use
 * among what they change. "seed=N count=N". Whatever comes of it is the guest's own.
 */
#include <pvguest/pvguest.h>

static uint64_t state;

/* xorshift64*, after Vigna. */
static uint64_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * R3_U64(0x2545f4914f6cdd1d);
}

static uint64_t below(uint64_t n)
{
	return draw() % n;
}

#define AREA_PAGES 16
static uint8_t area[AREA_PAGES * 4096] __attribute__((aligned(4096)));

/* Edges, addresses in the area, and anything. */
static uint64_t any_value(void)
{
	static const uint64_t edges[] = {0,	     1,		 0x7f,	     0xff,	     0x7fffffff,
					 0xffffffff, R3_BIT(47), R3_BIT(63), R3_BIT(47) - 1, ~R3_U64(0)};
	switch (below(6)) {
	case 0:
		return edges[below(sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return draw() >> below(64);
	case 2:
		return below(64);
	case 3:
		return pvg_ptr_to_gpa(area) + below(sizeof(area)) / 8 * 8;
	default:
		return (uint64_t)(uintptr_t)(area + below(sizeof(area)) / 8 * 8);
	}
}

/* ---------------------------------------------------------------------------------------------------------- ports */

/* Any but the one that ends the guest. */
static uint16_t any_port(void)
{
	static const uint16_t devices[] = {X86_PORT_PIC1, X86_PORT_PIT,	 X86_PORT_SYSB, X86_PORT_POST,
					   X86_PORT_PIC2, X86_PORT_COM1, X86_PORT_ELCR, X86_PORT_DEBUGCON,
					   0x60,	  0x70};
	uint16_t port;
	do
		port = (uint16_t)(below(16) ? devices[below(10)] + below(8) : draw());
	while (port + 4 > X86_PORT_EXIT && port <= X86_PORT_EXIT);
	return port;
}

static void window(void *arg)
{
	__asm__ volatile("sti; nop; nop; nop; cli");
}

#define STRING(name, text, reg)                                                                                        \
	static void name(void *arg)                                                                                    \
	{                                                                                                              \
		uint64_t count = below(4) ? below(40) : below(5000), at = any_value(), flags = below(2) << 10;         \
		__asm__ volatile("pushfq\n\torq %3, (%%rsp)\n\tpopfq\n\t" text "\n\tcld"                               \
				 : "+" reg(at), "+c"(count)                                                            \
				 : "d"(any_port()), "r"(flags)                                                         \
				 : "memory", "cc");                                                                    \
	}
STRING(insb, "rep insb", "D")
STRING(insw, "rep insw", "D")
STRING(insl, "rep insl", "D")
STRING(insq, ".byte 0xf3, 0x48, 0x6d", "D")
STRING(outsb, "rep outsb", "S")
STRING(outsw, "rep outsw", "S")
STRING(outsl, ".byte 0x67, 0xf3, 0x6f", "S")
STRING(outs_gs, ".byte 0x65, 0xf2, 0x6f", "S")

static void wide_io(void *arg)
{
	uint64_t a = draw();
	__asm__ volatile(".byte 0x48, 0xed" : "+a"(a) : "d"(any_port()));
	__asm__ volatile(".byte 0x48, 0xef" : : "a"(a), "d"(any_port()));
	__asm__ volatile(".byte 0x66, 0x48, 0xed" : "+a"(a) : "d"(any_port()));
	__asm__ volatile(".byte 0xf0, 0xec" : "+a"(a) : "d"(any_port()));
}

static void ask_port(void)
{
	static void (*const strings[])(void *) = {insb,	 insw,	insl,	 insq,	  outsb,
						  outsw, outsl, outs_gs, wide_io, window};
	struct pvg_caught caught;
	uint64_t value = below(2) ? draw() : below(256);
	switch (below(8)) {
	case 0:
		pvg_outw(any_port(), (uint16_t)value);
		break;
	case 1:
		pvg_outl(any_port(), (uint32_t)value);
		break;
	case 2:
		pvg_inb(any_port());
		break;
	case 3:
		pvg_inw(any_port());
		break;
	case 4:
		pvg_inl(any_port());
		break;
	case 5:
		pvg_catch(strings[below(10)], NULL, &caught);
		__asm__ volatile("cli; cld");
		break;
	default:
		pvg_outb(any_port(), (uint8_t)value);
	}
}

/* ------------------------------------------------------------------------------------------------------ hypercalls */

/* What would end the guest, or have it go on elsewhere, is left out. */
static uint64_t any_call(void)
{
	uint64_t nr;
	do
		nr = below(32) ? below(26) : draw();
	while (nr == R3_HC_exit || nr == R3_HC_iret || nr == R3_HC_block || nr == R3_HC_console_write ||
	       nr == R3_HC_set_root || nr == R3_HC_shared_info || nr == R3_HC_set_trap_table ||
	       nr == R3_HC_stack_switch || nr == R3_HC_set_callback || nr == R3_HC_set_segment_base);
	return nr;
}

/* Entries of a table that hangs in nothing are anything; those of one in use point into the area. */
static void fill_updates(void)
{
	struct r3_mmu_update *update = (struct r3_mmu_update *)(area + below(8) * 4096);
	for (unsigned n = 0; n < 32; n++, update++) {
		update->entry_gpa = pvg_ptr_to_gpa(area + below(sizeof(area)) / 8 * 8);
		update->value = below(3) ? (pvg_ptr_to_gpa(area + below(AREA_PAGES) * 4096) | below(512)) : draw();
	}
}

static void fill_multicall(void)
{
	struct r3_multicall_entry *entry = (struct r3_multicall_entry *)(area + below(8) * 4096);
	for (unsigned n = 0; n < 32; n++, entry++) {
		entry->nr = any_call();
		for (unsigned i = 0; i < 6; i++)
			entry->args[i] = any_value();
	}
}

static void ask_call(void)
{
	if (!below(4))
		fill_updates();
	if (!below(4))
		fill_multicall();
	pvg_hypercall6(any_call(), any_value(), any_value(), any_value(), any_value(), any_value(), any_value());
}

static uint64_t number(const char *key, uint64_t otherwise)
{
	char text[32];
	return pvg_option(key, text, sizeof(text)) ? pvg_strtoul(text) : otherwise;
}

int main(const char *cmdline)
{
	char what[16] = "";
	uint64_t count = number("count", 10000);
	pvg_option("what", what, sizeof(what));
	state = number("seed", 1) * R3_U64(0x9e3779b97f4a7c15) + 1;
	pvg_cli();
	for (uint64_t n = 0; n < count; n++)
		if (!pvg_strcmp(what, "calls"))
			ask_call();
		else
			ask_port();
	pvg_outb(X86_PORT_EXIT, 0);
	return 0;
}
