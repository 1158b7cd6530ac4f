/*
 * The options of `ring3 run`: command line to struct vm_config.
 */
#ifndef MONITOR_CLI_OPTIONS_H
#define MONITOR_CLI_OPTIONS_H

#include <stdint.h>

#include "monitor/vm/vm.h"

#define OPTIONS_MEMORY_DEFAULT (64ULL << 20)
#define OPTIONS_MEMORY_MIN     (2ULL << 20)
#define OPTIONS_MEMORY_MAX     (1ULL << 40)
/* RAM comes in steps of one large page, which is what the boot page tables map it with. */
#define OPTIONS_MEMORY_STEP (2ULL << 20)
/* What -s means. */
#define OPTIONS_GDB_DEFAULT "private"

enum options_result {
	OPTIONS_RUN,  /* *config is complete: nothing in it that has a default is NULL */
	OPTIONS_DONE, /* --help was answered on stdout */
	OPTIONS_BAD,  /* one line said what is wrong; verb_hint says the second */
};

/* The table that they are read by. */
extern const struct argp options_argp;

/* argv[0] is the verb. The strings in *config point into argv. */
enum options_result options_parse(int argc, char **argv, struct vm_config *config);

/*
 * A size as QEMU reads it: a number with suffix K, M, G or T (powers of 1024), a bare one in MiB. 0, -EINVAL if it is
 * none, -ERANGE if it does not fit 64 bits.
 */
int options_size(const char *text, uint64_t *bytes);

/*
 * Rewrites QEMU's spellings (-kernel, -append ...) to the long options, in place; values are left alone. 0, or -EINVAL
 * with a message printed for a word with a single dash that is no option.
 */
int options_rewrite(int *argc, char **argv);

#endif
