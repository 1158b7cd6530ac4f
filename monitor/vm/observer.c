/*
 * The list of those who watch a machine.
 */
#include "monitor/vm/observer.h"

#include <stdlib.h>

#include "monitor/vm/vm.h"

static void update(struct observers *observers)
{
	observers->moments = 0;
	for (unsigned i = 0; i < OBSERVERS_MAX; i++) {
		if (!observers->list[i])
			continue;
#define X(moment)                                                                                                      \
	if (observers->list[i]->ops->moment)                                                                           \
		observers->moments |= (uint32_t)R3_BIT(OBSERVE_##moment);
		OBSERVER_MOMENTS(X)
#undef X
	}
}

void observer_add(struct vm *vm, struct observer *observer)
{
	unsigned place = 0;

	while (vm->observers.list[place])
		if (++place == OBSERVERS_MAX)
			abort();
	vm->observers.list[place] = observer;
	update(&vm->observers);
}

void observer_remove(struct vm *vm, struct observer *observer)
{
	for (unsigned i = 0; i < OBSERVERS_MAX; i++) {
		if (vm->observers.list[i] == observer)
			vm->observers.list[i] = NULL;
	}
	update(&vm->observers);
}

struct observer *observer_find(const struct vm *vm, const struct observer_ops *ops)
{
	for (unsigned i = 0; i < OBSERVERS_MAX; i++) {
		if (vm->observers.list[i] && vm->observers.list[i]->ops == ops)
			return vm->observers.list[i];
	}
	return NULL;
}
