/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sections of DWARF as bytes.
 *
 * libdw has unpacked compressed ones in the very Elf handle that it was opened on
 * (dwarf_begin_elf.c in libdw 0.188), so that what libelf shows is what libdw reads.
 */
#include "symbol/symbol_priv.h"

#include <string.h>

/* Names as libdw knows them: ".debug_line", ".zdebug_line", and in a .dwo file ".debug_line.dwo".
 */
static bool is_named(const char *name, const char *wanted)
{
	size_t n = strlen(wanted);

	if (name[0] != '.')
		return false;
	name += name[1] == 'z' ? 2 : 1;
	return strncmp(name, wanted, n) == 0 && (name[n] == '\0' || strcmp(name + n, ".dwo") == 0);
}

struct bytes symbol_section(Dwarf *dwarf, const char *wanted)
{
	Elf *elf = dwarf_getelf(dwarf);
	struct bytes none = {};
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	if (!elf || elf_getshdrstrndx(elf, &names) < 0)
		return none;
	while ((section = elf_nextscn(elf, section))) {
		const char *name = gelf_getshdr(section, &header)
					   ? elf_strptr(elf, names, header.sh_name)
					   : NULL;
		const Elf_Data *data;

		if (!name || header.sh_type == SHT_NOBITS || header.sh_flags & SHF_GROUP ||
		    header.sh_flags & SHF_COMPRESSED || !is_named(name, wanted))
			continue;
		data = elf_getdata(section, NULL);
		if (data && data->d_buf)
			return (struct bytes){data->d_buf,
					      (const uint8_t *)data->d_buf + data->d_size};
	}
	return none;
}
