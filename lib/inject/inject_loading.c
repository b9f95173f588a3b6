/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the dynamic linker done its first work? Told by what it leaves for debuggers (<link.h>,
 * struct r_debug): glibc names it in the program's dynamic section, then says that it adds modules,
 * and at the end, all of them relocated, that they are consistent (elf/rtld.c dl_main); musl names
 * it at the end (ldso/dynlink.c). Nothing is in libraries before it.
 */
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/cleanup.h"
#include "inject/inject.h"

#define MAX_HEADERS 256
#define MAX_LOADED 65536 /* the list is the target's, and may be a ring */
#define MAX_NAME 256

struct program {
	uint64_t dynamic; /* target addresses, 0: none */
	bool has_interpreter;
};

static bool read_headers(struct process *process, struct program *ret_program)
{
	uint64_t at = process_auxv(process, AT_PHDR), n = process_auxv(process, AT_PHNUM);
	uint64_t bias = 0;
	Elf64_Phdr header;

	*ret_program = (struct program){};
	if (!at)
		return false;
	for (uint64_t i = 0; i < MIN(n, (uint64_t)MAX_HEADERS); i++) {
		if (process_read(process, at + i * sizeof(header), &header, sizeof(header)) !=
		    sizeof(header))
			return false;
		if (header.p_type == PT_PHDR)
			bias = at - header.p_vaddr;
		if (header.p_type == PT_DYNAMIC)
			ret_program->dynamic = bias + header.p_vaddr;
		ret_program->has_interpreter |= header.p_type == PT_INTERP;
	}
	return true;
}

/* False: it has no such entry. */
static bool find_debug(struct process *process, uint64_t dynamic, uint64_t *ret_debug)
{
	Elf64_Dyn dyn;

	for (uint64_t addr = dynamic;; addr += sizeof(dyn)) {
		if (process_read(process, addr, &dyn, sizeof(dyn)) != sizeof(dyn) ||
		    dyn.d_tag == DT_NULL)
			return false;
		if (dyn.d_tag == DT_DEBUG)
			break;
	}
	*ret_debug = dyn.d_un.d_ptr;
	return true;
}

/* Is a C library among the modules? */
static bool has_libc(struct process *process, uint64_t at)
{
	/* l_addr, l_name, l_ld, l_next */
	uint64_t words[4];

	for (unsigned i = 0; at && i < MAX_LOADED; i++) {
		char path[MAX_NAME] = "", *name;

		if (process_read(process, at, words, sizeof(words)) != sizeof(words))
			return false;
		if (process_read(process, words[1], path, sizeof(path) - 1) > 0) {
			name = strrchr(path, '/');
			name = name ? name + 1 : path;
			if (strncmp(name, "libc.", 5) == 0 || strncmp(name, "ld-musl", 7) == 0)
				return true;
		}
		at = words[3];
	}
	return false;
}

bool inject_is_loading(struct process *process)
{
	struct program program;
	struct r_debug debug;
	uint64_t at;

	/* Between two images, or a zombie. */
	if (!read_headers(process, &program))
		return true;
	if (!program.has_interpreter || !program.dynamic ||
	    !find_debug(process, program.dynamic, &at))
		return false;
	return !at || process_read(process, at, &debug, sizeof(debug)) != sizeof(debug) ||
	       debug.r_state != RT_CONSISTENT ||
	       !has_libc(process, (uint64_t)(uintptr_t)debug.r_map);
}
