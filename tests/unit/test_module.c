/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "module_fixture.h"

__attribute__((noinline)) static int a_local_function(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}

static int check_object(struct dl_phdr_info *object, size_t size, void *user)
{
	const struct fixture *f = user;

	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		struct module *module;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		module = module_of(f, (void *)(object->dlpi_addr + p->p_vaddr));
		assert_true(module_is_elf(module));
		assert_int_equal(module_bias(module), object->dlpi_addr);
		return 0;
	}
	return 0;
}

/* The dynamic linker knows every bias: the oracle. */
static void biases_are_those_of_the_linker(void **state)
{
	dl_iterate_phdr(check_object, *state);
}

static void finds_symbols_of_itself_and_libc(void **state)
{
	struct fixture *f = *state;
	struct module *own = module_of(f, a_local_function), *libc = module_of(f, a64l);
	const char *const names[] = {"a64l", "a_local_function", "no_such_function"};
	struct module_sources sources;
	struct module_symbol symbol;
	uintptr_t at = (uintptr_t)a_local_function;
	uint64_t bias;

	assert_int_equal(a_local_function(1), 2);
	assert_true(module_symbol_at(own, at, &symbol));
	assert_string_equal(symbol.name, "a_local_function");
	assert_int_equal(symbol.addr, at);
	assert_true(module_symbol_at(own, at + symbol.size - 1, &symbol));
	assert_string_equal(symbol.name, "a_local_function");
	assert_true(!module_symbol_at(own, at + symbol.size, &symbol) ||
		    strcmp(symbol.name, "a_local_function") != 0);
	assert_true(module_has_symtab(own));
	module_get_sources(own, &sources);
	assert_int_equal(sources.names, MODULE_NAMES_SYMTAB);
	assert_int_equal(sources.lines, MODULE_LINES_OWN);
	assert_true(sources.eh_frame);
	assert_false(sources.gopclntab);
	assert_int_equal(module_defines(own, names, 3), 1 << 1);
	assert_int_equal(module_defines(libc, names, 3), 1 << 0);
	assert_null(module_problem(own));
	assert_ptr_equal(module_map_main(f->map)->module, own);
	assert_ptr_not_equal(own, libc);
	assert_true(module_symbol_at(libc, (uintptr_t)a64l + 1, &symbol));
	assert_string_equal(symbol.name, "a64l");
	assert_int_equal(strlen(module_build_id(libc)), 40);
	assert_non_null(module_eh_cfi(libc, &bias));
	assert_int_equal(bias, module_bias(libc));
	assert_non_null(module_dwarf(own, &bias));
	assert_int_equal(bias, module_bias(own));
}

static void reads_the_vdso_from_memory(void **state)
{
	struct fixture *f = *state;
	uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
	const struct module_mapping *m = module_map_find(f->map, vdso);
	struct module_symbol symbol;
	bool found = false;
	uint64_t bias;

	if (!m) {
		print_message("no vDSO here\n");
		skip();
	}
	assert_string_equal(module_path(m->module), "[vdso]");
	assert_true(module_is_elf(m->module));
	assert_int_equal(module_bias(m->module), vdso);
	assert_non_null(module_eh_cfi(m->module, &bias));
	assert_int_equal(bias, vdso);
	for (uintptr_t at = vdso; at < m->end; at += 4)
		found |= module_symbol_at(m->module, at, &symbol) &&
			 strcmp(symbol.name, "__vdso_clock_gettime") == 0;
	assert_true(found);
}

/* What the vDSO's own functions call has no symbol there, yet no other place to get a name from. */
static void names_all_code_of_the_vdso(void **state)
{
	struct fixture *f = *state;
	uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
	const struct module_mapping *m = module_map_find(f->map, vdso);
	struct module_symbol symbol;
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	Dwarf_Frame *frame;
	Dwarf_CFI *cfi;
	uint64_t bias;

	if (!m) {
		print_message("no vDSO here\n");
		skip();
	}
	cfi = module_eh_cfi(m->module, &bias);
	while ((section = elf_nextscn(module_elf(m->module), section))) {
		assert_non_null(gelf_getshdr(section, &header));
		for (uint64_t i = 0; header.sh_flags & SHF_EXECINSTR && i < header.sh_size; i++) {
			uint64_t svma = header.sh_addr + i;
			bool in_function = dwarf_cfi_addrframe(cfi, svma, &frame) == 0;
			char name[64];

			if (in_function)
				free(frame);
			assert_true(module_symbol_at(m->module, vdso + svma, &symbol));
			assert_in_range(vdso + svma, symbol.addr, symbol.addr + symbol.size - 1);
			if (symbol.name[0] != '[')
				continue;
			snprintf(name, sizeof(name), "[vdso]+0x%llx",
				 (unsigned long long)(symbol.addr - vdso));
			assert_string_equal(symbol.name, in_function ? name : "[vdso]");
		}
	}
}

