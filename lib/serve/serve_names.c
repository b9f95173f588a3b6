/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/serve_names.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "module/module.h"
#include "process/process.h"
#include "symbol/symbol.h"

#define MAX_ADDRESS 32 /* characters of an address, as text */
#define MAX_NAME 4096

struct serve_names {
	pid_t pid;
	pthread_mutex_t lock;
	struct process *process;
	struct module_map *map;
	struct symbolizer *symbolizer;
};

int serve_names_new(pid_t pid, struct serve_names **ret_names)
{
	struct serve_names *names = calloc(1, sizeof(*names));

	if (!names)
		return err_trace(-ENOMEM);
	names->pid = pid;
	pthread_mutex_init(&names->lock, NULL);
	*ret_names = names;
	return 0;
}

struct serve_names *serve_names_free(struct serve_names *names)
{
	if (!names)
		return NULL;
	symbolizer_free(names->symbolizer);
	module_map_free(names->map);
	process_close(names->process);
	pthread_mutex_destroy(&names->lock);
	free(names);
	return NULL;
}

/* With the lock held. */
static int open_process(struct serve_names *names)
{
	int r;

	if (!names->process) {
		r = process_open(names->pid, &names->process);
		if (r < 0)
			return r;
	}
	return process_has_ended(names->process) ? -ESRCH : 0;
}

static int open_map(struct serve_names *names)
{
	int r = open_process(names);

	if (r >= 0 && !names->map)
		r = module_map_new(names->process, &names->map);
	if (r >= 0 && !names->symbolizer)
		r = symbolizer_new(false, &names->symbolizer);
	if (r >= 0)
		r = module_map_refresh(names->map);
	return r < 0 ? r : 0;
}

int serve_names_cmdline(struct serve_names *names, struct sink *sink)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r;

	pthread_mutex_lock(&names->lock);
	r = open_process(names);
	if (r >= 0)
		r = process_file_read(names->process, "cmdline", &text, &size);
	pthread_mutex_unlock(&names->lock);
	if (r < 0)
		return r;
	if (size && !text[size - 1])
		size--;
	return sink_write(sink, text, size);
}

size_t serve_names_count_threads(struct serve_names *names)
{
	struct process_tasks tasks = {};
	size_t n = 0;

	pthread_mutex_lock(&names->lock);
	if (open_process(names) >= 0 && process_tasks_read(names->process, &tasks) >= 0)
		n = tasks.tids.n;
	pthread_mutex_unlock(&names->lock);
	process_tasks_deinit(&tasks);
	return n;
}

static int write_symbol(struct serve_names *names, uint64_t addr, struct sink *sink)
{
	const struct module_mapping *mapping = module_map_find(names->map, addr);
	struct symbol_lines lines;
	const char *name;
	char clean[MAX_NAME];
	int r;

	if (!mapping)
		return 0;
	r = symbolizer_lookup(names->symbolizer, mapping->module, addr, &lines);
	if (r < 0 || !lines.n_lines)
		return err_trace(r);
	name = lines.lines[lines.n_lines - 1].system_name;
	(void)text_clean(clean, sizeof(clean), name, strlen(name));
	return sink_printf(sink, "%#" PRIx64 " %s\n", addr, clean);
}

/* "0x10", "16" or "020", and nothing else; 0: none. */
static uint64_t parse_address(const char *text, size_t size)
{
	char word[MAX_ADDRESS], *end;
	unsigned long long addr;

	while (size && strchr(" \t\r\n", text[size - 1]))
		size--;
	if (size == 0 || size >= sizeof(word) || text[0] < '0' || text[0] > '9')
		return 0;
	memcpy(word, text, size);
	word[size] = '\0';
	addr = strtoull(word, &end, 0);
	return *end ? 0 : addr;
}

int serve_names_symbols(struct serve_names *names, const char *text, size_t size, struct sink *sink)
{
	const char *end = text + size, *next;
	int r;

	pthread_mutex_lock(&names->lock);
	r = open_map(names);
	if (r >= 0)
		r = sink_printf(sink, "num_symbols: 1\n");
	for (; r >= 0 && size && text < end; text = next + 1) {
		uint64_t addr;

		next = memchr(text, '+', (size_t)(end - text)) ?: end;
		addr = parse_address(text, (size_t)(next - text));
		if (addr)
			r = write_symbol(names, addr, sink);
	}
	pthread_mutex_unlock(&names->lock);
	return r < 0 ? r : 0;
}

static int add_mapping(struct profile *profile, struct serve_mappings *known,
		       const struct module_mapping *from, uint32_t *ret_id)
{
	struct profile_mapping mapping = {
		.start = from->start, .limit = from->end, .offset = from->offset};
	const char *path = module_path(from->module);
	int r;

	while (known->ids.n <= from->index) {
		if (!vec_push(&known->ids))
			return err_trace(-ENOMEM);
	}
	*ret_id = known->ids.items[from->index];
	if (*ret_id)
		return 0;
	/* As in the sampler's own profiles. */
	r = profile_string(profile, *path ? path : "//anon", &mapping.file);
	if (r >= 0)
		r = profile_string(profile, module_build_id(from->module), &mapping.build_id);
	if (r >= 0)
		r = profile_mapping_add(profile, &mapping, ret_id);
	if (r >= 0)
		known->ids.items[from->index] = *ret_id;
	return r;
}

int serve_names_mapping(struct serve_names *names, struct profile *profile,
			struct serve_mappings *known, uint64_t addr, uint32_t *ret_id)
{
	const struct module_mapping *first, *mapping;
	uint32_t id = 0;
	int r = 0;

	pthread_mutex_lock(&names->lock);
	if (!known->ids.n)
		r = open_map(names);
	first = r >= 0 ? module_map_main(names->map) : NULL;
	if (first && !known->ids.n)
		r = add_mapping(profile, known, first, &id);
	mapping = r >= 0 ? module_map_find(names->map, addr) : NULL;
	id = 0;
	if (mapping)
		r = add_mapping(profile, known, mapping, &id);
	pthread_mutex_unlock(&names->lock);
	if (r >= 0)
		*ret_id = id;
	return r < 0 ? r : 0;
}
