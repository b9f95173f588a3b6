/* SPDX-License-Identifier: Apache-2.0 */
/* The second stage of a module: CFI and DWARF. */
#include "module/module_priv.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* libdw's own would print and exit. It must not return; the program decides what SIGABRT means. */
__attribute__((noreturn)) static void on_out_of_memory(void)
{
	for (;;)
		raise(SIGABRT);
}

/*
 * Links the file that dwz(1) moved shared DWARF to.
 *
 * libdw looks for that file by itself at the first reference, in our root and by a name that the
 * target chose. To prevent that, a file not found by us is entered as "looked for and not there",
 * for which dwarf_getalt() in libdw (0.165 and later) uses this very value.
 */
static void link_alt(struct module *module)
{
	const char *name;
	const void *id;
	ssize_t id_size = dwelf_dwarf_gnu_debugaltlink(module->dwarf, &name, &id);

	if (id_size > 0) {
		module->alt_fd = module_find_alt(module, name, id, (size_t)id_size);
		if (module->alt_fd >= 0)
			module->alt_elf = elf_begin(module->alt_fd, ELF_C_READ_MMAP_PRIVATE, NULL);
		if (module->alt_elf) {
			module_watch_elf(module, module->alt_elf);
			module->alt = dwarf_begin_elf(module->alt_elf, DWARF_C_READ, NULL);
		}
		if (!module->alt)
			module_set_problem(module, "debug file shared by dwz not found");
	}
	if (module->alt)
		dwarf_new_oom_handler(module->alt, on_out_of_memory);
	dwarf_setalt(module->dwarf, module->alt ? module->alt : (Dwarf *)-1);
}

static void load_dwarf(struct module *module)
{
	Dwarf_Addr bias;

	if (module->dwarf_tried)
		return;
	module->dwarf_tried = true;
	if (!module_ensure_open(module))
		return;
	module->dwarf = dwfl_module_getdwarf(module->dwfl_module, &bias);
	if (!module->dwarf) {
		/* "No DWARF" is the ordinary case and no problem. */
		if (module->debug_path)
			module_set_problem(module, "corrupt: %s", dwfl_errmsg(-1));
		return;
	}
	module->dwarf_bias = bias - module->dwfl_bias + module->bias;
	dwarf_new_oom_handler(module->dwarf, on_out_of_memory);
	module_watch_elf(module, dwarf_getelf(module->dwarf));
	link_alt(module);
}

Dwarf *module_dwarf(struct module *module, uint64_t *ret_bias)
{
	load_dwarf(module);
	if (module->dwarf)
		*ret_bias = module->dwarf_bias;
	return module->dwarf;
}

Dwarf_CFI *module_eh_cfi(struct module *module, uint64_t *ret_bias)
{
	Dwarf_Addr bias;

	if (!module->eh_tried) {
		module->eh_tried = true;
		if (module_ensure_open(module))
			module->eh_cfi = dwfl_module_eh_cfi(module->dwfl_module, &bias);
		if (module->eh_cfi)
			module->eh_bias = bias - module->dwfl_bias + module->bias;
	}
	if (module->eh_cfi)
		*ret_bias = module->eh_bias;
	return module->eh_cfi;
}

Dwarf_CFI *module_debug_cfi(struct module *module, uint64_t *ret_bias)
{
	Dwarf_Addr bias;

	if (!module->debug_cfi_tried) {
		module->debug_cfi_tried = true;
		load_dwarf(module);
		if (module->dwarf)
			module->debug_cfi = dwfl_module_dwarf_cfi(module->dwfl_module, &bias);
		if (module->debug_cfi)
			module->debug_cfi_bias = bias - module->dwfl_bias + module->bias;
	}
	if (module->debug_cfi)
		*ret_bias = module->debug_cfi_bias;
	return module->debug_cfi;
}

enum module_path module_probe_path(struct module *module, const char *path)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (!process_shares_root(module->process))
		return MODULE_PATH_REFUSED;
	r = process_root_open(module->process, path, &fd);
	if (r == -ENOENT || r == -ENOTDIR)
		return MODULE_PATH_ABSENT;
	return r < 0 ? MODULE_PATH_REFUSED : MODULE_PATH_REGULAR;
}
