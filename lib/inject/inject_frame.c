/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in the dynamic linker that a function may seem to be called from.
 *
 * Who unwinds a stack in the target, as exceptions and pthread_cancel(3) do, knows the agent's code
 * for nobody's, and would stop there. So calls whose result the agent needs return into a function
 * that has call-frame information, and whose code there happens to call on through a register. Its
 * frame pointer and the registers that it has saved are where that information says. The dynamic
 * linker is never unloaded, and has no handlers of its own for what is thrown through it.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/cleanup.h"
#include "inject/inject_priv.h"

/* Has every function call-frame information of the plain sort, without a personality? */
static bool is_plain(Elf *elf)
{
	Elf_Scn *section = NULL;
	Elf_Data *data = NULL;
	Dwarf_Off next = 0;
	Dwarf_CFI_Entry entry;
	GElf_Shdr header;
	size_t names;
	int r;

	if (elf_getshdrstrndx(elf, &names) != 0)
		return false;
	while (!data && (section = elf_nextscn(elf, section))) {
		const char *name = gelf_getshdr(section, &header)
					   ? elf_strptr(elf, names, header.sh_name)
					   : NULL;

		if (name && strcmp(name, ".eh_frame") == 0)
			data = elf_getdata(section, NULL);
	}
	if (!data)
		return false;
	for (Dwarf_Off at = 0;; at = next) {
		r = dwarf_next_cfi((const unsigned char *)elf_getident(elf, NULL), data, true, at,
				   &next, &entry);
		if (r != 0)
			return r > 0;
		if (dwarf_cfi_cie_p(&entry) && strpbrk(entry.cie.augmentation, "PL"))
			return false;
	}
}

static bool is_saved_at(Dwarf_Frame *frame, const struct arch_slot *slot)
{
	Dwarf_Op mem[3], *ops;
	size_t n;

	return dwarf_frame_register(frame, (int)slot->reg, mem, &ops, &n) == 0 && n == 2 &&
	       ops[0].atom == DW_OP_call_frame_cfa && ops[1].atom == DW_OP_plus_uconst &&
	       (int64_t)ops[1].number == slot->offset;
}

/* Does the information fit, as looked up for a return address? */
static bool fits(const struct arch *arch, Dwarf_CFI *cfi, uint64_t addr)
{
	_cleanup_free_ Dwarf_Frame *frame = NULL;
	Dwarf_Op *ops;
	size_t n;
	bool good;

	if (dwarf_cfi_addrframe(cfi, addr - 1, &frame) != 0)
		return false;
	good = dwarf_frame_cfa(frame, &ops, &n) == 0 && n == 1 && ops[0].atom == DW_OP_bregx &&
	       ops[0].number == arch->fp && (int64_t)ops[0].number2 == arch->frame_cfa;
	for (unsigned i = 0; i < arch->n_frame_slots && good; i++)
		good = is_saved_at(frame, &arch->frame_slots[i]);
	return good;
}

static uint64_t find_in(struct inject *inject, struct inject_module *m,
			const struct process_mapping *mapping)
{
	const struct arch *arch = inject->arch;
	size_t size = mapping->end - mapping->start;
	_cleanup_free_ uint8_t *bytes = malloc(size);
	ssize_t n = bytes ? process_read(inject->process, mapping->start, bytes, size) : 0;
	uint64_t bias;
	Dwarf_CFI *cfi = module_eh_cfi(m->module, &bias);
	const uint8_t *found = bytes;

	while (cfi && n > 0 &&
	       (found = memmem(found, (size_t)(bytes + n - found), arch->frame_code,
			       arch->frame_code_size))) {
		uint64_t addr = mapping->start + (uint64_t)(found - bytes);

		if (fits(arch, cfi, addr - bias))
			return addr;
		found++;
	}
	return 0;
}

uint64_t inject_find_frame(struct inject *inject)
{
	struct inject_module *m = inject_module_at(inject, process_auxv(inject->process, AT_BASE));
	uint64_t found = 0;

	if (!m || !module_elf(m->module) || !is_plain(module_elf(m->module)))
		return 0;
	for (size_t i = 0; i < inject->maps.mappings.n && !found; i++) {
		const struct process_mapping *mapping = &inject->maps.mappings.items[i];

		if (mapping->exec && mapping->read && inject_module_at(inject, mapping->start) == m)
			found = find_in(inject, m, mapping);
	}
	return found;
}
