/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address → unit → function → inlined calls, each index made when first needed and kept:
 *
 *	symbol_unit.c      the units of a module and which addresses each covers
 *	symbol_function.c  the functions of one unit
 *	symbol_inline.c    the calls inlined into one function
 *	symbol_die.c       what one entry of DWARF says: name, file, line
 *	symbol_entry.c     walking the entries (DIEs) of a unit
 *	symbol_abbrev.c    what those consist of
 *	symbol_code.c      which addresses an entry covers
 *	symbol_table.c     the head of a line table: files
 *	symbol_line.c      its rows
 *
 * Addresses in all of them are those of the DWARF file (target address minus bias).
 */
#pragma once

#include <elfutils/libdw.h>

#include "base/bytes.h"
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

/** Adds one range. Those of code that the linker dropped (they begin at 0, or at the highest
 * addresses) are left out. Returns 0 or -ENOMEM. */
int symbol_ranges_put(struct symbol_ranges *ranges, uint64_t start, uint64_t end, uint32_t owner);

/** Adds the address ranges of a DIE likewise. Returns how many were added, or -ENOMEM. */
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

/** A section by its name without the dot, as DWARF of that file has it; empty when there is none.
 */
struct bytes symbol_section(Dwarf *dwarf, const char *wanted);

/* One attribute that struct symbol_entry tells, or (name 0) what lies between two of them. */
struct symbol_attr {
	uint16_t name, form;
	int16_t size; /* bytes; -1: depends on the form */
};

struct symbol_abbrev {
	uint16_t tag; /* 0: no such abbreviation */
	bool children;
	uint32_t first, n; /* in attrs */
};

/* The entries of one unit. */
struct symbol_dies {
	/* Of the section, of the unit's header, of its first entry, and behind its last. first is
	 * NULL when the unit cannot be walked. */
	const uint8_t *section, *unit_start, *first, *end;
	uint16_t version; /* libdw: Dwarf_Half */
	uint8_t address_size, offset_size;
	VEC(struct symbol_abbrev) abbrevs; /* by code - 1 */
	VEC(struct symbol_attr) attrs;
};

/** Reads the abbreviations of a unit. Returns 0 or -ENOMEM. */
int symbol_dies_init(struct symbol_dies *dies, Dwarf_Die *unit);
void symbol_dies_deinit(struct symbol_dies *dies);

/** Bytes of a form that always takes the same; -1 for others. */
int symbol_form_size(const struct symbol_dies *dies, uint64_t form);

/* One entry as far as walking needs it. */
struct symbol_entry {
	const uint8_t *at, *behind; /* the entry; its first child, or what follows it */
	const uint8_t *sibling;     /* as the entry says; NULL when it does not */
	uint16_t tag;
	bool children;
	bool has_low, has_high, has_ranges; /* which attributes there are */
	bool low_is_index, high_is_address, ranges_is_index;
	bool needs_libdw; /* what covers it is in a form that is not read here */
	uint64_t low_pc, high_pc, ranges;
};

/** Reads the entry at a place; false for the end of a list of children and for what is corrupt. */
bool symbol_entry_read(const struct symbol_dies *dies, const uint8_t *at,
		       struct symbol_entry *ret_entry);

/** The place behind an entry and all its children. */
const uint8_t *symbol_entry_next(const struct symbol_dies *dies, const struct symbol_entry *entry);

/* What the addresses of a unit's entries are made with. */
struct symbol_code {
	uint64_t base;                 /* of the unit */
	struct bytes addresses, lists; /* .debug_addr from the unit's base on; the lists */
	uint64_t list_base;
	bool has_list_base;
};

enum symbol_walk_kind {
	SYMBOL_WALK_NONE,
	SYMBOL_WALK_ONE, /* DW_AT_low_pc and DW_AT_high_pc */
	SYMBOL_WALK_RANGES,
	SYMBOL_WALK_RNGLISTS,
	SYMBOL_WALK_LIBDW,
};

