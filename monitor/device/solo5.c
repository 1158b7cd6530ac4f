/*
 * Solo5's hypercalls, as the calls of `hvt` (monitor/boot/solo5.h): OUT of a gpa to a port, arguments and answers in
 * memory there. What lies there is copied once.
 */
#include "monitor/device/solo5.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "hypercalls/abi.h"
#include "monitor/boot/solo5.h"
#include "monitor/device/console.h"
#include "monitor/host/clock.h"
#include "monitor/vm/vm.h"

#define CHUNK 4096

/* A unikernel that hands over an address that is no memory, or asks what cannot be, has ended. */
static bool get(struct vm *vm, const char *call, uint64_t gpa, void *to, size_t len)
{
	if (gm_read(&vm->mem, gpa, to, len))
		return true;
	vm_kill(vm, "Solo5 %s: arguments at %#lx are not in RAM", call, gpa);
	return false;
}

static void put(struct vm *vm, const char *call, uint64_t gpa, const void *from, size_t len)
{
	if (!gm_write(&vm->mem, gpa, from, len))
		vm_kill(vm, "Solo5 %s: the answer's place at %#lx is not in RAM", call, gpa);
}

static void walltime(struct solo5 *solo5, uint64_t gpa)
{
	const struct solo5_walltime answer = {.ns = clock_guest_wall_ns()};

	put(solo5->vm, "walltime", gpa, &answer, sizeof(answer));
}

static void puts_call(struct solo5 *solo5, uint64_t gpa)
{
	struct vm *vm = solo5->vm;
	struct solo5_puts call;
	uint8_t chunk[CHUNK];

	if (!get(vm, "puts", gpa, &call, sizeof(call)))
		return;
	if (!gm_is_ram(&vm->mem, call.data, call.len)) {
		vm_kill(vm, "Solo5 puts: %#lx bytes at %#lx are not in RAM", call.len, call.data);
		return;
	}
	for (uint64_t done = 0; done < call.len && !vm_is_over(vm);) {
		uint64_t n = call.len - done < CHUNK ? call.len - done : CHUNK;

		gm_read(&vm->mem, call.data + done, chunk, n);
		console_write(vm->console, chunk, n);
		done += n;
	}
}

/* ------------------------------------------------------------------------------------------------------------- poll */

static void wake(void *arg, uint64_t now)
{
	struct vcpu *vcpu = ((struct solo5 *)arg)->vm->vcpu[0];

	vcpu->halted = false;
	vcpu->wakes = false;
}

/* Nothing that it could wait for becomes ready, so the answer is known: only the time is not over yet. */
static void poll_call(struct solo5 *solo5, uint64_t gpa)
{
	struct vm *vm = solo5->vm;
	struct vcpu *vcpu = vm->vcpu[0];
	uint64_t now = clock_guest_ns();
	struct solo5_poll call;

	if (!get(vm, "poll", gpa, &call, sizeof(call)))
		return;
	call.ready = 0;
	call.result = 0;
	put(vm, "poll", gpa, &call, sizeof(call));
	timer_arm(&solo5->timer, call.timeout_ns < TIMER_NEVER - 1 - now ? now + call.timeout_ns : TIMER_NEVER - 1);
	vcpu->halted = true;
	vcpu->wakes = true;
}

/* ----------------------------------------------------------------------------------------------------------- blocks */

static enum solo5_result check(const struct solo5_block *block, const struct solo5_transfer *call)
{
	if (!block || call->offset >= block->capacity || call->len > block->capacity - call->offset)
		return SOLO5_EINVAL;
	return SOLO5_OK;
}

/* Moves the bytes through a small buffer; false: the host refused, and said so. */
static bool move(struct vm *vm, const struct solo5_block *block, const struct solo5_transfer *call, bool write)
{
	uint8_t chunk[CHUNK];

	for (uint64_t done = 0; done < call->len && !vm_is_over(vm);) {
		uint64_t left = call->len - done, n = left < CHUNK ? left : CHUNK, gpa = call->data + done;
		off_t offset = (off_t)(call->offset + done);
		ssize_t moved;

		if (write)
			gm_read(&vm->mem, gpa, chunk, n);
		moved = write ? pwrite(block->fd, chunk, n, offset) : pread(block->fd, chunk, n, offset);
		if (moved < 0 && errno == EINTR)
			continue;
		if (moved <= 0) {
			vm_refused(vm, "a block device's file cannot be %s: %s: look at its disk",
				   write ? "written" : "read", moved ? strerror(errno) : "it became shorter");
			return false;
		}
		if (!write)
			gm_write(&vm->mem, gpa, chunk, (uint64_t)moved);
		done += (uint64_t)moved;
	}
	return true;
}

static void block_call(struct solo5 *solo5, uint64_t gpa, bool write)
{
	const char *name = write ? "block write" : "block read";
	struct vm *vm = solo5->vm;
	struct solo5_transfer call;
	const struct solo5_block *block;

	if (!get(vm, name, gpa, &call, sizeof(call)))
		return;
	block = image_solo5_block(vm, call.handle);
	call.result = (int32_t)check(block, &call);
	if (call.result == SOLO5_OK) {
		if (!gm_is_ram(&vm->mem, call.data, call.len)) {
			vm_kill(vm, "Solo5 %s: %#lx bytes at %#lx are not in RAM", name, call.len, call.data);
			return;
		}
		if (!move(vm, block, &call, write))
			return;
	}
	put(vm, name, gpa, &call, sizeof(call));
}

/* There is no network: no handle stands for one. */
static void packet_call(struct solo5 *solo5, uint64_t gpa)
{
	struct solo5_packet call;

	if (!get(solo5->vm, "net", gpa, &call, sizeof(call)))
		return;
	call.result = SOLO5_EINVAL;
	put(solo5->vm, "net", gpa, &call, sizeof(call));
}

/* -------------------------------------------------------------------------------------------------------------- end */

static void halt(struct solo5 *solo5, uint64_t gpa)
{
	struct vm *vm = solo5->vm;
	struct solo5_halt call;

	if (!get(vm, "halt", gpa, &call, sizeof(call)))
		return;
	if (call.status == SOLO5_STATUS_ABORT)
		vm_panic(vm, "the unikernel aborted");
	else if (call.status >= 0 && call.status <= R3_EXIT_MAX)
		vm_end(vm, call.status);
	else
		vm_kill(vm, "Solo5 halt: status %d, a guest's status is 0 to %d", call.status, R3_EXIT_MAX);
}

static void access_call(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct solo5 *solo5 = device;

	if (!write) {
		*value = UINT32_MAX;
		return;
	}
	switch (size == sizeof(*value) ? offset : SOLO5_CALLS) {
	case SOLO5_WALLTIME:
		walltime(solo5, *value);
		break;
	case SOLO5_PUTS:
		puts_call(solo5, *value);
		break;
	case SOLO5_POLL:
		poll_call(solo5, *value);
		break;
	case SOLO5_BLOCK_WRITE:
	case SOLO5_BLOCK_READ:
		block_call(solo5, *value, offset == SOLO5_BLOCK_WRITE);
		break;
	case SOLO5_NET_WRITE:
	case SOLO5_NET_READ:
		packet_call(solo5, *value);
		break;
	case SOLO5_HALT:
		halt(solo5, *value);
		break;
	default:
		break;
	}
}

void solo5_init(struct solo5 *solo5, struct vm *vm)
{
	solo5->vm = vm;
	timer_add(&vm->timers, &solo5->timer, wake, solo5);
	bus_register(&vm->bus, SOLO5_PORT, SOLO5_PORTS, sizeof(uint32_t), access_call, solo5, "Solo5");
}
