/*
 * What the files of the core share among themselves: the private part of a process, scheduling, signals, memory.
 */
#ifndef TINIX_CORE_H
#define TINIX_CORE_H

#include "examples/tinix/tinix.h"

#define USER_START 0x10000ul	      /* no ordinary Linux user may map below */
#define USER_END   PVG_SPACE_HIGH_END /* where the kernel begins */
#define STACK_TOP  (USER_END - PAGE_SIZE)
#define PROCS_MAX  1024

#define SIGNALS	    64
#define SIGBIT(sig) (1ul << ((sig)-1))
#define UNBLOCKABLE (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t page_down(uint64_t address)
{
	return address & ~PAGE_MASK;
}

static inline uint64_t page_up(uint64_t address)
{
	return (address + PAGE_MASK) & ~PAGE_MASK;
}

/* ------------------------------------------------------------------------------------------------------- timers */

/* Calls fire(timer) in interrupt context when the clock reaches the deadline. sched.c */
struct timer {
	struct list link;
	uint64_t deadline;
	void (*fire)(struct timer *timer);
};

void timer_start(struct timer *timer, uint64_t deadline, void (*fire)(struct timer *timer));
void timer_stop(struct timer *timer); /* harmless when it is not running, if its link was initialized */

/* ----------------------------------------------------------------------------------------------------- processes */

/* As the system call has it, which is not as the C library does. */
struct signal_action {
	uint64_t handler, flags, restorer, mask;
};

struct signal_info {
	int signal, code; /* SI_*, SEGV_* and so on */
	int pid, status;  /* of the sender, or of the child */
	uint64_t address;
};

struct proc_core {
	struct proc *self;
	struct pvg_context context;
	struct pvg_user user;
	char *block_end; /* of kernel stack and FPU image */

	/* Scheduling */
	struct list queue;	     /* in the run queue or in a wait queue */
	struct waitq *waiting;	     /* NULL: not asleep */
	bool uninterruptible;	     /* asleep so that no signal wakes it */
	bool interrupted, timed_out; /* why it woke */
	uint64_t entered;	     /* clock when it last changed between user mode, kernel mode and not running */

	/* Signals */
	uint64_t pending, blocked;
	uint64_t waited;     /* by rt_sigtimedwait: kept, even if it would be ignored */
	uint64_t saved_mask; /* of rt_sigsuspend, valid while restore_mask */
	bool restore_mask;
	struct signal_action actions[SIGNALS + 1];
	struct signal_info infos[SIGNALS + 1]; /* of the pending ones */
	stack_t altstack;
	uint64_t trap_vector, trap_error, trap_address; /* of the latest fault, for signal contexts */
	struct timer alarm;
	uint64_t alarm_interval;
	uint64_t syscall;	 /* number of the call that came in last, to restart it */
	uint64_t cpu_told;	 /* time spent when RLIMIT_CPU was told to be reached; 0: never */
	uint64_t sleep_deadline; /* of a nanosleep that is being restarted; 0: none is */

	/* Family */
	struct list children, sibling;
	struct waitq wait_queue;  /* wait4 sleeps here */
	int exit_status;	  /* as wait4 reports it */
	int exit_signal;	  /* what the parent gets */
	int stop_signal;	  /* stopped by it, and the parent was not told yet; 0: nothing to tell */
	bool continued;		  /* and the parent was not told yet */
	bool executed;		  /* execve since fork: setpgid by the parent is too late */
	struct waitq vfork_queue; /* the parent of a vfork sleeps here */
	bool borrows_mm;	  /* vforked: the parent waits until we give its memory back */
	uint64_t clear_tid;	  /* user address to clear and wake at exit */
	uint64_t futex;		  /* key of the word it sleeps on */
};