/* Over the ranges of one entry. */
struct symbol_walk {
	enum symbol_walk_kind kind;
	const struct symbol_entry *entry;
	struct bytes list;
	uint64_t base;
	uint32_t n;
	Dwarf_Die die; /* for libdw */
	ptrdiff_t offset;
};

struct symbol_function {
	const uint8_t *at; /* its entry, DW_TAG_subprogram */
	uint64_t start;    /* of its first range */
};

struct symbol_file {
	const char *name;
	char *path; /* owned; made when first asked for */
	uint32_t dir;
};

/* A row of a line table, and the program's state behind it. */
struct symbol_row {
	const uint8_t *at;
	uint64_t addr;
	uint32_t file, line, column;
	uint8_t op_index;
};

struct symbol_run {
	uint32_t first, n; /* in marks */
};

struct symbol_table {
	struct bytes program;
	uint64_t min_length; /* of an instruction */
	unsigned version;
	uint8_t offset_size, address_size, max_ops, line_range, opcode_base;
	int8_t line_base;
	uint8_t opcode_args[256];
	const char *comp_dir; /* borrowed; NULL when there is none */
	struct bytes strings, line_strings;
	VEC(const char *) dirs;
	VEC(struct symbol_file) files;
	bool runs_loaded;
	VEC(struct symbol_row) marks;
	VEC(struct symbol_run) runs;
	struct symbol_ranges run_ranges; /* owner: index of the run */
};

/**
 * Reads the head of a line table. What cannot be read leaves a table without files or rows.
 *
 * @param cu		of the file that the table is in
 * @param offset	in .debug_line
 * @return 0 or -ENOMEM
 */
int symbol_table_init(struct symbol_table *t, Dwarf_Die *cu, uint64_t offset, const char *comp_dir);
void symbol_table_deinit(struct symbol_table *t);

/** The path of a file, absolute where DWARF gives the directory; NULL when there is none. Borrowed
 * from the table. */
const char *symbol_table_file(struct symbol_table *t, uint32_t index);

/** The last row that is not behind an address, in the sequence that covers it. */
bool symbol_table_find(struct symbol_table *t, uint64_t addr, struct symbol_row *ret_row);

struct symbol_unit {
	Dwarf_Die die;   /* of the unit in the main file: its line table */
	Dwarf_Die split; /* of the .dwo unit when there is one, else as die: its functions */
	bool has_ranges; /* the unit says itself what it covers */
	bool split_tried;
	bool functions_loaded, deep_loaded;
	VEC(struct symbol_function) functions;
	struct symbol_ranges function_ranges;
	struct symbol_dies dies; /* of split */
	struct symbol_code code;
	bool table_tried, split_table_tried;
	struct symbol_table table, split_table; /* of die; of a .dwo file that has its own */
	const char *comp_dir;                   /* borrowed; NULL when there is none */
};

/** Sets how addresses of the unit's entries are read; its dies are ready. */
void symbol_code_init(struct symbol_unit *unit);

/** The entry as libdw's. */
Dwarf_Die symbol_entry_die(const struct symbol_unit *unit, const uint8_t *at);

/** Goes over the ranges of an entry, which must stay as long as the walk. */
void symbol_walk_begin(const struct symbol_unit *unit, const struct symbol_entry *entry,
		       struct symbol_walk *walk);
bool symbol_walk_next(const struct symbol_unit *unit, struct symbol_walk *walk, uint64_t *start,
		      uint64_t *end);
bool symbol_entry_covers(const struct symbol_unit *unit, const struct symbol_entry *entry,
			 uint64_t addr);

/**
 * The calls inlined into a function at an address, outermost first.
 *
 * @param calls, max	where the entries go (DW_TAG_inlined_subroutine), at most max
 * @return how many
 */
uint32_t symbol_calls_find(const struct symbol_unit *unit, const uint8_t *function, uint64_t addr,
			   const uint8_t **calls, uint32_t max);

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
