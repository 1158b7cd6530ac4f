/*
 * How a machine ends.
 */
#include "monitor/vm/vm.h"

#include <stdarg.h>
#include <stdio.h>

void vm_end(struct vm *vm, int status)
{
	if (vm->ended)
		return;
	vm->ended = true;
	vm->status = status;
}

void vm_kill(struct vm *vm, const char *format, ...)
{
	if (vm->ended)
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(vm->reason, sizeof(vm->reason), format, args);
	va_end(args);
	vm_end(vm, VM_STATUS_CRASH);
}
