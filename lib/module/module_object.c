/* SPDX-License-Identifier: Apache-2.0 */
/* Variables by their addresses: asked for seldom, hence without a table of their own. */
#include "module/module_priv.h"

struct module *module_map_find_data(const struct module_map *map, uint64_t addr)
{
	for (uint32_t i = 0; i < module_map_count(map); i++) {
		struct module *module = module_map_at(map, i)->module;

		/* What follows the agent in its file does not in memory, and it has no data. */
		if (module->is_agent || !module_ensure_open(module))
			continue;
		for (size_t k = 0; k < module->loads.n; k++) {
			const GElf_Phdr *load = &module->loads.items[k];

			if (addr - module->bias - load->p_vaddr < load->p_memsz)
				return module;
		}
	}
	return NULL;
}

bool module_object_at(struct module *module, uint64_t addr, struct module_symbol *ret_symbol)
{
	bool found = false;
	int n;

	if (!module_ensure_open(module))
		return false;
	n = dwfl_module_getsymtab(module->dwfl_module);
	for (int i = 1; i < n; i++) {
		GElf_Addr at;
		GElf_Word shndx;
		GElf_Sym symbol;
		const char *name = dwfl_module_getsym_info(module->dwfl_module, i, &symbol, &at,
							   &shndx, NULL, NULL);

		if (!name || !name[0] || GELF_ST_TYPE(symbol.st_info) != STT_OBJECT ||
		    shndx == SHN_UNDEF)
			continue;
		at += module->bias - module->dwfl_bias;
		if (addr - at >= symbol.st_size)
			continue;
		if (found && GELF_ST_BIND(symbol.st_info) == STB_LOCAL)
			continue;
		*ret_symbol = (struct module_symbol){at, symbol.st_size, name};
		found = true;
	}
	return found;
}
