/*
 * Who watches a machine run without being part of it: debugger, narrator, traces, statistics. An observer registers,
 * and is called at the moments that it has a function for; the machine knows none of them by name. A moment that nobody
 * waits for costs one predictable branch. All is called on the vCPU's thread, with the vCPU stopped.
 */
#ifndef MONITOR_VM_OBSERVER_H
#define MONITOR_VM_OBSERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypercalls/x86.h"

struct vm;
struct vcpu;
struct vm_exit;
struct observer;

#define OBSERVERS_MAX 8

/* An access to memory where a device is, or nothing. */
struct observed_access {
	uint64_t gpa, len;
	bool write;
	uint64_t value;	    /* the first bytes of it */
	uint64_t since_tsc; /* it began when clock_tsc() was this */
};

struct observer_ops {
	/* Something asked for attention: a signal, a deadline, input. */
	void (*attend)(struct observer *self, struct vm *vm);
	/* Between two exits, before it is settled what the guest does next: may keep it stopped, change it, or end it.
	 */
	void (*between)(struct observer *self, struct vcpu *vcpu);
	/* An interrupt waits for the guest to take it, or none does; told before each entry. */
	void (*waits)(struct observer *self, struct vcpu *vcpu, bool waits);
	/* Guest code goes on, unless the guest is ended here. */
	void (*enter)(struct observer *self, struct vcpu *vcpu);
	/* Guest code has stopped. *taken may be set: the exit was the observer's own, and is handled. */
	void (*leave)(struct observer *self, struct vcpu *vcpu, const struct vm_exit *exit, bool *taken);
	/* Guest code does not go on for now: it waits for an interrupt, or has ended. */
	void (*rest)(struct observer *self, struct vcpu *vcpu);
	/* It waited since clock_tsc() was this. */
	void (*woke)(struct observer *self, struct vcpu *vcpu, uint64_t since_tsc);
	/* An interpreter is about to execute a sensitive instruction: its bytes, at RIP. */
	void (*interpreted)(struct observer *self, struct vcpu *vcpu, const uint8_t *bytes, unsigned length);
	/* The monitor has read or written for the guest what is no RAM. */
	void (*device)(struct observer *self, struct vcpu *vcpu, const struct observed_access *access);
};

#define OBSERVER_MOMENTS(X) X(attend) X(between) X(waits) X(enter) X(leave) X(rest) X(woke) X(interpreted) X(device)

enum observer_moment {
#define X(name) OBSERVE_##name,
	OBSERVER_MOMENTS(X)
#undef X
};

/* Lives as long as it is registered; one without state may be registered with several machines. */
struct observer {
	const struct observer_ops *ops;
};

/* What an observer is the member of. */
#define OBSERVER_OWNER(self, type, member) ((type *)((char *)(self)-offsetof(type, member)))

struct observers {
	uint32_t moments;		      /* bits by enum observer_moment: somebody waits for it */
	struct observer *list[OBSERVERS_MAX]; /* called in this order; NULL: a free place */
};

/* Both are allowed at any moment. Aborts if there is no place. */
void observer_add(struct vm *vm, struct observer *observer);
void observer_remove(struct vm *vm, struct observer *observer);
/* The first registered with these ops; NULL: none. */
struct observer *observer_find(const struct vm *vm, const struct observer_ops *ops);

/* OBSERVE(vm, MOMENT, arguments behind self...) calls all who wait for the moment. */
#define OBSERVE(vm, moment, ...)                                                                                       \
	do {                                                                                                           \
		if (__builtin_expect((vm)->observers.moments & R3_BIT(OBSERVE_##moment), 0)) {                         \
			for (unsigned at_ = 0; at_ < OBSERVERS_MAX; at_++) {                                           \
				struct observer *observer_ = (vm)->observers.list[at_];                                \
				if (observer_ && observer_->ops->moment)                                               \
					observer_->ops->moment(observer_, __VA_ARGS__);                                \
			}                                                                                              \
		}                                                                                                      \
	} while (0)

#endif
