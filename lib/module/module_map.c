/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which module is mapped where, now and before.
 *
 * Every executable mapping ever seen keeps its number and its module; the mappings of now are a
 * sorted list of pointers to them. A mapping that comes back unchanged gets its old number, so that
 * code which is made writable and executable in turn does not fill the table.
 *
 * Modules are told apart by device, inode and path. A file with several executable mappings is
 * one module as long as all fit one load bias; this alone opens files during a refresh.
 */
#include "module/module_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map64.h"

#define MAX_MAPPINGS (1u << 18)

struct module_map {
	struct process *process; /* borrowed */
	VEC(struct module *) modules;
	VEC(struct module_mapping *) mappings;      /* by index */
	VEC(const struct module_mapping *) current; /* by address */
	struct map64 seen;                          /* hash of a mapping → index + 1 */
	const struct module_mapping *main;
	bool full;
};

DEFINE_CLEANUP(struct module *, module_free)

int module_map_new(struct process *process, struct module_map **ret_map)
{
	struct module_map *map = calloc(1, sizeof(*map));

	if (!map)
		return err_trace(-ENOMEM);
	map->process = process;
	*ret_map = map;
	return 0;
}

struct module_map *module_map_free(struct module_map *map)
{
	if (!map)
		return NULL;
	for (size_t i = 0; i < map->mappings.n; i++)
		free(map->mappings.items[i]);
	for (size_t i = 0; i < map->modules.n; i++)
		module_free(map->modules.items[i]);
	vec_deinit(&map->mappings);
	vec_deinit(&map->modules);
	vec_deinit(&map->current);
	map64_deinit(&map->seen);
	free(map);
	return NULL;
}

static int add_module(struct module_map *map, const struct process_mapping *m, const char *path,
		      struct module **ret_module)
{
	_cleanup_(module_free_cleanup) struct module *module = calloc(1, sizeof(*module));
	struct module **slot;

	if (!module)
		return err_trace(-ENOMEM);
	module->alt_fd = module->given_fd = -1;
	module->process = map->process;
	module->path = strdup(path);
	module->device = m->device;
	module->inode = m->inode;
	module->is_vdso = strcmp(path, "[vdso]") == 0;
	module->is_agent = strcmp(path, MODULE_AGENT_PATH) == 0;
	module->start = m->start;
	module->end = m->end;
	module->offset = m->offset;
	slot = vec_push(&map->modules);
	if (!module->path || !slot) {
		if (slot)
			map->modules.n--;
		return err_trace(-ENOMEM);
	}
	*slot = *ret_module = module;
	module = NULL;
	return 0;
}

static bool belongs_to(struct module *module, const struct process_mapping *m, const char *path)
{
	if (module->device != m->device || module->inode != m->inode ||
	    strcmp(module->path, path) != 0)
		return false;
	if (module->start == m->start && module->offset == m->offset)
		return true;
	if (m->inode == 0)
		return !module->is_vdso && !module->is_agent;
	if (!module_ensure_open(module))
		return true;
	return module_mapping_bias(module, m->start, m->offset) == module->bias;
}

static int find_module(struct module_map *map, const struct process_mapping *m, const char *path,
		       struct module **ret_module)
{
	/* From the newest on: mappings of one file come together. */
	for (size_t i = map->modules.n; i-- > 0;) {
		if (belongs_to(map->modules.items[i], m, path)) {
			*ret_module = map->modules.items[i];
			return 0;
		}
	}
	return add_module(map, m, path, ret_module);
}

static bool is_same(const struct module_mapping *known, const struct process_mapping *m,
		    const char *path)
{
	return known->start == m->start && known->end == m->end && known->offset == m->offset &&
	       known->module->inode == m->inode && known->module->device == m->device &&
	       strcmp(known->module->path, path) == 0;
}

