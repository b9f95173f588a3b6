/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/intern.h"
#include "base/map64.h"
#include "base/vec.h"

/* What a sample needs to be told apart by threads. */
#define NO_THREAD 0 /* index of "" in table.strings */

/* Who a frame counts for, before threads are told apart. */
struct function {
	uint32_t name, file, module; /* in table.strings */
};

struct report_table {
	struct report_table_options options;
	struct intern *strings;
	struct intern *system_names; /* that were demangled … */
	VEC(uint32_t) names;         /* … to these, in step */
	VEC(struct function) functions;
	struct map64 function_ids; /* name → index in functions */
	VEC(struct report_row) rows;
	struct map64 row_ids;       /* function and thread → index in rows */
	VEC(uint32_t) last_samples; /* in step with rows: what cum was counted for last, + 1 */
	int64_t totals[REPORT_COLUMNS];
};

/* A profile that is being added. */
struct filling {
	struct report_table *table;
	const struct profile *profile;
	unsigned column;
	uint32_t value_type;
	uint32_t *functions; /* function id - 1 → index + 1 in table.functions; 0: not seen yet */
	uint32_t *modules;   /* mapping id → likewise, for its locations without lines */
	uint32_t *threads;   /* label set → its thread + 1, in table.strings */
};

DEFINE_CLEANUP(struct report_table *, report_table_free)

static void filling_deinit(struct filling *f)
{
	free(f->functions);
	free(f->modules);
	free(f->threads);
}

int report_table_new(const struct report_table_options *options, struct report_table **ret_table)
{
	_cleanup_(report_table_free_cleanup) struct report_table *table = calloc(1, sizeof(*table));
	uint32_t id = NO_THREAD;
	int r;

	if (!table)
		return err_trace(-ENOMEM);
	table->options = *options;
	r = intern_new(&table->strings);
	if (r >= 0)
		r = intern_new(&table->system_names);
	if (r >= 0)
		r = intern_put(table->strings, "", 0, &id);
	if (r < 0)
		return err_trace(r);
	*ret_table = take_ptr(table);
	return 0;
}

struct report_table *report_table_free(struct report_table *table)
{
	if (!table)
		return NULL;
	intern_free(table->strings);
	intern_free(table->system_names);
	vec_deinit(&table->names);
	vec_deinit(&table->functions);
	map64_deinit(&table->function_ids);
	vec_deinit(&table->rows);
	map64_deinit(&table->row_ids);
	vec_deinit(&table->last_samples);
	free(table);
	return NULL;
}

static int put_string(struct report_table *table, const char *text, uint32_t *ret_id)
{
	int r = intern_put(table->strings, text, strlen(text), ret_id);

	return r < 0 ? err_trace(r) : 0;
}

/* The name for people; made once for each system name. */
static int find_name(struct filling *f, const struct profile_function *function, uint32_t *ret_name)
{
	struct report_table *table = f->table;
	const char *name = profile_get_string(f->profile, function->name);
	const char *system_name = profile_get_string(f->profile, function->system_name);
	_cleanup_free_ char *demangled = NULL;
	uint32_t index, id;
	int r;

	if (*name == '\0')
		name = system_name;
	/* A name that differs from the system's was made for people already. */
	if (!table->options.demangle || strcmp(name, system_name) != 0)
		return put_string(table, name, ret_name);
	r = vec_reserve(&table->names, table->names.n + 1);
	if (r < 0)
		return err_trace(r);
	r = intern_put(table->system_names, system_name, strlen(system_name), &index);
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		/* Should it fail, the name stays what it is. */
		*vec_push(&table->names) = NO_THREAD;
		demangled = table->options.demangle(system_name);
		r = demangled ? put_string(table, demangled, &id) : -ENOMEM;
		if (r < 0)
			return err_trace(r);
		table->names.items[index] = id;
	}
	*ret_name = table->names.items[index];
	return 0;
}

