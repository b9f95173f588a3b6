/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address → unit → function → inlined calls, each index made when first needed and kept:
 *
 *	symbol_unit.c      the units of a module and which addresses each covers
 *	symbol_function.c  the functions of one unit
 *	symbol_inline.c    the calls inlined into one function
 *	symbol_die.c       what one entry of DWARF says: name, file, line
 *
 * Addresses in all of them are those of the DWARF file (target address minus bias).
 */
#pragma once

#include <elfutils/libdw.h>

#include "base/map64.h"
#include "base/vec.h"
#include "symbol/symbol.h"

#define SYMBOL_MAX_DEPTH 128         /* nesting of DIEs; corrupt files can nest more */
#define SYMBOL_MAX_DIES (1u << 24)   /* looked at per walk */
#define SYMBOL_MAX_RANGES (1u << 20) /* of one DIE */

struct symbol_range {
	uint64_t start, end;
	uint64_t max_end; /* the largest end of this and all ranges before it */
	uint32_t owner;   /* index of the unit, or of the function in its unit */
};

struct symbol_ranges {
	VEC(struct symbol_range) items;
};

/** Adds the address ranges of a DIE. Ranges of code that the linker dropped (they begin at 0, or
 * at the highest addresses) are left out. Returns how many were added, or -ENOMEM. */
int symbol_ranges_add(struct symbol_ranges *ranges, Dwarf_Die *die, uint32_t owner);

/** To be called once all ranges are in: sorts them by start. */
void symbol_ranges_sort(struct symbol_ranges *ranges);

/**
 * The next range that covers addr, nearest start first; the shortest first among equal starts.
 *
 * @param state		0 for the first one; kept by the caller
 * @return the range, or NULL when there are no more (or after 64 of them)
 */
const struct symbol_range *symbol_ranges_next(const struct symbol_ranges *ranges, uint64_t addr,
					      size_t *state);

/** A call inlined into a function: covers [start, end). */
struct symbol_call {
	uint64_t start, end;
	uint32_t depth; /* 1 = inlined into the function itself */
	Dwarf_Die die;  /* DW_TAG_inlined_subroutine */
};

struct symbol_calls {
	VEC(struct symbol_call) items; /* in order of the tree, callers before callees */
};

/** Lists the calls inlined into a function. Returns 0 or -ENOMEM. */
int symbol_calls_load(struct symbol_calls *calls, Dwarf_Die *function);

struct symbol_function {
	Dwarf_Die die;  /* DW_TAG_subprogram */
	uint64_t start; /* of its first range */
	bool calls_loaded;
	struct symbol_calls calls;
};

struct symbol_unit {
	Dwarf_Die die;   /* of the unit in the main file: its line table */
	Dwarf_Die split; /* of the .dwo unit when there is one, else as die: its functions */
	bool has_ranges; /* the unit says itself what it covers */
	bool split_tried;
	bool functions_loaded, deep_loaded;
	VEC(struct symbol_function) functions;
	struct symbol_ranges function_ranges;
	/* File names that libdw left relative, with the directory of the compilation before them.
	 */
	const char *comp_dir; /* borrowed; NULL when there is none */
	struct map64 paths;   /* libdw's name → index + 1 */
	VEC(char *) owned_paths;
};

/** The function of a unit that covers addr, or NULL (also when out of memory: that ends in the
 * symbol table's name). */
struct symbol_function *symbol_unit_find(struct symbol_unit *unit, uint64_t addr);
void symbol_unit_deinit(struct symbol_unit *unit);

/** Loads the functions of a unit and adds their ranges to `ranges` as the unit's. */
int symbol_unit_add_functions(struct symbol_unit *unit, struct symbol_ranges *ranges,
			      uint32_t owner);

struct symbol_module {
	struct module *module; /* borrowed */
	Dwarf *dwarf;          /* borrowed; NULL when there is none */
	uint64_t bias;
	VEC(struct symbol_unit) units;
	struct symbol_ranges ranges; /* owner: index of the unit */
	bool rangeless_loaded;
};

/** Lists the units. Returns 0 or -ENOMEM. */
int symbol_module_init(struct symbol_module *m, struct module *module);
void symbol_module_deinit(struct symbol_module *m);

/**
 * Finds unit and function of an address.
 *
 * @param ret_unit	may be set although there is no function (assembly: lines only)
 * @param ret_function	NULL when no function covers it
 * @return whether a unit was found
 */
bool symbol_module_find(struct symbol_module *m, uint64_t addr, struct symbol_unit **ret_unit,
			struct symbol_function **ret_function);

/** The linkage name of a DIE or of what it is an instance of, else NULL. Borrowed from the DWARF.
 */
const char *symbol_die_linkage_name(Dwarf_Die *die);
const char *symbol_die_name(Dwarf_Die *die);

/** A small number of the DIE or of what it is an instance of; 0 when it is not given. */
uint32_t symbol_die_number(Dwarf_Die *die, unsigned attribute);

/** Where an inlined call was made: DW_AT_call_file, line, column. */
void symbol_die_call_site(struct symbol_unit *unit, Dwarf_Die *call, struct symbol_line *line);

/** The line table's row for an address; nothing is written when there is none. Returns whether
 * there is one. */
bool symbol_unit_line(struct symbol_unit *unit, uint64_t addr, struct symbol_line *line);
