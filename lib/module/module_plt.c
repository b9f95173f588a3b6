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
#define MAX_RELOCATIONS (1 << 22)

/* Of the import slots that linkage tables jump through. */
struct slots {
	struct map64 names;     /* svma of the slot → name; 0 until a relocation gives it */
	struct map64 functions; /* address → name of a function; made when first needed */
};

/* The function that an IRELATIVE relocation's resolver is named after. */
static int resolver_name(const struct module *module, struct slots *slots, uint64_t svma,
			 const char **ret_name)
{
	const uint64_t *known;
	uint64_t *name;
	int r;

	/* Backward, so that the first one of several stays. */
	for (size_t i = slots->functions.n ? 0 : module->symbols.n; i-- > 0;) {
		r = map64_put(&slots->functions, module->symbols.items[i].addr, &name);
		if (r == -ENOMEM)
			return err_trace(r);
		if (r >= 0)
			*name = (uintptr_t)module->symbols.items[i].name;
	}
	known = map64_get(&slots->functions, svma + module->bias);
	*ret_name = known ? (const char *)(uintptr_t)*known : NULL;
	return 0;
}

/* Names for the slots by all relocations of a section. */
static int load_relocations(struct module *module, Elf_Scn *section, const GElf_Shdr *header,
			    struct slots *slots)
{
	Elf_Data *data = elf_getdata(section, NULL);
	Elf_Scn *link = elf_getscn(module->elf, header->sh_link);
	Elf_Data *symbols = link ? elf_getdata(link, NULL) : NULL;
	GElf_Shdr link_header;
	GElf_Rela rela;
	GElf_Sym symbol;

	if (!data || (link && !gelf_getshdr(link, &link_header)))
		return 0;
	for (int i = 0; i < MAX_RELOCATIONS && gelf_getrela(data, i, &rela); i++) {
		uint64_t *slot = map64_get(&slots->names, rela.r_offset);
		int index = (int)GELF_R_SYM(rela.r_info), r;
		const char *name = NULL;

		/* Of large libraries nearly all relocate data. */
		if (!slot)
			continue;
		if (index && symbols && gelf_getsym(symbols, index, &symbol)) {
			name = elf_strptr(module->elf, link_header.sh_link, symbol.st_name);
		} else if (!index) {
			r = resolver_name(module, slots, (uint64_t)rela.r_addend, &name);
			if (r < 0)
				return r;
		}
		if (name && *name)
			*slot = (uintptr_t)name;
	}
	return 0;
}

typedef int (*entry_fn)(struct module *module, struct slots *slots, uint64_t addr, uint64_t size,
			uint64_t slot_addr);

static int want_slot(struct module *module, struct slots *slots, uint64_t addr, uint64_t size,
		     uint64_t slot_addr)
{
	uint64_t *ignored;
	int r = map64_put(&slots->names, slot_addr, &ignored);

	return r == -ENOMEM ? err_trace(r) : 0;
}

static int add_entry(struct module *module, struct slots *slots, uint64_t addr, uint64_t size,
		     uint64_t slot_addr)
{
	const uint64_t *name = map64_get(&slots->names, slot_addr);

	if (!name || !*name)
		return 0;
	return module_symtab_add(module, addr, size, true, 0, "%s@plt",
				 (const char *)(uintptr_t)*name);
}

static int each_entry(struct module *module, struct slots *slots, const Elf_Data *data,
		      const GElf_Shdr *header, entry_fn fn)
{
	uint64_t step = header->sh_entsize == 8 ? 8 : 16, slot_addr;
	const uint8_t *code = data->d_buf;
	int r = 0;

	for (uint64_t at = 0; at + step <= data->d_size && at < MAX_ENTRIES * step && r >= 0;
	     at += step) {
		if (arch_plt_slot(arch_native(), code + at, step, header->sh_addr + at, &slot_addr))
			r = fn(module, slots, header->sh_addr + at, step, slot_addr);
	}
	return r;
}

static int each_table(struct module *module, struct slots *slots, entry_fn fn)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t strings;
	int r = 0;

	if (elf_getshdrstrndx(module->elf, &strings) < 0)
		return 0;
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
		if (!data || !data->d_buf)
			continue;
		r = each_entry(module, slots, data, &header, fn);
		/* What the entries share: the way to the dynamic linker's resolver. */
		if (r >= 0 && fn == add_entry)
			r = module_symtab_add(module, header.sh_addr, header.sh_size, false,
					      SYMTAB_RANK_SECTION, "%s", name);
	}
	return r;
}

int module_plt_add(struct module *module)
{
	struct slots slots = {};
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	int r;

	if (!module->elf)
		return 0;
	r = each_table(module, &slots, want_slot);
	while (r >= 0 && slots.names.n && (section = elf_nextscn(module->elf, section))) {
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_RELA &&
		    header.sh_flags & SHF_ALLOC)
			r = load_relocations(module, section, &header, &slots);
	}
	if (r >= 0)
		r = each_table(module, &slots, add_entry);
	map64_deinit(&slots.names);
	map64_deinit(&slots.functions);
	return r;
}
