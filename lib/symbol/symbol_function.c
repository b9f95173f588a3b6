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

static int compare_ranges(const void *left, const void *right)
{
	const struct symbol_range *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	/* Read backward by symbol_ranges_next(): the shortest comes last. */
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return a->owner < b->owner ? 1 : a->owner > b->owner ? -1 : 0;
}

int symbol_ranges_add(struct symbol_ranges *ranges, Dwarf_Die *die, uint32_t owner)
{
	ptrdiff_t offset = 0;
	Dwarf_Addr base, start, end;
	int added = 0;

	for (unsigned n = 0; n < SYMBOL_MAX_RANGES; n++) {
		struct symbol_range *range;

		offset = dwarf_ranges(die, offset, &base, &start, &end);
		if (offset <= 0)
			break;
		/* Dropped code: ld.bfd and gold leave 0; lld writes 0, -1 or -2. */
		if (start == 0 || start >= end || start >= UINT64_MAX - 1)
			continue;
		range = vec_push(&ranges->items);
		if (!range)
			return err_trace(-ENOMEM);
		range->start = start;
		range->end = end;
		range->owner = owner;
		added++;
	}
	return added;
}

void symbol_ranges_sort(struct symbol_ranges *ranges)
{
	uint64_t max_end = 0;

	if (ranges->items.n == 0)
		return;
	qsort(ranges->items.items, ranges->items.n, sizeof(*ranges->items.items), compare_ranges);
	for (size_t i = 0; i < ranges->items.n; i++) {
		max_end = MAX(max_end, ranges->items.items[i].end);
		ranges->items.items[i].max_end = max_end;
	}
}

#define MAX_COVERING 64

const struct symbol_range *symbol_ranges_next(const struct symbol_ranges *ranges, uint64_t addr,
					      size_t *state)
{
	const struct symbol_range *items = ranges->items.items;
	size_t low = 0, high = ranges->items.n;

	/* state is the index at which the search goes on downward, plus one. */
	if (*state > 0) {
		low = *state - 1;
	} else {
		while (low < high) {
			size_t middle = low + (high - low) / 2;

			if (items[middle].start <= addr)
				low = middle + 1;
			else
				high = middle;
		}
	}
	for (unsigned n = 0; low-- > 0 && n < MAX_COVERING && items[low].max_end > addr; n++) {
		if (items[low].end > addr) {
			*state = low + 1;
			return &items[low];
		}
	}
	*state = 1;
	return NULL;
}

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

static int add_function(struct symbol_unit *unit, Dwarf_Die *die)
{
	size_t first = unit->function_ranges.items.n;
	struct symbol_function *function;
	int r;

	r = symbol_ranges_add(&unit->function_ranges, die, (uint32_t)unit->functions.n);
	if (r <= 0)
		return r;
	function = vec_push(&unit->functions);
	if (!function)
		return err_trace(-ENOMEM);
	function->die = *die;
	function->start = unit->function_ranges.items.items[first].start;
	return 0;
}

static int walk_functions(struct symbol_unit *unit, bool deep)
{
	Dwarf_Die stack[SYMBOL_MAX_DEPTH];
	bool types = is_rust(&unit->split);
	unsigned level = 0;
	int r;

	if (dwarf_child(&unit->split, &stack[0]) != 0)
		return 0;
	for (unsigned n = 0; n < SYMBOL_MAX_DIES; n++) {
		Dwarf_Die *die = &stack[level], next;
		int tag = dwarf_tag(die);

		if (tag == DW_TAG_subprogram) {
			r = add_function(unit, die);
			if (r < 0)
				return err_trace(r);
		}
		if (leads_on(tag, deep, types) && level + 1 < SYMBOL_MAX_DEPTH &&
		    dwarf_child(die, &stack[level + 1]) == 0) {
			level++;
			continue;
		}
		for (;;) {
			die = &stack[level];
			/* A corrupt DW_AT_sibling can lead backward. */
			if (dwarf_siblingof(die, &next) == 0 && next.addr > die->addr)
				break;
			if (level-- == 0)
				return 0;
		}
		*die = next;
	}
	return 0;
}

static void forget_functions(struct symbol_unit *unit)
{
	for (size_t i = 0; i < unit->functions.n; i++)
		vec_deinit(&unit->functions.items[i].calls.items);
	unit->functions.n = 0;
	unit->function_ranges.items.n = 0;
}

static int load_functions(struct symbol_unit *unit, bool deep)
{
	int r;

	unit->functions_loaded = true;
	unit->deep_loaded = deep;
	forget_functions(unit);
	r = walk_functions(unit, deep);
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
	for (size_t i = 0; i < unit->owned_paths.n; i++)
		free(unit->owned_paths.items[i]);
	vec_deinit(&unit->owned_paths);
	map64_deinit(&unit->paths);
	vec_deinit(&unit->function_ranges.items);
}