/* A new process that will run start(proc) in the kernel, not yet runnable; NULL when memory or numbers are out. */
struct proc *proc_new(void (*start)(void *arg));
/* Undoes proc_new for a process that never ran, or ended. */
void proc_free(struct proc *p);
/* The current process ended and nobody waits for it: freed as soon as another runs. */
void proc_free_later(struct proc *p);
unsigned proc_count(void);  /* zombies included */
extern uint64_t proc_forks; /* ever */
extern int proc_last_pid;
/* Ends the current process; status as wait4 reports it. */
_Noreturn void proc_exit(int status);
/* The mm of a vforked child goes back to the parent. */
void vfork_done(struct proc *p);

/*
 * exec.c: strings for a new program, NUL-terminated in a row: count[0] arguments, then count[1] of the environment.
 */
#define ARGS_SIZE (32 * PAGE_SIZE)

struct exec_args {
	char *strings; /* ARGS_SIZE bytes */
	size_t used;
	unsigned count[2];
};

int exec_args_init(struct exec_args *args);
void exec_args_free(struct exec_args *args);
int exec_args_add(struct exec_args *args, const char *text, unsigned which);
/* Replaces the current process's program. 0, or a negative errno and nothing has changed. */
int exec_program(const char *path, struct exec_args *args);

/* elf.c: maps a program into an empty mm. 0, or a negative errno and the mm is spoiled. */
struct elf_image {
	uint64_t start;	  /* where to begin: the program, or the interpreter that it names */
	uint64_t entry;	  /* the program's own */
	uint64_t base;	  /* where the interpreter was loaded; 0: there is none */
	uint64_t headers; /* user address of the program headers */
	unsigned header_count;
	uint64_t end; /* of the highest segment, for brk */
	bool stack_executes;
};

int elf_load(struct mm *mm, struct inode *inode, struct elf_image *image);

/* ---------------------------------------------------------------------------------------------------- scheduling */

void make_runnable(struct proc *p);
/* Leaves the boot stack for the first process. */
_Noreturn void run_first(void);
/* Gives the processor to the next runnable process, idling while there is none. The caller queued itself or not. */
void schedule(void);
void sleep_uninterruptible(struct waitq *queue);
/* Ends a sleep early because of a signal, if it is one that a signal may end. */
void interrupt_sleep(struct proc *p);
/* The process's user context is about to change or go: nothing of it is loaded any more. */
void forget_user(struct proc *p);
/* Brings user.fpu, fs_base and gs_base of the current process up to date. */
void save_user(void);
/* The same for user.fpu alone; and the other way, for an image that has changed. */
void save_fpu(void);
void load_fpu(void);
/* Before a return to user mode: scheduling, signals, and the process's own context. */
void return_to_user(struct pvg_frame *frame);
/* Time spent up to now goes to user or system time of the current process. */
void account(bool user);

extern uint64_t idle_ns;

/* load.c */
void load_init(void);
void load_remember(const struct usage *usage); /* of a process that is no more */

/* ------------------------------------------------------------------------------------------------------- signals */

void signal_with(struct proc *p, const struct signal_info *info);
/* For a fault of the current process: neither blocked nor ignored. */
void signal_force(int signal, int code, uint64_t address);
/* After that: a system call that was interrupted although no handler runs begins again. */
void signal_settle(struct pvg_frame *frame);
/* Delivers what is pending, before a return to user mode; may stop or end the process. */
void signal_deliver(struct pvg_frame *frame);
bool signal_is_pending(const struct proc *p);
void signal_exec(struct proc *p); /* handlers go back to default */
void signal_fork(struct proc *child, const struct proc *parent);
/* As programs see it. */
void signal_info_report(siginfo_t *to, const struct signal_info *from);
/* sigframe.c: builds the frame for a handler. False: the stack cannot take it. */
bool sigframe_push(struct pvg_frame *frame, const struct signal_info *info, const struct signal_action *action,
		   uint64_t mask);
/* To the parent of a child that stopped, went on or ended: SIGCHLD, and wait4 looks again. */
void notify_parent(struct proc *p, int code, int status);

/* -------------------------------------------------------------------------------------------------------- memory */

