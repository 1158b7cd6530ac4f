/*
 * How a machine is interrupted, and how it ends.
 */
#include "monitor/vm/vm.h"

#include <stdarg.h>
#include <stdio.h>

#include "monitor/host/clock.h"
#include "monitor/host/events.h"

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

void vm_panic(struct vm *vm, const char *why)
{
	if (vm->ended)
		return;
	snprintf(vm->reason, sizeof(vm->reason), "%s", why);
	for (char *c = vm->reason; *c; c++)
		*c = *c >= ' ' && *c <= '~' ? *c : '?';
	vm_end(vm, R3_STATUS_PANIC);
}

void vm_output_lost(struct vm *vm)
{
	if (vm->ended && vm->status <= R3_EXIT_MAX)
		vm->status = VM_STATUS_HOST;
	vm_end(vm, VM_STATUS_HOST);
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

static bool time_is_over(const struct vm *vm)
{
	double limit = vm->config ? vm->config->timeout : 0;

	return limit > 0 && (double)(clock_machine_ns() - vm->start_ns) > limit * (double)CLOCK_NS_PER_SEC;
}

void vm_settle(struct vm *vm)
{
	if (vm->engine_ops && vm->engine_ops->settle)
		vm->engine_ops->settle(vm);
}

bool vm_is_over(const struct vm *vm)
{
	return events_quit_signal() || time_is_over(vm);
}

bool vm_end_if_over(struct vm *vm)
{
	if (events_quit_signal())
		vm_end(vm, 128 + events_quit_signal());
	else if (time_is_over(vm))
		vm_end(vm, VM_STATUS_TIMEOUT);
	return vm->ended;
}
