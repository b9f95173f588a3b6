/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The third stage of a module: its function symbols, sorted by address, and the names of what has
 * none (module_plt.c, module_vdso.c).
 *
 * Taken are STT_FUNC, STT_GNU_IFUNC and, for hand-written assembly, STT_NOTYPE in an executable
 * section. A symbol without size reaches to the next symbol or the end of its section. Where
 * several cover an address, the first difference decides: gives its size; GLOBAL before WEAK before
 * LOCAL; function before NOTYPE; begins nearest; name in byte order.
 */
#include "module/module_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define MAX_CANDIDATES 256 /* symbols around one address; corrupt tables can nest more */

/* Section flags of one of the files that symbols come from. */
struct sections {
	Elf *elf;
	struct {
		uint64_t end; /* svma */
		bool exec;
	} * items;
	size_t n;
};

static bool load_sections(struct module *module, Elf *elf, struct sections *ret)
{
	Elf_Scn *section = NULL;
	enum module_names names;
	bool has_symtab = false;
	GElf_Shdr header;
	size_t n;

	free(ret->items);
	*ret = (struct sections){.elf = elf};
	module_watch_elf(module, elf);
	if (elf_getshdrnum(elf, &n) < 0)
		return true;
	ret->items = calloc(n + 1, sizeof(*ret->items));
	if (!ret->items)
		return false;
	ret->n = n;
	while ((section = elf_nextscn(elf, section))) {
		size_t i = elf_ndxscn(section);

		if (i >= n || !gelf_getshdr(section, &header))
			continue;
		ret->items[i].exec = header.sh_flags & SHF_EXECINSTR;
		ret->items[i].end = header.sh_addr + header.sh_size;
		if (header.sh_type == SHT_SYMTAB && header.sh_size > 0)
			has_symtab = true;
	}
	module->has_symtab |= has_symtab;
	/* libdwfl takes one .symtab: that of the file, else of its debug file, else the one in
	 * .gnu_debugdata beside .dynsym. So another file's table outdoes the file's .dynsym. */
	if (elf == module->elf)
		names = has_symtab ? MODULE_NAMES_SYMTAB : MODULE_NAMES_DYNSYM;
	else
		names = module->debug_path ? MODULE_NAMES_DEBUG_FILE : MODULE_NAMES_MINIDEBUG;
	module->names = MAX(module->names, names);
	return true;
}

/* $x, $d (mapping symbols of ARM and RISC-V ABIs) and the assembler's .L labels. */
static bool is_marker(const char *name)
{
	return name[0] == '\0' ||
	       (name[0] == '$' && name[1] != '\0' && strchr("adtx", name[1]) &&
		(name[2] == '\0' || name[2] == '.')) ||
	       strncmp(name, ".L", 2) == 0;
}

/* ld(1) writes "name@VERSION" and "name@@VERSION" into .symtab; the version is not the name. */
static const char *without_version(struct module *module, const char *name)
{
	const char *at = strchr(name, '@');
	char **slot;

	if (!at || at == name)
		return name;
	slot = vec_push(&module->owned_names);
	if (!slot)
		return name;
	*slot = strndup(name, (size_t)(at - name));
	return *slot ? *slot : name;
}

static uint8_t symbol_rank(const GElf_Sym *symbol)
{
	unsigned binding = GELF_ST_BIND(symbol->st_info), rank = 2;

	if (binding == STB_GLOBAL || binding == STB_GNU_UNIQUE)
		rank = 0;
	else if (binding == STB_WEAK)
		rank = 1;
	return (uint8_t)(rank * 2 + (GELF_ST_TYPE(symbol->st_info) == STT_NOTYPE));
}

static int add_symbol(struct module *module, int i, struct sections *sections)
{
	struct symtab_entry *entry;
	GElf_Sym symbol;
	GElf_Addr addr;
	GElf_Word shndx;
	Dwarf_Addr file_bias;
	Elf *elf;
	const char *name = dwfl_module_getsym_info(module->dwfl_module, i, &symbol, &addr, &shndx,
						   &elf, &file_bias);
	unsigned type = name ? GELF_ST_TYPE(symbol.st_info) : STT_SECTION;
	bool in_section;

	if ((type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) ||
	    shndx == SHN_UNDEF || is_marker(name))
		return 0;
	if (elf != sections->elf && !load_sections(module, elf, sections))
		return err_trace(-ENOMEM);
	in_section = shndx < sections->n && shndx < SHN_LORESERVE;
	if (type == STT_NOTYPE && !(in_section && sections->items[shndx].exec))
		return 0;
	entry = vec_push(&module->symbols);
	if (!entry)
		return err_trace(-ENOMEM);
	entry->addr = addr - module->dwfl_bias + module->bias;
	entry->sized = symbol.st_size > 0;
	entry->rank = symbol_rank(&symbol);
	entry->name = without_version(module, name);
	if (entry->sized)
		entry->end = entry->addr + symbol.st_size;
	else if (in_section)
		entry->end = sections->items[shndx].end + (entry->addr - symbol.st_value);
	else
		entry->end = UINT64_MAX;
	if (entry->end < entry->addr)
		entry->end = entry->addr;
	return 0;
}

