/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses an entry covers: DW_AT_low_pc and DW_AT_high_pc, or a list in .debug_ranges or
 * .debug_rnglists (DWARF 5, sections 2.17 and 7.25). Lists of split units are left to libdw.
 */
#include "symbol/symbol_priv.h"

#include <dwarf.h>

#include "base/cleanup.h"

static bool number_attr(Dwarf_Die *die, unsigned attribute, uint64_t *ret)
{
	Dwarf_Attribute value;
	Dwarf_Word word;

	if (dwarf_formudata(dwarf_attr(die, attribute, &value), &word) != 0)
		return false;
	*ret = word;
	return true;
}

void symbol_code_init(struct symbol_unit *unit)
{
	Dwarf *main_file = dwarf_cu_getdwarf(unit->die.cu);
	struct symbol_code *code = &unit->code;
	Dwarf_Addr base;
	uint64_t at = 0;

	*code = (struct symbol_code){};
	if (dwarf_lowpc(&unit->die, &base) == 0)
		code->base = base;
	code->addresses = symbol_section(main_file, "debug_addr");
	if (number_attr(&unit->die, DW_AT_addr_base, &at) ||
	    number_attr(&unit->die, DW_AT_GNU_addr_base, &at))
		bytes_skip(&code->addresses, at);
	if (unit->split.cu != unit->die.cu)
		return;
	code->lists = symbol_section(main_file,
				     unit->dies.version < 5 ? "debug_ranges" : "debug_rnglists");
	code->has_list_base = number_attr(&unit->die, DW_AT_rnglists_base, &code->list_base);
}

static uint64_t indexed_address(const struct symbol_unit *unit, uint64_t index)
{
	struct bytes c = unit->code.addresses;
	unsigned size = unit->dies.address_size;

	if (index > UINT32_MAX)
		return 0;
	bytes_skip(&c, index * size);
	return bytes_fixed(&c, size);
}

Dwarf_Die symbol_entry_die(const struct symbol_unit *unit, const uint8_t *at)
{
	Dwarf_Die cu = unit->split, die = {};

	if (!dwarf_offdie(dwarf_cu_getdwarf(cu.cu), (Dwarf_Off)(at - unit->dies.section), &die))
		die = cu;
	return die;
}

void symbol_walk_begin(const struct symbol_unit *unit, const struct symbol_entry *entry,
		       struct symbol_walk *walk)
{
	const struct symbol_code *code = &unit->code;
	uint64_t offset = entry->ranges;

	*walk = (struct symbol_walk){.base = code->base, .entry = entry};
	if (entry->has_low && entry->has_high && !entry->needs_libdw) {
		walk->kind = SYMBOL_WALK_ONE;
		return;
	}
	if (!entry->has_ranges && !entry->needs_libdw)
		return;
	walk->kind = SYMBOL_WALK_LIBDW;
	if (entry->needs_libdw || !code->lists.at ||
	    (entry->ranges_is_index && !code->has_list_base))
		return;
	walk->list = code->lists;
	if (entry->ranges_is_index) {
		struct bytes c = code->lists;

		bytes_skip(&c, code->list_base);
		if (offset > UINT32_MAX)
			return;
		bytes_skip(&c, offset * unit->dies.offset_size);
		offset = code->list_base + bytes_fixed(&c, unit->dies.offset_size);
	}
	bytes_skip(&walk->list, offset);
	walk->kind = unit->dies.version < 5 ? SYMBOL_WALK_RANGES : SYMBOL_WALK_RNGLISTS;
}

static bool next_pair(const struct symbol_unit *unit, struct symbol_walk *walk, uint64_t *start,
		      uint64_t *end)
{
	unsigned size = unit->dies.address_size;
	uint64_t highest = size == 8 ? UINT64_MAX : UINT32_MAX;

	while (!bytes_at_end(&walk->list)) {
		*start = bytes_fixed(&walk->list, size);
		*end = bytes_fixed(&walk->list, size);
		if (*start == 0 && *end == 0)
			return false;
		if (*start == highest) {
			walk->base = *end;
			continue;
		}
		*start += walk->base;
		*end += walk->base;
		return true;
	}
	return false;
}

static bool next_listed(const struct symbol_unit *unit, struct symbol_walk *walk, uint64_t *start,
			uint64_t *end)
{
	struct bytes *c = &walk->list;
	unsigned size = unit->dies.address_size;

	while (!bytes_at_end(c)) {
		switch (bytes_fixed(c, 1)) {
		case DW_RLE_base_addressx:
			walk->base = indexed_address(unit, bytes_uleb(c));
			continue;
		case DW_RLE_startx_endx:
			*start = indexed_address(unit, bytes_uleb(c));
			*end = indexed_address(unit, bytes_uleb(c));
			return true;
		case DW_RLE_startx_length:
			*start = indexed_address(unit, bytes_uleb(c));
			*end = *start + bytes_uleb(c);
			return true;
		case DW_RLE_offset_pair:
			*start = walk->base + bytes_uleb(c);
			*end = walk->base + bytes_uleb(c);
			return true;
		case DW_RLE_base_address:
			walk->base = bytes_fixed(c, size);
			continue;
		case DW_RLE_start_end:
			*start = bytes_fixed(c, size);
			*end = bytes_fixed(c, size);
			return true;
		case DW_RLE_start_length:
			*start = bytes_fixed(c, size);
			*end = *start + bytes_uleb(c);
			return true;
		case DW_RLE_end_of_list:
		default:
			return false;
		}
	}
	return false;
}

static bool next_of_libdw(const struct symbol_unit *unit, struct symbol_walk *walk, uint64_t *start,
			  uint64_t *end)
{
	Dwarf_Addr base = walk->base, low, high;

	if (walk->n == 1)
		walk->die = symbol_entry_die(unit, walk->entry->at);
	walk->offset = dwarf_ranges(&walk->die, walk->offset, &base, &low, &high);
	if (walk->offset <= 0)
		return false;
	walk->base = base;
	*start = low;
	*end = high;
	return true;
}

bool symbol_walk_next(const struct symbol_unit *unit, struct symbol_walk *walk, uint64_t *start,
		      uint64_t *end)
{
	const struct symbol_entry *entry = walk->entry;

	if (walk->n++ >= SYMBOL_MAX_RANGES)
		return false;
	switch (walk->kind) {
	case SYMBOL_WALK_NONE:
		return false;
	case SYMBOL_WALK_ONE:
		*start = entry->low_is_index ? indexed_address(unit, entry->low_pc) : entry->low_pc;
		*end = entry->high_is_address ? entry->high_pc : *start + entry->high_pc;
		walk->kind = SYMBOL_WALK_NONE;
		return true;
	case SYMBOL_WALK_RANGES:
		return next_pair(unit, walk, start, end);
	case SYMBOL_WALK_RNGLISTS:
		return next_listed(unit, walk, start, end);
	case SYMBOL_WALK_LIBDW:
		return next_of_libdw(unit, walk, start, end);
	}
	return false;
}

bool symbol_entry_covers(const struct symbol_unit *unit, const struct symbol_entry *entry,
			 uint64_t addr)
{
	struct symbol_walk walk;
	uint64_t start, end;

	symbol_walk_begin(unit, entry, &walk);
	while (symbol_walk_next(unit, &walk, &start, &end)) {
		if (addr >= start && addr < end)
			return true;
	}
	return false;
}
