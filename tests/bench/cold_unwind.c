/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the first look at a pc takes: the making of its unwind rule.
 *
 *	cold_unwind cprof|libdwfl FILE PCS
 *
 * Maps a shared library into itself and asks for the callers of that many different pcs of its
 * text, spread evenly. Opening the file and its tables is part of it. Prints nanoseconds per pc and
 * how many had a rule.
 */
#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <gelf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "process/process.h"
#include "snapshot/snapshot.h"
#include "unwind/unwind.h"

/* Its .text section, without the read-only data that may share a mapping with it. */
static bool find_text(const char *file, void *library, uint64_t *ret_start, uint64_t *ret_end)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	Elf *elf = elf_version(EV_CURRENT) == EV_NONE ? NULL : elf_begin(fd, ELF_C_READ_MMAP, NULL);
	const struct link_map *map = NULL;
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	*ret_start = *ret_end = 0;
	if (!elf || elf_getshdrstrndx(elf, &names) != 0 ||
	    dlinfo(library, RTLD_DI_LINKMAP, &map) != 0)
		return false;
	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &header) ||
		    strcmp(elf_strptr(elf, names, header.sh_name), ".text") != 0)
			continue;
		*ret_start = map->l_addr + header.sh_addr;
		*ret_end = *ret_start + header.sh_size;
	}
	elf_end(elf);
	return *ret_end > *ret_start;
}

/* A stack of zeroes: the first caller is none, whatever the rule says. */
static uint64_t ours(uint64_t start, uint64_t step, uint64_t pcs)
{
	enum {
		BYTES = 1 << 20,
		MIDDLE = 1 << 19
	};
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot) + BYTES);
	static struct trace trace;
	const struct arch *arch = arch_native();
	struct process *process;
	struct module_map *map;
	struct unwinder *unwinder;
	uint64_t top, fp_before, found = 0;

	if (!snapshot || process_open(getpid(), &process) < 0 ||
	    module_map_new(process, &map) < 0 || module_map_refresh(map) < 0 ||
	    unwinder_new(map, arch, &unwinder) < 0)
		exit(2);
	snapshot->kind = SNAPSHOT_STACK;
	snapshot->stack_addr = 0x10000000;
	snapshot->n_bytes = BYTES;
	snapshot->stack_end = snapshot->stack_addr + BYTES;
	for (unsigned reg = 0; reg < arch->n_regs; reg++)
		arch_reg_set(&snapshot->regs, reg, snapshot->stack_addr + MIDDLE);
	for (uint64_t i = 0; i < pcs; i++) {
		arch_reg_set(&snapshot->regs, arch->pc, start + i * step);
		fp_before = unwinder_stats(unwinder)->fp_frames;
		unwinder_run(unwinder, snapshot, &trace, &top);
		found += trace.end != TRACE_NO_CFI &&
			 unwinder_stats(unwinder)->fp_frames == fp_before;
	}
	unwinder_free(unwinder);
	module_map_free(map);
	process_close(process);
	free(snapshot);
	return found;
}

static uint64_t theirs(uint64_t start, uint64_t step, uint64_t pcs)
{
	static char *path;
	static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_linux_proc_find_elf,
						 .find_debuginfo = dwfl_standard_find_debuginfo,
						 .debuginfo_path = &path};
	Dwfl *dwfl = dwfl_begin(&callbacks);
	uint64_t found = 0;

	dwfl_report_begin(dwfl);
	if (dwfl_linux_proc_report(dwfl, getpid()) != 0 || dwfl_report_end(dwfl, NULL, NULL) != 0)
		exit(2);
	for (uint64_t i = 0; i < pcs; i++) {
		uint64_t pc = start + i * step;
		Dwfl_Module *module = dwfl_addrmodule(dwfl, pc);
		Dwarf_Frame *frame = NULL;
		Dwarf_Addr bias;
		Dwarf_CFI *cfi = module ? dwfl_module_eh_cfi(module, &bias) : NULL;

		if (cfi && dwarf_cfi_addrframe(cfi, pc - bias, &frame) == 0)
			found++;
		free(frame);
	}
	dwfl_end(dwfl);
	return found;
}

int main(int argc, char **argv)
{
	uint64_t start, end, pcs, t0, found;
	void *library;

	if (argc != 4 || parse_u64(argv[3], 1, 1000000, &pcs) < 0)
		return 64;
	library = dlopen(argv[2], RTLD_LAZY);
	if (!library || !find_text(argv[2], library, &start, &end)) {
		fprintf(stderr, "cold_unwind: cannot map %s\n", argv[2]);
		return 2;
	}
	t0 = clock_now_ns();
	found = (strcmp(argv[1], "cprof") == 0 ? ours : theirs)(start, (end - start) / pcs, pcs);
	printf("%.1f %lu\n", (double)(clock_now_ns() - t0) / (double)pcs, (unsigned long)found);
	return 0;
}
