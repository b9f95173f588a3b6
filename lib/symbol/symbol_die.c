/* SPDX-License-Identifier: Apache-2.0 */
/* What one DIE, or a row of the line table, says for people. */
#include "symbol/symbol_priv.h"

#include <dwarf.h>

#include "base/cleanup.h"

static const char *string_attr(Dwarf_Die *die, unsigned attribute)
{
	Dwarf_Attribute value;

	/* Follows DW_AT_abstract_origin and DW_AT_specification, at most 16 times. */
	return dwarf_formstring(dwarf_attr_integrate(die, attribute, &value));
}

const char *symbol_die_linkage_name(Dwarf_Die *die)
{
	const char *name = string_attr(die, DW_AT_linkage_name);

	return name ? name : string_attr(die, DW_AT_MIPS_linkage_name);
}

const char *symbol_die_name(Dwarf_Die *die)
{
	return string_attr(die, DW_AT_name);
}

static uint32_t to_number(Dwarf_Attribute *attribute)
{
	Dwarf_Word value;

	if (!attribute || dwarf_formudata(attribute, &value) != 0 || value > UINT32_MAX)
		return 0;
	return (uint32_t)value;
}

uint32_t symbol_die_number(Dwarf_Die *die, unsigned attribute)
{
	Dwarf_Attribute value;

	return to_number(dwarf_attr_integrate(die, attribute, &value));
}

static uint64_t table_offset(Dwarf_Die *cu)
{
	Dwarf_Attribute value;
	Dwarf_Word offset;

	return dwarf_formudata(dwarf_attr(cu, DW_AT_stmt_list, &value), &offset) == 0 ? offset
										      : UINT64_MAX;
}

/* Without memory the table is cut short, and lines are missing. */
static struct symbol_table *table_of(struct symbol_unit *unit)
{
	if (!unit->table_tried) {
		unit->table_tried = true;
		(void)symbol_table_init(&unit->table, &unit->die, table_offset(&unit->die),
					unit->comp_dir);
	}
	return &unit->table;
}

/* The files that entries of the unit refer to: a .dwo file has them at the beginning of a table of
 * its own, or else they are those of the skeleton. */
static struct symbol_table *entry_table_of(struct symbol_unit *unit)
{
	if (unit->split.cu == unit->die.cu)
		return table_of(unit);
	if (!unit->split_table_tried) {
		unit->split_table_tried = true;
		(void)symbol_table_init(&unit->split_table, &unit->split, 0, unit->comp_dir);
	}
	return unit->split_table.files.n ? &unit->split_table : table_of(unit);
}

void symbol_die_call_site(struct symbol_unit *unit, Dwarf_Die *call, struct symbol_line *line)
{
	Dwarf_Attribute value, *file;

	/* Not integrated: these belong to the call and never to the function called. */
	line->line = to_number(dwarf_attr(call, DW_AT_call_line, &value));
	line->column = to_number(dwarf_attr(call, DW_AT_call_column, &value));
	file = dwarf_attr(call, DW_AT_call_file, &value);
	line->file = symbol_table_file(entry_table_of(unit), to_number(file));
}

bool symbol_unit_line(struct symbol_unit *unit, uint64_t addr, struct symbol_line *line)
{
	struct symbol_table *table = table_of(unit);
	struct symbol_row row;

	if (!symbol_table_find(table, addr, &row))
		return false;
	line->file = symbol_table_file(table, row.file);
	/* libdw and all readers take line numbers for int. */
	if (row.line && row.line <= INT32_MAX)
		line->line = row.line;
	if (row.column && row.column <= INT32_MAX)
		line->column = row.column;
	return true;
}
