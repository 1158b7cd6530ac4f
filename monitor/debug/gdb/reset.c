/*
 * `monitor system_reset`: the machine is made anew by the surest way there is: this process ends its parts and becomes
 * the same program with the same arguments. Only the connection to the debugger goes along, by descriptor numbers in
 * the environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/debug/gdb/gdb.h"
#include "monitor/debug/gdb/internal.h"

#define RESET_VARIABLE "RING3_GDB_CONNECTION"

static bool wanted;

void reset_want(struct gdb *gdb)
{
	wanted = true;
	/* Also of a guest that has crashed and is only looked at. */
	gdb->stopped = gdb->owes_stop = false;
	vm_end(gdb->vm, 0);
}

static void keep(int *fd)
{
	if (*fd >= 0)
		fcntl(*fd, F_SETFD, 0);
	*fd = -1;
}

void reset_bequeath(struct gdb *gdb)
{
	struct gdb_link *link = &gdb->link;
	char text[64];

	if (!wanted)
		return;
	snprintf(text, sizeof(text), "%d,%d,%d,%d", link->listen_fd, link->in_fd, link->out_fd, gdb->no_ack);
	setenv(RESET_VARIABLE, text, 1);
	if (link->out_fd != link->in_fd)
		keep(&link->out_fd);
	keep(&link->in_fd);
	keep(&link->listen_fd);
	link->out_fd = -1;
	link->path[0] = '\0';
}

static bool is_open(int fd)
{
	return fd < 0 || !fcntl(fd, F_SETFD, FD_CLOEXEC);
}

bool reset_inherit(struct gdb *gdb, const char *address)
{
	const char *text = getenv(RESET_VARIABLE);
	int listen_fd, in_fd, out_fd, no_ack;
	bool right = text && sscanf(text, "%d,%d,%d,%d", &listen_fd, &in_fd, &out_fd, &no_ack) == 4 &&
		     is_open(listen_fd) && is_open(in_fd) && is_open(out_fd);

	unsetenv(RESET_VARIABLE);
	if (!right)
		return false;
	link_adopt(&gdb->link, address, listen_fd, in_fd, out_fd);
	gdb->no_ack = no_ack;
	gdb->stopped = true;
	return true;
}

bool gdb_reset_wanted(void)
{
	return wanted;
}

int gdb_restart(int argc, char **argv)
{
	static char self[] = "/proc/self/exe", program[] = "ring3";
	char **copy = calloc((size_t)argc + 2, sizeof(*copy));

	if (copy) {
		copy[0] = program;
		memcpy(copy + 1, argv, (size_t)argc * sizeof(*copy));
		execv(self, copy);
	}
	fprintf(stderr, "ring3: the guest cannot be started again: %s; start ring3 again\n", strerror(errno));
	free(copy);
	return VM_STATUS_HOST;
}
