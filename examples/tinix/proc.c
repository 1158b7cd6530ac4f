/*
 * The table of processes: their numbers, and what each is made of.
 */
#include "examples/tinix/core.h"

#define STACK_PAGES 4
#define PID_MAX	    32768

struct list proc_all = LIST_INIT(proc_all);

uint64_t proc_forks;
int proc_last_pid;

static unsigned count;

struct whole {
	struct proc p;
	struct proc_core core;
};

static struct proc *proc_of(struct list *node)
{
	return list_entry(node, struct proc, link);
}

struct proc *proc_find(int pid)
{
	list_each(node, &proc_all) if (proc_of(node)->pid == pid) return proc_of(node);
	return NULL;
}

unsigned proc_count(void)
{
	return count;
}

char proc_state_letter(const struct proc *p)
{
	return "RSTZ"[p->state];
}

/* A process group or session outlives the process it is named after. */
static bool pid_in_use(int pid)
{
	list_each(node, &proc_all)
	{
		const struct proc *p = proc_of(node);

		if (p->pid == pid || p->pgid == pid || p->sid == pid)
			return true;
	}
	return false;
}

static int new_pid(void)
{
	do
		proc_last_pid = proc_last_pid % PID_MAX + 1;
	while (pid_in_use(proc_last_pid));
	return proc_last_pid;
}

static size_t fpu_pages(void)
{
	return page_up(pvg_fpu_size()) / PAGE_SIZE;
}

/* Blocks of processes that are gone: a guard page set and cleared is two changes of page tables. */
#define SPARE_BLOCKS 4
static char *spare_blocks[SPARE_BLOCKS];
static unsigned spare_count;

/* One block: the kernel stack, with its guard page below, and the FPU image above it. */
static bool make_block(struct proc_core *core)
{
	core->block_end = spare_count ? spare_blocks[--spare_count] : pvg_stack_alloc(STACK_PAGES + fpu_pages());
	if (!core->block_end)
		return false;
	core->user.fpu = core->block_end - fpu_pages() * PAGE_SIZE;
	core->user.stack_top = (uint64_t)core->user.fpu;
	pvg_fpu_reset(core->user.fpu);
	return true;
}

static void free_block(char *end)
{
	if (spare_count < SPARE_BLOCKS)
		spare_blocks[spare_count++] = end;
	else
		pvg_stack_free(end, STACK_PAGES + fpu_pages());
}

static void init_core(struct proc *p, struct proc_core *core)
{
	p->core = core;
	core->self = p;
	core->exit_signal = SIGCHLD;
	list_init(&core->queue);
	list_init(&core->children);
	list_init(&core->sibling);
	list_init(&core->alarm.link);
	waitq_init(&core->wait_queue);
	waitq_init(&core->vfork_queue);
}

struct proc *proc_new(void (*start)(void *arg))
{
	struct whole *whole = count < PROCS_MAX ? kalloc(sizeof(*whole)) : NULL;
	struct proc *p;

	if (!whole)
		return NULL;
	p = &whole->p;
	init_core(p, &whole->core);
	if (!make_block(p->core)) {
		kfree(whole);
		return NULL;
	}
	p->pid = new_pid();
	p->start = now();
	/* The frame that user mode is entered with lies at the very top. */
	pvg_context_make(&p->core->context, pvg_user_frame(&p->core->user), start, p);
	list_add(&proc_all, &p->link);
	count++;
	proc_forks++;
	return p;
}

void proc_free(struct proc *p)
{
	forget_user(p);
	load_remember(&p->usage);
	list_remove(&p->link);
	list_remove(&p->core->sibling);
	free_block(p->core->block_end);
	kfree(p); /* the first member of struct whole */
	count--;
}
