/* SPDX-License-Identifier: Apache-2.0 */
/* The answer for one address, put together from DWARF and the symbol table. */
#include "symbol/symbol_priv.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map64.h"

struct symbolizer {
	bool inlines;
	VEC(struct symbol_module *) modules;
	struct map64 index; /* module's address → index + 1 */
};

int symbolizer_new(bool inlines, struct symbolizer **ret_symbolizer)
{
	struct symbolizer *s = calloc(1, sizeof(*s));

	if (!s)
		return err_trace(-ENOMEM);
	s->inlines = inlines;
	*ret_symbolizer = s;
	return 0;
}

struct symbolizer *symbolizer_free(struct symbolizer *symbolizer)
{
	if (!symbolizer)
		return NULL;
	for (size_t i = 0; i < symbolizer->modules.n; i++) {
		if (symbolizer->modules.items[i])
			symbol_module_deinit(symbolizer->modules.items[i]);
		free(symbolizer->modules.items[i]);
	}
	vec_deinit(&symbolizer->modules);
	map64_deinit(&symbolizer->index);
	free(symbolizer);
	return NULL;
}

void symbolizer_forget(struct symbolizer *s, const struct module *module)
{
	uint64_t *index = map64_get(&s->index, (uintptr_t)module);
	struct symbol_module **slot;

	if (!index || !*index)
		return;
	/* The slot stays empty, and the key without a value: memory is used again and so are its
	 * addresses. */
	slot = &s->modules.items[*index - 1];
	symbol_module_deinit(*slot);
	free(*slot);
	*slot = NULL;
	*index = 0;
}

static int find_module(struct symbolizer *s, struct module *module,
		       struct symbol_module **ret_module)
{
	_cleanup_free_ struct symbol_module *m = NULL;
	struct symbol_module **slot;
	uint64_t *index;
	int r;

	r = map64_put(&s->index, (uintptr_t)module, &index);
	if (r < 0)
		return err_trace(r);
	if (*index) {
		*ret_module = s->modules.items[*index - 1];
		return 0;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_trace(-ENOMEM);
	r = symbol_module_init(m, module);
	slot = r < 0 ? NULL : vec_push(&s->modules);
	if (!slot) {
		symbol_module_deinit(m);
		return err_trace(-ENOMEM);
	}
	*slot = *ret_module = take_ptr(m);
	*index = s->modules.n;
	return 0;
}

/* The name of the real function, which has code of its own and may be in the symbol table. */
static const char *function_name(struct symbol_module *m, struct symbol_function *function,
				 Dwarf_Die *die)
{
	const char *name = symbol_die_linkage_name(die);
	uint64_t addr = function->start + m->bias;
	struct module_symbol symbol;

	if (name)
		return name;
	name = symbol_die_name(die);
	/* C++ and Rust functions whose DWARF has the short name only: gcc's constructors, clang's
	 * -gline-tables-only. */
	if (module_symbol_at(m->module, addr, &symbol) && symbol.addr == addr &&
	    (!name || strncmp(symbol.name, "_Z", 2) == 0 || strncmp(symbol.name, "_R", 2) == 0))
		return symbol.name;
	return name;
}

static const char *call_name(Dwarf_Die *call)
{
	const char *name = symbol_die_linkage_name(call);

	if (!name)
		name = symbol_die_name(call);
	return name ? name : "[inlined]";
}

/* Fills the lines from the outermost inwards, then turns them round. */
static void add_function(struct symbolizer *s, struct symbol_module *m, struct symbol_unit *unit,
			 struct symbol_function *function, uint64_t addr,
			 struct symbol_lines *lines)
{
	struct symbol_line *line = &lines->lines[0];
	Dwarf_Die die = symbol_entry_die(unit, function->at);
	const uint8_t *calls[SYMBOL_MAX_INLINED - 1];
	uint32_t n_calls, n = 1;

	line->system_name = function_name(m, function, &die);
	if (!line->system_name)
		line->system_name = "[function without name]";
	line->start_line = symbol_die_number(&die, DW_AT_decl_line);
	n_calls = symbol_calls_find(unit, function->at, addr, calls,
				    s->inlines ? ARRAY_SIZE(calls) : 1);
	for (uint32_t i = 0; i < n_calls; i++) {
		die = symbol_entry_die(unit, calls[i]);
		symbol_die_call_site(unit, &die, line);
		if (!s->inlines)
			break;
		line = &lines->lines[n++];
		line->system_name = call_name(&die);
		line->start_line = symbol_die_number(&die, DW_AT_decl_line);
	}
	if (s->inlines || n_calls == 0)
		symbol_unit_line(unit, addr, line);
	lines->n_lines = n;
	for (uint32_t i = 0; i < n / 2; i++) {
		struct symbol_line swapped = lines->lines[i];

		lines->lines[i] = lines->lines[n - 1 - i];
		lines->lines[n - 1 - i] = swapped;
	}
}

int symbolizer_lookup(struct symbolizer *symbolizer, struct module *module, uint64_t addr,
		      struct symbol_lines *ret_lines)
{
	struct symbol_unit *unit = NULL;
	struct symbol_function *function = NULL;
	struct symbol_module *m = NULL;
	struct module_symbol symbol;
	int r;

	r = find_module(symbolizer, module, &m);
	if (r < 0)
		return err_trace(r);
	memset(ret_lines, 0, sizeof(*ret_lines));
	if (m->dwarf && symbol_module_find(m, addr - m->bias, &unit, &function) && function) {
		add_function(symbolizer, m, unit, function, addr - m->bias, ret_lines);
		ret_lines->from_dwarf = true;
		return 0;
	}
	if (!module_symbol_at(module, addr, &symbol))
		return 0;
	ret_lines->lines[0].system_name = symbol.name;
	ret_lines->n_lines = 1;
	/* Assembly has lines and no functions in DWARF. */
	if (unit)
		ret_lines->from_dwarf = symbol_unit_line(unit, addr - m->bias, ret_lines->lines);
	return 0;
}