/* The mapping as known from any earlier refresh, else a new one; NULL when the table is full. */
static int intern_mapping(struct module_map *map, const struct process_mapping *m, const char *path,
			  const struct module_mapping **ret_mapping)
{
	uint64_t key = hash64(hash64(hash64(m->start) ^ m->end) ^ m->offset ^ m->inode) >> 1;
	_cleanup_free_ struct module_mapping *mapping = NULL;
	struct module_mapping **slot;
	uint64_t *known;
	int r;

	r = map64_put(&map->seen, key, &known);
	if (r < 0)
		return err_trace(r);
	if (*known && is_same(map->mappings.items[*known - 1], m, path)) {
		*ret_mapping = map->mappings.items[*known - 1];
		return 0;
	}
	if (map->mappings.n >= MAX_MAPPINGS) {
		if (!map->full)
			log_line(LOG_WARNING,
				 "more than %u executable mappings: the rest is unknown",
				 MAX_MAPPINGS);
		map->full = true;
		*ret_mapping = NULL;
		return 0;
	}
	mapping = calloc(1, sizeof(*mapping));
	if (!mapping)
		return err_trace(-ENOMEM);
	*mapping = (struct module_mapping){.start = m->start,
					   .end = m->end,
					   .offset = m->offset,
					   .index = (uint32_t)map->mappings.n};
	r = find_module(map, m, path, &mapping->module);
	if (r < 0)
		return err_trace(r);
	slot = vec_push(&map->mappings);
	if (!slot)
		return err_trace(-ENOMEM);
	*slot = take_ptr(mapping);
	*known = map->mappings.n;
	*ret_mapping = *slot;
	return 0;
}

/* Does what was at [start, end) before still lie there, byte for byte of the same file? */
static bool still_holds(const struct module_map *map, const struct module_mapping *before)
{
	const struct module_mapping *now = module_map_find(map, before->start);

	return now && now->module == before->module && now->end >= before->end &&
	       (now->module->inode == 0 ||
		now->start - now->offset == before->start - before->offset);
}

/* The kernel has one /proc/PID/exe; the mappings show which module that is. */
static void find_main(struct module_map *map)
{
	_cleanup_close_ int fd = -1;

	if (map->main)
		return;
	if (process_link_open(map->process, "exe", &fd) < 0)
		return;
	for (size_t i = 0; i < map->current.n && !map->main; i++) {
		const struct module *module = map->current.items[i]->module;
		struct stat st;

		/* The comparison in full costs, so the inode goes first; overlayfs may show
		 * another one, and then the first file mapped is tried. */
		if (module->inode == 0 || fstat(fd, &st) < 0)
			continue;
		if ((st.st_ino == module->inode || i == 0) &&
		    module_is_file(fd, module->device, module->inode))
			map->main = map->current.items[i];
	}
}

int module_map_refresh(struct module_map *map)
{
	VEC(const struct module_mapping *) before = {};
	struct process_maps maps;
	bool added = false, replaced = false;
	int r;

	r = process_maps_read(map->process, &maps);
	if (r < 0)
		return err_trace(r);
	memcpy(&before, &map->current, sizeof(before));
	memset(&map->current, 0, sizeof(map->current));
	for (size_t i = 0; i < maps.mappings.n && r >= 0; i++) {
		const struct process_mapping *m = &maps.mappings.items[i];
		const char *path = process_mapping_path(&maps, m);
		const struct module_mapping *mapping = NULL, **slot;
		enum module_agent agent;

		if (!m->exec || strcmp(path, "[vsyscall]") == 0)
			continue;
		agent = module_agent_look(map->process, m, path);
		/* Left out, so that a pc there is a reason to look again. */
		if (agent == MODULE_AGENT_COMES)
			continue;
		r = intern_mapping(map, m, agent == MODULE_AGENT_HERE ? MODULE_AGENT_PATH : path,
				   &mapping);
		if (r < 0 || !mapping)
			continue;
		slot = vec_push(&map->current);
		if (slot)
			*slot = mapping;
		else
			r = -ENOMEM;
	}
	process_maps_deinit(&maps);
	if (r < 0) {
		vec_deinit(&map->current);
		memcpy(&map->current, &before, sizeof(before));
		return err_trace(r);
	}
	for (size_t i = 0; i < before.n; i++)
		replaced |= !still_holds(map, before.items[i]);
	added = before.n != map->current.n ||
		(before.n > 0 &&
		 memcmp(before.items, map->current.items, before.n * sizeof(*before.items)) != 0);
	vec_deinit(&before);
	find_main(map);
	if (replaced)
		return MODULE_REFRESH_REPLACED;
	return added ? MODULE_REFRESH_ADDED : MODULE_REFRESH_SAME;
}

const struct module_mapping *module_map_find(const struct module_map *map, uint64_t pc)
{
	size_t low = 0, high = map->current.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct module_mapping *m = map->current.items[middle];

		if (pc < m->start)
			high = middle;
		else if (pc >= m->end)
			low = middle + 1;
		else
			return m;
	}
	return NULL;
}

const struct module_mapping *module_map_at(const struct module_map *map, uint32_t index)
{
	return index < map->mappings.n ? map->mappings.items[index] : NULL;
}

uint32_t module_map_count(const struct module_map *map)
{
	return (uint32_t)map->mappings.n;
}

const struct module_mapping *module_map_main(const struct module_map *map)
{
	return map->main;
}
