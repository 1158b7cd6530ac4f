/*
 * System calls: from the number to the function.
 */
#include "examples/tinix/core.h"

#define SYSCALL(name)
#define AS(name, other, ...)                                                                                           \
	static int64_t sys_##name(const uint64_t arg[6])                                                               \
	{                                                                                                              \
		return sys_##other((const uint64_t[6]){__VA_ARGS__});                                                  \
	}
#define ANSWERS(name, value)                                                                                           \
	static int64_t sys_##name(const uint64_t arg[6])                                                               \
	{                                                                                                              \
		return value;                                                                                          \
	}
#include "examples/tinix/syscalls.def"

static syscall_function *const calls[] = {
#define SYSCALL(name)	     [__NR_##name] = sys_##name,
#define AS(name, other, ...) SYSCALL(name)
#define ANSWERS(name, value) SYSCALL(name)
#include "examples/tinix/syscalls.def"
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* All that Linux has; made from its own header when tinix is built. */
static const char *const names[] = {
#include "syscall_names.def"
};

#define NAMES (sizeof(names) / sizeof(names[0]))

static int64_t missing(uint64_t nr)
{
	static bool told[NAMES];

	if (nr >= NAMES || !names[nr]) {
		debug("%s: no such system call: %lu\n", current->name, nr);
	} else if (!told[nr]) {
		told[nr] = true;
		debug("%s: system call %s is not there\n", current->name, names[nr]);
	}
	return -ENOSYS;
}

int64_t syscall_run(uint64_t nr, const uint64_t arg[6])
{
	return nr < CALLS && calls[nr] ? calls[nr](arg) : missing(nr);
}

static void system_call(struct pvg_frame *frame, void *arg)
{
	const uint64_t args[6] = {frame->rdi, frame->rsi, frame->rdx, frame->r10, frame->r8, frame->r9};
	uint64_t nr = frame->rax;
	int64_t result;

	account(true);
	current->core->syscall = nr;
	result = syscall_run(nr, args);
	if (tracing)
		log("%d %s %s(%lx, %lx, %lx, %lx) = %ld\n", current->pid, current->name,
		    nr < NAMES && names[nr] ? names[nr] : "?", args[0], args[1], args[2], args[3], result);
	/* execve has made a frame of its own: RAX there is 0, as its result is. */
	frame->rax = (uint64_t)result;
}

void syscall_init(void)
{
	pvg_syscall_register(system_call, NULL);
	pvg_user_return_register(return_to_user);
}
