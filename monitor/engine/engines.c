/*
 * The engines built in.
 */
#include <string.h>

#include "monitor/vm/engine.h"

const struct engine_ops *const engines[] = {&engine_trap, &engine_translate, &engine_hybrid, &engine_interpret, NULL};

const struct engine_ops *engine_find(const char *name)
{
	for (unsigned i = 0; engines[i]; i++)
		if (!name || !strcmp(engines[i]->name, name))
			return engines[i];
	return NULL;
}
