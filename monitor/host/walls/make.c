/*
 * Makes the filters of calls.def at build time. Prints C: a program for each verb, on a host that confines reading and
 * on one that does not; the names of calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "monitor/host/walls/names.h"
#include "monitor/host/walls/print.h"

/* Any of these in the flags of an open is more than reading. */
#define NOT_READING (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))

/* Newer than the C library of Debian 12. */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

enum {
	DEBUG = 1,
	LOCKSTEP = 2,
	EVERY = DEBUG | LOCKSTEP | 4,
	CONFINED = 8,
	UNCONFINED = 16,
	CHECKED = 32,
	REPORT = 64,
	TOP = 128
};

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED CHECKED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED CHECKED
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif
#define ELSEWHERE (SANITIZED ? CONFINED : UNCONFINED)
#define READERS	  (SANITIZED ? EVERY | CONFINED | SANITIZED : 0) /* a sanitizer's threads and locks */

#define CONDITIONS_MAX 4

struct rule {
	unsigned who;
	uint32_t action;
	int call;
	const char *name;
	struct scmp_arg_cmp condition[CONDITIONS_MAX]; /* one of all zeroes is none: SCMP_CMP_NE is 1 */
};

#define IS(n, value)                                                                                                   \
	{                                                                                                              \
		n, SCMP_CMP_EQ, (scmp_datum_t)(value), 0                                                               \
	}
#define MASKED(n, mask, value)                                                                                         \
	{                                                                                                              \
		n, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(value)                                     \
	}

#define CALL(who, name, reason, ...)	      {who, SCMP_ACT_ALLOW, SCMP_SYS(name), #name, {__VA_ARGS__}},
#define REFUSE(who, name, error, reason, ...) {who, SCMP_ACT_ERRNO(error), SCMP_SYS(name), #name, {__VA_ARGS__}},

static const struct rule rules[] = {
#include "monitor/host/walls/calls.def"
};

static void add(scmp_filter_ctx filter, const struct rule *rule)
{
	unsigned conditions = 0;

	while (conditions < CONDITIONS_MAX && rule->condition[conditions].op)
		conditions++;
	print_check(seccomp_rule_add_array(filter, rule->action, rule->call, conditions, rule->condition), rule->name);
}

static void make(const char *name, unsigned who)
{
	scmp_filter_ctx filter = print_begin(SCMP_ACT_TRAP);

	/* A tree over the numbers of calls, not a list. */
	print_check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), name);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].who & who)
			add(filter, &rules[i]);
	print_end(filter, name);
}

static void print_names(void)
{
	enum { NUMBERS = 480 };

	puts("static const char call_names[][24] = {");
	for (int i = 0; i < NUMBERS; i++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, i);

		if (name && strlen(name) < 24)
			printf("\t[%d] = \"%s\",\n", i, name);
		free(name);
	}
	puts("};");
}

int main(void)
{
	make("run_confined", 4 | CONFINED | SANITIZED);
	make("run_unconfined", 4 | ELSEWHERE | SANITIZED);
	make("debug_confined", DEBUG | CONFINED | SANITIZED);
	make("debug_unconfined", DEBUG | ELSEWHERE | SANITIZED);
	make("lockstep_confined", LOCKSTEP | CONFINED | SANITIZED);
	make("lockstep_unconfined", LOCKSTEP | ELSEWHERE | SANITIZED);
	make("report", REPORT | READERS);
	make("top", TOP | READERS);
	print_names();
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
