/*
 * libunwind, loaded when the first backtrace is wanted: most guests end without one, and to bind it at each start would
 * cost a sixth of a small guest's time.
 */
#ifndef MONITOR_DEBUG_CRASH_UNWINDER_H
#define MONITOR_DEBUG_CRASH_UNWINDER_H

#include <libunwind-ptrace.h>

/* libunwind exports it for its own remote callers without declaring it. */
extern int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *info,
					      unw_proc_info_t *proc, int need_unwind_info, void *arg);

/* Of libunwind for this processor, and of its accessors by ptrace; the header says what each does. */
#define UNWINDER_CALLS(X)                                                                                              \
	X(create_addr_space)                                                                                           \
	X(destroy_addr_space)                                                                                          \
	X(set_caching_policy)                                                                                          \
	X(init_remote)                                                                                                 \
	X(step)                                                                                                        \
	X(get_reg)                                                                                                     \
	X(get_save_loc)                                                                                                \
	X(dwarf_search_unwind_table)
#define UNWINDER_PTRACE_CALLS(X)                                                                                       \
	X(_UPT_create)                                                                                                 \
	X(_UPT_destroy)                                                                                                \
	X(_UPT_access_mem)

struct unwinder {
#define X(name) __typeof__(&UNW_OBJ(name)) name;
	UNWINDER_CALLS(X)
#undef X
#define X(name) __typeof__(&name) name;
	UNWINDER_PTRACE_CALLS(X)
#undef X
};

/* NULL where it cannot be loaded: there is no call chain by unwind tables then. */
const struct unwinder *unwinder(void);

#endif
