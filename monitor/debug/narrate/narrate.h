/*
 * `ring3 run --narrate`: slow motion. Each exit is told in sentences: what the guest tried, why it came to the monitor,
 * and what the monitor changed, found by comparing the virtual processor before and after.
 */
#ifndef MONITOR_DEBUG_NARRATE_H
#define MONITOR_DEBUG_NARRATE_H

struct vm;

/*
 * Starts if vm->config->narrate: on stderr, waiting for Enter after each exit if stdin is a terminal, which is then not
 * the guest's. 0 or negative errno with a message printed.
 */
int narrate_up(struct vm *vm);
void narrate_down(struct vm *vm);

#endif
