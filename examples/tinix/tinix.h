/*
 * tinix: what its two halves promise each other. Core: processes, memory, signals, time. Files: everything behind a
 * descriptor.
 *
 * One CPU, and a kernel that is never preempted: interrupts are off in kernel mode except while idle, so what a
 * function does between two sleeps is atomic. Only sleep_on, schedule and what says so may sleep.
 *
 * Results: 0 or more for success, a negative errno for failure. Lengths in bytes, times in ns since boot.
 */
#ifndef TINIX_TINIX_H
#define TINIX_TINIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pvguest/pvguest.h>

#include "examples/tinix/linux.h"
#include "examples/tinix/list.h"

struct proc;
struct mm;
struct file;
struct files;
struct inode;

#define PAGE_SIZE   4096ul
#define PAGE_MASK   (PAGE_SIZE - 1)
#define NO_DEADLINE UINT64_MAX

/* ------------------------------------------------------------------------------------------------ log: main.c */

extern bool debugging; /* the word "debug" is on the command line */
extern bool tracing;   /* the word "trace" is */
#define log(...)   pvg_printf("tinix: " __VA_ARGS__)
#define debug(...) (debugging ? (void)log(__VA_ARGS__) : (void)0)

/* Writes out the console and ends the machine; the status becomes that of `ring3 run`. */
_Noreturn void power_off(unsigned status);

/* --------------------------------------------------------------------------------------- kernel memory: memory.c */

/* A zeroed page with one reference, NULL when memory is out. The kernel reaches every page directly. */
void *page_new(void);
void *page_get(void *page); /* one more reference; returns page */
void page_put(void *page);  /* one less; the last frees it */
unsigned page_refs(const void *page);
uint64_t memory_total(void); /* bytes */
uint64_t memory_free(void);
bool memory_is_plenty(void); /* to spend it on time */

/* Zeroed memory of up to 64 KiB, aligned to 16, or NULL. kfree(NULL) does nothing. */
void *kalloc(size_t size);
void kfree(void *memory);

/* ---------------------------------------------------------------------------------------- user memory: usercopy.c */

/* Between kernel and current process; pages are made as a fault would make them. 0 or -EFAULT, nothing else. */
int copy_from_user(void *to, uint64_t from, size_t len);
int copy_to_user(uint64_t to, const void *from, size_t len);
int zero_user(uint64_t to, size_t len);
/* A string with its terminator; its length, -EFAULT, or -ENAMETOOLONG if it does not fit in size bytes. */
int64_t string_from_user(char *to, uint64_t from, size_t size);
/* The same from another process, for /proc and ptrace's like; returns the bytes read, which may be fewer. */
size_t read_process_memory(struct mm *mm, void *to, uint64_t from, size_t len);

/* ---------------------------------------------------------------------------------------- scheduling: sched.c */

struct waitq {
	struct list sleepers;
};

#define WAITQ_INIT(name)                                                                                               \
	{                                                                                                              \
		LIST_INIT((name).sleepers)                                                                             \
	}
void waitq_init(struct waitq *queue);

/*
 * Sleeps until woken (0), a signal waits (-ERESTARTSYS), or the clock reaches the deadline (-ETIMEDOUT). The caller
 * checks its condition before and after: there is no wake-up to lose between, and there may be one too many. Where
 * Linux answers EINTR whatever SA_RESTART says, turn -ERESTARTSYS into -EINTR or -ERESTARTNOHAND.
 */
int sleep_on(struct waitq *queue, uint64_t deadline);
/* May be called from interrupt handlers, as nearly nothing else may. */
void wake_all(struct waitq *queue);
void wake_one(struct waitq *queue);
/* Lets others run; returns when it is the caller's turn again. */
void yield(void);

/* Every change that may make some file ready for poll wakes this one queue. */
extern struct waitq poll_queue;

/* ns since boot, and what must be added to it for ns since 1970. */
uint64_t now(void);
/* time.c: between ns and what programs pass. -EFAULT, -EINVAL. */
int timespec_from_user(uint64_t address, uint64_t *ns);
uint64_t wall_offset(void);

/* ---------------------------------------------------------------------------------------- processes: proc.c */

enum proc_state { PROC_RUNNABLE, PROC_SLEEPING, PROC_STOPPED, PROC_ZOMBIE };

struct usage {
	uint64_t user_ns, system_ns;
	uint64_t minor_faults;
	uint64_t switches;
};

struct proc {
	int pid, pgid, sid;
	enum proc_state state;
	char name[16];	     /* comm: last part of the path executed */
	struct proc *parent; /* NULL for pid 1 */
	struct list link;    /* in proc_all */
	struct mm *mm;	     /* NULL in a zombie */
	struct files *files; /* NULL in a zombie */
	struct inode *exe;   /* what was executed; NULL before that and in a zombie */
	struct usage usage, children_usage;
	uint64_t start; /* when it was forked */
	struct rlimit limits[RLIM_NLIMITS];
	struct proc_core *core; /* the core's own: proc_core.h */
};

