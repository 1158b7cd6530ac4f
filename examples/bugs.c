/*
 * Bugs that every kernel has had, one for each value of bug= on the command line: null, stack, thread, data, text,
 * constant, loop, division. Each ends in a report that names the cause.
 */
#include <pvguest/pvguest.h>

struct node {
	struct node *next;
	int value;
};

static volatile int sink;

/* Does not look where the list ends. */
static __attribute__((noinline)) int sum(const struct node *node)
{
	int all = 0;

	while (node->value != 77) {
		all += node->value;
		node = node->next;
	}
	return all;
}

static __attribute__((noinline)) int recurse(int depth)
{
	volatile char frame[256];

	frame[0] = (char)depth;
	return recurse(depth + 1) + frame[0];
}

static void null_pointer(void)
{
	struct node last = {NULL, 2}, first = {&last, 1};

	sink = sum(&first);
}

static void stack_overflow(void)
{
	sink = recurse(0);
}

static void overflow(void *arg)
{
	(void)arg;
	sink = recurse(0);
}

/* On a stack of the kernel's own. */
static void thread_overflow(void)
{
	static struct pvg_context here, thread;

	pvg_context_make(&thread, pvg_stack_alloc(4), overflow, NULL);
	pvg_irq_disable();
	pvg_context_switch(&here, &thread);
}

static void jump_to_data(void)
{
	static char data[16] = {(char)0xc3}; /* RET */

	((void (*)(void))data)();
}

static void store_to_text(void)
{
	*(volatile char *)(uintptr_t)main = 0;
}

static void store_to_constant(void)
{
	static const char constant[] = "constant";

	*(volatile char *)(uintptr_t)constant = 0;
}

static void loop(void)
{
	pvg_irq_disable();
	for (;;)
		;
}

static void division(void)
{
	sink = 0;
	/* cppcheck-suppress zerodiv */
	sink = 5 / sink;
}

static const struct {
	const char *name;
	void (*run)(void);
} bugs[] = {
	{"null", null_pointer}, {"stack", stack_overflow}, {"thread", thread_overflow},
	{"data", jump_to_data}, {"text", store_to_text},   {"constant", store_to_constant},
	{"loop", loop},		{"division", division},
};

int main(const char *cmdline)
{
	char name[16];

	(void)cmdline;
	pvg_option("bug", name, sizeof(name));
	for (unsigned i = 0; i < sizeof(bugs) / sizeof(bugs[0]); i++)
		if (!pvg_strcmp(name, bugs[i].name))
			bugs[i].run();
	pvg_printf("bug=null, stack, thread, data, text, constant, loop or division\n");
	return 1;
}