static const char *module_name(const struct profile *profile, uint32_t mapping)
{
	const char *file, *slash;

	if (mapping == 0)
		return "";
	file = profile_get_string(profile, profile_mapping(profile, mapping)->file);
	slash = strrchr(file, '/');
	return slash ? slash + 1 : file;
}

/* What stands for a file whose function is not known. */
static int name_of_module(struct filling *f, uint32_t mapping, uint32_t *ret_name)
{
	const char *file = module_name(f->profile, mapping);
	_cleanup_free_ char *name = NULL;

	/* "[vdso]" has its brackets already. */
	if (asprintf(&name, *file == '[' ? "%s" : "[%s]", file) < 0) {
		name = NULL;
		return err_trace(-ENOMEM);
	}
	return put_string(f->table, *file ? name : "<unknown>", ret_name);
}

/* Finds or adds who has that name; file and module are those it was met with first. */
static int put_function(struct filling *f, uint32_t name, const char *file, uint32_t mapping,
			uint32_t *ret_function)
{
	struct report_table *table = f->table;
	struct function function = {.name = name};
	uint64_t *index;
	int r;

	r = vec_reserve(&table->functions, table->functions.n + 1);
	if (r >= 0)
		r = put_string(table, file, &function.file);
	if (r >= 0)
		r = put_string(table, module_name(f->profile, mapping), &function.module);
	if (r >= 0)
		r = map64_put(&table->function_ids, name, &index);
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		*index = table->functions.n;
		*vec_push(&table->functions) = function;
	}
	*ret_function = (uint32_t)*index + 1;
	return 0;
}

/* The function of a line, or of a location without lines (line NULL). */
static int find_function(struct filling *f, const struct profile_location *location,
			 const struct profile_line *line, uint32_t *ret_function)
{
	uint32_t *known = line ? &f->functions[line->function - 1] : &f->modules[location->mapping];
	uint32_t name = 0;
	const char *file = "";
	int r = 0;

	if (*known) {
		*ret_function = *known - 1;
		return 0;
	}
	if (line) {
		const struct profile_function *function =
			profile_function(f->profile, line->function);

		file = profile_get_string(f->profile, function->file);
		r = find_name(f, function, &name);
	} else {
		r = name_of_module(f, location->mapping, &name);
	}
	if (r >= 0)
		r = put_function(f, name, file, location->mapping, known);
	if (r < 0)
		return err_trace(r);
	*ret_function = *known - 1;
	return 0;
}

/* The thread of a sample, as a text. */
static int find_thread(struct filling *f, uint32_t labels, uint32_t *ret_thread)
{
	uint32_t n;
	const struct profile_label *label = profile_labels(f->profile, labels, &n);
	const char *name = "", *tid = "";
	_cleanup_free_ char *text = NULL;
	int r = 0;

	*ret_thread = NO_THREAD;
	if (!f->table->options.by_thread)
		return 0;
	for (uint32_t i = 0; i < n && !f->threads[labels]; i++) {
		const char *key = profile_get_string(f->profile, label[i].key);

		if (strcmp(key, "thread") == 0)
			name = profile_get_string(f->profile, label[i].text);
		else if (strcmp(key, "tid") == 0)
			tid = profile_get_string(f->profile, label[i].text);
	}
	if (!f->threads[labels] && *tid) {
		if (asprintf(&text, "%s %s", name, tid) < 0) {
			text = NULL;
			return err_trace(-ENOMEM);
		}
		r = put_string(f->table, text, ret_thread);
	}
	if (!f->threads[labels])
		f->threads[labels] = *ret_thread + 1;
	*ret_thread = f->threads[labels] - 1;
	return r;
}

