/*
 * `monitor system_reset`: all parts of the machine end and are made anew, in the same process; only the connection to
 * the debugger goes along.
 */
#include <string.h>

#include "monitor/debug/gdb/gdb.h"
#include "monitor/debug/gdb/internal.h"

static struct {
	bool wanted;
	bool waits; /* a connection, for the machine to come */
	struct gdb_link link;
	bool no_ack;
} reset;

void reset_want(struct gdb *gdb)
{
	reset.wanted = true;
	/* Also of a guest that has crashed and is only looked at. */
	gdb->stopped = gdb->owes_stop = false;
	vm_end(gdb->vm, 0);
}

bool gdb_reset_wanted(void)
{
	return reset.wanted;
}

bool gdb_reset_take(void)
{
	bool taken = reset.wanted;

	reset.wanted = false;
	return taken;
}

void reset_bequeath(struct gdb *gdb)
{
	if (!reset.wanted)
		return;
	link_stop(&gdb->link);
	reset.link = gdb->link;
	reset.no_ack = gdb->no_ack;
	reset.waits = true;
	/* What was given away is not closed. */
	gdb->link.listen_fd = gdb->link.in_fd = gdb->link.out_fd = gdb->link.spare_fd = -1;
	memset(gdb->link.tables, -1, sizeof(gdb->link.tables));
	gdb->link.path[0] = '\0';
}

bool reset_inherit(struct gdb *gdb)
{
	if (!reset.waits)
		return false;
	reset.waits = false;
	link_adopt(&gdb->link, &reset.link);
	gdb->no_ack = reset.no_ack;
	gdb->stopped = true;
	return true;
}
