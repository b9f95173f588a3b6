/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the module room share: a map over the test itself, and victims to map. To be
 * included behind cmocka.h. */
#pragma once

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mapped_elf.h"
#include "module/module.h"

struct fixture {
	struct process *process;
	struct module_map *map;
};

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(process_open(getpid(), &f->process), 0);
	assert_int_equal(module_map_new(f->process, &f->map), 0);
	assert_in_range(module_map_refresh(f->map), MODULE_REFRESH_SAME, MODULE_REFRESH_REPLACED);
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	module_map_free(f->map);
	process_close(f->process);
	free(f);
	return 0;
}

static inline struct module *module_of(const struct fixture *f, const void *code)
{
	const struct module_mapping *m = module_map_find(f->map, (uintptr_t)code);

	assert_non_null(m);
	return m->module;
}

static inline const char *victim_path(const char *name)
{
	static char path[4096];
	const char *folder = getenv("CPROF_VICTIMS");

	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "", name);
	return access(path, R_OK) == 0 ? path : NULL;
}

/* A fresh map over this process with a file mapped; NULL when the file cannot be mapped. */
static inline struct module *map_module(struct fixture *f, struct mapped_elf *elf, const char *path)
{
	*elf = mapped_elf_open(path);
	if (!elf->area)
		return NULL;
	assert_true(module_map_refresh(f->map) >= MODULE_REFRESH_ADDED);
	return module_of(f, (void *)elf->text);
}

static inline bool has_symbol(struct module *module, const struct mapped_elf *elf, const char *name)
{
	struct module_symbol symbol;

	for (uint64_t at = elf->text; at < elf->text + 4096; at++) {
		if (module_symbol_at(module, at, &symbol) && strcmp(symbol.name, name) == 0)
			return true;
	}
	return false;
}

static inline void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline void run(const char *format, ...)
{
	char command[8192];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(system(command), 0);
}
