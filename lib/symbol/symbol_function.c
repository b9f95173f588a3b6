/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of one unit.
 *
 * Most functions are found near the top: in the unit, its namespaces and (Rust) its types. Only
 * when that does not explain an address, everything is walked: lambdas, methods of local classes
 * and nested functions hang within the function that they are written in, and bodies and types
 * are the bulk of DWARF.
 */
#include "symbol/symbol_priv.h"

#include <dwarf.h>
#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"

static bool is_rust(Dwarf_Die *unit)
{
	return dwarf_srclang(unit) == DW_LANG_Rust;
}

/* Is it worth looking for functions among the children of such a DIE? */
static bool leads_on(int tag, bool deep, bool types)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
		return true;
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_interface_type:
		return deep || types;
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
	case DW_TAG_inlined_subroutine:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
		return deep;
	default:
		return false;
	}
}

static int add_function(struct symbol_unit *unit, const struct symbol_entry *entry)
{
	size_t first = unit->function_ranges.items.n;
	struct symbol_function *function;
	struct symbol_walk walk;
	uint64_t start, end;
	int r;

	symbol_walk_begin(unit, entry, &walk);
	while (symbol_walk_next(unit, &walk, &start, &end)) {
		r = symbol_ranges_put(&unit->function_ranges, start, end,
				      (uint32_t)unit->functions.n);
		if (r < 0)
			return err_trace(r);
	}
	if (unit->function_ranges.items.n == first)
		return 0;
	function = vec_push(&unit->functions);
	if (!function)
		return err_trace(-ENOMEM);
	function->at = entry->at;
	function->start = unit->function_ranges.items.items[first].start;
	return 0;
}

static int walk_functions(struct symbol_unit *unit, bool deep)
{
	const struct symbol_dies *dies = &unit->dies;
	bool types = is_rust(&unit->split);
	struct symbol_entry entry;
	unsigned level = 0;
	const uint8_t *at;
	int r;

	if (!symbol_entry_read(dies, dies->first, &entry) || !entry.children)
		return 0;
	at = entry.behind;
	for (unsigned n = 0; n < SYMBOL_MAX_DIES && at < dies->end; n++) {
		if (*at == 0) {
			if (level-- == 0)
				break;
			at++;
			continue;
		}
		if (!symbol_entry_read(dies, at, &entry))
			break;
		if (entry.tag == DW_TAG_subprogram) {
			r = add_function(unit, &entry);
			if (r < 0)
				return err_trace(r);
		}
		if (entry.children && leads_on(entry.tag, deep, types) &&
		    level < SYMBOL_MAX_DEPTH) {
			level++;
			at = entry.behind;
		} else {
			at = symbol_entry_next(dies, &entry);
		}
	}
	return 0;
}

static void forget_functions(struct symbol_unit *unit)
{
	unit->functions.n = 0;
	unit->function_ranges.items.n = 0;
}

static int load_functions(struct symbol_unit *unit, bool deep)
{
	int r;

	if (!unit->functions_loaded) {
		r = symbol_dies_init(&unit->dies, &unit->split);
		if (r < 0)
			return err_trace(r);
		symbol_code_init(unit);
	}
	unit->functions_loaded = true;
	unit->deep_loaded = deep;
	forget_functions(unit);
	r = unit->dies.first ? walk_functions(unit, deep) : 0;
	symbol_ranges_sort(&unit->function_ranges);
	return err_trace(r);
}

static struct symbol_function *find_loaded(struct symbol_unit *unit, uint64_t addr)
{
	size_t state = 0;
	const struct symbol_range *range = symbol_ranges_next(&unit->function_ranges, addr, &state);

	return range && range->owner < unit->functions.n ? &unit->functions.items[range->owner]
							 : NULL;
}

struct symbol_function *symbol_unit_find(struct symbol_unit *unit, uint64_t addr)
{
	struct symbol_function *function;

	if (!unit->functions_loaded && load_functions(unit, false) < 0)
		return NULL;
	function = find_loaded(unit, addr);
	if (function || unit->deep_loaded)
		return function;
	if (load_functions(unit, true) < 0)
		return NULL;
	return find_loaded(unit, addr);
}

int symbol_unit_add_functions(struct symbol_unit *unit, struct symbol_ranges *ranges,
			      uint32_t owner)
{
	int r;

	if (!unit->functions_loaded) {
		r = load_functions(unit, false);
		if (r < 0)
			return err_trace(r);
	}
	for (size_t i = 0; i < unit->function_ranges.items.n; i++) {
		struct symbol_range *range = vec_push(&ranges->items);

		if (!range)
			return err_trace(-ENOMEM);
		*range = unit->function_ranges.items.items[i];
		range->owner = owner;
	}
	return 0;
}

void symbol_unit_deinit(struct symbol_unit *unit)
{
	forget_functions(unit);
	vec_deinit(&unit->functions);
	symbol_table_deinit(&unit->table);
	symbol_table_deinit(&unit->split_table);
	vec_deinit(&unit->function_ranges.items);
	symbol_dies_deinit(&unit->dies);
}
