/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first stage of a module: its ELF file open in a libdwfl session of its own, load bias, build
 * id, and what is wrong with it.
 *
 * One session per module, so that a corrupt file costs one module. libdwfl is never given a path
 * to open: the main file is handed to it open, and its search for debug files ends in our
 * callback.
 */
#include "module/module_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define MAX_LOADS 4096

static int find_no_elf(Dwfl_Module *dwfl_module, void **user, const char *name, Dwarf_Addr base,
		       char **ret_file_name, Elf **ret_elf)
{
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = find_no_elf,
	.find_debuginfo = module_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

struct module *module_free(struct module *module)
{
	if (!module)
		return NULL;
	/* The DWARF of the module refers to the shared one, so that goes last. */
	if (module->dwfl)
		dwfl_end(module->dwfl);
	if (module->alt)
		dwarf_end(module->alt);
	if (module->alt_elf)
		elf_end(module->alt_elf);
	if (module->alt_fd >= 0)
		close(module->alt_fd);
	if (module->given_fd >= 0)
		close(module->given_fd);
	for (size_t i = 0; i < module->owned_names.n; i++)
		free(module->owned_names.items[i]);
	vec_deinit(&module->owned_names);
	vec_deinit(&module->symbols);
	vec_deinit(&module->loads);
	free(module->debug_path);
	free(module->path);
	free(module);
	return NULL;
}

void module_set_problem(struct module *module, const char *format, ...)
{
	va_list args;

	if (module->problem[0])
		return;
	va_start(args, format);
	vsnprintf(module->problem, sizeof(module->problem), format, args);
	va_end(args);
}

void module_watch_elf(struct module *module, Elf *elf)
{
	size_t size;
	const char *start = elf_rawfile(elf, &size);

	if (!start)
		return;
	for (unsigned i = 0; i < module->n_ranges; i++) {
		if (module->ranges[i].start == start)
			return;
	}
	if (module->n_ranges == MODULE_MAX_RANGES)
		return;
	module->ranges[module->n_ranges].start = start;
	module->ranges[module->n_ranges++].size = size;
}

/* Reads the PT_LOAD headers without mapping the file. */
static int read_loads(struct module *module, int fd)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	GElf_Ehdr ehdr;
	size_t n;
	int r = 0;

	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &ehdr)) {
		module_set_problem(module, "not an ELF file");
		elf_end(elf);
		return -ENOEXEC;
	}
	if ((ehdr.e_type != ET_EXEC && ehdr.e_type != ET_DYN) || elf_getphdrnum(elf, &n) < 0) {
		module_set_problem(module, "not an executable or shared object");
		elf_end(elf);
		return -ENOEXEC;
	}
	for (size_t i = 0; i < MIN(n, (size_t)MAX_LOADS); i++) {
		GElf_Phdr phdr, *slot;

		if (!gelf_getphdr(elf, (int)i, &phdr) || phdr.p_type != PT_LOAD)
			continue;
		slot = vec_push(&module->loads);
		if (!slot) {
			r = err_trace(-ENOMEM);
			break;
		}
		*slot = phdr;
	}
	elf_end(elf);
	return r;
}

uint64_t module_mapping_bias(const struct module *module, uint64_t start, uint64_t offset)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), bias = start - offset;
	int best = -1;

	/*
	 * Segments share pages of the file at their ends, so an offset may belong to two. The
	 * executable one, and the one that begins in that page, is meant. p_align plays no part:
	 * what was mapped where is known.
	 */
	for (size_t i = 0; i < module->loads.n; i++) {
		const GElf_Phdr *p = &module->loads.items[i];
		uint64_t from = p->p_offset & ~(page - 1);
		int score = (p->p_flags & PF_X ? 2 : 0) + (from == offset ? 1 : 0);

		if (offset < from || offset >= p->p_offset + p->p_filesz || score <= best)
			continue;
		best = score;
		bias = start - (p->p_vaddr + (offset - p->p_offset));
	}
	return bias;
}

static void read_build_id(struct module *module)
{
	const unsigned char *bits;
	GElf_Addr addr;
	int n = dwfl_module_build_id(module->dwfl_module, &bits, &addr);

	if (n > MODULE_MAX_BUILD_ID)
		return;
	for (int i = 0; i < n; i++)
		snprintf(module->build_id + 2 * i, 3, "%02x", bits[i]);
}

