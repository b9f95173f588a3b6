/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes of a module: the notes that include/cprof/probe.h leaves, read from the file (System V
 * gABI, "Note Section"). A note has the owner "cprof" and
 *
 *	8 bytes		where the cell is, relative to here
 *	4 bytes		what the probe does: an enum agent_what
 *	the rest	its name, NUL-terminated
 */
#include <elf.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inject/inject_priv.h"

#define NOTE_TYPE 1
#define NOTE_MIN 13
#define ALIGN4(n) (((n) + 3UL) & ~3UL)
static const char owner[] = "cprof";

static int tell_note(struct module *module, const uint8_t *desc, uint32_t size, uint64_t svma,
		     int (*tell)(void *user, const struct inject_probe *probe), void *user)
{
	struct inject_probe probe = {.name = (const char *)desc + 12};
	uint32_t what;
	int64_t there;

	if (size < NOTE_MIN || !memchr(probe.name, 0, size - 12) || !probe.name[0])
		return 0;
	memcpy(&there, desc, sizeof(there));
	memcpy(&what, desc + 8, sizeof(what));
	probe.cell = module_bias(module) + svma + (uint64_t)there;
	probe.what = what;
	if (what <= AGENT_NOTHING || what > AGENT_COUNT || probe.cell % 8)
		return 0;
	return tell(user, &probe);
}

static int tell_notes(struct module *module, uint64_t svma, size_t size,
		      int (*tell)(void *user, const struct inject_probe *probe), void *user)
{
	size_t there = 0, at = 0;
	const uint8_t *bytes = module_bytes(module, svma, &there);
	Elf64_Nhdr note;
	int r = 0;

	size = bytes ? MIN(size, there) : 0;
	while (r == 0 && at <= size && size - at >= sizeof(note)) {
		size_t name = at + sizeof(note), desc;

		memcpy(&note, bytes + at, sizeof(note));
		desc = name + ALIGN4((size_t)note.n_namesz);
		at = desc + ALIGN4((size_t)note.n_descsz);
		if (desc > size || note.n_descsz > size - desc)
			break;
		if (note.n_type == NOTE_TYPE && note.n_namesz == sizeof(owner) &&
		    memcmp(bytes + name, owner, sizeof(owner)) == 0)
			r = tell_note(module, bytes + desc, note.n_descsz, svma + desc, tell, user);
	}
	return r;
}

int inject_module_probes(struct module *module,
			 int (*tell)(void *user, const struct inject_probe *probe), void *user)
{
	Elf *elf = module_is_elf(module) ? module_elf(module) : NULL;
	GElf_Phdr phdr;
	size_t n = 0;
	int r = 0;

	if (!elf || elf_getphdrnum(elf, &n) != 0)
		return 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		/* Notes with an alignment of 8 are padded otherwise; ours never have it. */
		if (gelf_getphdr(elf, (int)i, &phdr) && phdr.p_type == PT_NOTE && phdr.p_align <= 4)
			r = tell_notes(module, phdr.p_vaddr, phdr.p_filesz, tell, user);
	}
	return r;
}
