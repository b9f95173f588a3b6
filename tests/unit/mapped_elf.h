/* SPDX-License-Identifier: Apache-2.0 */
/* Maps an ELF file's executable segments into this process as the kernel would, without running
 * it: enough for the module room, which only looks at /proc/PID/maps. */
#pragma once

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mapped_elf {
	void *area; /* NULL when it could not be mapped */
	size_t size;
	uint64_t bias;
	uint64_t text; /* target address of the first executable segment */
};

static inline struct mapped_elf mapped_elf_open(const char *path)
{
	struct mapped_elf mapped = {};
	Elf64_Phdr phdrs[32];
	Elf64_Ehdr ehdr;
	uint64_t low = UINT64_MAX, high = 0, page = 4095;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *area;

	if (fd < 0)
		return mapped;
	if (pread(fd, &ehdr, sizeof(ehdr), 0) != sizeof(ehdr) || ehdr.e_phnum > 32 ||
	    pread(fd, phdrs, ehdr.e_phnum * sizeof(phdrs[0]), (off_t)ehdr.e_phoff) < 0) {
		close(fd);
		return mapped;
	}
	for (int i = 0; i < ehdr.e_phnum; i++) {
		if (phdrs[i].p_type != PT_LOAD)
			continue;
		if (phdrs[i].p_vaddr < low)
			low = phdrs[i].p_vaddr;
		if (phdrs[i].p_vaddr + phdrs[i].p_memsz > high)
			high = phdrs[i].p_vaddr + phdrs[i].p_memsz;
	}
	low &= ~page;
	mapped.size = ((high - low) | page) + 1;
	area = mmap(ehdr.e_type == ET_EXEC ? (void *)low : NULL, mapped.size, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS |
			    (ehdr.e_type == ET_EXEC ? MAP_FIXED_NOREPLACE : 0),
		    -1, 0);
	if (area == MAP_FAILED) {
		close(fd);
		return mapped;
	}
	mapped.area = area;
	mapped.bias = (uintptr_t)area - low;
	for (int i = 0; i < ehdr.e_phnum; i++) {
		uint64_t start = phdrs[i].p_vaddr & ~page,
			 end = phdrs[i].p_vaddr + phdrs[i].p_filesz;

		if (phdrs[i].p_type != PT_LOAD || phdrs[i].p_filesz == 0)
			continue;
		mmap((char *)area + (start - low), end - start,
		     PROT_READ | (phdrs[i].p_flags & PF_X ? PROT_EXEC : 0), MAP_PRIVATE | MAP_FIXED,
		     fd, (off_t)(phdrs[i].p_offset & ~page));
		if (phdrs[i].p_flags & PF_X && !mapped.text)
			mapped.text = phdrs[i].p_vaddr + mapped.bias;
	}
	close(fd);
	return mapped;
}

static inline void mapped_elf_close(struct mapped_elf *mapped)
{
	if (mapped->area)
		munmap(mapped->area, mapped->size);
	mapped->area = NULL;
}
