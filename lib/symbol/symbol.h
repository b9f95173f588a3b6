/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target address → functions, files and lines, with inlined calls.
 *
 * From DWARF where a unit covers the address, else from the symbol table, else nothing. Built on
 * an own map from addresses to compilation units made from the units' ranges: clang and rustc write
 * no .debug_aranges, and elfutils 0.188 finds nothing without it. A symbolizer belongs to the
 * thread that owns the modules.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "module/module.h"

/** One line of a location. Strings are borrowed from the modules; file may be NULL. */
struct symbol_line {
	const char *system_name; /* linkage (mangled) name; never NULL */
	const char *file;        /* absolute where DWARF gives the directory */
	uint32_t line, column;   /* 0 = unknown */
	uint32_t start_line;     /* of the function, 0 = unknown */
};

#define SYMBOL_MAX_INLINED 64

/** The answer for one address: innermost inlined function first, the real function last. */
struct symbol_lines {
	uint32_t n_lines; /* 0 = nothing known */
	bool from_dwarf;  /* false: a name from the symbol table, without file and line */
	struct symbol_line lines[SYMBOL_MAX_INLINED];
};

struct symbolizer;

/** @param inlines false: only the real function, with the line of the outermost call in it. */
int symbolizer_new(bool inlines, struct symbolizer **ret_symbolizer);
struct symbolizer *symbolizer_free(struct symbolizer *symbolizer);

/** Lets go of what was kept about a module, which may then be freed. Strings of earlier answers
 * about it are no longer valid. */
void symbolizer_forget(struct symbolizer *symbolizer, const struct module *module);

/**
 * Looks an address up. The address is exact or a return address minus one (frame_lookup_pc()).
 *
 * @param module	borrowed; must outlive the symbolizer, or be forgotten before
 * @return 0, also when nothing is known (n_lines 0); -ENOMEM
 */
int symbolizer_lookup(struct symbolizer *symbolizer, struct module *module, uint64_t addr,
		      struct symbol_lines *ret_lines);

/**
 * The name for people of a C++ or Rust linkage name; anything else is returned as it is.
 *
 * @return a string that the caller frees, or NULL when out of memory
 */
char *symbol_demangle(const char *system_name);