static int find_row(struct report_table *table, uint32_t function, uint32_t thread,
		    uint32_t *ret_row)
{
	uint64_t *index;
	int r;

	r = vec_reserve(&table->rows, table->rows.n + 1);
	if (r >= 0)
		r = vec_reserve(&table->last_samples, table->last_samples.n + 1);
	if (r >= 0)
		r = map64_put(&table->row_ids, (uint64_t)thread << 32 | function, &index);
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		const struct function *f = &table->functions.items[function];

		*index = table->rows.n;
		*vec_push(&table->rows) = (struct report_row){
			.name = intern_get(table->strings, f->name, NULL),
			.file = intern_get(table->strings, f->file, NULL),
			.module = intern_get(table->strings, f->module, NULL),
			.thread = intern_get(table->strings, thread, NULL),
		};
		*vec_push(&table->last_samples) = 0;
	}
	*ret_row = (uint32_t)*index;
	return 0;
}

static int add_frame(struct filling *f, const struct profile_location *location,
		     const struct profile_line *line, uint32_t thread, uint32_t sample, bool leaf)
{
	int64_t value = profile_sample(f->profile, sample)->values[f->value_type];
	uint32_t function = 0, index = 0;
	struct report_row *row;
	int r;

	r = find_function(f, location, line, &function);
	if (r >= 0)
		r = find_row(f->table, function, thread, &index);
	if (r < 0)
		return err_trace(r);
	row = &f->table->rows.items[index];
	if (leaf)
		row->flat[f->column] = profile_value_add(row->flat[f->column], value);
	if (f->table->last_samples.items[index] != sample + 1)
		row->cum[f->column] = profile_value_add(row->cum[f->column], value);
	f->table->last_samples.items[index] = sample + 1;
	return 0;
}

static int add_sample(struct filling *f, uint32_t sample)
{
	const struct profile *profile = f->profile;
	uint32_t stack = profile_sample(profile, sample)->stack, thread = 0;
	bool leaf = true;
	int r = find_thread(f, profile_sample(profile, sample)->labels, &thread);

	if (r < 0)
		return err_trace(r);
	for (; stack; stack = profile_stack_callers(profile, stack)) {
		const struct profile_location *location =
			profile_location(profile, profile_stack_leaf(profile, stack));
		const struct profile_line *lines = profile_location_lines(profile, location);
		uint32_t n = location->n_lines;

		for (uint32_t i = 0; i < MAX(n, 1U); i++) {
			r = add_frame(f, location, n ? &lines[i] : NULL, thread, sample, leaf);
			if (r < 0)
				return err_trace(r);
			leaf = false;
		}
	}
	return 0;
}

static uint32_t count_label_sets(const struct profile *profile)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < profile_n_samples(profile); i++)
		n = MAX(n, profile_sample(profile, i)->labels);
	return n + 1;
}

void report_table_clear(struct report_table *table, unsigned column)
{
	for (size_t i = 0; i < table->rows.n; i++)
		table->rows.items[i].flat[column] = table->rows.items[i].cum[column] = 0;
	table->totals[column] = 0;
}

int report_table_fill(struct report_table *table, unsigned column, const struct profile *profile,
		      uint32_t value_type)
{
	_cleanup_(filling_deinit) struct filling f = {
		.table = table, .profile = profile, .column = column, .value_type = value_type};

	if (value_type >= profile_get_spec(profile)->n_sample_types)
		return err_trace(-EINVAL);
	f.functions = calloc((size_t)profile_n_functions(profile) + 1, sizeof(*f.functions));
	f.modules = calloc((size_t)profile_n_mappings(profile) + 1, sizeof(*f.modules));
	f.threads = calloc(count_label_sets(profile), sizeof(*f.threads));
	if (!f.functions || !f.modules || !f.threads)
		return err_trace(-ENOMEM);
	report_table_clear(table, column);
	for (size_t i = 0; i < table->last_samples.n; i++)
		table->last_samples.items[i] = 0;
	table->totals[column] = profile_total(profile, value_type);
	for (uint32_t i = 0; i < profile_n_samples(profile); i++) {
		int r = add_sample(&f, i);

		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

const struct report_row *report_table_rows(const struct report_table *table, uint32_t *ret_n)
{
	*ret_n = (uint32_t)table->rows.n;
	return table->rows.items;
}

int64_t report_table_total(const struct report_table *table, unsigned column)
{
	return table->totals[column];
}
