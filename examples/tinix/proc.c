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
	struct proc_private private;
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

/* One block: the FPU image, and the kernel stack above it. */
static bool make_block(struct proc_private *private)
{
	private->block = pvg_pages_alloc(fpu_pages() + STACK_PAGES, 1);
	if (!private->block)
		return false;
	private->user.fpu = private->block;
	private->user.stack_top = (uint64_t) private->block + (fpu_pages() + STACK_PAGES) * PAGE_SIZE;
	pvg_fpu_reset(private->user.fpu);
	return true;
}

static void init_private(struct proc *p, struct proc_private *private)
{
	p->private = private;
	private->self = p;
	private->exit_signal = SIGCHLD;
	list_init(&private->queue);
	list_init(&private->children);
	list_init(&private->sibling);
	list_init(&private->alarm.link);
	waitq_init(&private->wait_queue);
	waitq_init(&private->vfork_queue);
}

struct proc *proc_new(void (*start)(void *arg))
{
	struct whole *whole = count < PROCS_MAX ? kalloc(sizeof(*whole)) : NULL;
	struct proc *p;

	if (!whole)
		return NULL;
	p = &whole->p;
	init_private(p, &whole->private);
	if (!make_block(p->private)) {
		kfree(whole);
		return NULL;
	}
	p->pid = new_pid();
	p->start = now();
	/* The frame that user mode is entered with lies at the very top. */
	pvg_context_make(&p->private->context, pvg_user_frame(&p->private->user), start, p);
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
	list_remove(&p->private->sibling);
	pvg_pages_free(p->private->block, fpu_pages() + STACK_PAGES);
	kfree(p); /* the first member of struct whole */
	count--;
}
