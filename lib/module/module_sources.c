/* SPDX-License-Identifier: Apache-2.0 */
/* What a module offers for names, lines and unwinding, and where that comes from. */
#include "module/module_priv.h"

#include <string.h>

#include "base/cleanup.h"

/* A handle alone proves nothing: libdw also makes one for a file with .debug_frame only. */
static bool has_units(Dwarf *dwarf)
{
	Dwarf_Off next;
	size_t header_size;

	return dwarf_nextcu(dwarf, 0, &next, &header_size, NULL, NULL, NULL) == 0;
}

static bool has_section(Elf *elf, const char *wanted)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	if (!elf || elf_getshdrstrndx(elf, &names) < 0)
		return false;
	while ((section = elf_nextscn(elf, section))) {
		const char *name = gelf_getshdr(section, &header)
					   ? elf_strptr(elf, names, header.sh_name)
					   : NULL;

		if (name && header.sh_type != SHT_NOBITS && strcmp(name, wanted) == 0)
			return true;
	}
	return false;
}

void module_get_sources(struct module *module, struct module_sources *ret_sources)
{
	struct module_sources sources = {};
	uint64_t bias;
	Dwarf *dwarf;

	module_ensure_symbols(module);
	dwarf = module_dwarf(module, &bias);
	if (dwarf && has_units(dwarf))
		sources.lines = dwarf_getelf(dwarf) == module->elf ? MODULE_LINES_OWN
								   : MODULE_LINES_DEBUG_FILE;
	sources.n_functions = module->n_functions;
	sources.names = module->names;
	/* Without section headers libdwfl reads what PT_DYNAMIC leads to. */
	if (sources.n_functions && sources.names == MODULE_NAMES_NONE)
		sources.names = MODULE_NAMES_DYNSYM;
	if (!sources.n_functions)
		sources.names = MODULE_NAMES_NONE;
	sources.debug_path = module->debug_path;
	sources.eh_frame = module_eh_cfi(module, &bias);
	sources.debug_frame = module_debug_cfi(module, &bias);
	sources.gopclntab = has_section(module->elf, ".gopclntab");
	*ret_sources = sources;
}

uint64_t module_defines(struct module *module, const char *const *names, unsigned n)
{
	uint64_t found = 0;

	module_ensure_symbols(module);
	for (size_t i = 0; i < module->symbols.n; i++) {
		const char *name = module->symbols.items[i].name;

		for (unsigned k = 0; k < MIN(n, 64u); k++) {
			if (name[0] == names[k][0] && strcmp(name, names[k]) == 0)
				found |= 1ULL << k;
		}
	}
	return found;
}
