/*
 * How the process of a new cell comes to be: of the monitor itself, or, where a guest turns out to need many, of the
 * nursery.
 */
#ifndef MONITOR_ENGINE_TRAP_BIRTH_H
#define MONITOR_ENGINE_TRAP_BIRTH_H

struct cell;
struct cells;

/* Makes the process of a cell whose pages are mapped: cell->pid. 0 or a negative errno. */
int birth(struct cell *cell);
/* Ends the nursery. */
void birth_exit(struct cells *cells);

#endif