/* The bias comes from mapping and program headers, however the linker laid them out. */
static void computes_the_bias_of_every_layout(void **state)
{
	static const char *const names[] = {
		"symbols.so",           "symbols-huge-align.so", "symbols-one-segment.so",
		"symbols-prelinked.so", "symbols-gold.so",       "chain-gcc-static",
		"chain-gcc-o2",         "chain-clang-o2"};
	struct fixture *f = *state;
	unsigned n_checked = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *path = victim_path(names[i]);
		struct mapped_elf elf = {};
		struct module *module;
		uint64_t bias = 0;

		if (!path)
			continue;
		module = map_module(f, &elf, path);
		assert_non_null(module);
		assert_true(module_is_elf(module));
		assert_int_equal(module_bias(module), elf.bias);
		assert_true(has_symbol(module, &elf,
				       strncmp(names[i], "symbols", 7) == 0 ? "exported_function"
									    : "_start") ||
			    elf.bias == 0);
		assert_non_null(module_eh_cfi(module, &bias));
		assert_int_equal(bias, elf.bias);
		if (strcmp(names[i], "chain-gcc-static") == 0)
			assert_int_equal(bias, 0);
		mapped_elf_close(&elf);
		n_checked++;
	}
	if (!n_checked)
		skip();
}

static void chooses_among_symbols_by_rule(void **state)
{
	struct fixture *f = *state;
	const char *path = victim_path("symbols.so");
	struct module_symbol symbol, previous = {};
	unsigned exported = 0, hidden = 0, label = 0, sized = 0, none_after = 0;
	struct mapped_elf elf;
	struct module *module;

	if (!path)
		skip();
	module = map_module(f, &elf, path);
	for (uint64_t at = elf.text; at < elf.text + 4096; at++) {
		if (!module_symbol_at(module, at, &symbol)) {
			/* Behind sized_assembly there is padding that nothing covers. */
			none_after += previous.name && strcmp(previous.name, "sized_assembly") == 0;
			continue;
		}
		assert_true(at >= symbol.addr && at < symbol.addr + symbol.size);
		/* GLOBAL before WEAK for one and the same function. */
		assert_string_not_equal(symbol.name, "weak_alias");
		exported += strcmp(symbol.name, "exported_function") == 0;
		hidden += strcmp(symbol.name, "hidden_helper") == 0;
		label += strcmp(symbol.name, "label_without_size") == 0;
		sized += strcmp(symbol.name, "sized_assembly") == 0;
		previous = symbol;
	}
	assert_true(exported > 0);
	assert_true(hidden > 0);
	assert_int_equal(label, 4);
	assert_int_equal(sized, 2);
	assert_true(none_after >= 6);
	mapped_elf_close(&elf);
}

static void jit_code_has_no_file(void **state)
{
	struct fixture *f = *state;
	uint32_t n = module_map_count(f->map);
	struct module_symbol symbol;
	struct module *module;
	const struct module_mapping *m;
	uint32_t index;
	char *area;

	assert_int_equal(module_map_refresh(f->map), MODULE_REFRESH_SAME);
	area = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(module_map_refresh(f->map), MODULE_REFRESH_ADDED);
	assert_int_equal(module_map_count(f->map), n + 1);
	m = module_map_find(f->map, (uintptr_t)area);
	module = m->module;
	index = m->index;
	assert_ptr_equal(module_map_at(f->map, n), m);
	assert_string_equal(module_path(module), "");
	assert_false(module_is_elf(module));
	assert_false(module_symbol_at(module, (uintptr_t)area, &symbol));
	assert_string_equal(module_problem(module), "no file behind this memory");

	/* Made writable: the mapping of before is gone. And back: the same again. */
	assert_int_equal(mprotect(area, 8192, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(module_map_refresh(f->map), MODULE_REFRESH_REPLACED);
	assert_null(module_map_find(f->map, (uintptr_t)area));
	assert_int_equal(mprotect(area, 8192, PROT_READ | PROT_EXEC), 0);
	assert_int_equal(module_map_refresh(f->map), MODULE_REFRESH_ADDED);
	assert_int_equal(module_map_find(f->map, (uintptr_t)area)->index, index);
	assert_int_equal(module_map_count(f->map), n + 1);
	munmap(area + 4096, 4096);
	assert_int_equal(module_map_refresh(f->map), MODULE_REFRESH_REPLACED);
	assert_non_null(module_map_find(f->map, (uintptr_t)area));
	assert_null(module_map_find(f->map, (uintptr_t)area + 4096));
	munmap(area, 4096);
	assert_int_equal(module_map_refresh(f->map), MODULE_REFRESH_REPLACED);
	/* Old mappings stay readable, for samples taken then. */
	assert_ptr_equal(module_map_at(f->map, index)->module, module);
	assert_null(module_map_at(f->map, module_map_count(f->map)));
}

static void one_file_at_two_addresses_is_two_modules(void **state)
{
	struct fixture *f = *state;
	const char *path = victim_path("symbols.so");
	struct mapped_elf first, second;
	struct module *a, *b;

	if (!path)
		skip();
	a = map_module(f, &first, path);
	b = map_module(f, &second, path);
	assert_ptr_not_equal(a, b);
	assert_int_equal(module_bias(a), first.bias);
	assert_int_equal(module_bias(b), second.bias);
	/* But its parts are one: the same mapping cut in two by mprotect. */
	assert_int_equal(mprotect((void *)first.area, 4096, PROT_READ), 0);
	assert_ptr_equal(module_of(f, (void *)first.text), a);
	mapped_elf_close(&first);
	mapped_elf_close(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(biases_are_those_of_the_linker, set_up, tear_down),
		cmocka_unit_test_setup_teardown(finds_symbols_of_itself_and_libc, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(reads_the_vdso_from_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_all_code_of_the_vdso, set_up, tear_down),
		cmocka_unit_test_setup_teardown(computes_the_bias_of_every_layout, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(chooses_among_symbols_by_rule, set_up, tear_down),
		cmocka_unit_test_setup_teardown(jit_code_has_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_file_at_two_addresses_is_two_modules, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
