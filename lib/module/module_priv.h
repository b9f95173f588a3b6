/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module goes through three stages, each entered once, on demand: opened (module_elf.c), DWARF
 * looked for (module_dwarf.c), symbols sorted (module_symtab.c). A stage that fails stays failed.
 */
#pragma once

#include <elfutils/libdwfl.h>

#include "base/vec.h"
#include "module/module.h"

#define MODULE_MAX_FILE (4ULL << 30)
#define MODULE_MAX_RANGES 8
#define MODULE_MAX_BUILD_ID 64 /* bytes; linkers write 8 to 32 */

/* Ranks behind those of symbols, which are below 6. */
#define SYMTAB_RANK_FDE 6     /* what an FDE tells to be a function */
#define SYMTAB_RANK_SECTION 7 /* of a section, for what nothing else covers: sized or not */

struct symtab_entry {
	uint64_t addr, end; /* target addresses, end exclusive */
	uint64_t max_end;   /* the largest end of this and all entries before it */
	const char *name;
	bool sized;   /* the symbol gives its size */
	uint8_t rank; /* lower is preferred: binding, then type */
};

struct module {
	struct process *process; /* borrowed */
	char *path;
	uint64_t device, inode;
	bool is_vdso, is_agent;
	/* The executable mapping it was first seen by. */
	uint64_t start, end, offset;

	int given_fd; /* owned: the file, opened already; or -1 */

	bool opened;
	Dwfl *dwfl; /* owned; NULL unless it is an ELF file */
	Dwfl_Module *dwfl_module;
	Elf *elf;
	uint64_t bias, dwfl_bias;
	VEC(GElf_Phdr) loads;
	uint64_t file_device, file_inode; /* of the file opened */
	char build_id[2 * MODULE_MAX_BUILD_ID + 1];

	bool dwarf_tried, eh_tried, debug_cfi_tried;
	Dwarf *dwarf;
	uint64_t dwarf_bias, eh_bias, debug_cfi_bias;
	Dwarf_CFI *eh_cfi, *debug_cfi;
	char *debug_path; /* owned: the separate debug file, as the target sees it; or NULL */
	Dwarf *alt;       /* owned, with its ELF and descriptor: the file shared by dwz(1) */
	Elf *alt_elf;
	int alt_fd;

	bool symtab_tried, has_symtab;
	enum module_names names;
	size_t n_functions; /* of the symbols, those from symbol tables */
	VEC(struct symtab_entry) symbols;
	VEC(char *) owned_names;

	bool problem_fixed; /* the file shrank: no later finding is worth more */
	char problem[128];
	/* Where libelf mapped this module's files, to know a SIGBUS as ours. */
	struct {
		const void *start;
		size_t size;
	} ranges[MODULE_MAX_RANGES];
	unsigned n_ranges;
	unsigned sigbus_since; /* module_sigbus_count() before the first file was mapped */
};

/** Enters the first stage if it is still to come. Returns whether the module is an ELF file. */
bool module_ensure_open(struct module *module);

/** The bias by which a mapping of the module's file was loaded, from its program headers.
 * The module is open. */
uint64_t module_mapping_bias(const struct module *module, uint64_t start, uint64_t offset);

/** Notes where libelf mapped a file of this module. */
void module_watch_elf(struct module *module, Elf *elf);

/**
 * Opens the very file that is mapped.
 *
 * @param ret_fd	owned by the caller
 * @return 0, or a negative errno with the problem set
 */
int module_open_file(struct module *module, int *ret_fd);

/** Is the open file the one that the kernel shows in maps with this device and inode? */
bool module_is_file(int fd, uint64_t device, uint64_t inode);

/**
 * Puts the ELF image together from the target's memory, in a file of ours without a name.
 *
 * @param ret_fd	owned by the caller
 * @return 0 or a negative errno
 */
int module_image_open(const struct module *module, int *ret_fd);

/** Stands in the place of the path. */
#define MODULE_AGENT_PATH "[cprof agent]"

enum module_agent {
	MODULE_AGENT_NOT,
	MODULE_AGENT_COMES, /* it is being written, and nothing runs there yet; or just zeroes */
	MODULE_AGENT_HERE,
};

/** Is a mapping the agent's code, as this cprof has it? Reads it if it is of that size. */
enum module_agent module_agent_look(struct process *process, const struct process_mapping *m,
				    const char *path);

/**
 * Opens the agent's ELF file, in a file of ours without a name.
 *
 * @param ret_fd	owned by the caller
 * @return 0 or a negative errno
 */
int module_agent_open(int *ret_fd);

/** Makes the symbols of the agent tell that they are; nothing to another module. Returns 0 or
 * -ENOMEM. */
int module_agent_name(struct module *module);

/** The separate debug file by build id or debug link; fd or -1. For libdwfl. */
int module_find_debuginfo(Dwfl_Module *dwfl_module, void **user, const char *name, Dwarf_Addr base,
			  const char *file_name, const char *link, GElf_Word crc,
			  char **ret_file_name);

/**
 * Opens the file that dwz(1) moved shared DWARF to.
 *
 * @param name		from .gnu_debugaltlink: absolute, or beside the debug file
 * @param id, id_size	its build id
 * @return a descriptor owned by the caller, or -1
 */
int module_find_alt(struct module *module, const char *name, const void *id, size_t id_size);

/** Adds a symbol for each entry of the linkage tables to the symbols, which are not sorted yet.
 * Returns 0 or -ENOMEM. */
int module_plt_add(struct module *module);

/** Adds names for what no symbol of the vDSO covers; nothing to another module. The symbols are not
 * sorted yet. Returns 0 or -ENOMEM. */
int module_vdso_add(struct module *module);

/**
 * Adds a symbol that no table has, before they are sorted.
 *
 * @param sized		false: it ends at the next symbol, if that is nearer
 * @param name		what vasprintf(3) makes a name of
 * @return 0 or -ENOMEM
 */
int module_symtab_add(struct module *module, uint64_t svma, uint64_t size, bool sized, uint8_t rank,
		      const char *name, ...) __attribute__((format(printf, 6, 7)));

/** Enters the third stage if it is still to come. */
void module_ensure_symbols(struct module *module);

/** Did the SIGBUS guard act between start and start + size since module_sigbus_count() was `since`?
 * Earlier hits may be those of a file that was mapped there before. It remembers the last 64 pages.
 */
bool module_sigbus_hit(const void *start, size_t size, unsigned since);
