/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF image from the target's memory: for the vDSO, which has no file, and for files that can
 * no longer be opened. What the program headers load is there; section headers, symbol table and
 * DWARF of an ordinary file are not, so such an image is good for CFI and build id only.
 */
#include "module/module_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define IMAGE_MAX_VDSO (1u << 20)
#define IMAGE_MAX_FILE (512ULL << 20)
#define IMAGE_MAX_PHDRS 64
#define IMAGE_CHUNK (256u << 10)

/* Copies target memory to the file; what is not readable stays a hole of zeroes. */
static int copy_range(struct process *process, uint64_t addr, uint64_t size, int fd, off_t at)
{
	_cleanup_free_ char *chunk = malloc(IMAGE_CHUNK);

	if (!chunk)
		return err_trace(-ENOMEM);
	while (size > 0) {
		ssize_t n = process_read(process, addr, chunk, MIN(size, (uint64_t)IMAGE_CHUNK));

		if (n < 0)
			return err_trace((int)n);
		if (n == 0)
			return 0;
		if (pwrite(fd, chunk, (size_t)n, at) != n)
			return err_trace(-ENOSPC);
		addr += (uint64_t)n;
		size -= (uint64_t)n;
		at += n;
	}
	return 0;
}

/* Where the file's beginning is mapped: the nearest place at or below the executable mapping. */
static int find_header(const struct module *module, uint64_t *ret_addr)
{
	struct process_maps maps;
	bool found = false;
	int r;

	r = process_maps_read(module->process, &maps);
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < maps.mappings.n; i++) {
		const struct process_mapping *m = &maps.mappings.items[i];

		if (m->start > module->start)
			break;
		if (m->offset == 0 && m->inode == module->inode && m->device == module->device) {
			*ret_addr = m->start;
			found = true;
		}
	}
	process_maps_deinit(&maps);
	return found ? 0 : -ENOENT;
}

/* Own byte order and class only: that is all a process on this machine can be sampled as. */
static int copy_loads(const struct module *module, uint64_t addr, int fd)
{
	struct process *process = module->process;
	Elf64_Phdr phdrs[IMAGE_MAX_PHDRS];
	Elf64_Ehdr ehdr;
	uint64_t bias = 0, total = 0, phdrs_size;
	bool has_bias = false;
	int r;

	if (process_read(process, addr, &ehdr, sizeof(ehdr)) != sizeof(ehdr) ||
	    memcmp(ehdr.e_ident, ELFMAG, SELFMAG) != 0 || ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr.e_phentsize != sizeof(phdrs[0]) || ehdr.e_phnum > IMAGE_MAX_PHDRS)
		return err_trace(-ENOEXEC);
	phdrs_size = ehdr.e_phnum * sizeof(phdrs[0]);
	if (process_read(process, addr + ehdr.e_phoff, phdrs, phdrs_size) != (ssize_t)phdrs_size)
		return err_trace(-ENOEXEC);
	for (unsigned i = 0; i < ehdr.e_phnum; i++) {
		const Elf64_Phdr *p = &phdrs[i];

		if (p->p_type != PT_LOAD)
			continue;
		if (!has_bias) {
			if (p->p_offset != 0)
				return err_trace(-ENOEXEC);
			bias = addr - p->p_vaddr;
			has_bias = true;
		}
		total += p->p_filesz;
		if (p->p_filesz > IMAGE_MAX_FILE || p->p_offset > MODULE_MAX_FILE ||
		    total > IMAGE_MAX_FILE)
			return err_trace(-EFBIG);
		r = copy_range(process, bias + p->p_vaddr, p->p_filesz, fd, (off_t)p->p_offset);
		if (r < 0)
			return err_trace(r);
	}
	/* The section headers lie behind what is loaded. */
	ehdr.e_shoff = 0;
	ehdr.e_shnum = ehdr.e_shstrndx = 0;
	return pwrite(fd, &ehdr, sizeof(ehdr), 0) == sizeof(ehdr) ? 0 : err_trace(-ENOSPC);
}

int module_image_open(const struct module *module, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	uint64_t addr = 0;
	int r;

	fd = memfd_create("cprof-image", MFD_CLOEXEC);
	if (fd < 0)
		return err_trace(err_errno());
	if (module->is_vdso) {
		/* One mapping holds the whole file, section headers included. */
		r = copy_range(module->process, module->start,
			       MIN(module->end - module->start, (uint64_t)IMAGE_MAX_VDSO), fd, 0);
	} else {
		r = find_header(module, &addr);
		if (r == 0)
			r = copy_loads(module, addr, fd);
	}
	if (r < 0)
		return err_trace(r);
	*ret_fd = take_fd(&fd);
	return 0;
}
