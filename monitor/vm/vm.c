/*
 * How a machine is interrupted, and how it ends.
 */
#include "monitor/vm/vm.h"

#include <stdarg.h>
#include <stdio.h>

void vm_kick(struct vm *vm)
{
	for (unsigned i = 0; vm->engine_ops && i < vm->vcpu_count; i++)
		vm->engine_ops->kick(vm->vcpu[i]);
}

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
