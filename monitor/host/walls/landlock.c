/*
 * Landlock without a library: three system calls.
 */
#include "monitor/host/walls/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "monitor/host/walls/names.h"
#include "monitor/host/walls/walls.h"

/* struct landlock_ruleset_attr as of version 6; the headers of Debian 12 are older. Each version knows a beginning. */
struct ruleset {
	uint64_t fs;
	uint64_t net;	 /* version 4 */
	uint64_t scoped; /* version 6 */
};
#define FS_REFER	 (1ull << 13) /* version 2 */
#define FS_TRUNCATE	 (1ull << 14) /* version 3 */
#define NET_TCP		 3ull	      /* bind and connect */
#define SCOPED_UNIX	 (1ull << 0)  /* abstract sockets of others */
#define SCOPED_SIGNAL	 (1ull << 1)
#define VERSION_REFER	 2
#define VERSION_TRUNCATE 3
#define VERSION_NET	 4
#define VERSION_SCOPED	 WALLS_LANDLOCK_SIGNALS

#define FS_OF_FILES                                                                                                    \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE)
#define FS_ALL ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define FS_REPLACE                                                                                                     \
	(LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_TRUNCATE)

int walls_landlock_version(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version > 0 ? (int)version : 0;
}

static int make(struct ruleset *rules)
{
	int version = walls_landlock_version();

	*rules = (struct ruleset){.fs = FS_ALL};
	if (version >= VERSION_REFER)
		rules->fs |= FS_REFER;
	if (version >= VERSION_TRUNCATE)
		rules->fs |= FS_TRUNCATE;
	if (version >= VERSION_NET)
		rules->net = NET_TCP;
	if (version >= VERSION_SCOPED)
		rules->scoped = SCOPED_UNIX | SCOPED_SIGNAL;
	if (!version)
		return -1;
	return (int)syscall(SYS_landlock_create_ruleset, rules,
			    version < VERSION_NET ? sizeof(rules->fs) : sizeof(*rules) - (version < VERSION_SCOPED) * 8,
			    0);
}

/* What is not there needs no rule. */
static void allow(int ruleset, const struct ruleset *rules, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr beneath = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};
	struct stat st;

	if (beneath.parent_fd < 0)
		return;
	if (access & ~FS_OF_FILES && fstat(beneath.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		access &= FS_OF_FILES;
	beneath.allowed_access = access & rules->fs;
	syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	close(beneath.parent_fd);
}

static void allow_directory_of(int ruleset, const struct ruleset *rules, const char *path, uint64_t access)
{
	const char *slash = strrchr(path, '/');
	char directory[NAMES_SLOT];

	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) + (slash == path) : 1,
		 slash ? path : ".");
	allow(ruleset, rules, directory, access);
}

static bool is_special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode);
}

/* A device or a pipe is written to; anything else is replaced by a file that is made beside it. */
static void allow_names(int ruleset, const struct ruleset *rules)
{
	const char *path;

	for (unsigned i = 0; (path = names_each_to_write(i)); i++) {
		if (is_special(path) || !strncmp(path, "/dev/", 5) || !strncmp(path, "/proc/", 6))
			allow(ruleset, rules, path, LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE);
		else
			allow_directory_of(ruleset, rules, path, FS_REPLACE);
	}
	/* An image that was built anew is another file of that name. */
	for (unsigned i = 0; (path = names_each_to_read(i)); i++)
		allow_directory_of(ruleset, rules, path, LANDLOCK_ACCESS_FS_READ_FILE);
}

bool landlock_up(void)
{
	static const char *const to_read[] = {"/proc", "/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache"};
	struct ruleset rules;
	int ruleset = make(&rules);
	bool stands;

	if (ruleset < 0)
		return false;
	for (unsigned i = 0; i < sizeof(to_read) / sizeof(to_read[0]); i++)
		allow(ruleset, &rules, to_read[i], LANDLOCK_ACCESS_FS_READ_FILE);
	allow_names(ruleset, &rules);
	stands = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	close(ruleset);
	return stands;
}
