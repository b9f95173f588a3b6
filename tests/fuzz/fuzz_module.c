/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes as an ELF file mapped executable: CFI, symbols, DWARF and lines at many addresses. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "symbol/symbol.h"

#define MAX_BYTES (1u << 20)
#define N_ADDRESSES 64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void look_at(struct symbolizer *symbolizer, struct module *module, uint64_t addr)
{
	static struct symbol_lines lines;
	struct module_symbol symbol;
	Dwarf_Frame *frame;
	uint64_t bias;
	Dwarf_CFI *cfi;

	cfi = module_eh_cfi(module, &bias);
	if (cfi && dwarf_cfi_addrframe(cfi, addr - bias, &frame) == 0)
		free(frame);
	cfi = module_debug_cfi(module, &bias);
	if (cfi && dwarf_cfi_addrframe(cfi, addr - bias, &frame) == 0)
		free(frame);
	if (module_symbol_at(module, addr, &symbol))
		free(symbol_demangle(symbol.name));
	if (symbolizer_lookup(symbolizer, module, addr, &lines) < 0)
		abort();
	for (uint32_t i = 0; i < lines.n_lines; i++)
		free(symbol_demangle(lines.lines[i].system_name));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char path[] = "/tmp/cprof-fuzz-XXXXXX";
	struct process *process = NULL;
	struct module_map *map = NULL;
	struct symbolizer *symbolizer = NULL;
	const struct module_mapping *m;
	_cleanup_close_ int fd = -1;
	void *area;

	if (size == 0 || size > MAX_BYTES)
		return 0;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	area = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (area == MAP_FAILED || process_open(getpid(), &process) < 0 ||
	    module_map_new(process, &map) < 0 || module_map_refresh(map) < 0 ||
	    symbolizer_new(true, &symbolizer) < 0)
		abort();
	m = module_map_find(map, (uintptr_t)area);
	if (!m)
		abort();
	module_build_id(m->module);
	for (uint64_t i = 0; i < N_ADDRESSES; i++)
		look_at(symbolizer, m->module, m->start + i * size / N_ADDRESSES);
	module_problem(m->module);
	symbolizer_free(symbolizer);
	module_map_free(map);
	process_close(process);
	munmap(area, size);
	unlink(path);
	return 0;
}
