/*
 * The part of the walls that goes by files, processes and ports instead of system calls: landlock(7).
 */
#ifndef MONITOR_HOST_WALLS_LANDLOCK_H
#define MONITOR_HOST_WALLS_LANDLOCK_H

#include <stdbool.h>

/*
 * True if from here on only what the names kept (names.h) say can be written, and only /proc, libraries and kept names
 * read. False: this host has no Landlock, or does not give it; nothing has changed.
 */
bool landlock_up(void);

#endif