/* Hands the file to libdwfl, which closes it. */
static void report_elf(struct module *module, int *fd)
{
	void **user;
	Dwarf_Addr bias;

	module->dwfl = dwfl_begin(&callbacks);
	if (!module->dwfl) {
		module_set_problem(module, "out of memory");
		return;
	}
	dwfl_report_begin(module->dwfl);
	module->dwfl_module =
		dwfl_report_elf(module->dwfl, module->path, module->path, *fd, module->bias, true);
	if (module->dwfl_module)
		(void)take_fd(fd);
	dwfl_report_end(module->dwfl, NULL, NULL);
	if (module->dwfl_module)
		module->elf = dwfl_module_getelf(module->dwfl_module, &bias);
	if (!module->elf) {
		module_set_problem(module, "corrupt: %s", dwfl_errmsg(-1));
		dwfl_end(module->dwfl);
		module->dwfl = NULL;
		module->dwfl_module = NULL;
		return;
	}
	module->dwfl_bias = bias;
	module_watch_elf(module, module->elf);
	dwfl_module_info(module->dwfl_module, &user, NULL, NULL, NULL, NULL, NULL, NULL);
	*user = module;
	read_build_id(module);
}

bool module_ensure_open(struct module *module)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = -ENOENT;

	if (module->opened)
		return module->elf;
	module->opened = true;
	module->sigbus_since = module_sigbus_count();
	module->bias = module->start - module->offset;
	if (module->given_fd >= 0) {
		fd = take_fd(&module->given_fd);
		r = 0;
	} else if (module->inode != 0) {
		r = module_open_file(module, &fd);
	}
	if (r < 0 && module->is_agent)
		r = module_agent_open(&fd);
	else if (r < 0 && (module->inode != 0 || module->is_vdso))
		r = module_image_open(module, &fd);
	if (r < 0) {
		if (module->inode == 0)
			module_set_problem(module, module->is_vdso ? "cannot read the memory"
								   : "no file behind this memory");
		return false;
	}
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size > MODULE_MAX_FILE) {
		module_set_problem(module, "file too large");
		return false;
	}
	module->file_device = st.st_dev;
	module->file_inode = st.st_ino;
	elf_version(EV_CURRENT);
	if (read_loads(module, fd) < 0)
		return false;
	/* The agent is linked at 0, and mapped as a whole. */
	if (!module->is_agent)
		module->bias = module_mapping_bias(module, module->start, module->offset);
	report_elf(module, &fd);
	return module->elf;
}

const char *module_path(const struct module *module)
{
	return module->path;
}

const char *module_build_id(struct module *module)
{
	module_ensure_open(module);
	return module->build_id;
}

bool module_is_elf(struct module *module)
{
	return module_ensure_open(module);
}

uint64_t module_bias(struct module *module)
{
	module_ensure_open(module);
	return module->bias;
}

Elf *module_elf(struct module *module)
{
	module_ensure_open(module);
	return module->elf;
}

const char *module_problem(struct module *module)
{
	module_ensure_open(module);
	for (unsigned i = 0; i < module->n_ranges && !module->problem_fixed; i++) {
		if (!module_sigbus_hit(module->ranges[i].start, module->ranges[i].size,
				       module->sigbus_since))
			continue;
		snprintf(module->problem, sizeof(module->problem),
			 "file became shorter while it was read");
		module->problem_fixed = true;
	}
	return module->problem[0] ? module->problem : NULL;
}

/* In a segment that has all of these flags. */
static const uint8_t *bytes_at(struct module *module, uint64_t svma, GElf_Word flags,
			       size_t *ret_before, size_t *ret_after)
{
	const char *file;
	size_t size;

	if (!module_ensure_open(module))
		return NULL;
	file = elf_rawfile(module->elf, &size);
	for (size_t i = 0; file && i < module->loads.n; i++) {
		const GElf_Phdr *load = &module->loads.items[i];
		uint64_t at = svma - load->p_vaddr;

		if ((load->p_flags & flags) != flags || at >= load->p_filesz ||
		    load->p_offset > size || load->p_filesz > size - load->p_offset)
			continue;
		*ret_before = at;
		*ret_after = load->p_filesz - at;
		return (const uint8_t *)file + load->p_offset + at;
	}
	return NULL;
}

const uint8_t *module_bytes(struct module *module, uint64_t svma, size_t *ret_size)
{
	size_t before;

	return bytes_at(module, svma, 0, &before, ret_size);
}

uint64_t module_eh_frame_hdr(struct module *module)
{
	GElf_Phdr phdr;
	size_t n;

	if (!module_ensure_open(module) || elf_getphdrnum(module->elf, &n) != 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (gelf_getphdr(module->elf, (int)i, &phdr) && phdr.p_type == PT_GNU_EH_FRAME)
			return phdr.p_vaddr;
	}
	return 0;
}

const uint8_t *module_text(struct module *module, uint64_t pc, size_t *ret_before,
			   size_t *ret_after)
{
	return bytes_at(module, pc - module_bias(module), PF_X, ret_before, ret_after);
}
