/*
 * A debugger at the guest, through GDB's remote protocol (appendix E of its manual). The vCPU thread serves it between
 * exits, so whatever it looks at stands still. It may be hostile or gone at any moment: the guest then runs on as if it
 * had never been there.
 */
#ifndef MONITOR_DEBUG_GDB_H
#define MONITOR_DEBUG_GDB_H

#include <stdbool.h>

struct vm;

/*
 * Listens where config->gdb says: "private", a unix socket in the user's own directory (stats_directory); "unix:PATH";
 * "[tcp:][HOST]:PORT", without HOST on the loopback interface, port 0 being one of the host's choice; or "stdio".
 * Connections of other users are refused. Observes the machine from then on; does nothing if config->gdb is
 * NULL. To be called before the console is opened: "stdio" moves that to stderr. 0 or negative errno with a message
 * printed.
 */
int gdb_up(struct vm *vm);
/* Takes the debugger's traces off the guest, tells it how the guest ended, and hangs up. */
void gdb_down(struct vm *vm);
/* The syntax alone, for the command line. */
bool gdb_address_valid(const char *address);

/* The machine is complete: from now on the debugger can reach it. 0 or negative errno with a message printed. */
int gdb_start(struct vm *vm);

/* The debugger asked for a reset: once every part is down, all are to come up again. */
bool gdb_reset_wanted(void);
/* The same, and the wish is granted. */
bool gdb_reset_take(void);

/* The guest has ended. If a rule killed it, the debugger may look at what is left until it has seen enough. */
void gdb_finish(struct vm *vm);

#endif