int module_symtab_add(struct module *module, uint64_t svma, uint64_t size, bool sized, uint8_t rank,
		      const char *name, ...)
{
	struct symtab_entry *entry;
	char **slot = vec_push(&module->owned_names);
	va_list args;
	int n;

	if (!slot)
		return err_trace(-ENOMEM);
	va_start(args, name);
	n = vasprintf(slot, name, args);
	va_end(args);
	if (n < 0)
		*slot = NULL;
	entry = n < 0 ? NULL : vec_push(&module->symbols);
	if (!entry)
		return err_trace(-ENOMEM);
	entry->addr = svma + module->bias;
	entry->end = entry->addr + size;
	entry->sized = sized;
	entry->rank = rank;
	entry->name = *slot;
	return 0;
}

/* Negative when a is the better name for what both cover, positive when b is, 0 on a tie. */
static int compare_ranks(const struct symtab_entry *a, const struct symtab_entry *b)
{
	bool a_section = a->rank == SYMTAB_RANK_SECTION, b_section = b->rank == SYMTAB_RANK_SECTION;

	if (a_section != b_section)
		return a_section ? 1 : -1;
	if (a->sized != b->sized)
		return a->sized ? -1 : 1;
	return (int)a->rank - (int)b->rank;
}

static int compare_entries(const void *left, const void *right)
{
	const struct symtab_entry *a = left, *b = right;
	int r = compare_ranks(a, b);

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return r ? r : strcmp(a->name, b->name);
}

/* Cuts unsized symbols at the next address that has a symbol; an unsized one that nothing bounds
 * covers its first byte only. */
static void bound_entries(struct module *module)
{
	struct symtab_entry *items = module->symbols.items;
	uint64_t next = UINT64_MAX, max_end = 0;

	for (size_t i = module->symbols.n; i-- > 0;) {
		if (i + 1 < module->symbols.n && items[i + 1].addr != items[i].addr)
			next = items[i + 1].addr;
		if (items[i].sized)
			continue;
		items[i].end = MIN(items[i].end, next);
		if (items[i].end == UINT64_MAX)
			items[i].end = items[i].addr + 1;
	}
	for (size_t i = 0; i < module->symbols.n; i++) {
		max_end = MAX(max_end, items[i].end);
		items[i].max_end = max_end;
	}
}

void module_ensure_symbols(struct module *module)
{
	struct sections sections = {};
	int n;

	if (module->symtab_tried)
		return;
	module->symtab_tried = true;
	if (!module_ensure_open(module))
		return;
	n = dwfl_module_getsymtab(module->dwfl_module);
	for (int i = 1; i < n; i++) {
		if (add_symbol(module, i, &sections) < 0)
			break;
	}
	free(sections.items);
	module->n_functions = module->symbols.n;
	/* Out of memory costs names only. */
	(void)module_plt_add(module);
	(void)module_vdso_add(module);
	(void)module_agent_name(module);
	if (module->symbols.n == 0) {
		module_set_problem(module, "no symbol table");
		return;
	}
	qsort(module->symbols.items, module->symbols.n, sizeof(*module->symbols.items),
	      compare_entries);
	bound_entries(module);
}

bool module_symbol_at(struct module *module, uint64_t addr, struct module_symbol *ret_symbol)
{
	const struct symtab_entry *items, *best = NULL;
	size_t low = 0, high;

	module_ensure_symbols(module);
	items = module->symbols.items;
	high = module->symbols.n;
	/* The first entry behind addr. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (items[middle].addr <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	for (unsigned n = 0; low-- > 0 && n < MAX_CANDIDATES && items[low].max_end > addr; n++) {
		const struct symtab_entry *entry = &items[low];

		if (entry->end <= addr)
			continue;
		/* Same address: the order of the table is the rule. On a tie what was met first
		 * begins nearer. */
		if (!best || best->addr == entry->addr || compare_ranks(entry, best) < 0)
			best = entry;
	}
	if (!best)
		return false;
	*ret_symbol = (struct module_symbol){
		.addr = best->addr, .size = best->end - best->addr, .name = best->name};
	return true;
}

bool module_has_symtab(struct module *module)
{
	module_ensure_symbols(module);
	return module->has_symtab;
}