extern struct proc *current; /* NULL in an interrupt handler that came while idle */
extern struct list proc_all; /* struct proc.link, in order of creation, zombies included */
struct proc *proc_find(int pid);
/* 'R', 'S', 'T' or 'Z', as in /proc/PID/stat. */
char proc_state_letter(const struct proc *p);

/* What /proc shows of an address space. */
struct mm_info {
	uint64_t virtual_bytes, resident_pages;
	uint64_t args_start, args_end, env_start, env_end;
	uint64_t start_code, end_code, start_stack;
};
void mm_get_info(struct mm *mm, struct mm_info *out);
/* What one range of addresses is. */
struct vma {
	struct list link; /* by address */
	uint64_t start, end;
	unsigned prot; /* PROT_* */
	bool shared, stack, heap;
	bool read_only;	     /* shared, of a file that was not opened for writing: never to be made writable */
	struct inode *inode; /* NULL: anonymous */
	uint64_t offset;     /* of start in the file */
};
/* The file's pages from an index on are about to go: out of all address spaces with them. */
void mm_forget_file(const struct inode *inode, uint64_t index);
/* The first area that ends above address; NULL if there is none. */
struct vma *vma_find(struct mm *mm, uint64_t address);

/* What /proc/stat and /proc/loadavg show: since boot; load averages of 1, 5 and 15 minutes in 1/65536. */
struct sched_info {
	uint64_t user_ns, system_ns, idle_ns;
	uint64_t switches, forks;
	unsigned runnable; /* now */
	int last_pid;
	uint64_t load[3];
};
void sched_get_info(struct sched_info *out); /* load.c */

/* ---------------------------------------------------------------------------------------- signals: signal.c */

/* From anywhere, interrupt handlers included. */
void signal_process(struct proc *p, int signal);
/* To all of a process group; how many there were. */
int signal_group(int pgid, int signal);
/* True if it would do nothing to the current process: ignored or blocked. For SIGTTIN, SIGTTOU. */
bool signal_is_ignored(int signal);
/*
 * For ppoll and its like: the set of `size` bytes at a user address is the signal mask until the call returns, or until
 * a handler that ends it. 0, -EINVAL or -EFAULT.
 */
int signal_mask_until_return(uint64_t set_at, uint64_t size);
/* True if no living process of the group has a parent in another group of the same session. */
bool group_is_orphaned(int pgid);

/* machine.c: not to be guessed where the processor has RDRAND. */
void random_bytes(void *to, size_t len);

/* ---------------------------------------------------------------------------------- system calls: syscall.c */

/* One line each in syscalls.def; arguments in order; the result goes to RAX. */
typedef int64_t syscall_function(const uint64_t arg[6]);
#define SYSCALL(name) syscall_function sys_##name;
#define AS(name, other, ...)
#define ANSWERS(name, value)
#include "examples/tinix/syscalls.def"

/* ========================================================================================= the half of files */

/* Before the first process: mounts the root, unpacks the archive (cpio newc; NULL: none), finds the terminal. */
void files_init(const void *archive, size_t size);

/*
 * Descriptors, current directory, root and umask of a process. All of them may sleep, except files_get.
 */
struct files *files_new(void);		       /* 0, 1, 2 on the console, directory "/" ; NULL when memory is out */
struct files *files_copy(struct files *files); /* for fork */
struct files *files_get(struct files *files);  /* for CLONE_FILES | CLONE_FS */
void files_put(struct files *files);
int files_exec(struct proc *p); /* unshares p->files and closes what has FD_CLOEXEC; 0 or -ENOMEM */

/* A regular file that may be executed, with a reference; else a negative errno. */
int inode_open_exec(const char *path, struct inode **inode);
struct inode *inode_get(struct inode *inode);
void inode_put(struct inode *inode);
uint64_t inode_size(struct inode *inode);
/* Reads into kernel memory; bytes read, fewer only at the end of the file. */
int64_t inode_read(struct inode *inode, void *to, size_t len, uint64_t offset);
/*
 * The page that holds [index * PAGE_SIZE, ...) of a regular file, zero past its end, with a reference for the caller;
 * what is stored there is stored in the file. NULL if memory is out or index lies wholly past the end.
 */
void *inode_page(struct inode *inode, uint64_t index);
/* A file of that size without a name, for shared anonymous memory; NULL when memory is out. */
struct inode *inode_anonymous(uint64_t size);
/* For mmap: the regular file behind a descriptor of the current process, with a reference; or -EBADF, -EACCES (not
 * open for what prot and flags want), -ENODEV (cannot be mapped). *inode is NULL for /dev/zero: anonymous memory.
 * *writable: a shared mapping may be made writable later. */
int files_map(int fd, unsigned prot, unsigned flags, struct inode **inode, bool *writable);
/* Absolute path for people (/proc/PID/maps, exe); cut to size. */
void inode_path(struct inode *inode, char *to, size_t size);

/* A session leader ends: its terminal is nobody's. setsid: the new session has none. */
void tty_leave(struct proc *p);

#endif
