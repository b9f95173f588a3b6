/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF files mapped into a process, and the libdw handles on them.
 *
 * A module_map belongs to one image of a process (an execve makes a new one) and to one thread:
 * libdw's handles are not thread-safe. Another thread that wants to know about a module, too, gets
 * a clone of it with handles of its own. Modules live as long as the map, also after the target
 * unmapped them, because samples taken earlier still refer to them.
 *
 * Files are opened in the target's root and only as regular files whose device and inode are those
 * of the mapping; else through /proc/PID/map_files where that is permitted; else (and for the
 * vDSO) from the target's memory. That of the agent (lib/agent) is a part of cprof. A file may be
 * corrupt or become shorter at any time: the cost is that module's symbols or CFI, and
 * module_problem() says so.
 */
#pragma once

#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/process.h"

struct module_map;
struct module;

/** An executable mapping of a module, as it goes into the profile. */
struct module_mapping {
	uint64_t start, end; /* target addresses */
	uint64_t offset;     /* in the file */
	struct module *module;
	uint32_t index; /* dense number of this mapping in its map, from 0; never reused */
};

/** Makes an empty map; process is borrowed and must outlive it. Returns 0 or -ENOMEM. */
int module_map_new(struct process *process, struct module_map **ret_map);
struct module_map *module_map_free(struct module_map *map);

enum module_refresh {
	MODULE_REFRESH_SAME = 1, /* nothing changed */
	MODULE_REFRESH_ADDED,    /* only new mappings: everything known still holds */
	MODULE_REFRESH_REPLACED, /* an address range went away or holds something else now */
};

/** Reads the target's maps anew. Returns an enum module_refresh, or a negative errno (-ESRCH when
 * the process is gone: the map stays as it was). */
int module_map_refresh(struct module_map *map);

/** The executable mapping that holds pc now, or NULL. Valid until the map is freed. */
const struct module_mapping *module_map_find(const struct module_map *map, uint64_t pc);

/** All mappings ever seen, in order of their index; n from module_map_count(). */
const struct module_mapping *module_map_at(const struct module_map *map, uint32_t index);
uint32_t module_map_count(const struct module_map *map);

/** The mapping of the main executable (the file of /proc/PID/exe), or NULL. */
const struct module_mapping *module_map_main(const struct module_map *map);

/** The module that has a data address in one of its load segments, zeroed memory behind the file's
 * bytes (.bss) included; or NULL. Opens modules. */
struct module *module_map_find_data(const struct module_map *map, uint64_t addr);

/**
 * A module of the same mapping and file for another thread. The file is opened here; what is read
 * of it and its debug file is up to the clone. To be called by the thread that owns the module.
 *
 * @param process	a handle for that other thread; borrowed, must outlive the clone
 * @param ret_clone	to be freed with module_free()
 * @return 0 or -ENOMEM; a file that cannot be opened is the clone's problem
 */
int module_clone(struct module *module, struct process *process, struct module **ret_clone);

/** Frees a clone; other modules go with their map. */
struct module *module_free(struct module *module);

/** Path as the target sees it ("[vdso]" for the vDSO, "[cprof agent]" for what this cprof maps to
 * count allocations, "" for other anonymous executable memory). */
const char *module_path(const struct module *module);

/** Is it the agent's code? Its symbols are called "[cprof agent] …". */
bool module_is_agent(const struct module *module);

/** Lower-case hex of the GNU build id, "" when there is none. Opens the file at the first call. */
const char *module_build_id(struct module *module);

/** Is it a real ELF file, i.e. can there be symbols and CFI at all? Opens at the first call. */
bool module_is_elf(struct module *module);

/** Target address minus bias = address in the file (svma). Valid once the file is open. */
uint64_t module_bias(struct module *module);

/** The main ELF file's handle, borrowed, or NULL. Opens at the first call. */
Elf *module_elf(struct module *module);

/**
 * The file's bytes around a pc, which are those of the code unless it was patched in memory.
 *
 * @param ret_before, ret_after	readable bytes before, and from pc on
 * @return a borrowed pointer to the byte at pc, or NULL when pc is not in the file
 */
const uint8_t *module_text(struct module *module, uint64_t pc, size_t *ret_before,
			   size_t *ret_after);

/** The file's bytes at an address in the file (svma), up to the end of its segment: borrowed, or
 * NULL when they are not in the file. */
const uint8_t *module_bytes(struct module *module, uint64_t svma, size_t *ret_size);

/** Address in the file of .eh_frame_hdr, by its program header; 0 when there is none. */
uint64_t module_eh_frame_hdr(struct module *module);

