/*
 * A machine brought up from its parts, and taken down again.
 */
#ifndef MONITOR_CLI_PARTS_H
#define MONITOR_CLI_PARTS_H

#include <stddef.h>

struct vm;

/*
 * Brings all parts up, for vm->config and vm->engine_ops, and returns how many were tried; vm->ended is set, with a
 * message printed, if one failed.
 */
size_t parts_up(struct vm *vm);
void parts_down(struct vm *vm, size_t tried);

#endif
