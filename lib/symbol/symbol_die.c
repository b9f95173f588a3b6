/* SPDX-License-Identifier: Apache-2.0 */
/* What one DIE, or a row of the line table, says for people. */
#include "symbol/symbol_priv.h"

#include <dwarf.h>
#include <stdio.h>

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

/*
 * libdw joins a file with its directory, but a directory that is relative itself only with an
 * absolute DW_AT_comp_dir. Debian's packages have relative ones (-ffile-prefix-map), and then
 * "./x.c" alone would say less than there is.
 */
static const char *full_path(struct symbol_unit *unit, const char *file)
{
	uint64_t *known;
	char **slot;

	if (!file || file[0] == '/' || !unit->comp_dir)
		return file;
	if (map64_put(&unit->paths, (uintptr_t)file, &known) < 0)
		return file;
	if (*known)
		return unit->owned_paths.items[*known - 1];
	slot = vec_push(&unit->owned_paths);
	if (!slot)
		return file;
	if (asprintf(slot, "%s/%s", unit->comp_dir, file) < 0) {
		unit->owned_paths.n--;
		return file;
	}
	*known = unit->owned_paths.n;
	return *slot;
}

void symbol_die_call_site(struct symbol_unit *unit, Dwarf_Die *call, struct symbol_line *line)
{
	Dwarf_Attribute value;
	Dwarf_Files *files;
	Dwarf_Die cu;
	size_t n_files;
	uint32_t file;

	/* Not integrated: these belong to the call and never to the function called. */
	line->line = to_number(dwarf_attr(call, DW_AT_call_line, &value));
	line->column = to_number(dwarf_attr(call, DW_AT_call_column, &value));
	file = to_number(dwarf_attr(call, DW_AT_call_file, &value));
	if (dwarf_diecu(call, &cu, NULL, NULL) && dwarf_getsrcfiles(&cu, &files, &n_files) == 0 &&
	    file < n_files)
		line->file = full_path(unit, dwarf_filesrc(files, file, NULL, NULL));
}

bool symbol_unit_line(struct symbol_unit *unit, uint64_t addr, struct symbol_line *line)
{
	Dwarf_Line *row = dwarf_getsrc_die(&unit->die, addr);
	int number, column;

	if (!row)
		return false;
	line->file = full_path(unit, dwarf_linesrc(row, NULL, NULL));
	if (dwarf_lineno(row, &number) == 0 && number > 0)
		line->line = (uint32_t)number;
	if (dwarf_linecol(row, &column) == 0 && column > 0)
		line->column = (uint32_t)column;
	return true;
}
