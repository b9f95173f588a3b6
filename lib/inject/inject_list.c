/* SPDX-License-Identifier: Apache-2.0 */
/* What a process could be asked for: for messages, and for the names of probes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inject/inject_priv.h"

struct listing {
	struct inject_list *list;
	const char *module;
};

/* A copy that lives as long as the list, or NULL. */
static const char *keep(struct inject_list *list, const char *text)
{
	char **slot = vec_push(&list->strings);

	if (!slot)
		return NULL;
	*slot = strdup(text);
	return *slot;
}

static int take_import(void *user, const char *function)
{
	struct listing *listing = user;
	struct inject_import *slot = vec_push(&listing->list->imports);

	if (!slot)
		return -ENOMEM;
	slot->module = listing->module;
	slot->function = keep(listing->list, function);
	return slot->function ? 0 : -ENOMEM;
}

static int take_probe(void *user, const struct inject_probe *probe)
{
	struct inject_list *list = ((struct listing *)user)->list;
	char **slot;

	for (size_t i = 0; i < list->probes.n; i++) {
		if (strcmp(list->probes.items[i], probe->name) == 0)
			return 0;
	}
	slot = vec_push(&list->probes);
	if (!slot)
		return -ENOMEM;
	*slot = strdup(probe->name);
	return *slot ? 0 : -ENOMEM;
}

static int list_module(struct inject_list *list, struct module *module)
{
	struct listing listing = {.list = list, .module = keep(list, module_path(module))};
	int r = listing.module ? 0 : -ENOMEM;

	if (r == 0)
		r = inject_module_imports(module, arch_native(), take_import, &listing);
	if (r == 0)
		r = inject_module_probes(module, take_probe, &listing);
	return r;
}

int inject_list_read(struct process *process, struct inject_list *list)
{
	struct process_maps maps = {};
	struct module_map *map = NULL;
	const struct module *last = NULL;
	int r;

	*list = (struct inject_list){};
	r = module_map_new(process, &map);
	if (r >= 0)
		r = module_map_refresh(map);
	if (r >= 0)
		r = process_maps_read(process, &maps);
	for (size_t i = 0; i < maps.mappings.n && r >= 0; i++) {
		const struct process_mapping *m = &maps.mappings.items[i];
		const struct module_mapping *known =
			m->exec && m->inode ? module_map_find(map, m->start) : NULL;

		if (!known || known->module == last)
			continue;
		last = known->module;
		r = list_module(list, known->module);
	}
	process_maps_deinit(&maps);
	module_map_free(map);
	return r < 0 ? err_trace(r) : 0;
}

void inject_list_deinit(struct inject_list *list)
{
	for (size_t i = 0; i < list->strings.n; i++)
		free(list->strings.items[i]);
	for (size_t i = 0; i < list->probes.n; i++)
		free(list->probes.items[i]);
	vec_deinit(&list->imports);
	vec_deinit(&list->probes);
	vec_deinit(&list->strings);
}
