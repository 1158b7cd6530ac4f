/*
 * The engines built in.
 */
#include <stdio.h>
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

bool engine_is_anywhere(const struct engine_ops *ops)
{
	return ops->kernel_anywhere;
}

bool engine_has_any_mode(const struct engine_ops *ops)
{
	return ops->any_mode;
}

const char *engine_names(bool (*has)(const struct engine_ops *ops), char *text, size_t size)
{
	size_t len = 0;

	text[0] = 0;
	for (unsigned i = 0; engines[i] && len < size; i++)
		if (has(engines[i]))
			len += (size_t)snprintf(text + len, size - len, "%s%s", len ? " or " : "", engines[i]->name);
	return text;
}
