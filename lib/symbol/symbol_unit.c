/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The units of a module and which addresses each covers.
 *
 * The map is made from the ranges in the unit DIEs: one cheap pass over the units. (clang and rustc
 * write no .debug_aranges, and elfutils 0.188 has no other index.) Units that give no ranges are
 * looked into when an address is found nowhere else.
 *
 * Split units (.dwo): libdw opens that file itself, by a path from the DWARF, in our root; so the
 * path is probed first, as far as a path can be. Where it may not be opened, function names come
 * from the symbol table and lines from the skeleton's line table.
 */
#include "symbol/symbol_priv.h"

#include <dwarf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

static int list_units(struct symbol_module *m)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Attribute value;
	Dwarf_Die die;
	uint8_t type;
	int r;

	/* Without a place for the split DIE, libdw does not look for it. */
	while (dwarf_get_units(m->dwarf, cu, &cu, NULL, &type, &die, NULL) == 0) {
		struct symbol_unit *unit;

		if (type != DW_UT_compile && type != DW_UT_skeleton)
			continue;
		r = symbol_ranges_add(&m->ranges, &die, (uint32_t)m->units.n);
		unit = r < 0 ? NULL : vec_push(&m->units);
		if (!unit)
			return err_trace(-ENOMEM);
		unit->die = unit->split = die;
		unit->comp_dir = dwarf_formstring(dwarf_attr(&die, DW_AT_comp_dir, &value));
		unit->has_ranges = r > 0;
		unit->split_tried = type != DW_UT_skeleton;
	}
	symbol_ranges_sort(&m->ranges);
	return 0;
}

int symbol_module_init(struct symbol_module *m, struct module *module)
{
	*m = (struct symbol_module){.module = module};
	m->dwarf = module_dwarf(module, &m->bias);
	return m->dwarf ? list_units(m) : 0;
}

void symbol_module_deinit(struct symbol_module *m)
{
	for (size_t i = 0; i < m->units.n; i++)
		symbol_unit_deinit(&m->units.items[i]);
	vec_deinit(&m->units);
	vec_deinit(&m->ranges.items);
}

/* "dir/name", where dir may be NULL or name absolute. */
static char *join_path(const char *dir, int dir_size, const char *name)
{
	char *path;

	if (name[0] == '/')
		return strdup(name);
	return asprintf(&path, "%.*s/%s", dir_size, dir, name) < 0 ? NULL : path;
}

/* The order is libdw's: beside the ELF file, then in the directory of the compilation. */
static enum module_path probe_split(struct symbol_module *m, struct symbol_unit *unit)
{
	_cleanup_free_ char *beside = NULL, *compiled = NULL;
	const char *path = module_path(m->module), *slash = strrchr(path, '/');
	const char *name, *dir;
	Dwarf_Attribute value;
	enum module_path found;

	name = dwarf_formstring(dwarf_attr(&unit->die, DW_AT_dwo_name, &value));
	if (!name)
		name = dwarf_formstring(dwarf_attr(&unit->die, DW_AT_GNU_dwo_name, &value));
	dir = dwarf_formstring(dwarf_attr(&unit->die, DW_AT_comp_dir, &value));
	if (!name || !slash)
		return MODULE_PATH_ABSENT;
	beside = join_path(path, (int)(slash - path), name);
	if (!beside)
		return MODULE_PATH_REFUSED;
	found = module_probe_path(m->module, beside);
	if (found != MODULE_PATH_ABSENT || !dir || dir[0] != '/')
		return found;
	compiled = join_path(dir, (int)strlen(dir), name);
	return compiled ? module_probe_path(m->module, compiled) : MODULE_PATH_REFUSED;
}

static void load_split(struct symbol_module *m, struct symbol_unit *unit)
{
	Dwarf_Die split;

	if (unit->split_tried)
		return;
	unit->split_tried = true;
	if (probe_split(m, unit) == MODULE_PATH_REGULAR &&
	    dwarf_cu_info(unit->die.cu, NULL, NULL, NULL, &split, NULL, NULL, NULL) == 0 &&
	    split.cu)
		unit->split = split;
	else
		module_set_problem(m->module, "split debug file (.dwo) not found");
}

/* Units without ranges: what their functions cover. Returns whether there is anything new. */
static bool load_rangeless(struct symbol_module *m)
{
	size_t before = m->ranges.items.n;

	if (m->rangeless_loaded)
		return false;
	m->rangeless_loaded = true;
	for (size_t i = 0; i < m->units.n; i++) {
		struct symbol_unit *unit = &m->units.items[i];

		if (unit->has_ranges)
			continue;
		load_split(m, unit);
		if (symbol_unit_add_functions(unit, &m->ranges, (uint32_t)i) < 0)
			break;
	}
	if (m->ranges.items.n == before)
		return false;
	symbol_ranges_sort(&m->ranges);
	return true;
}

bool symbol_module_find(struct symbol_module *m, uint64_t addr, struct symbol_unit **ret_unit,
			struct symbol_function **ret_function)
{
	struct symbol_unit *first = NULL;
	const struct symbol_range *range;

	do {
		size_t state = 0;

		while ((range = symbol_ranges_next(&m->ranges, addr, &state))) {
			struct symbol_unit *unit = &m->units.items[range->owner];
			struct symbol_function *function;

			load_split(m, unit);
			function = symbol_unit_find(unit, addr);
			if (function) {
				*ret_unit = unit;
				*ret_function = function;
				return true;
			}
			if (!first)
				first = unit;
		}
	} while (!first && load_rangeless(m));
	if (!first)
		return false;
	*ret_unit = first;
	*ret_function = NULL;
	return true;
}