struct mm {
	unsigned refs;
	struct pvg_space space;
	struct pvg_user_memory memory;
	struct list vmas;
	uint64_t brk_start, brk;
	uint64_t resident;   /* pages */
	uint64_t next_fault; /* where a sequence of first touches goes on */
	unsigned ahead;	     /* pages made by its latest fault */
	struct mm_info info;
};

void memory_init(void);
/* Pages as page_new makes them, count in a row. */
void *pages_new(unsigned count);

/* mm.c */
struct mm *mm_new(void);
struct mm *mm_fork(struct mm *mm); /* NULL when memory is out */
struct mm *mm_get(struct mm *mm);
void mm_put(struct mm *mm);
/* Adds an area like *wanted to a range where there is none, joined to a neighbour where possible. 0 or -ENOMEM. */
int vma_insert(struct mm *mm, const struct vma *wanted);
/* Cuts so that areas begin and end at start and end. 0 or -ENOMEM. */
int vma_cut(struct mm *mm, uint64_t start, uint64_t end);
/* Unmaps [start, end): areas and pages. */
int mm_unmap(struct mm *mm, uint64_t start, uint64_t end);
/* A free range of that length, from the top down; 0 if there is none. */
uint64_t mm_find_free(struct mm *mm, uint64_t length);

/* fault.c: makes address accessible as the areas permit. */
enum fault_result { FAULT_OK, FAULT_UNMAPPED, FAULT_FORBIDDEN, FAULT_BEYOND_FILE, FAULT_NO_MEMORY };
enum fault_result mm_fault(struct mm *mm, uint64_t address, unsigned prot);
/* Makes what a new program will need at once: of each area so many pages that faults for them would cost more. */
void mm_populate(struct mm *mm);
void fault_init(void);

/* usercopy.c: as in tinix.h, for an mm that need not be the current one. */
int copy_to_mm(struct mm *mm, uint64_t to, const void *from, size_t len);
int zero_mm(struct mm *mm, uint64_t to, size_t len);

/*
 * table.c: page tables. The lowest tables are shared copy-on-write between processes, as pages are: the entry above a
 * shared one denies writing.
 */
#define PTE_KEEP R3_BIT(9) /* software: a page of a shared mapping, never copied on write */

/* The entry for address, in a table that is the mm's alone; NULL when memory is out. */
uint64_t *table_entry(struct mm *mm, uint64_t address);
/* The same, without making a table: NULL too if there is none. */
uint64_t *table_lookup(struct mm *mm, uint64_t address);
/* Frees the pages of [start, end). 0 or -ENOMEM. */
int table_clear(struct mm *mm, uint64_t start, uint64_t end);
/* The same pages with other rights; writing is taken away at once and given by the next fault. 0 or -ENOMEM. */
int table_protect(struct mm *mm, uint64_t start, uint64_t end, unsigned prot);
int table_fork(struct mm *child, struct mm *parent);
void table_destroy(struct mm *mm);
/* Entry bits for a page with PROT_* rights. */
uint64_t table_bits(unsigned prot);

/* mmap.c: a mapping at an address that is known to be free and sensible. */
#define MM_SHARED    1u
#define MM_READ_ONLY 2u /* shared, and the file was opened for reading alone */
int mm_map(struct mm *mm, uint64_t start, uint64_t length, unsigned prot, unsigned how, struct inode *inode,
	   uint64_t offset);

/* ---------------------------------------------------------------------------------------------------------- time */

int timespec_to_user(uint64_t address, uint64_t ns);
void usage_report(struct rusage *to, const struct usage *from);
/* futex.c: wakes up to count sleepers on the word; how many. */
int futex_wake(uint64_t address, unsigned count);

void syscall_init(void);
/* The system call of that number, for the current process. */
int64_t syscall_run(uint64_t nr, const uint64_t arg[6]);

/* limits.c: time on the processor. When the current process reaches its limit (clock; NO_DEADLINE), and has it told. */
uint64_t limit_cpu_deadline(void);
void limit_cpu_check(void);

#endif
