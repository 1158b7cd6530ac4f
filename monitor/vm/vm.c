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

static void crash(struct vm *vm, const char *format, va_list args)
{
	vsnprintf(vm->reason, sizeof(vm->reason), format, args);
	vm_end(vm, VM_STATUS_CRASH);
}

void vm_shutdown(struct vm *vm, const char *format, ...)
{
	if (vm->ended)
		return;
	va_list args;
	va_start(args, format);
	crash(vm, format, args);
	va_end(args);
}

void vm_kill(struct vm *vm, const char *format, ...)
{
	struct vcpu *vcpu = vm->vcpu[0];
	if (vm->ended)
		return;
	if (vcpu && vcpu->cpl == 3) {
		vcpu_raise_error(vcpu, X86_VEC_GP, 0);
		return;
	}
	va_list args;
	va_start(args, format);
	crash(vm, format, args);
	va_end(args);
}

void vm_refused(struct vm *vm, const char *format, ...)
{
	if (vm->ended)
		return;
	va_list args;
	va_start(args, format);
	fputs("ring3: the host refuses to go on with the guest: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	vm_end(vm, VM_STATUS_HOST);
}
