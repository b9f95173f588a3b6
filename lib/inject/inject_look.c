/* SPDX-License-Identifier: Apache-2.0 */
/* Which modules are loaded, and in what order symbols are looked for in them. */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inject/inject_priv.h"

#define R_MAP offsetof(struct r_debug, r_map)
#define MAX_LOADED 65536 /* the list is the target's, and may be a ring */

struct inject_module *inject_module_at(const struct inject *inject, uint64_t addr)
{
	for (size_t i = 0; i < inject->modules.n; i++) {
		struct inject_module *m = inject->modules.items[i];

		if (m->mapped && addr >= m->start && addr < m->end)
			return m;
	}
	return NULL;
}

static int get_module(struct inject *inject, struct module *module, struct inject_module **ret)
{
	struct inject_module **slot;
	int r;

	for (size_t i = 0; i < inject->modules.n; i++) {
		if (inject->modules.items[i]->module == module) {
			*ret = inject->modules.items[i];
			return 0;
		}
	}
	slot = vec_push(&inject->modules);
	if (!slot)
		return err_trace(-ENOMEM);
	r = inject_module_new(module, inject->arch, &inject->names, slot);
	if (r < 0) {
		inject->modules.n--;
		return err_trace(r);
	}
	*ret = *slot;
	return 0;
}

/* All mappings of its file around an executable one; zeroed memory behind it does not matter. */
static void set_range(struct inject *inject, struct inject_module *m, size_t at)
{
	const struct process_mapping *all = inject->maps.mappings.items, *exec = &all[at];
	size_t first = at, last = at;

	while (first > 0 && all[first - 1].inode == exec->inode &&
	       all[first - 1].device == exec->device)
		first--;
	while (last + 1 < inject->maps.mappings.n && all[last + 1].inode == exec->inode &&
	       all[last + 1].device == exec->device)
		last++;
	m->start = all[first].start;
	m->end = all[last].end;
	m->mapped = true;
}

/* What the dynamic linker has loaded, in its order: that of <link.h>, struct r_debug and struct
 * link_map, which debuggers use as well. */
static int read_order(struct inject *inject)
{
	const struct inject_module *main = inject_module_main(inject);
	uint64_t at = 0, words[4];
	Elf64_Dyn dyn;

	inject->order.n = 0;
	for (uint64_t addr = main ? main->dynamic : 0; addr; addr += sizeof(dyn)) {
		if (process_read(inject->process, addr, &dyn, sizeof(dyn)) != sizeof(dyn) ||
		    dyn.d_tag == DT_NULL)
			break;
		if (dyn.d_tag == DT_DEBUG)
			at = dyn.d_un.d_ptr;
	}
	if (!at || process_read(inject->process, at + R_MAP, &at, sizeof(at)) != sizeof(at))
		return 0;
	for (unsigned i = 0; at && i < MAX_LOADED; i++) {
		struct inject_module *m, **slot;

		/* l_addr, l_name, l_ld, l_next */
		if (process_read(inject->process, at, words, sizeof(words)) != sizeof(words))
			break;
		at = words[3];
		m = inject_module_at(inject, words[2]);
		if (!m)
			continue;
		slot = vec_push(&inject->order);
		if (!slot)
			return -ENOMEM;
		*slot = m;
	}
	return 0;
}

int inject_look(struct inject *inject)
{
	struct inject_module *m = NULL;
	int r = module_map_refresh(inject->map);

	process_maps_deinit(&inject->maps);
	if (r >= 0)
		r = process_maps_read(inject->process, &inject->maps);
	if (r < 0)
		return r == -ENOMEM ? err_trace(r) : INJECT_GONE;
	for (size_t i = 0; i < inject->modules.n; i++)
		inject->modules.items[i]->mapped = false;
	for (size_t i = 0; i < inject->maps.mappings.n; i++) {
		const struct process_mapping *mapping = &inject->maps.mappings.items[i];
		const struct module_mapping *known;

		if (!mapping->exec || !mapping->inode)
			continue;
		known = module_map_find(inject->map, mapping->start);
		if (!known)
			continue;
		r = get_module(inject, known->module, &m);
		if (r < 0)
			return err_trace(r);
		if (!m->mapped)
			set_range(inject, m, i);
	}
	return err_trace(read_order(inject));
}

struct inject_module *inject_module_main(const struct inject *inject)
{
	const struct module_mapping *mapping = module_map_main(inject->map);

	return mapping ? inject_module_at(inject, mapping->start) : NULL;
}

uint64_t inject_resolve(const struct inject *inject, int name)
{
	for (size_t i = 0; i < inject->order.n; i++) {
		uint64_t addr = inject->order.items[i]->exports[name];

		if (inject->order.items[i]->mapped && addr)
			return addr == INJECT_AMBIGUOUS ? 0 : addr;
	}
	return 0;
}
