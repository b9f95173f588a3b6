/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the code of the vDSO that no symbol covers.
 *
 * Its symbol table is .dynsym alone: the kernel is built without the rest (arch/x86/entry/vdso,
 * objcopy -S), so that what its functions call, the reading of a paravirtual clock for one, has no
 * name; and what reads profiles cannot look for one, as there is no such file. Where .eh_frame
 * tells a function it is called after its beginning, "[vdso]+0x780"; code that is in none, such as
 * assembly without CFI, after the mapping. No such name claims to be a function's of the kernel.
 */
#include "module/module_priv.h"

#include <dwarf.h>
#include <inttypes.h>
#include <string.h>

#define MAX_FUNCTIONS 1024

static bool begins_symbol(const struct module *module, uint64_t addr)
{
	for (size_t i = 0; i < module->n_functions; i++) {
		if (module->symbols.items[i].addr == addr)
			return true;
	}
	return false;
}

/* Are addresses of this CIE's functions 4 bytes, relative to where they stand (all that linkers
 * write for code of less than 2 GiB)? LSB Core 5.0, 10.6.1. */
static bool is_plain(const Dwarf_CIE *cie)
{
	return strncmp(cie->augmentation, "zR", 2) == 0 && cie->augmentation_data_size >= 1 &&
	       cie->augmentation_data[0] == (DW_EH_PE_pcrel | DW_EH_PE_sdata4);
}

static int add_functions(struct module *module, Elf_Data *data, uint64_t svma)
{
	const unsigned char *ident = (const unsigned char *)elf_getident(module->elf, NULL);
	Dwarf_Off at = 0, next, plain = UINT64_MAX;
	Dwarf_CFI_Entry entry;
	int r = 0;

	for (unsigned n = 0; n < MAX_FUNCTIONS && r >= 0 &&
			     dwarf_next_cfi(ident, data, true, at, &next, &entry) == 0;
	     n++, at = next) {
		uint64_t begin;
		int32_t distance;
		uint32_t size;

		if (dwarf_cfi_cie_p(&entry)) {
			if (is_plain(&entry.cie))
				plain = at;
			continue;
		}
		if (entry.fde.CIE_pointer != plain || entry.fde.end - entry.fde.start < 8)
			continue;
		memcpy(&distance, entry.fde.start, sizeof(distance));
		memcpy(&size, entry.fde.start + sizeof(distance), sizeof(size));
		begin = svma + (uint64_t)(entry.fde.start - (const uint8_t *)data->d_buf) +
			(uint64_t)(int64_t)distance;
		/* A symbol without size reaches as far as the next one, so it has that much. */
		if (!begins_symbol(module, begin + module->bias))
			r = module_symtab_add(module, begin, size, true, SYMTAB_RANK_FDE,
					      "%s+0x%" PRIx64, module->path, begin);
	}
	return r;
}

int module_vdso_add(struct module *module)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t strings;
	int r = 0;

	if (!module->is_vdso || !module->elf || elf_getshdrstrndx(module->elf, &strings) < 0)
		return 0;
	while (r >= 0 && (section = elf_nextscn(module->elf, section))) {
		const char *name;
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_PROGBITS)
			continue;
		name = elf_strptr(module->elf, strings, header.sh_name);
		data = name && strcmp(name, ".eh_frame") == 0 ? elf_getdata(section, NULL) : NULL;
		if (data && data->d_buf)
			r = add_functions(module, data, header.sh_addr);
		else if (header.sh_flags & SHF_EXECINSTR)
			r = module_symtab_add(module, header.sh_addr, header.sh_size, true,
					      SYMTAB_RANK_SECTION, "%s", module->path);
	}
	return r;
}
