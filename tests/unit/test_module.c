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

#include "module/module.h"

struct fixture {
	struct process *process;
	struct module_map *map;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(process_open(getpid(), &f->process), 0);
	assert_int_equal(module_map_new(f->process, &f->map), 0);
	assert_in_range(module_map_refresh(f->map), MODULE_REFRESH_SAME, MODULE_REFRESH_REPLACED);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	module_map_free(f->map);
	process_close(f->process);
	free(f);
	return 0;
}

static struct module *module_of(const struct fixture *f, const void *code)
{
	const struct module_mapping *m = module_map_find(f->map, (uintptr_t)code);

	assert_non_null(m);
	return m->module;
}

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
	struct module *own = module_of(f, a_local_function), *libc = module_of(f, qsort);
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
	assert_null(module_problem(own));
	assert_ptr_equal(module_map_main(f->map)->module, own);
	assert_ptr_not_equal(own, libc);
	assert_true(module_symbol_at(libc, (uintptr_t)qsort + 1, &symbol));
	assert_string_equal(symbol.name, "qsort");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(biases_are_those_of_the_linker, set_up, tear_down),
		cmocka_unit_test_setup_teardown(finds_symbols_of_itself_and_libc, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(reads_the_vdso_from_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
