/*
 * The only names of files that the monitor can change behind its walls. They lie in memory that is made read-only and
 * sealed (mseal(2), Linux 6.10), so a rule on the address of a name is one on the name. Each has a slot: a rule can ask
 * for its beginning, and no part of a name passes for one.
 */
#ifndef MONITOR_HOST_WALLS_NAMES_H
#define MONITOR_HOST_WALLS_NAMES_H

#include <stdbool.h>

/*
 * Amid what the monitor keeps free for the gate (engine/trap/reserve.c), where a cell has nothing and its guest no
 * addresses: sealed memory stays where it is in children as well, though empty.
 */
#define NAMES_SLOT    0x1000ul
#define NAMES_SLOTS   32ul
#define NAMES_READ    0x3f8004000000ul
#define NAMES_WRITE   (NAMES_READ + NAMES_SLOTS * NAMES_SLOT)
#define NAMES_END     (NAMES_WRITE + NAMES_SLOTS * NAMES_SLOT)
#define NAMES_OF_SLOT ((NAMES_SLOTS - 1) * NAMES_SLOT) /* the bits of an address that tell slots apart */

/*
 * The name as it has to be given to open, rename and unlink: kept, if the walls do not stand yet, or as it was kept
 * before. NULL: there is no room, or it is too late. NAMES_WRITE: to be made, replaced and removed.
 */
const char *names_keep_to_read(const char *path);
const char *names_keep_to_write(const char *path);
/* The name as it was kept, or the one given. */
const char *names_find(const char *path);
/* The walls stand, and this name was not kept: nothing can be written there. */
bool names_out_of_reach(const char *path);

/* Each kept name of one region, for the walls that go by files; index below NAMES_SLOTS, NULL beyond the last. */
const char *names_each_to_read(unsigned index);
const char *names_each_to_write(unsigned index);
/* No more names. 0 or negative errno. */
int names_freeze(void);
/* Whether this host seals them: else whoever had taken over the monitor could put others in their place. */
bool names_sealed(void);

#endif
