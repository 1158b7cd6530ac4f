/*
 * Guests that do not stop, or make noise: the monitor answers signals and its time limit all the same.
 */
#include "escape.h"

/* Ends as it is told: `status=N`. */
void attack_exit(void)
{
	char text[8];

	pvg_option("status", text, sizeof(text));
	pvg_exit((unsigned)pvg_strtoul(text));
}

/* `count=N` exits, none of which the monitor can take together. */
void attack_storm(void)
{
	char text[16];
	uint64_t count;

	pvg_option("count", text, sizeof(text));
	count = pvg_strtoul(text);
	for (uint64_t i = 0; i < count; i++)
		__asm__ volatile("cli\n\tnop" : : : "memory");
	pvg_test(true, "%lu exits", count);
}

void attack_loop_cli(void)
{
	say("ready");
	pvg_irq_disable();
	pvg_cli();
	for (;;)
		;
}

static void loop_forever(uint64_t arg)
{
	for (;;)
		;
}

void attack_loop_user(void)
{
	struct pvg_caught caught;

	user_init();
	say("ready");
	user_run(loop_forever, 0, &caught);
}

void attack_halt_cli(void)
{
	say("ready");
	__asm__ volatile("cli\n\thlt");
}

void attack_idle(void)
{
	say("ready");
	for (;;)
		pvg_halt();
}

void attack_noise(void)
{
	say("ready");
	for (;;)
		pvg_puts("a line of noise, again and again, as long as anybody listens, and longer\n");
}

static void nothing(void *arg)
{
}

/* Honest, but never long where an interrupt may come. */
void attack_open_shut(void)
{
	pvg_timer_every(PVG_NS_PER_MS, nothing, NULL);
	for (;;) {
		pvg_sti();
		pvg_cli();
	}
}
