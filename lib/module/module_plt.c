/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the linkage tables: "foo@plt", as objdump(1) writes them.
 *
 * Symbol tables have no entries for them, yet calls through them take time. An entry jumps through
 * a slot of the import table, and the relocation of that slot names the function.
 */
#include "module/module_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/map64.h"

#define MAX_ENTRIES 65536
#define SECTION_RANK 6 /* behind every symbol */

static int add(struct module *module, uint64_t svma, uint64_t size, bool sized, const char *name,
	       const char *suffix)
{
	struct symtab_entry *entry = vec_push(&module->symbols);
	char **slot = vec_push(&module->owned_names);

	if (!entry || !slot || asprintf(slot, "%s%s", name, suffix) < 0) {
		if (slot)
			*slot = NULL;
		if (entry)
			module->symbols.n--;
		return err_trace(-ENOMEM);
	}
	entry->addr = svma + module->bias;
	entry->end = entry->addr + size;
	entry->sized = sized;
	entry->rank = sized ? 0 : SECTION_RANK;
	entry->name = *slot;
	return 0;
}

/* The function that an IRELATIVE relocation's resolver is named after. */
static const char *resolver_name(const struct module *module, uint64_t svma)
{
	for (size_t i = 0; i < module->symbols.n; i++) {
		if (module->symbols.items[i].addr == svma + module->bias)
			return module->symbols.items[i].name;
	}
	return NULL;
}

/* Import slot → name, for all relocations of a section. */
static int load_relocations(struct module *module, Elf_Scn *section, const GElf_Shdr *header,
			    struct map64 *names)
{
	Elf_Data *data = elf_getdata(section, NULL);
	Elf_Scn *link = elf_getscn(module->elf, header->sh_link);
	Elf_Data *symbols = link ? elf_getdata(link, NULL) : NULL;
	GElf_Shdr link_header;
	GElf_Rela rela;
	GElf_Sym symbol;

	if (!data || (link && !gelf_getshdr(link, &link_header)))
		return 0;
	for (int i = 0; i < MAX_ENTRIES && gelf_getrela(data, i, &rela); i++) {
		int index = (int)GELF_R_SYM(rela.r_info);
		const char *name = NULL;
		uint64_t *slot;

		if (index && symbols && gelf_getsym(symbols, index, &symbol))
			name = elf_strptr(module->elf, link_header.sh_link, symbol.st_name);
		else if (!index)
			name = resolver_name(module, (uint64_t)rela.r_addend);
		if (!name || !*name)
			continue;
		if (map64_put(names, rela.r_offset, &slot) < 0)
			return err_trace(-ENOMEM);
		*slot = (uintptr_t)name;
	}
	return 0;
}

static int add_entries(struct module *module, const Elf_Data *data, const GElf_Shdr *header,
		       const char *section_name, const struct map64 *names)
{
	uint64_t step = header->sh_entsize == 8 ? 8 : 16, slot_addr;
	const uint8_t *code = data->d_buf;
	int r;

	for (uint64_t at = 0; at + step <= data->d_size && at < MAX_ENTRIES * step; at += step) {
		const uint64_t *name;

		if (!arch_plt_slot(arch_native(), code + at, step, header->sh_addr + at,
				   &slot_addr))
			continue;
		name = map64_get(names, slot_addr);
		if (!name)
			continue;
		r = add(module, header->sh_addr + at, step, true, (const char *)(uintptr_t)*name,
			"@plt");
		if (r < 0)
			return r;
	}
	/* What the entries share: the way to the dynamic linker's resolver. */
	return add(module, header->sh_addr, header->sh_size, false, section_name, "");
}

int module_plt_add(struct module *module)
{
	struct map64 names = {};
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t strings;
	int r = 0;

	if (!module->elf || elf_getshdrstrndx(module->elf, &strings) < 0)
		return 0;
	while (r >= 0 && (section = elf_nextscn(module->elf, section))) {
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_RELA &&
		    header.sh_flags & SHF_ALLOC)
			r = load_relocations(module, section, &header, &names);
	}
	while (r >= 0 && (section = elf_nextscn(module->elf, section))) {
		const char *name;
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_PROGBITS ||
		    !(header.sh_flags & SHF_EXECINSTR))
			continue;
		name = elf_strptr(module->elf, strings, header.sh_name);
		if (!name || (strncmp(name, ".plt", 4) != 0 && strcmp(name, ".iplt") != 0))
			continue;
		data = elf_getdata(section, NULL);
		if (data && data->d_buf)
			r = add_entries(module, data, &header, name, &names);
	}
	map64_deinit(&names);
	return r;
}