/**
 * Unwind tables. Both owned by the module; NULL when there are none. Addresses given to
 * dwarf_cfi_addrframe() are pc - *ret_bias.
 */
Dwarf_CFI *module_eh_cfi(struct module *module, uint64_t *ret_bias);
Dwarf_CFI *module_debug_cfi(struct module *module, uint64_t *ret_bias);

/** DWARF, from the file itself or its separate debug file; NULL when there is none. Addresses in
 * it are pc - *ret_bias. */
Dwarf *module_dwarf(struct module *module, uint64_t *ret_bias);

enum module_path {
	MODULE_PATH_REGULAR = 1, /* a regular file, the same for the target and for us */
	MODULE_PATH_ABSENT,      /* nothing there */
	MODULE_PATH_REFUSED, /* not a regular file, not readable, or the target's root differs */
};

/** What a path leads to that libdw is about to open by itself, in our root (a .dwo file). */
enum module_path module_probe_path(struct module *module, const char *path);

/** One function symbol. */
struct module_symbol {
	uint64_t addr; /* target address (bias added) */
	uint64_t size; /* bytes that it covers */
	const char *name;
};

/**
 * The function symbol that covers a target address: from .symtab, else .dynsym with
 * .gnu_debugdata (its xz-packed .symtab), of the file or its debug file. Functions, and labels of
 * hand-written assembly; a symbol without size reaches to the next one. Where several cover the
 * address, the first difference decides: gives its size; GLOBAL before WEAK before LOCAL; function
 * before label; begins nearest; name in byte order. Names come without "@VERSION". Sorted at the
 * first call. For entries of linkage tables, "foo@plt"; for code of the vDSO that has no symbol,
 * "[vdso]+0x780" by where its function begins, else "[vdso]".
 *
 * @return true and *ret_symbol (borrowed), or false
 */
bool module_symbol_at(struct module *module, uint64_t addr, struct module_symbol *ret_symbol);

/** The variable (STT_OBJECT with a size) that covers a target address, of the same tables. Goes
 * through all of them at each call. A GLOBAL or WEAK one before a LOCAL one. Returns true and
 * *ret_symbol, whose name is borrowed and may have a version ("@VERSION"), or false. */
bool module_object_at(struct module *module, uint64_t addr, struct module_symbol *ret_symbol);

/** Is there a .symtab (or .gnu_debugdata) rather than .dynsym only? */
bool module_has_symtab(struct module *module);

/** Where the names of a module's functions come from. */
enum module_names {
	MODULE_NAMES_NONE,
	MODULE_NAMES_DYNSYM,     /* exported functions only */
	MODULE_NAMES_SYMTAB,     /* .symtab of the file itself */
	MODULE_NAMES_MINIDEBUG,  /* .gnu_debugdata, with .dynsym */
	MODULE_NAMES_DEBUG_FILE, /* .symtab of the separate debug file */
};

enum module_lines {
	MODULE_LINES_NONE,
	MODULE_LINES_OWN,        /* DWARF in the file itself */
	MODULE_LINES_DEBUG_FILE, /* in the separate debug file */
};

struct module_sources {
	enum module_names names;
	enum module_lines lines;
	size_t n_functions;         /* function symbols, linkage tables not counted */
	const char *debug_path;     /* the separate debug file found, borrowed; or NULL */
	bool eh_frame, debug_frame; /* CFI */
	bool gopclntab;             /* Go's own table of functions, which is not read yet */
};

/** Says what there is for names, lines and unwinding. Enters all stages. */
void module_get_sources(struct module *module, struct module_sources *ret_sources);

/**
 * Which of some function symbols a module defines, in its symbol table or exports.
 *
 * @param names, n	exact names, at most 64
 * @return bit i is set when names[i] is defined
 */
uint64_t module_defines(struct module *module, const char *const *names, unsigned n);

/** Why symbols or CFI are missing or doubtful, as one short phrase for people ("no symbol table",
 * "file changed since it was mapped", "not a regular file", "corrupt: …"); NULL when nothing is
 * wrong. */
const char *module_problem(struct module *module);

/** Notes a problem found while using what the module handed out; the first one stays. */
void module_set_problem(struct module *module, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * From here on a SIGBUS from a mapped file that became shorter puts a page of zeroes in the place
 * of the missing one instead of ending the process; modules notice and report it. Process-wide;
 * call once before any module is opened. Returns 0 or a negative errno.
 */
int module_sigbus_guard(void);

/** How often the guard had to act so far, in the whole process. */
unsigned module_sigbus_count(void);
